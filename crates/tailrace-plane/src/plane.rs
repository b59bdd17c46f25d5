//! Starting and stopping: threads, listeners, and the order in which they end.

use crate::access_log::{Sink, Writer};
use crate::program::Program;
use crate::shared::{Phase, Shared};
use crate::{admin, resolve, server};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tailrace_blueprint::{Blueprint, LogFormat};
use tokio::runtime::{Builder, LocalOptions};

/// How often the access log is written.
const LOG_FLUSH: Duration = Duration::from_millis(50);

/// Why the plane did not start. `exit_code` follows DESIGN 7.
#[derive(Debug)]
pub enum StartError {
    /// The blueprint cannot be run.
    Blueprint(String),
    /// An address cannot be listened on.
    Listen {
        address: String,
        option: &'static str,
        error: io::Error,
    },
    /// The system refused something else.
    System {
        what: &'static str,
        error: io::Error,
    },
}

impl StartError {
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Blueprint(_) => 2,
            Self::Listen { .. } | Self::System { .. } => 3,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blueprint(message) => f.write_str(message),
            Self::Listen {
                address,
                option,
                error,
            } => match error.kind() {
                io::ErrorKind::AddrInUse => {
                    write!(
                        f,
                        "{address} is in use; free it or choose another with {option}"
                    )
                }
                io::ErrorKind::PermissionDenied => {
                    write!(
                        f,
                        "{address} may not be used by this user; choose another with {option}"
                    )
                }
                _ => write!(
                    f,
                    "cannot listen on {address}: {error}; choose another with {option}"
                ),
            },
            Self::System { what, error } => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// A running service.
#[derive(Debug)]
pub struct Plane {
    shared: Arc<Shared>,
    address: SocketAddr,
    admin_address: SocketAddr,
    unresolved: Vec<String>,
    alive: Arc<Alive>,
    workers: Vec<JoinHandle<()>>,
    helpers: Vec<JoinHandle<()>>,
}

/// Counts worker threads that have not ended.
#[derive(Debug, Default)]
struct Alive {
    workers: Mutex<usize>,
    changed: Condvar,
}

/// Held by a worker thread while it runs.
struct AliveGuard(Arc<Alive>);

impl Drop for AliveGuard {
    fn drop(&mut self) {
        *self
            .0
            .workers
            .lock()
            .unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.changed.notify_all();
    }
}

impl Plane {
    /// Compiles, binds, resolves and starts. `origins` is JSON shown by the admin port.
    pub fn start(
        blueprint: &Blueprint,
        source: Vec<u8>,
        origins: Vec<u8>,
    ) -> Result<Self, StartError> {
        let program = Arc::new(Program::compile(blueprint).map_err(StartError::Blueprint)?);
        let workers = worker_count(blueprint.listen.workers);
        let shared = Arc::new(Shared::new(program, workers, source, origins));
        let listen = &blueprint.listen;
        let wanted = resolve_listen(&listen.host, listen.port, "--host")?;
        let (listeners, address) = bind_workers(wanted, workers)?;
        let admin_wanted = resolve_listen(&listen.admin_host, listen.admin_port, "--admin-host")?;
        let admin_listener = bind(admin_wanted, false, "--admin-port")?;
        let system = |what| move |error| StartError::System { what, error };
        let admin_address = admin_listener.local_addr().map_err(system("admin port"))?;
        let unresolved = resolve::resolve_all(&shared);

        let log = &blueprint.access_log;
        let (rings, consumers) = rings(workers, log.format, log.ring);
        let mut helpers = Vec::new();
        if log.format != LogFormat::Off {
            let sink = Sink::open(log.path.as_deref()).map_err(system("access log"))?;
            let program = Arc::clone(&shared.program);
            let writer = Writer::new(consumers, program, log.format, sink);
            helpers.push(spawn("tailrace-log", {
                let shared = Arc::clone(&shared);
                move || write_log(writer, &shared)
            })?);
        }
        let alive = Arc::new(Alive {
            workers: Mutex::new(workers),
            changed: Condvar::new(),
        });
        let mut threads = Vec::with_capacity(workers);
        for (index, (listener, ring)) in listeners.into_iter().zip(rings).enumerate() {
            let (shared, guard) = (Arc::clone(&shared), AliveGuard(Arc::clone(&alive)));
            let seed = fastrand::u64(..);
            threads.push(spawn(&format!("tailrace-{index}"), move || {
                let _guard = guard;
                if let Err(error) = server::run(index, listener, &shared, ring, seed) {
                    eprintln!("error: worker {index} stopped: {error}");
                }
            })?);
        }
        helpers.push(spawn("tailrace-control", {
            let shared = Arc::clone(&shared);
            move || control(admin_listener, &shared)
        })?);
        Ok(Self {
            shared,
            address,
            admin_address,
            unresolved,
            alive,
            workers: threads,
            helpers,
        })
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
        let workers = self
            .alive
            .workers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .alive
            .changed
            .wait_timeout_while(workers, patience, |left| *left > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == 0
    }

    /// Counts an entry into the interpreter; the Python leaf calls it (DESIGN 1, promise 3).
    pub fn count_interpreter_entry(&self) {
        self.shared
            .interpreter_entries
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    /// The metrics as `/metrics` shows them.
    pub fn metrics(&self) -> Vec<u8> {
        crate::metrics::text::render(&self.shared)
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.stop();
        for thread in self.workers.drain(..).chain(self.helpers.drain(..)) {
            thread.thread().unpark();
            // A worker that panicked has said so on stderr already.
            let _ = thread.join();
        }
    }
}

/// The CPUs this process may use (affinity and cgroup quota), unless told otherwise (req 11.1).
fn worker_count(asked: Option<u16>) -> usize {
    asked.map_or_else(
        || thread::available_parallelism().map_or(1, usize::from),
        |asked| usize::from(asked).max(1),
    )
}

fn resolve_listen(host: &str, port: u16, option: &'static str) -> Result<SocketAddr, StartError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port));
    }
    let failed = |error| StartError::Listen {
        address: format!("{host}:{port}"),
        option,
        error,
    };
    let mut found = (host, port).to_socket_addrs().map_err(failed)?;
    found
        .next()
        .ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
}

fn bind(
    address: SocketAddr,
    shared_port: bool,
    option: &'static str,
) -> Result<std::net::TcpListener, StartError> {
    let failed = |error| StartError::Listen {
        address: address.to_string(),
        option,
        error,
    };
    server::listen(address, shared_port).map_err(failed)
}

/// One listener per worker on the same port. The port is first taken alone: with `SO_REUSEPORT`
/// another instance of this user would otherwise share it in silence.
fn bind_workers(
    wanted: SocketAddr,
    workers: usize,
) -> Result<(Vec<std::net::TcpListener>, SocketAddr), StartError> {
    let alone = bind(wanted, false, "--port")?;
    let system = |error| StartError::System {
        what: "service port",
        error,
    };
    let address = alone.local_addr().map_err(system)?;
    if workers == 1 {
        return Ok((vec![alone], address));
    }
    drop(alone);
    let listeners = (0..workers).map(|_| bind(address, true, "--port"));
    Ok((listeners.collect::<Result<_, _>>()?, address))
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

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    let system = |error| StartError::System {
        what: "cannot start a thread",
        error,
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(system)
}

/// Writes the access log until the plane stops, then what is left.
fn write_log(mut writer: Writer, shared: &Shared) {
    while shared.phase() < Phase::Stopping {
        thread::park_timeout(LOG_FLUSH);
        writer.flush();
    }
    writer.flush();
}

/// The control thread: admin port, names, the end of the drain.
fn control(listener: std::net::TcpListener, shared: &Arc<Shared>) {
    let built = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default());
    let Ok(runtime) = built else {
        eprintln!("error: the control runtime did not start");
        return;
    };
    runtime.block_on(async {
        match crate::net::TcpListener::from_std(listener) {
            Ok(listener) => {
                tokio::task::spawn_local(admin::serve(listener, Arc::clone(shared)));
            }
            Err(error) => eprintln!("error: admin port: {error}"),
        }
        if !resolve::only_literals(shared) {
            tokio::task::spawn_local(refresh(Arc::clone(shared)));
        }
        let mut phase = shared.watch();
        let draining = phase
            .wait_for(|phase| *phase > Phase::Running)
            .await
            .is_ok();
        if draining {
            let patience = Duration::from_millis(shared.program.limits.drain_ms.into());
            let stopped = phase.wait_for(|phase| *phase >= Phase::Stopping);
            tokio::time::timeout(patience, stopped).await.ok();
            shared.advance(Phase::Stopping);
        }
    });
    // A name lookup may still block its helper thread; it must not hold the exit.
    runtime.shutdown_background();
}

async fn refresh(shared: Arc<Shared>) {
    let every = Duration::from_millis(shared.program.limits.dns_refresh_ms.into());
    loop {
        tokio::time::sleep(every).await;
        let shared = Arc::clone(&shared);
        tokio::task::spawn_blocking(move || resolve::resolve_all(&shared))
            .await
            .ok();
    }
}
