//! Between the plane's messages and Python's tuples.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use tailrace_plane::bridge::{Answer, Bridge, Event, Start, Wanted};

const START: u8 = 0;
const LANDED: u8 = 1;
const CANCEL: u8 = 2;

/// An event as Python gets it; `now` is when it was taken.
pub(super) fn event(py: Python<'_>, event: Event, now: u64) -> PyResult<Bound<'_, PyTuple>> {
    match event {
        Event::Start(start) => begin(py, &start, now),
        Event::Landed { token, answers } => {
            let answers: PyResult<Vec<_>> = answers.iter().map(|one| answer(py, one)).collect();
            (LANDED, token, PyList::new(py, answers?)?).into_pyobject(py)
        }
        Event::Cancel(ticket) => (CANCEL, ticket.0).into_pyobject(py),
    }
}

fn begin<'py>(py: Python<'py>, start: &Start, now: u64) -> PyResult<Bound<'py, PyTuple>> {
    let values = start.values.iter();
    let values = values.map(|value| value.as_ref().map(|text| PyBytes::new(py, text)));
    let values = PyList::new(py, values.collect::<Vec<_>>())?;
    let request_id = String::from_utf8_lossy(&start.request_id);
    let left = start.cutoff.saturating_sub(now) as f64 / 1e9;
    (
        START,
        start.ticket.0,
        start.view,
        values,
        &*request_id,
        left,
    )
        .into_pyobject(py)
}

/// JSON as bytes, `None` when empty, or (reason, status, the upstream's status).
fn answer<'py>(py: Python<'py>, answer: &Answer) -> PyResult<Bound<'py, PyAny>> {
    match answer {
        Ok(Some(json)) => Ok(PyBytes::new(py, json).into_any()),
        Ok(None) => Ok(py.None().into_bound(py)),
        Err(failed) => {
            let reason = failed.reason;
            let told = (reason.code(), reason.status(), failed.answered);
            Ok(told.into_pyobject(py)?.into_any())
        }
    }
}

/// Calls as Python asks for them: (template, strong, values) each.
pub(super) fn calls(bridge: &Bridge, calls: &Bound<'_, PyList>) -> PyResult<Vec<Wanted>> {
    let one = |call: Bound<'_, PyAny>| {
        let (template, strong, values): (usize, bool, Vec<Option<Vec<u8>>>) = call.extract()?;
        let template = bridge
            .template(template)
            .ok_or_else(|| PyValueError::new_err("no call is registered under this number"))?;
        Ok(Wanted {
            template,
            values,
            strong,
        })
    };
    calls.iter().map(one).collect()
}
