//! The service port: one listener and one single-threaded runtime per worker.
//!
//! The kernel spreads connections over the workers' listeners (`SO_REUSEPORT`); a request never
//! changes thread. Draining (req 11.4) empties the accept queue before the listener closes, so a
//! client that had connected is served, then lets requests in flight finish.

mod connection;
mod failed;
pub mod slots;

use crate::admission::caller::Peer;
use crate::admission::load::Meter;
use crate::bridge;
use crate::clock::{self, alarms, manual, MILLI};
use crate::net::{self, TcpListener, TcpStream};
use crate::profile::{look, threads};
use crate::shared::{ConnectionPermit, Phase, Shared};
use crate::worker::Worker;
use std::future::{poll_fn, Future};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tailrace_policy::Nanos;
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// How often the lateness of the ready queue is measured.
const TICK: Nanos = 25 * MILLI;
/// Every so many times, waits are checked and idle upstream connections swept.
const SWEEP: u32 = 10;
/// Pause after an accept error such as running out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
const BACKLOG: i32 = 1024;

/// Binds one listener; `shared_port` lets several workers listen on the same port.
pub fn listen(address: SocketAddr, shared_port: bool) -> io::Result<std::net::TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if shared_port {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Runs one worker on the calling thread until the plane stops.
pub fn run(
    index: usize,
    listener: Option<std::net::TcpListener>,
    shared: &Arc<Shared>,
    log: Option<crate::access_log::Ring>,
    seed: u64,
) -> io::Result<()> {
    let running = manual::Running::enter();
    let mut builder = Builder::new_current_thread();
    builder.enable_io().enable_time();
    if let Some(round) = running.round() {
        let (before, after) = (Arc::clone(round), Arc::clone(round));
        builder.on_thread_park(move || before.parks());
        builder.on_thread_unpark(move || after.unparks());
    }
    let runtime = builder.build_local(LocalOptions::default())?;
    shared.watch_runtime(runtime.handle().metrics());
    let _enrolled = shared.profiler.threads.enrol(&threads::worker(index));
    runtime.block_on(async {
        let (_here, alarms) = alarms::start()?;
        if let Some(alarms) = alarms {
            tokio::task::spawn_local(alarms.ring());
        }
        if let Some(round) = running.round() {
            tokio::task::spawn_local(Arc::clone(round).answer());
        }
        let worker = Worker::new(index, shared, log, seed);
        match listener {
            Some(listener) => serve(&worker, TcpListener::from_std(listener)?).await,
            None => make_calls(&worker).await,
        }
        Ok(())
    })
}

/// All that a worker does, from its first connection to the end of its last.
pub async fn serve(worker: &Rc<Worker>, listener: TcpListener) {
    let helpers = help(worker);
    accept_until_drain(worker, listener).await;
    finish(worker).await;
    end(worker, &helpers);
}

/// All that a client's worker does: it has no port, and runs until it is told to end.
async fn make_calls(worker: &Rc<Worker>) {
    let helpers = help(worker);
    let mut phase = worker.shared.watch();
    phase.wait_for(|phase| *phase > Phase::Running).await.ok();
    end(worker, &helpers);
}

/// The tasks beside the connections: the sweep, and letters from Python.
fn help(worker: &Rc<Worker>) -> Vec<JoinHandle<()>> {
    let mut helpers = vec![
        tokio::task::spawn_local(sweep(Rc::clone(worker))),
        tokio::task::spawn_local(look::answer(Rc::clone(worker))),
    ];
    if let Some(bridge) = worker.shared.bridge.clone() {
        let delivering = bridge::deliver(Rc::clone(worker), bridge);
        helpers.push(tokio::task::spawn_local(delivering));
    }
    helpers
}

fn end(worker: &Worker, helpers: &[JoinHandle<()>]) {
    for helper in helpers {
        helper.abort();
    }
    worker.pools.clear();
    worker.end();
}

/// Accepts until draining begins, then takes what is already in the queue.
async fn accept_until_drain(worker: &Rc<Worker>, listener: TcpListener) {
    let mut phase = worker.shared.watch();
    loop {
        let mut leave = pin!(phase.wait_for(|phase| *phase > Phase::Running));
        let accepted = poll_fn(|cx| {
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                return Poll::Ready(Some(accepted));
            }
            leave.as_mut().poll(cx).map(|_| None)
        })
        .await;
        match accepted {
            Some(Ok((stream, from))) => admit(worker, stream, from),
            Some(Err(_)) => sleep(ACCEPT_PAUSE).await,
            None => break,
        }
    }
    for (stream, from) in net::queued(listener) {
        admit(worker, stream, from);
    }
}

/// What a connection holds while it lasts: its place among the process's connections, and its mark
/// that its worker is not done.
struct Admitted {
    _permit: ConnectionPermit,
    _live: Rc<()>,
    peer: Peer,
}

/// Gives a new connection a task, or closes it when there are too many.
fn admit(worker: &Rc<Worker>, stream: TcpStream, from: SocketAddr) {
    let worker = &worker.newest();
    let Some(permit) = worker.shared.admit(worker.program.limits.connections_max) else {
        worker.metrics.connections_refused.add(1);
        let refusal: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\
            retry-after: 1\r\nconnection: close\r\n\r\n";
        stream.try_write(refusal).ok();
        return;
    };
    worker.metrics.connections_accepted.add(1);
    stream.set_nodelay(true).ok();
    let admitted = Admitted {
        _permit: permit,
        _live: Rc::clone(&worker.live),
        peer: worker.shared.admission.peer(&worker.program, from.ip()),
    };
    tokio::task::spawn_local(connection::serve(Rc::clone(worker), stream, admitted));
}

/// Measures how late this worker runs, wakes connections whose wait has ended and closes idle
/// upstream connections.
async fn sweep(mut worker: Rc<Worker>) {
    let mut due = clock::now();
    let mut meter = Meter::new(&worker, due);
    let mut turn = 0_u32;
    loop {
        due = clock::reach(due + TICK).await;
        let now = clock::now();
        let waited = worker.lane.take_waited();
        meter.note(&worker, now, now.saturating_sub(due).max(waited));
        due = now;
        // What is ready now, and what the kernel has by then, runs before this goes on. Counted is
        // what this thread did: when it is the machine that stalls, nobody must be refused.
        let before = clock::thread_cpu();
        tokio::task::yield_now().await;
        // Who comes waits for the rest of one such round and for the next.
        let round = clock::thread_cpu().saturating_sub(before);
        worker.gate.note_wait(waited.max(2 * round));
        turn = turn.wrapping_add(1);
        // Where a test moves the clock, one move may be all that is coming.
        if !turn.is_multiple_of(SWEEP) && !manual::is_on() {
            continue;
        }
        if worker.is_outdated() {
            // Idle connections take up the new limits and let go of the old program.
            worker = worker.newest();
            worker.slots.wake_all();
        }
        worker.slots.sweep(now);
        worker.memory.sweep();
        worker.pools.sweep(now, |upstream, idle| {
            let metric = &worker.metrics.upstreams[upstream].idle;
            metric.add((idle as u64).wrapping_sub(metric.get()));
        });
    }
}

/// Waits for the connections to end, at most until the plane says stop. Requests still in flight
/// then are cut off, and counted, so that nobody is told that all were answered.
async fn finish(worker: &Rc<Worker>) {
    const LOOK: Duration = Duration::from_millis(5);
    worker.slots.wake_all();
    while worker.open() > 0 && worker.shared.phase() < Phase::Stopping {
        sleep(LOOK).await;
    }
    let cut_off = worker.metrics.in_flight.get();
    worker.shared.cut_off.fetch_add(cut_off, Ordering::AcqRel);
}
