//! Where the system has no timer that is a descriptor, timers wait in the runtime.

use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};
use tailrace_policy::Nanos;

/// There is none of these here.
#[derive(Debug)]
pub enum Place {}

impl Place {
    pub fn poll_until(&mut self, _next: Nanos, _waker: &Waker) -> Poll<()> {
        match *self {}
    }
}

/// There is none of these here.
#[derive(Debug)]
pub enum Alarms {}

impl Alarms {
    pub async fn ring(self: Rc<Self>) {}
}

/// Held while the alarms of this thread are in use.
#[derive(Debug)]
pub struct Here(());

pub fn start() -> io::Result<(Here, Option<Rc<Alarms>>)> {
    Ok((Here(()), None))
}

pub fn place() -> Option<Place> {
    None
}
