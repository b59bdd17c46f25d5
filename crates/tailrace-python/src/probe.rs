//! One span on trial, for `tailrace doctor` (req 16.6).
//!
//! The failure prevented: an interpreter that stands still while a collector is waited for.

use pyo3::prelude::*;
use tailrace_plane::Probed;

/// Sends one span to the collector of `blueprint`, waiting as long as it says. Returns what became
/// of it, `taken`, `refused`, `left_out` or `silent`, with its trace id, the status or the reason;
/// raises `PlaneError` when no collector is declared that can be asked.
#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // bytes from Python are extracted into a value
pub fn probe_traces(py: Python<'_>, blueprint: Vec<u8>) -> PyResult<(&'static str, String)> {
    let probed = py.detach(|| {
        let checked =
            tailrace_blueprint::Blueprint::from_json(&blueprint).map_err(super::listed)?;
        tailrace_plane::probe(&checked)
    });
    Ok(
        match probed.map_err(|error| super::PlaneError::new_err((error, 2)))? {
            Probed::Taken { trace } => ("taken", trace),
            Probed::Refused { status } => ("refused", status.to_string()),
            Probed::LeftOut => ("left_out", String::new()),
            Probed::Silent(why) => ("silent", why),
        },
    )
}
