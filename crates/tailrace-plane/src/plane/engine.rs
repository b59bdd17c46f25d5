//! A plane without ports: the workers of a client, which make calls for Python code only.

use super::threads::Threads;
use super::{control, worker_count, StartError, WhileRunning, HELPERS_END, WORKERS_END};
use crate::bridge::Bridge;
use crate::metrics::text;
use crate::metrics::write::Format;
use crate::program::Program;
use crate::shared::{Phase, Shared};
use crate::{resolve, server, trace};
use std::sync::Arc;
use tailrace_blueprint::Blueprint;

/// The upstreams of a blueprint, ready to be called; its views are not served.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    bridge: Arc<Bridge>,
    unresolved: Vec<String>,
    /// The process that has the threads; a forked child has only their memory.
    process: u32,
    workers: Threads,
    helpers: Threads,
}

impl Engine {
    /// Compiles, resolves and starts.
    pub fn start(blueprint: &Blueprint, source: Vec<u8>) -> Result<Self, StartError> {
        let program = Arc::new(Program::compile(blueprint).map_err(StartError::Blueprint)?);
        let workers = worker_count(blueprint.listen.workers);
        let system = |error| StartError::System {
            what: "bridge",
            error,
        };
        let bridge = Arc::new(Bridge::new(&program, workers).map_err(system)?);
        let mut shared = Shared::new(program, workers, source, b"{}".to_vec());
        shared.bridge = Some(Arc::clone(&bridge));
        let target = trace::Target::find(blueprint).map_err(StartError::Blueprint)?;
        let shared = Arc::new(shared);
        let unresolved = resolve::resolve_all(&shared);
        let engine = Self {
            shared,
            bridge,
            unresolved,
            process: std::process::id(),
            workers: Threads::default(),
            helpers: Threads::default(),
        };
        if let Some(target) = target {
            let shared = Arc::clone(&engine.shared);
            let export = move || trace::export(&target, &shared);
            engine.helpers.spawn("tailrace-trace", export)?;
        }
        for index in 0..workers {
            engine.spawn_worker(index)?;
        }
        let shared = Arc::clone(&engine.shared);
        let run = move || control(None, &shared);
        engine.helpers.spawn("tailrace-control", run)?;
        Ok(engine)
    }

    fn spawn_worker(&self, index: usize) -> Result<(), StartError> {
        let shared = Arc::clone(&self.shared);
        let seed = fastrand::u64(..);
        let run = move || {
            let _noticed = WhileRunning(Arc::clone(&shared));
            if let Err(error) = server::run(index, None, &shared, None, seed) {
                eprintln!("error: worker {index} stopped: {error}");
            }
        };
        self.workers.spawn(&format!("tailrace-{index}"), run)
    }

    pub fn bridge(&self) -> &Arc<Bridge> {
        &self.bridge
    }

    /// Upstream names that did not resolve at start.
    pub fn unresolved(&self) -> &[String] {
        &self.unresolved
    }

    /// The metrics as `/metrics` would show them, in Prometheus' text.
    pub fn metrics(&self) -> Vec<u8> {
        text::render(&self.shared, Format::Text)
    }

    /// Ends now and waits, never longer than six seconds, for the threads; `true` when the workers
    /// have ended.
    pub fn end(&self) -> bool {
        if self.process != std::process::id() {
            return true; // Its threads are the parent's.
        }
        self.shared.advance(Phase::Stopping);
        let ended = self.workers.end(WORKERS_END);
        self.helpers.end(HELPERS_END);
        ended
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.end();
    }
}
