//! What the workers, the admin port and the owner of the plane share.

use crate::access_log::said::LogLines;
use crate::admin::token::Token;
use crate::admission::Admission;
use crate::bridge::Bridge;
use crate::cache::Cache;
use crate::clock;
use crate::live::{Change, Current, Live};
use crate::memory::budget_bytes;
use crate::metrics::exemplars::Exemplars;
use crate::metrics::floors::Floors;
use crate::metrics::WorkerMetrics;
use crate::profile::Profiler;
use crate::program::Program;
use crate::receipt::Shelf;
use crate::tap::Taps;
use crate::trace::Traces;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tailrace_policy::byte_budget::ByteBudget;
use tailrace_policy::Nanos;
use tokio::runtime::RuntimeMetrics;
use tokio::sync::watch;

/// Where the process stands between start and exit (req 11.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Running,
    /// Not ready, no new work, requests in flight finish.
    Draining,
    /// Stop now.
    Stopping,
}

/// What the admin port shows to people who call the service; nothing where it is empty.
#[derive(Debug, Clone, Default)]
pub struct Pages {
    /// OpenAPI document, JSON.
    pub openapi: Vec<u8>,
    /// The same as one HTML page that asks for nothing else.
    pub docs: Vec<u8>,
}

#[derive(Debug)]
pub struct Shared {
    /// The configuration in force.
    pub live: Live,
    pub metrics: Vec<Arc<WorkerMetrics>>,
    /// Finished receipts, by worker.
    pub shelves: Vec<Arc<Shelf>>,
    /// Who watches requests end.
    pub taps: Arc<Taps>,
    /// Who looks inside.
    pub profiler: Arc<Profiler>,
    /// What is worth a trace; none when nothing is traced.
    pub traces: Option<Traces>,
    pub admission: Admission,
    /// Bytes of bodies that are held, over all workers.
    pub memory: Arc<ByteBudget>,
    /// Made when something is cached for the first time.
    cache: OnceLock<Arc<Cache>>,
    /// To Python; `None` while nothing of this service runs there.
    pub bridge: Option<Arc<Bridge>>,
    /// What a change over the admin port must carry; without one nothing can be changed.
    pub admin_token: Option<Token>,
    /// Records whose line could not be written, e.g. because the disk is full.
    pub log_failed: AtomicU64,
    /// What Python logs.
    pub log_lines: LogLines,
    /// Requests shown beside the buckets of their durations.
    pub exemplars: Exemplars,
    /// What worked-out counters have shown.
    pub floors: Floors,
    /// Requests in flight when their worker was told to stop (req 11.4).
    pub cut_off: AtomicU64,
    /// Worker threads that ended while the service ran.
    pub workers_lost: AtomicU32,
    /// What the workers' runtimes say of themselves.
    runtimes: Mutex<Vec<RuntimeMetrics>>,
    /// Client connections over all workers.
    connections: AtomicU32,
    phase: watch::Sender<Phase>,
    /// The same, for readers on the request path.
    phase_now: AtomicU8,
    /// When draining is over; known once it has begun.
    drain_end: AtomicU64,
    pub started_epoch_ms: u64,
    pub resolve_failures: AtomicU64,
}

impl Shared {
    pub fn new(
        program: Arc<Program>,
        workers: usize,
        blueprint: Vec<u8>,
        origins: Vec<u8>,
    ) -> Self {
        let metrics = (0..workers)
            .map(|_| Arc::new(WorkerMetrics::new(&program)))
            .collect();
        let exemplars = Exemplars::new(program.views.len());
        let admission = Admission::new(&program, workers);
        let shelves = (0..workers).map(|_| Arc::new(Shelf::new(&program)));
        let shelves = shelves.collect();
        let traces = Traces::new(&program, workers);
        let memory = ByteBudget::new(budget_bytes(&program.limits));
        let current = Current {
            program,
            blueprint,
            origins,
        };
        let live = Live::new(current, workers);
        Self {
            live,
            metrics,
            shelves,
            taps: Arc::default(),
            profiler: Arc::new(Profiler::new(workers)),
            traces,
            admission,
            memory,
            cache: OnceLock::new(),
            bridge: None,
            admin_token: None,
            log_failed: AtomicU64::new(0),
            log_lines: LogLines::default(),
            exemplars,
            floors: Floors::default(),
            cut_off: AtomicU64::new(0),
            workers_lost: AtomicU32::new(0),
            runtimes: Mutex::default(),
            connections: AtomicU32::new(0),
            phase: watch::Sender::new(Phase::Running),
            phase_now: AtomicU8::new(Phase::Running as u8),
            drain_end: AtomicU64::new(0),
            started_epoch_ms: crate::clock::epoch_ms(),
            resolve_failures: AtomicU64::new(0),
        }
    }

    /// What a plane with one worker, no upstream and no view would share.
    #[cfg(test)]
    pub fn idle() -> Self {
        let source = br#"{"format_version": 1, "service": "idle", "listen": {}, "access_log": {},
            "limits": {}, "upstreams": [], "views": [], "shapes": []}"#;
        let mut declared: tailrace_blueprint::Blueprint = serde_json::from_slice(source).unwrap();
        declared.listen.workers = Some(1);
        let program = Arc::new(Program::compile(&declared).unwrap());
        Self::new(program, 1, source.to_vec(), b"{}".to_vec())
    }

    /// Puts another blueprint in force; see `Live::change`.
    pub fn change(
        &self,
        blueprint: Vec<u8>,
        origins: Vec<u8>,
        source: &str,
    ) -> Result<Vec<Change>, String> {
        self.live.change(blueprint, origins, source, |program| {
            self.admission.inbound.set(program.admission.inbound);
            self.memory.set_max(budget_bytes(&program.limits));
            if let Some(cache) = self.cache_in_use() {
                cache.resize(program.limits.cache_max_bytes.into());
            }
            if let Some(bridge) = &self.bridge {
                bridge.follow(program);
            }
        })
    }

    /// The cache, for a part that is cached.
    pub fn cache(&self) -> &Arc<Cache> {
        let bytes = || self.program().limits.cache_max_bytes;
        self.cache.get_or_init(|| Cache::new(bytes().into()))
    }

    /// The cache, when something has been cached.
    pub fn cache_in_use(&self) -> Option<&Arc<Cache>> {
        self.cache.get()
    }

    /// The program in force. Off the request path: a request has its worker's.
    pub fn program(&self) -> Arc<Program> {
        Arc::clone(&self.live.current().program)
    }

    pub fn phase(&self) -> Phase {
        match self.phase_now.load(Ordering::Acquire) {
            0 => Phase::Running,
            1 => Phase::Draining,
            _ => Phase::Stopping,
        }
    }

    /// When draining is over and what still runs is cut off; asked while it drains.
    pub fn drain_end(&self) -> Nanos {
        self.drain_end.load(Ordering::Acquire)
    }

    /// Wakes its holder whenever the phase moves.
    pub fn watch(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Moves forward, never back.
    pub fn advance(&self, to: Phase) {
        if to == Phase::Draining && self.phase() == Phase::Running {
            let end = clock::now() + clock::limit(self.program().limits.drain_ms);
            self.drain_end.store(end, Ordering::Release);
        }
        self.phase_now.fetch_max(to as u8, Ordering::AcqRel);
        self.phase.send_if_modified(|phase| {
            let forward = *phase < to;
            *phase = (*phase).max(to);
            forward
        });
    }

    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }

    /// A worker's runtime has started.
    pub fn watch_runtime(&self, metrics: RuntimeMetrics) {
        let mut runtimes = self.runtimes.lock().unwrap_or_else(PoisonError::into_inner);
        runtimes.push(metrics);
    }

    /// Tasks alive in the workers (req 12.1).
    pub fn tasks(&self) -> usize {
        let runtimes = self.runtimes.lock().unwrap_or_else(PoisonError::into_inner);
        runtimes.iter().map(RuntimeMetrics::num_alive_tasks).sum()
    }

    pub fn in_flight(&self) -> u64 {
        self.metrics
            .iter()
            .map(|worker| worker.in_flight.get())
            .sum()
    }

    /// Admits one more client connection, unless `limit` is reached.
    pub fn admit(self: &Arc<Self>, limit: u32) -> Option<ConnectionPermit> {
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        let permit = ConnectionPermit(Arc::clone(self));
        (before < limit).then_some(permit)
    }
}

/// One admitted client connection; dropping it makes room for the next.
#[derive(Debug)]
pub struct ConnectionPermit(Arc<Shared>);

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
