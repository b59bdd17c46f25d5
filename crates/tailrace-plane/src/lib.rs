//! The tailrace data plane: a compiled service, run.
//!
//! `Plane::start` takes a checked blueprint, binds, resolves and starts one single-threaded runtime
//! per worker plus a control thread (admin port, names) and a log thread. After that nothing of the
//! request path is decided by whoever started it. See DESIGN.md for the map and `request.rs`, then
//! `call.rs`, for the life of a request.

mod access_log;
mod addresses;
mod admin;
mod admission;
mod attempt;
mod blocks;
mod body;
pub mod bridge;
mod buffers;
mod cache;
mod call;
mod catalogue;
mod client;
mod clock;
mod container;
mod descriptors;
mod events;
mod extra;
mod fanout;
pub mod h1;
mod hex;
mod json;
mod lane;
mod live;
mod memory;
mod metrics;
mod naive;
mod net;
mod parameters;
mod plane;
mod policies;
mod profile;
mod program;
mod reason;
mod receipt;
mod reply;
mod request;
mod resolve;
mod router;
mod server;
mod shared;
#[cfg(test)]
mod simulation;
mod source;
pub mod splice;
mod tap;
mod template;
mod trace;
mod upstream;
mod worker;

pub use access_log::said::Said;
pub use catalogue::problems;
pub use clock::manual;
pub use events::catalogue;
pub use live::{Ask, Change, Next, Reply, Wanted};
pub use plane::{Engine, Pages, Plane, StartError};
pub use profile::heap::set_allocator;
pub use reason::Reason;
pub use receipt::turn::count_allocations_by;
pub use receipt::Allocated;
pub use request::asked_time;
pub use shared::Phase;
pub use trace::{probe, Probed};
