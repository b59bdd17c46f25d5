//! Flights: of all that miss the same key at once, one fetches (req 16.5).
//!
//! The failures prevented are a hundred equal calls when a hot entry expires, and what sharing one
//! call brings: a first caller that goes away and takes the answer of ninety-nine with it, a call
//! that goes on for nobody, somebody who arrives between the two and gets the abort of others, and
//! an answer that was read before an invalidation and is kept after it. The fetch belongs to no
//! caller. It counts who waits, and the last one that leaves ends it and takes it out of the table
//! in one step; who comes next starts anew. An invalidation detaches a flight from its key: those
//! that wait get its answer, nobody joins it any more, and it is not stored (ALGORITHMS 8).
//!
//! This is pure data, one table for each shard of a cache, under the lock of that shard. A flight
//! has a number that is never used again, so that whatever comes late finds nothing.
//!
//! Limits: the table is bounded; a miss that finds it full fetches alone and stores nothing.

use std::collections::HashMap;
use std::hash::Hash;

/// One fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flight(u64);

/// What a miss has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// Start the fetch, as a task of its own, and wait for it.
    Lead(Flight),
    /// Wait for it.
    Follow(Flight),
    /// Too many keys are being fetched: fetch for yourself, and do not store.
    Alone,
}

/// What somebody who stops waiting has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Nothing: others wait, or it is a refresh.
    Flying,
    /// End the fetch: nobody waits for it, and nobody can join it any more.
    Abort,
    /// Nothing: it has landed already.
    Landed,
}

/// A fetch that ended while somebody was interested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Landing {
    /// Who waits for the answer, or for the error: each decides for itself what that means.
    pub waiters: u32,
    /// Whether the answer may be stored.
    pub store: bool,
}

#[derive(Debug)]
struct Open<K> {
    key: K,
    waiters: u32,
    /// It is for the cache, and goes on without anybody waiting.
    refresh: bool,
    epoch: u64,
}

/// The flights of one shard.
#[derive(Debug)]
pub struct Flights<K> {
    limit: usize,
    numbers: u64,
    /// Counts invalidations of everything.
    epoch: u64,
    /// The flight that a miss joins.
    current: HashMap<K, Flight>,
    open: HashMap<Flight, Open<K>>,
}

impl<K: Clone + Eq + Hash> Flights<K> {
    /// At most `limit` fetches at once.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            numbers: 0,
            epoch: 0,
            current: HashMap::new(),
            open: HashMap::new(),
        }
    }

    /// Fetches in the air.
    pub fn flying(&self) -> usize {
        self.open.len()
    }

    /// Somebody misses `key` and waits.
    pub fn join(&mut self, key: &K) -> Joined {
        if let Some(flight) = self.joinable(key) {
            if let Some(open) = self.open.get_mut(&flight) {
                open.waiters += 1;
                return Joined::Follow(flight);
            }
        }
        match self.start(key, false) {
            Some(flight) => Joined::Lead(flight),
            None => Joined::Alone,
        }
    }

    /// A stale entry was served: the flight to start, unless one is in the air.
    pub fn refresh(&mut self, key: &K) -> Option<Flight> {
        if self.joinable(key).is_some() {
            return None;
        }
        self.start(key, true)
    }

    /// Somebody who joined stops waiting: it went away, or its own time is over.
    pub fn leave(&mut self, flight: Flight) -> Left {
        let Some(open) = self.open.get_mut(&flight) else {
            return Left::Landed;
        };
        open.waiters = open.waiters.saturating_sub(1);
        if open.waiters > 0 || open.refresh {
            return Left::Flying;
        }
        self.close(flight);
        Left::Abort
    }

    /// The fetch ended: with an answer, or with an error, a panic, its task's end. None when it was
    /// aborted before; then the answer is nobody's.
    pub fn land(&mut self, flight: Flight, answered: bool) -> Option<Landing> {
        let is_current = self.is_current(flight);
        let open = self.close(flight)?;
        Some(Landing {
            waiters: open.waiters,
            store: answered && is_current,
        })
    }

    /// What is being read of `key` may be old by now.
    pub fn invalidate(&mut self, key: &K) {
        self.current.remove(key);
    }

    /// What is being read of every key that is meant may be old by now.
    pub fn invalidate_where(&mut self, meant: impl Fn(&K) -> bool) {
        self.current.retain(|key, _| !meant(key));
    }

    /// Everything that is being read may be old by now.
    pub fn invalidate_all(&mut self) {
        self.epoch += 1;
    }

    fn joinable(&self, key: &K) -> Option<Flight> {
        let flight = *self.current.get(key)?;
        self.is_current(flight).then_some(flight)
    }

    /// Whether nothing was invalidated since it began.
    fn is_current(&self, flight: Flight) -> bool {
        self.open.get(&flight).is_some_and(|open| {
            open.epoch == self.epoch && self.current.get(&open.key) == Some(&flight)
        })
    }

    fn start(&mut self, key: &K, refresh: bool) -> Option<Flight> {
        if self.open.len() >= self.limit {
            return None;
        }
        self.numbers += 1;
        let flight = Flight(self.numbers);
        let open = Open {
            key: key.clone(),
            waiters: u32::from(!refresh),
            refresh,
            epoch: self.epoch,
        };
        self.open.insert(flight, open);
        self.current.insert(key.clone(), flight);
        Some(flight)
    }

    fn close(&mut self, flight: Flight) -> Option<Open<K>> {
        let open = self.open.remove(&flight)?;
        // Another flight of the same key may have begun after an invalidation: it stays.
        if self.current.get(&open.key) == Some(&flight) {
            self.current.remove(&open.key);
        }
        Some(open)
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod model;
