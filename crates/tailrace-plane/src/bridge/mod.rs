//! The bridge between the workers and Python: calls out, completions in, both in batches.
//!
//! The failure prevented: Python on the request path that costs a thread wake-up per call, or that
//! can hold the plane. Python runs on one thread with its event loop. What the plane has for it
//! (requests for handlers, ended calls) waits in one queue, and one descriptor ([`bell`]) wakes the
//! loop once per batch. What Python has for the plane is posted to the worker that holds the
//! conversation, again a batch at a time. Nothing of the plane ever waits for Python: a request has
//! its deadline, whatever its handler does.
//!
//! A loop of ours (a host's) waits here, in [`Bridge::turn`], and is rung only when it sleeps; a
//! loop of a client watches the descriptor, and is rung for each batch.
//!
//! *Bounds.* Requests in the queue: the limits of handlers and of computed fields ([`gate`]). Ended
//! calls: what was submitted, at most `CALLS_MAX` per conversation. Conversations of a client:
//! `CLIENTS_MAX`. Templates: `TEMPLATES_MAX`.
//!
//! ```text
//! message   what crosses            template  registered calls
//! groups    calls of one conversation, run through `call.rs`
//! run       a request in a handler  alone     a client's calls, without a request
//! batch     computed fields         gate      how many of either
//! conversation  what run and batch have in common: begun, and ended once
//! stream    a client's call whose body comes in pieces
//! mailbox   letters from Python, handed to their conversations
//! waits     what a request waited for Python
//! ```

mod alone;
mod batch;
mod bell;
mod conversation;
mod gate;
pub mod groups;
mod mailbox;
mod message;
mod run;
mod stream;
mod template;
mod waits;

pub use batch::Batch;
pub use gate::{Full, Gate};
pub use mailbox::{deliver, Conversations};
pub use message::{
    Answer, Asked, End, Event, Failed, Group, Head, Kept, Letter, Made, Start, Ticket, Token,
    Wanted,
};
pub use run::Run;
pub use stream::Wish;
pub use template::{Template, Templates};

use crate::clock;
use crate::metrics::histogram::Histogram;
use crate::program::{Program, View};
use crate::reason::Reason;
use bell::Bell;
use mailbox::Mailbox;
use std::collections::{HashSet, VecDeque};
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tailrace_blueprint::Blueprint;
use tailrace_policy::Nanos;
use tokio::sync::Notify;
use waits::Waits;

/// Submissions of clients at the same time, over the process.
const CLIENTS_MAX: u32 = 16_384;

/// How often somebody who waits for a late event loop looks.
const LOOK: Duration = Duration::from_millis(50);

/// What the workers and Python share.
#[derive(Debug)]
pub struct Bridge {
    queue: Mutex<VecDeque<Waiting>>,
    bell: Bell,
    /// Whether the bell has to be rung for what is put into the empty queue. Never taken back where
    /// the loop watches the descriptor.
    asleep: AtomicBool,
    boxes: Vec<Postbox>,
    program: Arc<Program>,
    templates: Templates,
    /// Per view; `None` for one that never enters Python.
    pub gates: Vec<Option<Gate>>,
    clients: AtomicU32,
    /// From the moment something waits for Python to the moment the loop takes it.
    pub lag: Histogram,
    /// How long the loop waited for the interpreter lock after it had been woken.
    pub lock_wait: Histogram,
    /// That of the batch which the loop has in hand.
    lock_waited: AtomicU64,
    /// Runs of Python's garbage collector, by generation.
    pub gc_pauses: [Histogram; 3],
    /// Batches taken.
    taken: AtomicU64,
}

/// Since when, what, and the counter of its request.
type Waiting = (Nanos, Event, Option<Arc<Waits>>);

/// A batch for Python, and when it was taken.
#[derive(Debug)]
pub struct Taken {
    pub events: Vec<Event>,
    pub at: Nanos,
    waits: Vec<Arc<Waits>>,
}

/// Letters for one worker.
#[derive(Debug, Default)]
struct Postbox {
    letters: Mutex<Vec<(Ticket, Post)>>,
    arrived: Notify,
}

/// A letter, or the calls of a client that have no conversation yet.
#[derive(Debug)]
pub enum Post {
    Letter(Letter),
    Alone { group: Group, asked: Asked },
    Stream(Box<Wish>),
}

impl Bridge {
    pub fn new(program: &Arc<Program>, workers: usize) -> io::Result<Self> {
        let gate = |view: &View| view.python_limit().map(Gate::new);
        Ok(Self {
            queue: Mutex::default(),
            bell: Bell::new()?,
            asleep: AtomicBool::new(true),
            boxes: (0..workers).map(|_| Postbox::default()).collect(),
            program: Arc::clone(program),
            templates: Templates::default(),
            gates: program.views.iter().map(gate).collect(),
            clients: AtomicU32::new(0),
            lag: Histogram::default(),
            lock_wait: Histogram::default(),
            lock_waited: AtomicU64::new(0),
            gc_pauses: Default::default(),
            taken: AtomicU64::new(0),
        })
    }

    /// Takes up the limits of another revision of the configuration, which has the same views.
    pub fn follow(&self, program: &Program) {
        for (gate, view) in self.gates.iter().zip(&program.views) {
            if let (Some(gate), Some(limit)) = (gate, view.python_limit()) {
                gate.set(limit);
            }
        }
    }

    /// Registers a call that Python code makes, declared as the only part of the only view of a
    /// checked blueprint; returns its number.
    pub fn register(&self, declared: &Blueprint) -> Result<usize, String> {
        self.templates
            .add(Template::compile(declared, &self.program)?)
    }

    /// The registered call of this number.
    pub fn template(&self, number: usize) -> Option<Arc<Template>> {
        self.templates.get(number)
    }

    /// What the event loop watches.
    pub fn descriptor(&self) -> RawFd {
        self.bell.descriptor()
    }

    pub fn workers(&self) -> usize {
        self.boxes.len()
    }

    /// For Python; rings the bell when nothing waited before.
    fn push(&self, now: Nanos, event: Event, waits: Option<&Arc<Waits>>) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let first = queue.is_empty();
        queue.push_back((now, event, waits.cloned()));
        drop(queue);
        // Whoever says that it sleeps looks into the queue once more, under its lock.
        if first && self.asleep.load(Ordering::Relaxed) {
            self.bell.ring();
        }
    }

    /// Takes everything that waits, for a loop that watches the descriptor.
    pub fn take(&self) -> Taken {
        self.bell.silence();
        self.sweep()
    }

    /// One turn of a loop that waits here: until something waits for Python, `other` can be read or
    /// the time is over, at most. True when `other` can be read.
    pub fn turn(&self, wait: Option<Duration>, other: BorrowedFd<'_>) -> (Taken, bool) {
        self.asleep.store(true, Ordering::Relaxed);
        let idle = {
            let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.is_empty()
        };
        let wait = if idle { wait } else { Some(Duration::ZERO) };
        let ready = self.bell.wait(wait, other);
        self.asleep.store(false, Ordering::Relaxed);
        (self.sweep(), ready)
    }

    /// Takes everything that waits. Only the thread of the event loop may call this: it is the one
    /// writer of the histograms.
    fn sweep(&self) -> Taken {
        let waiting = {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *queue)
        };
        let now = clock::now();
        self.taken.fetch_add(1, Ordering::Relaxed);
        if let Some((oldest, _, _)) = waiting.front() {
            self.lag.record(now.saturating_sub(*oldest));
        }
        let gone: HashSet<Ticket> = waiting
            .iter()
            .filter_map(|(_, event, _)| cancelled(event))
            .collect();
        let mut never = HashSet::new();
        let mut events = Vec::with_capacity(waiting.len());
        let mut waits = Vec::new();
        for (since, event, own) in waiting {
            if let Some(own) = own {
                own.add_turn(now.saturating_sub(since));
                waits.push(own);
            }
            match event {
                // Nobody waits for it any more: Python need not know that it ever came.
                Event::Start(start) | Event::Compute(start) if gone.contains(&start.ticket) => {
                    self.leave(start.view);
                    never.insert(start.ticket);
                }
                Event::Cancel(ticket) if never.contains(&ticket) => {}
                event => events.push(event),
            }
        }
        Taken {
            events,
            at: now,
            waits,
        }
    }

    /// The thread of the event loop has the interpreter lock again.
    pub fn locked(&self, taken: &Taken) {
        let waited = clock::now().saturating_sub(taken.at);
        self.lock_wait.record(waited);
        self.lock_waited.store(waited, Ordering::Relaxed);
        for own in &taken.waits {
            own.add_lock(waited);
        }
    }

    /// Python's garbage collector has run. Only a thread that holds the interpreter lock may call
    /// this, so that there is one writer at a time.
    pub fn collected(&self, generation: usize, took: Nanos) {
        if let Some(pauses) = self.gc_pauses.get(generation) {
            pauses.record(took);
        }
    }

    /// How long the oldest of what waits for Python has waited, and how many batches were taken so
    /// far: the same number twice means the same wait.
    pub fn waiting(&self) -> (Nanos, u64) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = queue.front().map(|(at, _, _)| *at);
        drop(queue);
        let waited = oldest.map_or(0, |at| clock::now().saturating_sub(at));
        (waited, self.taken.load(Ordering::Relaxed))
    }

    /// How much waits for Python.
    pub fn queued(&self) -> usize {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.len()
    }

    /// Calls that belong to no request; `None` when there are too many already.
    pub fn alone(&self, group: Group, asked: Asked) -> Option<Post> {
        self.admit().then_some(Post::Alone { group, asked })
    }

    /// A call whose body comes in pieces; `None` as for `alone`.
    pub fn stream(&self, wish: Wish) -> Option<Post> {
        self.admit().then(|| Post::Stream(Box::new(wish)))
    }

    /// Whether one more conversation of a client may begin; it then counts until it is dropped.
    fn admit(&self) -> bool {
        let admitted = self.clients.fetch_add(1, Ordering::AcqRel) < CLIENTS_MAX;
        if !admitted {
            self.clients.fetch_sub(1, Ordering::AcqRel);
        }
        admitted
    }

    /// Waits, at most for `patience`, until something has waited for Python for `after`; `true`
    /// when it has. For a thread that has nothing else to do.
    pub fn late(&self, after: Duration, patience: Duration) -> bool {
        let after = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        let patience = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        let end = clock::now().saturating_add(patience);
        loop {
            let (waited, _) = self.waiting();
            let left = end.saturating_sub(clock::now());
            if waited >= after || left == 0 {
                return waited >= after;
            }
            let look = Duration::from_nanos(left.min(after - waited)).min(LOOK);
            std::thread::park_timeout(look);
        }
    }

    /// Posts to the conversations on their workers, one wake-up per worker.
    pub fn post(&self, posts: Vec<(Ticket, Post)>) {
        let mut touched = 0_u64;
        for (ticket, post) in posts {
            let Some(own) = self.boxes.get(ticket.worker()) else {
                continue;
            };
            touched |= 1 << (ticket.worker() % 64);
            let mut letters = own.letters.lock().unwrap_or_else(PoisonError::into_inner);
            letters.push((ticket, post));
        }
        for (index, own) in self.boxes.iter().enumerate() {
            if touched & 1 << (index % 64) != 0 {
                own.arrived.notify_one();
            }
        }
    }

    /// A handler has really ended: its place is free, whatever became of its request.
    pub fn ended(&self, ticket: Ticket, view: usize, end: End) -> (Ticket, Post) {
        if let (End::Crashed, Some(Some(gate))) = (&end, self.gates.get(view)) {
            gate.crashes.fetch_add(1, Ordering::Relaxed);
        }
        self.leave(view);
        (ticket, Post::Letter(Letter::End(end)))
    }

    /// The computed fields of a request are made, in `python` ns: its place is free, whether or not
    /// somebody still waits. Only the thread of the event loop may call this.
    pub fn computed(
        &self,
        ticket: Ticket,
        view: usize,
        results: Vec<Result<Vec<u8>, Reason>>,
        python: Nanos,
    ) -> (Ticket, Post) {
        self.leave(view);
        let lock = self.lock_waited.load(Ordering::Relaxed);
        let made = Made {
            results,
            python,
            lock,
        };
        (ticket, Post::Letter(Letter::Computed(made)))
    }

    /// The code of a view was seen to hold the event loop.
    pub fn stalled(&self, view: usize) {
        if let Some(Some(gate)) = self.gates.get(view) {
            gate.stalls.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A handler was seen to run on after it was cancelled.
    pub fn overdue(&self, view: usize) {
        if let Some(Some(gate)) = self.gates.get(view) {
            gate.overdue.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn leave(&self, view: usize) {
        if let Some(Some(gate)) = self.gates.get(view) {
            gate.leave();
        }
    }
}

fn cancelled(event: &Event) -> Option<Ticket> {
    match event {
        Event::Cancel(ticket) => Some(*ticket),
        _ => None,
    }
}
