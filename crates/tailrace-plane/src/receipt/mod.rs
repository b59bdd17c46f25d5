//! The receipt: what one request cost in five dimensions, and what decided how long it took
//! (req 3.1, 3.2, 3.3, 3.4, 3.5, 3.6).
//!
//! The failure prevented is an optimisation of what did not matter. Every request has a receipt: it
//! is filled while the request runs from times that are known anyway, and finished once, when the
//! request is recorded (`Exchange::record`). What needs thought, the critical path and the savings,
//! is computed for requests above the running P99 and for receipts that are read.
//!
//! ```text
//! tally    notes of one running call: wake-up, waits, attempts      one per call, pooled
//! calls    the calls of one request, as they ended, and their sums  `Receipt::calls`
//! bill     the receipt                                              one per request, pooled
//! turn     one poll of a request: processor time, buffers, delay    sums in `Receipt::cpu`, ...
//! path     critical path and savings, from the graph of the parts   on demand
//! timeline the duration cut into steps that add up to it exactly    on demand
//! tail     what the slowest requests of each view waited for        counters per worker
//! shelf    receipts kept for reading: the last, the slow, the bad   one per worker, bounded
//! json     a receipt as the admin port shows it                     off the request path
//! why      which parts cause the tail                               off the request path
//! ```
//!
//! *For readers* (traces, console, `top`, `tap`): a finished [`Receipt`] has `view`, `status`,
//! `code`, `started`, `fanned`, `done`, `ended` (nanoseconds of `clock::now`), `parts[i]`
//! ([`PartBill`]: `ready`, `done`, `needs`, `failed`, `source`) and `calls` ([`Calls`]: `bills()`,
//! each with `part`, `ready`, `started`, `permitted`, `ended`; `marks(bill)`, the attempts with
//! `start`, `connected`, `dispatched`, `first_byte`, `end`, `status`, `failed`). Names are those of
//! the program at these indices. [`Receipt::timeline`] gives the steps of the critical path,
//! [`Receipt::graph`] the savings. It is whole in `Exchange::record`; afterwards it is on the shelf
//! (`Shared::shelves`), which other threads read under its lock.
//!
//! *Precision.* A time is that of the wake-up in which a thing was seen. Work within one wake-up
//! counts to what is waited for at its end; `cpu` says how much work it was. What lies before a
//! request's head is complete, and writing the reply to the socket, are not in it.
//!
//! *Bounds.* A receipt keeps at most `CALLS_MAX` calls and `MARKS_MAX` attempts, a shelf at most
//! `RECENT` receipts and so many per view ([`shelf`]).

mod bill;
mod calls;
mod held;
pub mod json;
pub mod path;
pub mod shelf;
mod step;
pub mod tail;
pub mod tally;
mod timeline;
pub mod turn;
pub mod why;

pub use bill::{Allocated, PartBill, Python, Receipt};
pub use calls::{CallBill, Calls, Ended, Whose};
pub use held::{Held, Short, Taken};
pub use shelf::Shelf;
pub use step::Step;
pub use tail::{Judge, PartTail, ViewTail};
pub use tally::{attempt_span, Kind, Mark, Noted, Tallies, Tally};
pub use timeline::{Segment, Timeline};
pub use turn::Turn;
