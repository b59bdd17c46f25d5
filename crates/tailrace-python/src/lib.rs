//! The native module `tailrace._plane`: the only crate that names pyo3.
//!
//! Python hands over one blueprint and gets a running plane; nothing here is on the request path,
//! and the plane's threads never enter the interpreter. Waiting releases the interpreter lock.
//! Imported by `tailrace._runtime` (the plane) and `tailrace._lab` (the lab in a process of its
//! own) only.

#[cfg(feature = "mimalloc")]
mod allocator;
mod bridge;
mod clock;
mod probe;

use bridge::Bridge;
use clock::{
    clock_advance, clock_next, clock_read, clock_reads, clock_settle, clock_start, clock_stop,
};
use probe::probe_traces;
use pyo3::prelude::*;
use std::time::Duration;
use tailrace_plane::{Ask, Next, Pages, Reply, Said, Wanted};

pyo3::create_exception!(
    _plane,
    PlaneError,
    pyo3::exceptions::PyException,
    "The plane did not start: args are (message, exit code)."
);

/// The problems of a blueprint, one a line.
fn listed(problems: Vec<tailrace_blueprint::Problem>) -> String {
    let line = |p: tailrace_blueprint::Problem| format!("{}: {} ({})", p.path, p.message, p.help);
    problems
        .into_iter()
        .map(line)
        .collect::<Vec<_>>()
        .join("\n")
}

/// A running service. Creating it binds the ports and starts the threads.
#[pyclass(frozen, module = "tailrace._plane")]
#[derive(Debug)]
struct Plane {
    inner: tailrace_plane::Plane,
}

#[pymethods]
impl Plane {
    /// Starts `blueprint` (JSON); `origins` (JSON), `openapi` (JSON) and `docs` (HTML) are shown by
    /// the admin port.
    #[new]
    #[pyo3(signature = (blueprint, origins, openapi=Vec::new(), docs=Vec::new()))]
    fn new(
        py: Python<'_>,
        blueprint: Vec<u8>,
        origins: Vec<u8>,
        openapi: Vec<u8>,
        docs: Vec<u8>,
    ) -> PyResult<Self> {
        #[cfg(feature = "mimalloc")]
        allocator::name();
        let pages = Pages { openapi, docs };
        let start = move || {
            let checked = tailrace_blueprint::Blueprint::from_json(&blueprint)
                .map_err(|problems| (listed(problems), 2))?;
            tailrace_plane::Plane::start_with(&checked, blueprint, origins, pages)
                .map_err(|error| (error.to_string(), error.exit_code()))
        };
        py.detach(start)
            .map(|inner| Self { inner })
            .map_err(PlaneError::new_err::<(String, i32)>)
    }

    /// `host:port` of the service.
    #[getter]
    fn address(&self) -> String {
        self.inner.address().to_string()
    }

    /// `host:port` of the admin port.
    #[getter]
    fn admin_address(&self) -> String {
        self.inner.admin_address().to_string()
    }

    /// Worker threads.
    #[getter]
    fn workers(&self) -> usize {
        self.inner.workers()
    }

    /// Upstream names that did not resolve at start, with the reason.
    #[getter]
    fn unresolved(&self) -> Vec<String> {
        self.inner.unresolved().to_vec()
    }

    /// Requests being served now.
    #[getter]
    fn in_flight(&self) -> u64 {
        self.inner.in_flight()
    }

    /// Client connections open now.
    #[getter]
    fn connections(&self) -> u32 {
        self.inner.connections()
    }

    /// To the workers; `None` when the service has no handlers.
    #[getter]
    fn bridge(&self) -> Option<Bridge> {
        self.inner.bridge().map(Bridge::new)
    }

    /// Not ready, no new work; requests in flight finish.
    fn drain(&self) {
        self.inner.drain();
    }

    /// Ends now, whatever runs.
    fn stop(&self) {
        self.inner.stop();
    }

    /// Ends now and waits a few seconds at most for the threads; true when the workers have ended.
    fn end(&self, py: Python<'_>) -> bool {
        py.detach(|| self.inner.end())
    }

    /// Requests in flight that the end cut off.
    #[getter]
    fn cut_off(&self) -> u64 {
        self.inner.cut_off()
    }

    /// Waits at most `seconds` for all workers to end; true when they have.
    fn wait(&self, py: Python<'_>, seconds: f64) -> bool {
        let patience = Duration::from_secs_f64(seconds.clamp(0.0, 3600.0));
        py.detach(|| self.inner.wait(patience))
    }

    /// The configuration in force, counted from 1.
    #[getter]
    fn revision(&self) -> u64 {
        self.inner.revision()
    }

    /// Puts another blueprint in force, with the pages that go with it; `source` says who asked.
    /// Returns what changed as (path, from, to); raises `PlaneError`, and changes nothing, when it
    /// cannot be done.
    fn reconfigure(
        &self,
        py: Python<'_>,
        blueprint: Vec<u8>,
        origins: Vec<u8>,
        source: &str,
        openapi: Vec<u8>,
        docs: Vec<u8>,
    ) -> PyResult<Vec<(String, String, String)>> {
        let changed = py.detach(|| self.inner.reconfigure(blueprint, origins, source));
        let changes = changed.map_err(|error| PlaneError::new_err((error, 2)))?;
        self.inner.show(Pages { openapi, docs });
        let one = |change: tailrace_plane::Change| (change.path, change.from, change.to);
        Ok(changes.into_iter().map(one).collect())
    }

    /// Notes a change that was refused before it came to the plane.
    fn refuse(&self, source: &str, error: &str) {
        self.inner.refuse(source, error);
    }

    /// Shows what the lab around this service does, as JSON, on the admin port, which from here on
    /// takes wishes for it: asks of kind `lab`.
    fn show_lab(&self, state: Vec<u8>) {
        self.inner.show_lab(state);
    }

    /// From here on somebody calls `next_ask`.
    fn take_asks(&self) {
        self.inner.take_asks();
    }

    /// Asks for a reload, as the admin port does; false when it cannot be taken.
    fn ask_reload(&self, source: &str) -> bool {
        self.inner.tell(Ask {
            source: source.to_owned(),
            wanted: Wanted::Reload,
        })
    }

    /// The next ask as (source, kind, body), where kind is `reload`, `json`, `toml`,
    /// `lab`, `profile`, or `end` once the plane takes no more; none when `seconds` pass.
    fn next_ask(
        &self,
        py: Python<'_>,
        seconds: Option<f64>,
    ) -> Option<(String, &'static str, Vec<u8>)> {
        let patience = seconds.map(|seconds| Duration::from_secs_f64(seconds.clamp(0.0, 3600.0)));
        match py.detach(|| self.inner.next_ask(patience)) {
            Next::Nothing => None,
            Next::Closed => Some((String::new(), "end", Vec::new())),
            Next::Ask(Ask { source, wanted }) => Some(match wanted {
                Wanted::Reload => (source, "reload", Vec::new()),
                Wanted::Set { body, toml: true } => (source, "toml", body),
                Wanted::Set { body, toml: false } => (source, "json", body),
                Wanted::Lab(body) => (source, "lab", body),
                Wanted::Profile(body) => (source, "profile", body),
            }),
        }
    }

    /// Answers the ask that came last, with an HTTP status and JSON.
    fn reply(&self, status: u16, body: Vec<u8>) {
        self.inner.reply(Reply { status, body });
    }

    /// No change is asked for or made from here on.
    fn close_asks(&self) {
        self.inner.close_asks();
    }

    /// Forgets cached answers: all of them, those of an upstream, or those of its targets that
    /// begin with `prefix`. How many there were.
    #[pyo3(signature = (upstream=None, prefix=""))]
    fn invalidate(&self, upstream: Option<&str>, prefix: &str) -> PyResult<usize> {
        let forgotten = self.inner.invalidate(upstream, prefix);
        forgotten.map_err(pyo3::exceptions::PyValueError::new_err)
    }

    /// Hands a record of Python's logging to the log writer, `beside` it the request's id and a
    /// traceback, which may be empty. False when there is no log, or no more.
    fn say(
        &self,
        epoch_ms: u64,
        level: String,
        logger: String,
        message: String,
        beside: (String, String),
    ) -> bool {
        let (request_id, exception) = beside;
        self.inner.say(Said {
            epoch_ms,
            level,
            logger,
            message,
            request_id,
            exception,
        })
    }

    /// The metrics as `/metrics` shows them, in Prometheus' text.
    fn metrics(&self) -> Vec<u8> {
        self.inner.metrics()
    }
}

/// The workers of a client: they make calls and serve nothing.
#[pyclass(frozen, module = "tailrace._plane")]
#[derive(Debug)]
struct Engine {
    inner: tailrace_plane::Engine,
}

#[pymethods]
impl Engine {
    /// Starts the upstreams of `blueprint` (JSON).
    #[new]
    fn new(py: Python<'_>, blueprint: Vec<u8>) -> PyResult<Self> {
        #[cfg(feature = "mimalloc")]
        allocator::name();
        let start = move || {
            let checked = tailrace_blueprint::Blueprint::from_json(&blueprint)
                .map_err(|problems| (listed(problems), 2))?;
            tailrace_plane::Engine::start(&checked, blueprint)
                .map_err(|error| (error.to_string(), error.exit_code()))
        };
        py.detach(start)
            .map(|inner| Self { inner })
            .map_err(PlaneError::new_err::<(String, i32)>)
    }

    /// To the workers.
    #[getter]
    fn bridge(&self) -> Bridge {
        Bridge::new(self.inner.bridge())
    }

    /// Upstream names that did not resolve at start, with the reason.
    #[getter]
    fn unresolved(&self) -> Vec<String> {
        self.inner.unresolved().to_vec()
    }

    /// Ends now and waits a few seconds at most for the threads; true when the workers have ended.
    fn end(&self, py: Python<'_>) -> bool {
        py.detach(|| self.inner.end())
    }

    /// The metrics as `/metrics` of a service shows them.
    fn metrics(&self) -> Vec<u8> {
        self.inner.metrics()
    }
}

/// Problems of a blueprint as (path, message, help); empty when it can be run.
#[pyfunction]
fn check_blueprint(blueprint: &[u8]) -> Vec<(String, String, String)> {
    match tailrace_blueprint::Blueprint::from_json(blueprint) {
        Ok(_) => Vec::new(),
        Err(problems) => problems
            .into_iter()
            .map(|p| (p.path, p.message, p.help))
            .collect(),
    }
}

/// Every problem a client can get, as (scope, code, status, detail).
#[pyfunction]
fn problems() -> Vec<(&'static str, &'static str, u16, String)> {
    tailrace_plane::problems()
        .into_iter()
        .map(|one| (one.scope.code(), one.code, one.status, one.detail))
        .collect()
}

/// Every event with its metrics and log fields, JSON.
#[pyfunction]
fn catalogue() -> Vec<u8> {
    tailrace_plane::catalogue()
}

/// Seconds that a caller says it waits, of one header; none when it says nothing of that.
#[pyfunction]
fn asked_seconds(name: &[u8], value: &[u8]) -> Option<f64> {
    let name = std::str::from_utf8(name).ok()?;
    let asked = tailrace_plane::asked_time(name, value)?;
    Some(Duration::from_nanos(asked).as_secs_f64())
}

/// Version and build profile, so that benchmarks can refuse a debug build.
#[pyfunction]
fn build_info() -> (String, &'static str) {
    let profile = if cfg!(feature = "mute") {
        "muted"
    } else if cfg!(debug_assertions) {
        "debug"
    } else {
        env!("TAILRACE_PROFILE")
    };
    (env!("CARGO_PKG_VERSION").to_owned(), profile)
}

/// Runs the lab with `arguments` until it ends; returns its exit code. For a process of its own.
#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // a list from Python is extracted into a value
fn run_lab(py: Python<'_>, arguments: Vec<String>) -> i32 {
    py.detach(|| tailrace_lab::run(&arguments))
}

#[pymodule]
mod _plane {
    #[pymodule_export]
    use super::{
        asked_seconds, build_info, catalogue, check_blueprint, clock_advance, clock_next,
        clock_read, clock_reads, clock_settle, clock_start, clock_stop, probe_traces, problems,
        run_lab, Bridge, Engine, Plane, PlaneError,
    };
}
