//! What one worker thread owns: everything a request touches without asking another core.
//!
//! A `Worker` is the thread under one revision of the configuration (`live/`). A connection looks
//! for a newer one between requests, so a request in flight, its calls included, keeps the program
//! it began with, and an old program goes when its last request has ended.

use crate::access_log::{Record, Ring};
use crate::admission::Gate;
use crate::bridge::Conversations;
use crate::buffers::{Buffers, KEEP_MAX_BYTES};
use crate::cache::near::Near;
use crate::client::Pools;
use crate::clock;
use crate::hex;
use crate::lane::Lane;
use crate::memory::Share;
use crate::metrics::WorkerMetrics;
use crate::profile::heap::Kept;
use crate::profile::survey::Survey;
use crate::program::Program;
use crate::receipt::{turn, Judge, Receipt, Shelf};
use crate::request::Exchange;
use crate::server::slots::Slots;
use crate::shared::Shared;
use crate::trace::context::span_base;
use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use tailrace_blueprint::LogFormat;
use tailrace_policy::Nanos;

/// Working sets kept per worker: as many requests as usually run at once.
const EXCHANGES_KEPT: usize = 256;

#[derive(Debug)]
pub struct Worker {
    pub program: Arc<Program>,
    thread: Rc<Thread>,
}

/// What stays the same from revision to revision.
#[derive(Debug)]
pub struct Thread {
    pub index: usize,
    pub shared: Arc<Shared>,
    pub metrics: Arc<WorkerMetrics>,
    pub buffers: Buffers,
    /// Of the bytes that the process may hold.
    pub memory: Rc<Share>,
    pub pools: Pools,
    pub gate: Gate,
    pub lane: Lane,
    /// Hot keys of the cache.
    pub near: RefCell<Near>,
    pub random: RefCell<fastrand::Rng>,
    /// The time of the current poll: read once per wake-up, used by everything that runs in it.
    pub now: Cell<Nanos>,
    log: RefCell<Option<Ring>>,
    date: RefCell<DateCache>,
    request_ids: Cell<u64>,
    request_id_prefix: u64,
    pub slots: Slots,
    /// What requests wait for, while somebody asks.
    pub survey: Survey,
    /// Finished receipts, for readers.
    shelf: Arc<Shelf>,
    judge: Judge,
    requests: Cell<u64>,
    /// With Python: requests in handlers, and a client's calls.
    pub conversations: Conversations,
    /// Held once by the worker and once by every connection it has accepted.
    pub live: Rc<()>,
    // Boxed once and moved by pointer from request to request.
    #[allow(clippy::vec_box)]
    exchanges: RefCell<Vec<Box<Exchange>>>,
    /// The worker of the newest revision that was asked for; none once the thread ends.
    newest: RefCell<Option<Rc<Worker>>>,
}

impl Deref for Worker {
    type Target = Thread;

    fn deref(&self) -> &Thread {
        &self.thread
    }
}

#[derive(Debug, Default)]
struct DateCache {
    second: u64,
    line: Vec<u8>,
}

impl Worker {
    pub fn new(index: usize, shared: &Arc<Shared>, log: Option<Ring>, seed: u64) -> Rc<Self> {
        let metrics = Arc::clone(&shared.metrics[index]);
        let mut random = fastrand::Rng::with_seed(seed);
        let request_id_prefix = random.u64(..);
        let program = shared.program();
        let thread = Rc::new(Thread {
            index,
            shared: Arc::clone(shared),
            buffers: Buffers::new(Arc::clone(&metrics)),
            memory: Rc::new(Share::new(&shared.memory, shared.metrics.len())),
            pools: Pools::new(&program),
            gate: Gate::new(&program, &shared.admission, index),
            lane: Lane::default(),
            near: RefCell::default(),
            metrics,
            random: RefCell::new(random),
            now: Cell::new(clock::now()),
            log: RefCell::new(log),
            date: RefCell::default(),
            request_ids: Cell::new(0),
            request_id_prefix,
            slots: Slots::default(),
            survey: Survey::default(),
            shelf: Arc::clone(&shared.shelves[index]),
            judge: Judge::default(),
            requests: Cell::new(0),
            conversations: Conversations::default(),
            live: Rc::new(()),
            exchanges: RefCell::default(),
            newest: RefCell::default(),
        });
        Rc::new(Self { program, thread })
    }

    /// Whether the configuration has changed since this revision: one load of a line that every
    /// core keeps.
    pub fn is_outdated(&self) -> bool {
        self.shared.live.revision() != self.program.revision
    }

    /// The worker of the revision in force, made once per revision and thread.
    pub fn newest(self: &Rc<Self>) -> Rc<Self> {
        if !self.is_outdated() {
            return Rc::clone(self);
        }
        let mut newest = self.newest.borrow_mut();
        if let Some(known) = newest.as_ref().filter(|known| !known.is_outdated()) {
            return Rc::clone(known);
        }
        let program = self.shared.program();
        self.pools.follow(&program);
        self.gate.follow(&program);
        let thread = Rc::clone(&self.thread);
        let made = Rc::new(Self { program, thread });
        *newest = Some(Rc::clone(&made));
        made
    }

    /// Lets go of the newest worker, which holds this thread's state.
    pub fn end(&self) {
        self.newest.take();
    }

    pub fn logs(&self) -> bool {
        self.program.declared.access_log.format != LogFormat::Off && self.log.borrow().is_some()
    }
}

impl Thread {
    /// Connections accepted and not ended, including those whose task has not run yet.
    pub fn open(&self) -> usize {
        Rc::strong_count(&self.live) - 1
    }

    /// Reads the clock for this wake-up.
    pub fn tick(&self) -> Nanos {
        let now = clock::now();
        self.now.set(now);
        now
    }

    pub fn draw(&self) -> u64 {
        self.random.borrow_mut().u64(..)
    }

    /// The span of a call that begins now; 0 when nothing is traced.
    pub fn span(&self) -> u64 {
        match self.shared.traces {
            Some(_) => span_base(self.draw()),
            None => 0,
        }
    }

    /// Appends a request id no other request of this process has: 64 random bits per worker, then a
    /// counter.
    pub fn push_request_id(&self, out: &mut Vec<u8>) {
        let count = self.request_ids.get();
        self.request_ids.set(count + 1);
        hex::push(self.request_id_prefix.into(), 16, out);
        hex::push(count.into(), 12, out);
    }

    /// The number of a request that begins, counted per worker, and whether it is one that is
    /// measured closely.
    pub fn count_request(&self) -> (u64, bool) {
        let number = self.requests.get() + 1;
        self.requests.set(number);
        (number, number.is_multiple_of(turn::SAMPLED))
    }

    /// Adds a finished receipt to the tail of its view, and keeps it for reading; gives one back
    /// for the next request.
    pub fn keep_receipt(&self, view: usize, receipt: Box<Receipt>) -> Box<Receipt> {
        // A client that left says nothing about how long a reply takes.
        let slow = receipt.status != 499
            && self
                .shelf
                .tails
                .get(view)
                .is_some_and(|tail| self.judge.judge(view, tail, &receipt));
        if let Some(traces) = &self.shared.traces {
            traces.offer(&receipt, slow);
        }
        self.shared.taps.offer(&receipt);
        self.shelf.keep(receipt)
    }

    /// Hands a record to the access log, or counts it as dropped.
    #[allow(clippy::large_types_passed_by_value)] // it is copied into the ring
    pub fn log(&self, record: Record) {
        if let Some(ring) = self.log.borrow_mut().as_mut() {
            if ring.push(record).is_err() {
                self.metrics.access_log_dropped.add(1);
            }
        }
    }

    /// Appends a `date` header line, formatted at most once a second.
    pub fn push_date(&self, epoch_ms: u64, out: &mut Vec<u8>) {
        let mut cache = self.date.borrow_mut();
        let second = epoch_ms / 1000;
        if cache.second != second {
            cache.second = second;
            cache.line = crate::reply::date_line(second).into_bytes();
        }
        out.extend_from_slice(&cache.line);
    }

    /// What is kept for the next requests (req 12.2).
    pub fn kept(&self) -> Kept {
        let (buffers, buffer_bytes) = self.buffers.held();
        let exchanges = self.exchanges.borrow();
        let bytes = |one: &Exchange| {
            let buffers = [&one.input, &one.reply, &one.body];
            buffers.iter().map(|one| one.capacity()).sum::<usize>()
        };
        Kept {
            buffers,
            buffer_bytes,
            exchanges: exchanges.len(),
            exchange_bytes: exchanges.iter().map(|one| bytes(one)).sum(),
            exchanges_max: EXCHANGES_KEPT,
            sets: self.conversations.sets.free(),
            idle_connections: self.pools.idle(),
            hot_keys: self.near.borrow().len(),
        }
    }

    /// A request's working set, from the pool or new.
    pub fn take_exchange(&self) -> Box<Exchange> {
        self.exchanges.borrow_mut().pop().unwrap_or_default()
    }

    /// Keeps a working set for the next request, unless there are enough or it has grown large.
    pub fn put_back(&self, exchange: Box<Exchange>) {
        exchange.depart();
        let mut kept = self.exchanges.borrow_mut();
        let buffers = [&exchange.input, &exchange.reply, &exchange.body];
        let large = buffers.iter().any(|one| one.capacity() > KEEP_MAX_BYTES);
        if !large && kept.len() < EXCHANGES_KEPT {
            kept.push(exchange);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Worker;
    use crate::shared::Shared;
    use std::rc::Rc;
    use std::sync::Arc;

    /// The idle service under another idle limit.
    fn change(shared: &Shared, idle_ms: u32) {
        let mut declared = shared.program().declared.clone();
        declared.limits.idle_ms = idle_ms;
        let source = serde_json::to_vec(&declared).unwrap();
        let changed = shared.change(source, b"{}".to_vec(), "test").unwrap();
        assert_eq!(changed.len(), 1);
    }

    // Live configuration: changes leave nothing behind once the last request under them has ended.
    #[test]
    fn a_program_goes_with_the_last_request_that_began_under_it() {
        let shared = Arc::new(Shared::idle());
        let first = Worker::new(0, &shared, None, 7);
        assert!(Rc::ptr_eq(&first.newest(), &first));
        change(&shared, 1);
        let second = first.newest();
        assert!(first.is_outdated() && !second.is_outdated());
        assert!(
            Rc::ptr_eq(&first.newest(), &second),
            "one for all connections"
        );
        assert_eq!(
            (first.program.limits.idle_ms, second.program.limits.idle_ms),
            (30_000, 1)
        );
        let program = Arc::downgrade(&second.program);
        for idle_ms in 2..100 {
            change(&shared, idle_ms);
            first.newest();
        }
        assert_eq!(program.strong_count(), 1, "a request in flight has it");
        drop(second);
        assert_eq!(program.strong_count(), 0);
        let thread = Rc::downgrade(&first.thread);
        first.end();
        drop(first);
        assert_eq!(thread.strong_count(), 0, "nothing holds itself");
    }
}
