//! Between the plane's messages and Python's tuples.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use std::sync::Arc;
use tailrace_plane::bridge::{Answer, Bridge, Event, Failed, Kept, Start, Template, Wanted};
use tailrace_plane::Reason;

const START: u8 = 0;
const LANDED: u8 = 1;
const CANCEL: u8 = 2;
const HEAD: u8 = 3;
const CHUNK: u8 = 4;
const OVER: u8 = 5;

/// An event as Python gets it; `now` is the time, from which its seconds are counted.
pub(super) fn event(py: Python<'_>, event: Event, now: u64) -> PyResult<Bound<'_, PyTuple>> {
    match event {
        // Computed fields are made before (`super::compute`).
        Event::Start(start) | Event::Compute(start) => begin(py, &start, now),
        Event::Landed {
            token,
            answers,
            kept,
        } => {
            let answers: PyResult<Vec<_>> = answers.iter().map(|one| answer(py, one)).collect();
            let list = PyList::new(py, answers?)?;
            for one in &kept {
                list.set_item(one.at, aged(one, &list.get_item(one.at)?)?)?;
            }
            (LANDED, token, list).into_pyobject(py)
        }
        Event::Cancel(ticket) => (CANCEL, ticket.0).into_pyobject(py),
        Event::Head { token, head } => {
            let head = (head.status, head.content_type, head.length);
            (HEAD, token, head).into_pyobject(py)
        }
        Event::Chunk { token, bytes } => (CHUNK, token, PyBytes::new(py, &bytes)).into_pyobject(py),
        Event::Over { token, failed } => {
            let told = failed.map(|failed| told(py, failed)).transpose()?;
            (OVER, token, told).into_pyobject(py)
        }
    }
}

fn begin<'py>(py: Python<'py>, start: &Start, now: u64) -> PyResult<Bound<'py, PyTuple>> {
    let (values, request_id) = (values(py, start)?, start.request_id.as_slice());
    let request_id = String::from_utf8_lossy(request_id);
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

/// A request as what makes its computed fields is given it.
pub(super) fn computable<'py>(
    py: Python<'py>,
    start: &Start,
) -> PyResult<(usize, Bound<'py, PyList>, String)> {
    let request_id = String::from_utf8_lossy(&start.request_id).into_owned();
    Ok((start.view, values(py, start)?, request_id))
}

fn values<'py>(py: Python<'py>, start: &Start) -> PyResult<Bound<'py, PyList>> {
    let values = start.values.iter();
    let values = values.map(|value| value.as_ref().map(|text| PyBytes::new(py, text)));
    PyList::new(py, values.collect::<Vec<_>>())
}

/// JSON as bytes, `None` when empty, or (reason, status, the upstream's status).
fn answer<'py>(py: Python<'py>, answer: &Answer) -> PyResult<Bound<'py, PyAny>> {
    match answer {
        Ok(Some(json)) => Ok(PyBytes::new(py, json).into_any()),
        Ok(None) => Ok(py.None().into_bound(py)),
        Err(failed) => told(py, *failed),
    }
}

/// An answer that is from the cache: itself, the word for its source, its age in seconds, and the
/// reason's code when the call that was made has failed.
fn aged<'py>(kept: &Kept, answer: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
    let why = kept.failed.map(Reason::code);
    (answer, kept.source.code(), kept.age_s, why).into_pyobject(answer.py())
}

fn told(py: Python<'_>, failed: Failed) -> PyResult<Bound<'_, PyAny>> {
    let reason = failed.reason;
    let told = (reason.code(), reason.status(), failed.answered);
    Ok(told.into_pyobject(py)?.into_any())
}

/// The text of a value; `None` when it is left out.
fn text(value: &Bound<'_, PyAny>) -> PyResult<Option<Vec<u8>>> {
    if value.is_none() {
        return Ok(None);
    }
    Ok(Some(value.cast::<PyBytes>()?.as_bytes().to_vec()))
}

/// What became of computed fields: JSON as bytes, or the code of a reason.
pub(super) fn results(results: &Bound<'_, PyList>) -> PyResult<Vec<Result<Vec<u8>, Reason>>> {
    let one = |result: Bound<'_, PyAny>| {
        if let Ok(json) = result.cast::<PyBytes>() {
            return Ok(Ok(json.as_bytes().to_vec()));
        }
        let code: String = result.extract()?;
        let reason = Reason::of_code(&code);
        Ok(Err(reason.unwrap_or(Reason::ComputedError)))
    };
    results.iter().map(one).collect()
}

/// Calls as Python asks for them: (template, strong, values) each.
pub(super) fn calls(bridge: &Bridge, calls: &Bound<'_, PyList>) -> PyResult<Vec<Wanted>> {
    let one = |call: Bound<'_, PyAny>| {
        let (number, strong, values): (usize, bool, Bound<'_, PyList>) = call.extract()?;
        let values: PyResult<Vec<_>> = values.iter().map(|one| text(&one)).collect();
        let values = values?;
        Ok(Wanted {
            template: template(bridge, number)?,
            values,
            strong,
        })
    };
    calls.iter().map(one).collect()
}

/// The call that is registered under this number.
pub(super) fn template(bridge: &Bridge, number: usize) -> PyResult<Arc<Template>> {
    bridge
        .template(number)
        .ok_or_else(|| PyValueError::new_err("no call is registered under this number"))
}
