//! What each request of one worker waits for now.
//!
//! The failure prevented: a dump that reads what another thread writes. Requests are asked
//! themselves: while a survey is on, each one that is polled and goes on waiting notes what it
//! waits for. The one who asks wakes all of them first (`look.rs`), so every request in flight is
//! in it, and what it says is true at one moment of its worker.
//!
//! *Bounds.* [`REQUESTS_MAX`] requests per worker, the oldest, and [`WAITS_MAX`] waits per request.

use crate::program::Program;
use crate::receipt::{Kind, Mark, Tally};
use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;
use tailrace_policy::Nanos;

/// Requests of one worker that are told in full.
pub const REQUESTS_MAX: usize = 256;
/// Waits told of one request.
pub const WAITS_MAX: usize = 64;

/// What a part of a request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Other parts, one bit each.
    Parts(u64),
    /// The request's own cap of calls at the same time.
    Fanout,
    /// A place in the bulkhead of its upstream.
    Bulkhead,
    Connect,
    Write,
    FirstByte,
    Body,
    /// A turn among large bodies.
    Lane,
    /// The pause before another attempt.
    Retry,
    /// The moment for an attempt beside this one.
    Hedge,
    /// A fetch that calls share.
    Fetch,
    /// Nothing of its own: it goes on in this turn.
    Start,
    /// The event loop that runs its handler.
    Handler,
    /// Its computed fields.
    Computed,
}

impl Wait {
    /// The word used in dumps.
    pub fn code(self) -> &'static str {
        match self {
            Self::Parts(_) => "parts",
            Self::Fanout => "fanout",
            Self::Bulkhead => "bulkhead",
            Self::Connect => "connect",
            Self::Write => "write",
            Self::FirstByte => "first_byte",
            Self::Body => "body",
            Self::Lane => "large_bodies",
            Self::Retry => "retry_pause",
            Self::Hedge => "hedge_timer",
            Self::Fetch => "shared_fetch",
            Self::Start => "start",
            Self::Handler => "python_handler",
            Self::Computed => "computed_fields",
        }
    }
}

/// One wait. A part with two attempts, or an attempt and a timer, has two.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    pub wait: Wait,
    /// Index of the part; of the upstream for a handler's call; none for the request itself.
    pub part: Option<u16>,
    pub item: u16,
    pub upstream: Option<u16>,
    /// It is the part's `otherwise`.
    pub other: bool,
    /// Since when; 0: not known.
    pub since: Nanos,
    /// When it ends by itself: a pause, a timer, else the call; 0: nothing of its own ends it.
    pub until: Nanos,
    /// Attempt number, counted from 1; 0 outside of one.
    pub attempt: u16,
    pub kind: Kind,
    pub address: u16,
}

impl Waiting {
    /// A wait outside of any attempt.
    pub fn of(wait: Wait, part: Option<usize>, since: Nanos) -> Self {
        Self {
            wait,
            part: part.map(|part| part as u16),
            item: 0,
            upstream: None,
            other: false,
            since,
            until: 0,
            attempt: 0,
            kind: Kind::First,
            address: 0,
        }
    }
}

/// One request in flight.
#[derive(Debug)]
pub struct Request {
    /// What its indices count in: it keeps the configuration it began with.
    pub program: Arc<Program>,
    pub view: usize,
    /// The request's id.
    pub id: Vec<u8>,
    pub number: u64,
    pub started: Nanos,
    pub deadline: Nanos,
    pub parts: usize,
    pub parts_done: usize,
    pub waits: Vec<Waiting>,
    pub waits_left_out: usize,
}

impl Request {
    /// Adds a wait, as far as there is room.
    pub fn push(&mut self, waiting: Waiting) {
        if self.waits.len() < WAITS_MAX {
            self.waits.push(waiting);
        } else {
            self.waits_left_out += 1;
        }
    }

    /// What a call waits for, as its notes say; `base` is whose it is.
    pub fn push_call(&mut self, tally: &Tally, base: Waiting) {
        if let Some(fetch) = tally.fetch.borrow().as_ref() {
            self.push(Waiting {
                wait: Wait::Fetch,
                since: tally.started.get(),
                ..base
            });
            return self.push_call(fetch, base);
        }
        if tally.shared.get() {
            return self.push(Waiting {
                wait: Wait::Fetch,
                since: tally.started.get(),
                ..base
            });
        }
        let marks = tally.marks();
        let open = marks.iter().filter(|mark| mark.end == 0);
        let mut any = false;
        for mark in open {
            any = true;
            self.push(attempt(mark, tally, base));
        }
        let (retry, hedge) = (tally.retry_at.get(), tally.hedge_at.get());
        let timer = |wait, until| Waiting {
            wait,
            until,
            ..base
        };
        if any && hedge > 0 {
            self.push(timer(Wait::Hedge, hedge));
        }
        if !any && retry > 0 {
            self.push(timer(Wait::Retry, retry));
        } else if !any {
            self.push(unsent(tally, base));
        }
    }
}

/// What an attempt that has not ended is in.
fn attempt(mark: &Mark, tally: &Tally, base: Waiting) -> Waiting {
    let (wait, since) = if mark.connected == 0 {
        (Wait::Connect, mark.start)
    } else if mark.dispatched == 0 {
        (Wait::Write, mark.connected)
    } else if mark.first_byte == 0 {
        (Wait::FirstByte, mark.dispatched)
    } else if tally.in_lane.get() == mark.number {
        (Wait::Lane, 0)
    } else {
        (Wait::Body, mark.first_byte)
    };
    Waiting {
        wait,
        since,
        attempt: mark.number,
        kind: mark.kind,
        address: mark.address,
        ..base
    }
}

/// A call that has no attempt under way and no pause.
fn unsent(tally: &Tally, base: Waiting) -> Waiting {
    let queued = tally.queued.get();
    let (wait, since) = if queued > 0 && tally.permitted.get() == 0 {
        (Wait::Bulkhead, queued)
    } else {
        (Wait::Start, tally.started.get())
    };
    Waiting {
        wait,
        since,
        ..base
    }
}

/// Requests are kept by age: the youngest makes room.
#[derive(Debug)]
struct ByAge(Request);

impl PartialEq for ByAge {
    fn eq(&self, other: &Self) -> bool {
        self.0.number == other.0.number
    }
}

impl Eq for ByAge {}

impl PartialOrd for ByAge {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByAge {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.number.cmp(&other.0.number)
    }
}

/// What one worker found.
#[derive(Debug, Default)]
pub struct Found {
    pub requests: Vec<Request>,
    pub left_out: usize,
}

/// The survey of one worker thread.
#[derive(Debug, Default)]
pub struct Survey {
    on: Cell<bool>,
    seen: RefCell<BinaryHeap<ByAge>>,
}

impl Survey {
    /// Whether requests note themselves: what each poll asks.
    pub fn is_on(&self) -> bool {
        self.on.get()
    }

    pub fn begin(&self) {
        self.on.set(true);
    }

    /// Takes a request, made only when there is room for one of its age.
    pub fn note(&self, number: u64, make: impl FnOnce() -> Request) {
        let mut seen = self.seen.borrow_mut();
        // A request may be polled twice in the turn of the survey.
        if seen.len() < REQUESTS_MAX {
            if seen.iter().all(|one| one.0.number != number) {
                seen.push(ByAge(make()));
            }
            return;
        }
        let youngest = seen.peek().map_or(0, |one| one.0.number);
        if number < youngest && seen.iter().all(|one| one.0.number != number) {
            seen.pop();
            seen.push(ByAge(make()));
        }
    }

    /// Ends the survey; `in_flight` requests were there. The oldest come first.
    pub fn end(&self, in_flight: usize) -> Found {
        self.on.set(false);
        let seen = std::mem::take(&mut *self.seen.borrow_mut());
        let requests: Vec<Request> = seen
            .into_sorted_vec()
            .into_iter()
            .map(|one| one.0)
            .collect();
        Found {
            left_out: in_flight.saturating_sub(requests.len()),
            requests,
        }
    }
}
