//! Inbound: how many calls the requests that were let in may still need, over the whole process
//! (req 4.4, 9.2).
//!
//! The failure prevented is a process that lets in more work than it has room for: a request that
//! needs forty calls is not a request that needs one, so a cap on requests says little. Each
//! request takes as many permits as its view is expected to need calls, and is refused when there
//! are not so many left.
//!
//! The cap is exact, and most requests touch no word that another worker writes: a worker takes
//! permits from the common store in chunks and keeps up to two chunks that are not in use. Limits:
//! those are out of reach of the others, an eighth of the cap over all workers at most. A request
//! that needs more than the whole cap takes all of it.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::Arc;

/// Chunks are no larger: what is kept back is a cost, what is saved by more is not.
const CHUNK_MAX: u32 = 64;

/// The cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    pub calls_max: u32,
}

impl Default for Params {
    fn default() -> Self {
        Self { calls_max: 8_192 }
    }
}

impl Params {
    /// What is wrong with this cap, if anything.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.calls_max == 0 {
            return Err("calls_max must be at least 1, or no request passes");
        }
        if self.calls_max > 1 << 24 {
            return Err("calls_max is at most 16777216; more calls than that limit nothing");
        }
        Ok(())
    }
}

/// The requests let in need as many calls as may be needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboundFull;

impl InboundFull {
    pub fn code(self) -> &'static str {
        "overloaded"
    }
}

impl fmt::Display for InboundFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the requests in progress need as many calls as are allowed; try again later")
    }
}

impl std::error::Error for InboundFull {}

/// A number that shares no cache line with another worker's.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Held(AtomicU32);

/// The common store; shared by all workers.
#[derive(Debug)]
pub struct Inbound {
    calls_max: AtomicU32,
    chunk: AtomicU32,
    /// Permits no worker has. Below zero after the cap was lowered, until enough came back.
    free: AtomicI64,
    workers: usize,
    /// Permits in use, by worker.
    held: Box<[Held]>,
}

impl Inbound {
    pub fn new(params: Params, workers: usize) -> Arc<Self> {
        let calls_max = params.calls_max;
        Arc::new(Self {
            calls_max: AtomicU32::new(calls_max),
            chunk: AtomicU32::new(chunk(calls_max, workers)),
            free: AtomicI64::new(i64::from(calls_max)),
            workers,
            held: (0..workers.max(1)).map(|_| Held::default()).collect(),
        })
    }

    pub fn calls_max(&self) -> u32 {
        self.calls_max.load(Ordering::Relaxed)
    }

    /// Changes the cap; permits in use stay.
    pub fn set(&self, params: Params) {
        let before = self.calls_max.swap(params.calls_max, Ordering::Relaxed);
        let chunk = chunk(params.calls_max, self.workers);
        self.chunk.store(chunk, Ordering::Relaxed);
        let more = i64::from(params.calls_max) - i64::from(before);
        self.free.fetch_add(more, Ordering::Relaxed);
    }

    /// Permits in use over all workers.
    pub fn in_use(&self) -> u32 {
        let held = self.held.iter().map(|held| held.0.load(Ordering::Relaxed));
        held.fold(0, u32::saturating_add)
    }

    /// Takes `least` permits, or up to `most` where there are more; all or none.
    fn take(&self, least: u32, most: u32) -> Option<u32> {
        let granted = |free: i64| {
            let granted = free.min(i64::from(most));
            (granted >= i64::from(least)).then_some(granted)
        };
        let mut free = self.free.load(Ordering::Relaxed);
        loop {
            let granted = granted(free)?;
            match self.free.compare_exchange_weak(
                free,
                free - granted,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(granted as u32),
                Err(seen) => free = seen,
            }
        }
    }
}

/// What a worker takes at once: a sixteenth of an equal part, so that little is kept back.
fn chunk(calls_max: u32, workers: usize) -> u32 {
    let parts = (workers as u32).saturating_mul(16).max(1);
    (calls_max / parts).clamp(1, CHUNK_MAX)
}

/// One worker's part of the store: permits in use, and a few that are not.
#[derive(Debug)]
pub struct Share {
    inbound: Arc<Inbound>,
    worker: usize,
    spare: Cell<u32>,
}

impl Share {
    /// The share of the worker with this index.
    pub fn new(inbound: &Arc<Inbound>, worker: usize) -> Rc<Self> {
        Rc::new(Self {
            inbound: Arc::clone(inbound),
            worker,
            spare: Cell::new(0),
        })
    }

    /// Takes permits for so many calls, all or none; dropping the permit gives them back.
    pub fn try_acquire(self: &Rc<Self>, calls: u32) -> Result<Permit, InboundFull> {
        let calls = calls.clamp(1, self.inbound.calls_max());
        let chunk = self.inbound.chunk.load(Ordering::Relaxed);
        // What was kept under a higher cap goes back before anything is taken.
        let mut spare = self.trim(self.spare.get(), chunk);
        if spare < calls {
            let missing = calls - spare;
            let most = missing.saturating_add(chunk);
            self.spare.set(spare);
            spare += self.inbound.take(missing, most).ok_or(InboundFull)?;
        }
        self.spare.set(spare - calls);
        self.hold(self.held().wrapping_add(calls));
        Ok(Permit {
            share: Rc::clone(self),
            calls,
        })
    }

    fn held(&self) -> u32 {
        self.inbound.held[self.worker].0.load(Ordering::Relaxed)
    }

    /// Only this worker writes its number.
    fn hold(&self, held: u32) {
        let own = &self.inbound.held[self.worker].0;
        own.store(held, Ordering::Relaxed);
    }

    fn release(&self, calls: u32) {
        self.hold(self.held().wrapping_sub(calls));
        let chunk = self.inbound.chunk.load(Ordering::Relaxed);
        self.spare.set(self.trim(self.spare.get() + calls, chunk));
    }

    /// Gives back what is above two chunks, down to one; what is left.
    fn trim(&self, spare: u32, chunk: u32) -> u32 {
        if spare <= 2 * chunk {
            return spare;
        }
        let back = i64::from(spare - chunk);
        self.inbound.free.fetch_add(back, Ordering::Relaxed);
        chunk
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let spare = i64::from(self.spare.get());
        self.inbound.free.fetch_add(spare, Ordering::Relaxed);
    }
}

/// Permits for the calls of one request; dropping it gives them back.
#[derive(Debug)]
pub struct Permit {
    share: Rc<Share>,
    calls: u32,
}

impl Permit {
    pub fn calls(&self) -> u32 {
        self.calls
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.share.release(self.calls);
    }
}

/// How many calls the requests of one view need, as they did lately; of one worker.
#[derive(Debug)]
pub struct Expected {
    worst: Cell<u32>,
    mean: Cell<f32>,
}

/// The part of the mean that one request replaces.
const WEIGHT: f32 = 1.0 / 16.0;

impl Expected {
    /// Until something was seen, the worst case is expected.
    pub fn new(worst: u32) -> Self {
        Self {
            worst: Cell::new(worst.max(1)),
            mean: Cell::new(worst.max(1) as f32),
        }
    }

    /// Changes the worst case; the mean is what was seen, and follows what comes.
    pub fn set_worst(&self, worst: u32) {
        self.worst.set(worst.max(1));
    }

    /// Calls to expect of the next request: rounded up, at least one.
    pub fn calls(&self) -> u32 {
        (self.mean.get().ceil() as u32).clamp(1, self.worst.get())
    }

    /// Takes note of what a request that was answered needed.
    pub fn record(&self, calls: u32) {
        let mean = self.mean.get();
        self.mean.set(mean + (calls as f32 - mean) * WEIGHT);
    }
}

/// How full the cap is, as a share of it.
pub fn fill(in_use: u32, calls_max: u32) -> f64 {
    f64::from(in_use) / f64::from(calls_max.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shares(calls_max: u32, workers: usize) -> (Arc<Inbound>, Vec<Rc<Share>>) {
        let inbound = Inbound::new(Params { calls_max }, workers);
        let shares = (0..workers).map(|worker| Share::new(&inbound, worker));
        let shares = shares.collect();
        (inbound, shares)
    }

    #[test]
    fn a_request_weighs_what_its_calls_do() {
        let (inbound, shares) = shares(10, 1);
        let large = shares[0].try_acquire(7).unwrap();
        assert_eq!((large.calls(), inbound.in_use()), (7, 7));
        assert_eq!(shares[0].try_acquire(4).unwrap_err(), InboundFull);
        let small = shares[0].try_acquire(3).unwrap();
        assert_eq!(shares[0].try_acquire(1).unwrap_err().code(), "overloaded");
        drop(large);
        assert_eq!(inbound.in_use(), 3);
        assert!(shares[0].try_acquire(7).is_ok());
        drop(small);
        assert_eq!(inbound.in_use(), 0);
    }

    #[test]
    fn more_than_everything_takes_everything_and_nothing_takes_one() {
        let (inbound, shares) = shares(4, 1);
        let all = shares[0].try_acquire(100).unwrap();
        assert_eq!(all.calls(), 4);
        assert!(shares[0].try_acquire(0).is_err());
        drop(all);
        assert_eq!(shares[0].try_acquire(0).unwrap().calls(), 1);
        assert_eq!(inbound.in_use(), 0);
    }

    #[test]
    fn what_one_worker_keeps_back_is_little() {
        let (_, shares) = shares(3_200, 2);
        for _ in 0..3 {
            drop(shares[0].try_acquire(1).unwrap());
        }
        // Chunks of 64; the first worker keeps two at most.
        assert!(shares[0].spare.get() <= 128);
        assert!(shares[1].try_acquire(3_200 - 128).is_ok());
    }

    #[test]
    fn a_lowered_cap_lets_nothing_in_until_it_is_met() {
        let (inbound, shares) = shares(8, 1);
        let held: Vec<_> = (0..8).map(|_| shares[0].try_acquire(1).unwrap()).collect();
        inbound.set(Params { calls_max: 4 });
        assert!(shares[0].try_acquire(1).is_err());
        let mut held = held.into_iter();
        held.by_ref().take(5).for_each(drop);
        assert_eq!(held.len(), 3);
        let fourth = shares[0].try_acquire(1);
        assert!(fourth.is_ok() && shares[0].try_acquire(1).is_err());
        inbound.set(Params { calls_max: 6 });
        assert!(shares[0].try_acquire(2).is_ok());
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(Params::default().check(), Ok(()));
        for calls_max in [0, (1 << 24) + 1] {
            assert!(Params { calls_max }.check().is_err(), "{calls_max}");
        }
    }

    #[test]
    fn what_is_expected_follows_what_was_needed() {
        let expected = Expected::new(69);
        assert_eq!(expected.calls(), 69);
        for _ in 0..200 {
            expected.record(7);
        }
        assert_eq!(expected.calls(), 8, "rounded up");
        for _ in 0..200 {
            expected.record(500);
        }
        assert_eq!(expected.calls(), 69, "never above the worst case");
        expected.set_worst(80);
        assert_eq!(expected.calls(), 80);
        for _ in 0..400 {
            expected.record(0);
        }
        assert_eq!(expected.calls(), 1);
    }

    proptest! {
        // Whatever is taken and given back by whom: never more than the cap, and nothing is lost.
        #[test]
        fn the_cap_holds_and_permits_come_back(
            calls_max in 1_u32..2_000,
            workers in 1_usize..5,
            steps in prop::collection::vec((any::<bool>(), 0_usize..5, 1_u32..90), 1..300),
        ) {
            let (inbound, shares) = shares(calls_max, workers);
            let mut held: Vec<Permit> = Vec::new();
            for (take, worker, calls) in steps {
                if take {
                    held.extend(shares[worker % workers].try_acquire(calls));
                } else if !held.is_empty() {
                    held.swap_remove(calls as usize % held.len());
                }
                let sum: u32 = held.iter().map(Permit::calls).sum();
                prop_assert!(sum <= calls_max);
                prop_assert_eq!(inbound.in_use(), sum);
            }
            drop(held);
            drop(shares);
            prop_assert_eq!(inbound.in_use(), 0);
            prop_assert_eq!(inbound.free.load(Ordering::Relaxed), i64::from(calls_max));
        }
    }
}
