//! Computed fields: made while the thread of the event loop has their batch in hand.
//!
//! The failure prevented: a turn of the event loop, and half a dozen objects of Python, around code
//! that runs for a few microseconds. The plane calls what makes the fields, and a loop that waits
//! in the plane goes on waiting there, unless something else has come or the code has asked
//! something of the loop.

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
    /// Makes the computed fields of a batch; gives what else is in it, as Python has it.
    pub(super) fn sort<'py>(
        &self,
        py: Python<'py>,
        taken: Taken,
        compute: Compute<'_, 'py>,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let (at, mut sent) = (taken.at, taken.at);
        let mut others = Vec::new();
        for one in taken.events {
            match (one, compute) {
                (Event::Compute(start), Some(compute)) => {
                    let now = manual::read();
                    if now.saturating_sub(sent) > HELD {
                        self.flush();
                        sent = now;
                    }
                    self.make(py, compute, &start, now);
                }
                (other, _) => others.push(event(py, other, at)?),
            }
        }
        Ok(others)
    }

    /// Makes the fields of one request, unless it has gone on without them.
    fn make<'py>(&self, py: Python<'py>, compute: &Bound<'py, PyAny>, start: &Start, began: u64) {
        let made = if began < start.cutoff {
            let made = computable(py, start)
                .and_then(|asked| compute.call1(asked))
                .and_then(|made| results(made.cast::<PyList>()?));
            made.unwrap_or_else(|error| {
                // Not the code of a field, which is caught: what is around it.
                error.write_unraisable(py, Some(compute));
                Vec::new()
            })
        } else {
            Vec::new()
        };
        let took = manual::read().saturating_sub(began);
        let (ticket, post) = self.inner.computed(start.ticket, start.view, made, took);
        self.send(ticket.0, post);
    }
}

/// How much a loop has been asked for: `asked` are its collections of what is ready to run and of
/// what is scheduled for later.
pub(super) fn count(asked: &Bound<'_, PyTuple>) -> PyResult<usize> {
    asked.iter().map(|one| one.len()).sum()
}
