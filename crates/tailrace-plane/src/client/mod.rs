//! The HTTP/1.1 client side: connections to upstreams, driven by the caller's own future.
//!
//! There is no task per connection and no channel per call: a call takes an idle connection of this
//! worker or opens one, writes, reads, and puts it back. Dropping the call closes the connection,
//! so a half-read one can never be used again.

mod exchange;
mod pool;

pub use exchange::{exchange, ExchangeError, Request, Response};
pub use pool::Pools;
