//! The plane's clock in the hands of a test (`tailrace.testing`); see `tailrace_plane::manual`.

use crate::PlaneError;
use pyo3::prelude::*;
use std::time::Duration;
use tailrace_plane::manual;

/// Time stands still from here on; an error while anything runs on the machine's time.
#[pyfunction]
pub fn clock_start() -> PyResult<()> {
    manual::start().map_err(|why| PlaneError::new_err((why, 2)))
}

/// Time is the machine's again.
#[pyfunction]
pub fn clock_stop() {
    manual::stop();
}

/// Nanoseconds that the clock says.
#[pyfunction]
pub fn clock_read() -> u64 {
    manual::read()
}

/// When the first timer of the planes is due; `None` when none waits.
#[pyfunction]
pub fn clock_next() -> Option<u64> {
    manual::next()
}

/// Moves time forward to `to` and wakes whoever waited for it.
#[pyfunction]
pub fn clock_advance(to: u64) {
    manual::advance(to);
}

/// How often the planes have read the clock: the same before and after `clock_settle` when they had
/// nothing to do.
#[pyfunction]
pub fn clock_reads() -> u64 {
    manual::reads()
}

/// Sends each of the process's `workers` once round its loop; false when that takes longer.
#[pyfunction]
pub fn clock_settle(py: Python<'_>, workers: usize, seconds: f64) -> bool {
    let patience = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    py.detach(|| manual::settle(workers, patience))
}
