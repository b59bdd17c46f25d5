//! Starting and stopping: threads, listeners, and the order in which they end.

mod bind;
mod engine;
mod threads;

use crate::access_log::said::Said;
use crate::access_log::{Sink, Writer};
use crate::admin::token::Token;
use crate::bridge::Bridge;
use crate::cache::Scope;
use crate::live::{Ask, Change, Next, Reply};
use crate::metrics::text;
use crate::metrics::write::Format;
use crate::program::Program;
pub use crate::shared::Pages;
use crate::shared::{Phase, Shared};
use crate::{admin, resolve, server, trace};
pub use bind::StartError;
use bind::{bind, bind_workers, resolve_listen};
pub use engine::Engine;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tailrace_blueprint::{Blueprint, LogFormat, View};
use threads::Threads;
use tokio::runtime::{Builder, LocalOptions};

/// How often the access log is written.
const LOG_FLUSH: Duration = Duration::from_millis(50);
/// An end waits so long for the workers, which stop within milliseconds of being told.
const WORKERS_END: Duration = Duration::from_secs(5);
/// And so long for the log's last lines: whoever should read them may never do so.
const HELPERS_END: Duration = Duration::from_secs(1);

/// A running service.
#[derive(Debug)]
pub struct Plane {
    shared: Arc<Shared>,
    address: SocketAddr,
    admin_address: SocketAddr,
    unresolved: Vec<String>,
    workers: Threads,
    helpers: Threads,
}

/// Held by a worker thread: one that ends while the service runs has left its connections.
struct WhileRunning(Arc<Shared>);

impl Drop for WhileRunning {
    fn drop(&mut self) {
        if self.0.phase() == Phase::Running {
            self.0.workers_lost.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Plane {
    /// Compiles, resolves, binds and starts: a port that is open answers. `origins` is JSON shown
    /// by the admin port.
    pub fn start(
        blueprint: &Blueprint,
        source: Vec<u8>,
        origins: Vec<u8>,
    ) -> Result<Self, StartError> {
        Self::start_with(blueprint, source, origins, Pages::default())
    }

    /// `start`, with pages for the service's callers on the admin port.
    pub fn start_with(
        blueprint: &Blueprint,
        source: Vec<u8>,
        origins: Vec<u8>,
        pages: Pages,
    ) -> Result<Self, StartError> {
        let program = Arc::new(Program::compile(blueprint).map_err(StartError::Blueprint)?);
        let workers = worker_count(blueprint.listen.workers);
        let system = |what| move |error| StartError::System { what, error };
        let mut shared = Shared::new(program, workers, source, origins);
        let token_file = blueprint.listen.admin_token_file.as_deref();
        shared.admin_token = Token::find(token_file).map_err(StartError::Blueprint)?;
        shared.live.show(pages);
        let python = |view: &View| view.handler.is_some() || view.computed.is_some();
        if blueprint.views.iter().any(python) {
            let bridge = Bridge::new(&shared.program(), workers).map_err(system("bridge"))?;
            shared.bridge = Some(Arc::new(bridge));
        }
        let target = trace::Target::find(blueprint).map_err(StartError::Blueprint)?;
        let shared = Arc::new(shared);
        let unresolved = resolve::resolve_all(&shared);
        let listen = &blueprint.listen;
        let wanted = resolve_listen(&listen.host, listen.port, "--host")?;
        let (listeners, address) = bind_workers(wanted, workers)?;
        let admin_wanted = resolve_listen(&listen.admin_host, listen.admin_port, "--admin-host")?;
        let admin_listener = bind(admin_wanted, false, "--admin-port")?;
        let admin_address = admin_listener.local_addr().map_err(system("admin port"))?;
        let log = &blueprint.access_log;
        let (rings, consumers) = rings(workers, log.format, log.ring);
        let sink = if log.format == LogFormat::Off {
            None
        } else {
            Some(Sink::open(log.path.as_deref()).map_err(system("access log"))?)
        };
        let writer = sink.map(|sink| {
            let said = shared.log_lines.open(log.ring as usize);
            Writer::new(consumers, said, Arc::clone(&shared), sink)
        });
        // Whole before its first thread: when a later one does not start, its drop ends the others.
        let plane = Self {
            shared,
            address,
            admin_address,
            unresolved,
            workers: Threads::default(),
            helpers: Threads::default(),
        };
        if let Some(writer) = writer {
            let shared = Arc::clone(&plane.shared);
            let run = move || write_log(writer, &shared);
            plane.helpers.spawn("tailrace-log", run)?;
        }
        if let Some(target) = target {
            let shared = Arc::clone(&plane.shared);
            let export = move || trace::export(&target, &shared);
            plane.helpers.spawn("tailrace-trace", export)?;
        }
        for (index, (listener, ring)) in listeners.into_iter().zip(rings).enumerate() {
            plane.spawn_worker(index, listener, ring)?;
        }
        let shared = Arc::clone(&plane.shared);
        let run = move || control(Some(admin_listener), &shared);
        plane.helpers.spawn("tailrace-control", run)?;
        Ok(plane)
    }

    fn spawn_worker(
        &self,
        index: usize,
        listener: std::net::TcpListener,
        ring: Option<crate::access_log::Ring>,
    ) -> Result<(), StartError> {
        let shared = Arc::clone(&self.shared);
        let seed = fastrand::u64(..);
        let run = move || {
            let _noticed = WhileRunning(Arc::clone(&shared));
            if let Err(error) = server::run(index, Some(listener), &shared, ring, seed) {
                eprintln!("error: worker {index} stopped: {error}");
            }
        };
        self.workers.spawn(&format!("tailrace-{index}"), run)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    pub fn workers(&self) -> usize {
        self.shared.metrics.len()
    }

    /// Upstream names that did not resolve at start.
    pub fn unresolved(&self) -> &[String] {
        &self.unresolved
    }

    pub fn in_flight(&self) -> u64 {
        self.shared.in_flight()
    }

    pub fn connections(&self) -> u32 {
        self.shared.connections()
    }

    /// Puts another blueprint in force: the same service under other limits. Returns what changed,
    /// or why nothing did; requests in flight keep what they began with. `source` says who asked.
    /// Blocks while new names are looked up.
    pub fn reconfigure(
        &self,
        blueprint: Vec<u8>,
        origins: Vec<u8>,
        source: &str,
    ) -> Result<Vec<Change>, String> {
        self.shared.change(blueprint, origins, source)
    }

    /// Shows other pages to the service's callers: they name limits too.
    pub fn show(&self, pages: Pages) {
        self.shared.live.show(pages);
    }

    /// Shows what the lab around this service does, as JSON, on the admin port, which from here on
    /// takes wishes for it.
    pub fn show_lab(&self, state: Vec<u8>) {
        self.shared.live.show_lab(state);
    }

    /// Counted from 1; rises with every change.
    pub fn revision(&self) -> u64 {
        self.shared.live.revision()
    }

    /// Notes a change that was refused before it came here.
    pub fn refuse(&self, source: &str, error: &str) {
        self.shared.live.journal().refused(source, error);
    }

    /// Asks for a change, as the admin port does; `false` when nobody takes asks.
    pub fn tell(&self, ask: Ask) -> bool {
        self.shared.live.asks.tell(ask)
    }

    /// From here on asks are taken: somebody will call `next_ask`.
    pub fn take_asks(&self) {
        self.shared.live.asks.own();
    }

    /// The next ask for a change, for whoever makes them; see `live/asks.rs`.
    pub fn next_ask(&self, patience: Option<Duration>) -> Next {
        self.shared.live.asks.next(patience)
    }

    /// Answers the ask that came last.
    pub fn reply(&self, reply: Reply) {
        self.shared.live.asks.reply(reply);
    }

    /// No change is asked for or made from here on.
    pub fn close_asks(&self) {
        self.shared.live.asks.close();
    }

    /// Not ready, no new work; requests in flight have `drain_ms` to finish (req 11.4).
    pub fn drain(&self) {
        self.shared.advance(Phase::Draining);
    }

    /// Ends now, whatever runs.
    pub fn stop(&self) {
        self.shared.advance(Phase::Stopping);
    }

    /// Waits until every worker has ended, at most `patience`; `true` when they have.
    pub fn wait(&self, patience: Duration) -> bool {
        self.workers.wait(patience)
    }

    /// Ends now and waits, never longer than six seconds, for the threads; `true` when the workers
    /// have ended. A log writer that nobody reads from is left behind.
    pub fn end(&self) -> bool {
        self.close_asks();
        self.stop();
        let ended = self.workers.end(WORKERS_END);
        self.helpers.end(HELPERS_END);
        ended
    }

    /// Requests in flight that an end cut off; exact once `wait` has said `true`.
    pub fn cut_off(&self) -> u64 {
        self.shared.cut_off.load(Ordering::Acquire)
    }

    /// Forgets cached answers: all of them, those of an upstream, or those of its targets that
    /// begin with `prefix`. Returns how many there were (req 16.5).
    pub fn invalidate(&self, upstream: Option<&str>, prefix: &str) -> Result<usize, String> {
        let scope = Scope::of(&self.shared.program(), upstream, prefix)?;
        let cache = self.shared.cache_in_use();
        Ok(cache.map_or(0, |cache| cache.invalidate(&scope)))
    }

    /// To Python; `None` when the service has no handlers.
    pub fn bridge(&self) -> Option<&Arc<Bridge>> {
        self.shared.bridge.as_ref()
    }

    /// Hands a record of Python's logging to the log; `false` when there is none.
    pub fn say(&self, said: Said) -> bool {
        self.shared.log_lines.push(said)
    }

    /// The metrics as `/metrics` shows them, in Prometheus' text.
    pub fn metrics(&self) -> Vec<u8> {
        text::render(&self.shared, Format::Text)
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.end();
    }
}

/// The CPUs this process may use (affinity and cgroup quota), unless told otherwise (req 11.1).
fn worker_count(asked: Option<u16>) -> usize {
    asked.map_or_else(
        || thread::available_parallelism().map_or(1, usize::from),
        |asked| usize::from(asked).max(1),
    )
}

type Rings = (
    Vec<Option<crate::access_log::Ring>>,
    Vec<rtrb::Consumer<crate::access_log::Record>>,
);

fn rings(workers: usize, format: LogFormat, capacity: u32) -> Rings {
    if format == LogFormat::Off {
        return ((0..workers).map(|_| None).collect(), Vec::new());
    }
    let pairs = (0..workers).map(|_| rtrb::RingBuffer::new(capacity.max(1) as usize));
    pairs
        .map(|(producer, consumer)| (Some(producer), consumer))
        .unzip()
}

/// Writes the access log until the plane stops, then what is left.
fn write_log(mut writer: Writer, shared: &Shared) {
    while shared.phase() < Phase::Stopping {
        thread::park_timeout(LOG_FLUSH);
        writer.flush();
    }
    // What comes later has nobody to write it, and its sender is told so.
    shared.log_lines.close();
    writer.flush();
}

/// The control thread: admin port, names, the end of the drain.
fn control(listener: Option<std::net::TcpListener>, shared: &Arc<Shared>) {
    let built = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default());
    let Ok(runtime) = built else {
        eprintln!("error: the control runtime did not start");
        return;
    };
    runtime.block_on(async {
        match listener.map(crate::net::TcpListener::from_std).transpose() {
            Ok(None) => {}
            Ok(Some(listener)) => {
                tokio::task::spawn_local(admin::serve(listener, Arc::clone(shared)));
            }
            Err(error) => eprintln!("error: admin port: {error}"),
        }
        tokio::task::spawn_local(refresh(Arc::clone(shared)));
        let mut phase = shared.watch();
        let draining = phase
            .wait_for(|phase| *phase > Phase::Running)
            .await
            .is_ok();
        if draining {
            let patience = Duration::from_millis(shared.program().limits.drain_ms.into());
            let stopped = phase.wait_for(|phase| *phase >= Phase::Stopping);
            tokio::time::timeout(patience, stopped).await.ok();
            shared.advance(Phase::Stopping);
        }
    });
    // A name lookup may still block its helper thread; it must not hold the exit.
    runtime.shutdown_background();
}

async fn refresh(shared: Arc<Shared>) {
    loop {
        let every = shared.program().limits.dns_refresh_ms;
        tokio::time::sleep(Duration::from_millis(every.into())).await;
        if resolve::only_literals(&shared) {
            continue;
        }
        let shared = Arc::clone(&shared);
        tokio::task::spawn_blocking(move || resolve::resolve_all(&shared))
            .await
            .ok();
    }
}

#[cfg(test)]
mod tests {
    use super::WhileRunning;
    use crate::shared::{Phase, Shared};
    use std::sync::atomic::Ordering;
    use std::sync::Arc;

    #[test]
    fn a_worker_is_lost_only_when_it_ends_while_the_service_runs() {
        let shared = Arc::new(Shared::idle());
        drop(WhileRunning(Arc::clone(&shared)));
        assert_eq!(shared.workers_lost.load(Ordering::Acquire), 1);
        shared.advance(Phase::Draining);
        drop(WhileRunning(Arc::clone(&shared)));
        assert_eq!(shared.workers_lost.load(Ordering::Acquire), 1);
    }
}
