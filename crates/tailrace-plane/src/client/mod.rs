//! The HTTP/1.1 client side: connections to upstreams, driven by the caller's own future.
//!
//! There is no task per connection and no channel per call: a call takes an idle connection of this
//! worker or opens one, writes, reads, and puts it back. Dropping the call closes the connection,
//! so a half-read one can never be used again.

mod exchange;
mod pool;
mod stream;

pub use exchange::{exchange, ExchangeError, Request, Response};
pub use pool::Pools;
pub use stream::{open, Opened};

/// An answer that says how it ended.
pub trait Answered {
    fn status(&self) -> u16;
}

impl Answered for Response {
    fn status(&self) -> u16 {
        self.status
    }
}

impl Answered for Opened {
    fn status(&self) -> u16 {
        self.head_status()
    }
}
