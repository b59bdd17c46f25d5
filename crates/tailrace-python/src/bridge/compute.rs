//! Computed fields: made while the thread of the event loop has their batch in hand.
//!
//! The failure prevented: a turn of the event loop, and half a dozen objects of Python, around code
//! that runs for a few microseconds. The plane calls what makes the fields, and a loop that waits
//! in the plane goes on waiting there, until its time is over, something else has come or the code
//! has asked something of the loop.

use super::convert::{computable, event, results};
use super::Bridge;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use tailrace_plane::bridge::{Event, Start, Taken};
use tailrace_plane::manual;

/// What was computed is kept no longer than this, in nanoseconds, for what is still to be computed:
/// nobody waits for code that is slower than its own.
const HELD: u64 = 1_000_000;

/// What makes the fields of one request: of a view's index, its values and a request id a list, of
/// JSON or of a reason's code for each.
pub(super) type Compute<'a, 'py> = Option<&'a Bound<'py, PyAny>>;

impl Bridge {
    /// Makes the computed fields of a batch and hands them over; gives what else is in it.
    pub(super) fn sort(
        &self,
        py: Python<'_>,
        taken: Taken,
        compute: Compute<'_, '_>,
    ) -> Vec<Event> {
        let mut sent = taken.at;
        let mut others = Vec::new();
        for one in taken.events {
            let Event::Compute(start) = one else {
                others.push(one);
                continue;
            };
            let mut now = manual::read();
            if now.saturating_sub(sent) > HELD {
                self.flush();
                now = manual::read();
                sent = now;
            }
            self.make(py, compute, &start, now);
        }
        self.flush();
        others
    }

    /// Makes the fields of one request, unless it has gone on without them.
    fn make(&self, py: Python<'_>, compute: Compute<'_, '_>, start: &Start, began: u64) {
        let made = match compute {
            Some(compute) if began < start.cutoff => computable(py, start)
                .and_then(|asked| compute.call1(asked))
                .and_then(|made| results(made.cast::<PyList>()?))
                .unwrap_or_else(|error| {
                    error.write_unraisable(py, Some(compute));
                    Vec::new()
                }),
            _ => Vec::new(),
        };
        let took = manual::read().saturating_sub(began);
        let (ticket, post) = self.inner.computed(start.ticket, start.view, made, took);
        self.send(ticket.0, post);
    }
}

/// What is not made here, as Python has it.
pub(super) fn listed(py: Python<'_>, others: Vec<Event>) -> PyResult<Bound<'_, PyList>> {
    // Read anew: what was made before has taken time of whoever waits for these.
    let now = manual::read();
    let others = others.into_iter().map(|one| event(py, one, now));
    PyList::new(py, others.collect::<PyResult<Vec<Bound<'_, PyTuple>>>>()?)
}

/// How much a loop has been asked for: `asked` are its collections of what is ready to run and of
/// what is scheduled for later.
pub(super) fn count(asked: &Bound<'_, PyTuple>) -> PyResult<usize> {
    asked.iter().map(|one| one.len()).sum()
}
