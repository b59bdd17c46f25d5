//! The cache: answers of parts that were good a moment ago, kept for the whole process (req 9.2,
//! 16.5, 8.3).
//!
//! The failures prevented are an upstream that is asked the same thing a thousand times a second, a
//! hundred equal calls when an entry expires, an upstream's bad minute that becomes everybody's,
//! and what caches usually bring instead: one user's answer for another (`key.rs`), answers older
//! than agreed (`tailrace_policy::freshness`), a value that outlives its invalidation
//! (`tailrace_policy::flight`), and memory without a bound (`segments.rs`).
//!
//! An entry is the projected and validated JSON of one part, so a hit is copied once, into the
//! reply. Entries are spread over shards by a keyed hash; each shard has one lock, held for a look,
//! never for a fetch. A miss joins the flight of its key or starts it: one call for the whole
//! process, in a task of its own that counts who waits (`flight.rs`). A key that one worker is
//! asked for all the time is kept beside it for a moment, without a lock (`near.rs`).
//!
//! Limits: only answers of GET calls, only successes and that a thing does not exist, never a whole
//! reply. What is kept is lost with the process, and a value may be as old as its `ttl` says after
//! the truth has changed, unless it is invalidated.

mod answer;
mod flight;
mod keep;
pub mod key;
mod meeting;
pub mod near;
mod scope;
mod segments;
mod store;

#[cfg(test)]
pub mod tests;

pub use answer::{answer, look};
pub use keep::{shape_of, Keep};
pub use scope::Scope;

use crate::reason::Reason;
use flight::Waiter;
use key::Key;
use meeting::Meeting;
use segments::Segments;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tailrace_policy::byte_budget::ByteBudget;
use tailrace_policy::flight::{Flight, Flights, Joined, Left};
use tailrace_policy::freshness::{Entry, Use};
use tailrace_policy::sketch::Sketch;
use tailrace_policy::Nanos;
use tokio::task::AbortHandle;

const SHARDS_MAX: u64 = 64;
/// A shard smaller than this holds too few entries to choose among.
const SHARD_BYTES_MIN: u64 = 1 << 20;
/// What an entry usually takes, for the table of frequencies.
const ENTRY_BYTES: u64 = 1 << 10;
/// Fetches in the air at once, over all shards.
const FLIGHTS_MAX: usize = 8_192;

/// What an entry says.
#[derive(Debug, Clone)]
pub enum Kept {
    /// The part's JSON; none for an empty answer (204).
    Value(Option<Arc<[u8]>>),
    /// The thing does not exist: 404 or 410.
    Absent(Reason),
}

/// What a fetch brought; the same for all who waited.
pub type Fetched = Result<Option<Arc<[u8]>>, Reason>;

/// A stored answer, as a reader gets it.
#[derive(Debug, Clone)]
pub struct Copy {
    pub value: Kept,
    pub entry: Entry,
}

/// What a reader has to do.
#[derive(Debug)]
pub enum Asked {
    /// Serve it; and start this refresh, when there is one.
    Serve {
        copy: Copy,
        found: Use,
        refresh: Option<(Key, Flight)>,
    },
    /// Wait for a flight; `start` it when it is new. What is kept may be served if it fails.
    Wait {
        waiter: Waiter,
        start: bool,
        kept: Option<Copy>,
    },
    /// Too many flights: fetch alone, and store nothing.
    Alone { kept: Option<Copy> },
}

/// What becomes of an answer that landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    Kept,
    /// It failed, or nobody wanted it any more.
    Not,
    /// Something of its key was invalidated while it was fetched.
    Invalidated,
    /// What is kept is asked for more often, or it is too large.
    Refused,
}

#[derive(Debug)]
struct Air {
    meeting: Arc<Meeting>,
    task: Option<AbortHandle>,
}

#[derive(Debug)]
struct Shard {
    segments: Segments,
    flights: Flights<Key>,
    air: HashMap<Flight, Air>,
    evicted: u64,
}

/// One shard; aligned, so that its lock shares no cache line with another's.
#[derive(Debug)]
#[repr(align(128))]
struct Place {
    shard: Mutex<Shard>,
    /// Rises with every invalidation that touches the shard.
    epoch: AtomicU64,
}

/// One per process.
#[derive(Debug)]
pub struct Cache {
    places: Box<[Place]>,
    hasher: RandomState,
    budget: Arc<ByteBudget>,
    bytes_max: AtomicU64,
    sketch: Sketch,
    invalidations: AtomicU64,
}

/// Numbers for `/metrics` and `/config`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    pub bytes: u64,
    pub bytes_max: u64,
    pub entries: u64,
    pub flights: u64,
    pub evicted: u64,
    pub invalidations: u64,
}

impl Cache {
    /// A cache of at most so many bytes.
    pub fn new(bytes_max: u64) -> Arc<Self> {
        let shards = (bytes_max / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX);
        // A power of two, so that bits of the hash name the shard.
        let shards = if shards.is_power_of_two() {
            shards
        } else {
            shards.next_power_of_two() / 2
        };
        let place = |_| Place {
            shard: Mutex::new(Shard {
                segments: Segments::new(bytes_max / shards),
                flights: Flights::new(FLIGHTS_MAX / shards as usize),
                air: HashMap::new(),
                evicted: 0,
            }),
            epoch: AtomicU64::new(0),
        };
        Arc::new(Self {
            places: (0..shards).map(place).collect(),
            hasher: RandomState::new(),
            budget: ByteBudget::new(bytes_max),
            bytes_max: AtomicU64::new(bytes_max),
            sketch: Sketch::new((bytes_max / ENTRY_BYTES) as usize),
            invalidations: AtomicU64::new(0),
        })
    }

    /// Another bound; what is above a lower one goes as entries come.
    pub fn resize(&self, bytes_max: u64) {
        if self.bytes_max.swap(bytes_max, Ordering::Relaxed) == bytes_max {
            return;
        }
        self.budget.set_max(bytes_max);
        for place in &self.places {
            let share = bytes_max / self.places.len() as u64;
            place.lock().segments.resize(share);
        }
    }

    pub fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_one(key)
    }

    fn place(&self, hash: u64) -> &Place {
        // The high bits: the low ones choose the place in the shard's own table.
        &self.places[(hash >> 48) as usize & (self.places.len() - 1)]
    }

    /// Rises when something of this key's shard is invalidated.
    pub fn epoch(&self, hash: u64) -> u64 {
        self.place(hash).epoch.load(Ordering::Acquire)
    }

    /// Somebody needs the answer of a key.
    pub fn ask(self: &Arc<Self>, hash: u64, key: &[u8], now: Nanos, draw: u64) -> Asked {
        self.sketch.record(hash);
        let mut shard = self.place(hash).lock();
        let mut kept = None;
        if let Some(place) = shard.segments.find(hash, key) {
            shard.segments.read(place);
            if let Some((copy, reads, key)) = shard.copy(place) {
                let found = copy.entry.at(now, reads, draw);
                if found.serves() {
                    let fetches = found.fetches();
                    let refresh = fetches.then(|| shard.refresh(key)).flatten();
                    return Asked::Serve {
                        copy,
                        found,
                        refresh,
                    };
                }
                if found.serves_on_error() {
                    kept = Some(copy);
                } else {
                    shard.segments.remove(hash);
                }
            }
        }
        let key = Key {
            hash,
            bytes: key.into(),
        };
        let (flight, start) = match shard.flights.join(&key) {
            Joined::Lead(flight) => (flight, true),
            Joined::Follow(flight) => (flight, false),
            Joined::Alone => return Asked::Alone { kept },
        };
        let meeting = shard.meeting(flight);
        drop(shard);
        Asked::Wait {
            waiter: Waiter::new(Arc::clone(self), key, flight, meeting),
            start,
            kept,
        }
    }

    /// What is kept of a key, without a fetch: fresh, or stale while that is allowed.
    pub fn kept(&self, hash: u64, key: &[u8], now: Nanos) -> Option<(Copy, Use)> {
        let mut shard = self.place(hash).lock();
        let place = shard.segments.find(hash, key)?;
        shard.segments.read(place);
        let (copy, _, _) = shard.copy(place)?;
        // No draw and no readers: nobody starts a refresh here.
        let found = copy.entry.at(now, 0, 0);
        found.serves_on_error().then_some((copy, found))
    }

    /// Says which task fetches, so that the last one who stops waiting can end it.
    fn depart(&self, hash: u64, flight: Flight, task: AbortHandle) {
        if let Some(air) = self.place(hash).lock().air.get_mut(&flight) {
            air.task = Some(task);
        }
    }

    /// A waiter goes away; with the last one the fetch ends.
    fn leave(&self, hash: u64, flight: Flight) {
        let mut shard = self.place(hash).lock();
        if shard.flights.leave(flight) == Left::Abort {
            let task = shard.air.remove(&flight).and_then(|air| air.task);
            drop(shard);
            if let Some(task) = task {
                task.abort();
            }
        }
    }

    /// Forgets entries; what is being fetched of them is told to those who wait, and not stored.
    /// Returns how many entries there were.
    pub fn invalidate(&self, scope: &Scope) -> usize {
        self.invalidations.fetch_add(1, Ordering::Relaxed);
        let meant = |key: &Key| match scope {
            Scope::Everything => true,
            Scope::Upstream { upstream, prefix } => key::is_of(&key.bytes, *upstream, prefix),
        };
        let mut forgotten = 0;
        for place in &self.places {
            let mut shard = place.lock();
            // Before the entries go: who reads the new epoch may find an old entry no more.
            place.epoch.fetch_add(1, Ordering::AcqRel);
            shard.flights.invalidate_where(meant);
            forgotten += shard.segments.remove_where(meant);
        }
        forgotten
    }

    pub fn totals(&self) -> Totals {
        let mut totals = Totals {
            bytes: self.budget.used(),
            bytes_max: self.bytes_max.load(Ordering::Relaxed),
            invalidations: self.invalidations.load(Ordering::Relaxed),
            ..Totals::default()
        };
        for place in &self.places {
            let shard = place.lock();
            totals.entries += shard.segments.len() as u64;
            totals.flights += shard.flights.flying() as u64;
            totals.evicted += shard.evicted;
        }
        totals
    }
}

impl Kept {
    fn len(&self) -> usize {
        match self {
            Self::Value(Some(json)) => json.len(),
            Self::Value(None) | Self::Absent(_) => 0,
        }
    }
}

impl Place {
    fn lock(&self) -> MutexGuard<'_, Shard> {
        self.shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn copy(&self, place: usize) -> Option<(Copy, u64, Key)> {
        let cached = self.segments.get(place)?;
        let copy = Copy {
            value: cached.value.clone(),
            entry: cached.entry,
        };
        Some((copy, cached.reads, cached.key.clone()))
    }

    fn refresh(&mut self, key: Key) -> Option<(Key, Flight)> {
        let flight = self.flights.refresh(&key)?;
        self.meeting(flight);
        Some((key, flight))
    }

    fn meeting(&mut self, flight: Flight) -> Arc<Meeting> {
        let air = self.air.entry(flight).or_insert_with(|| Air {
            meeting: Arc::default(),
            task: None,
        });
        Arc::clone(&air.meeting)
    }

    fn evict(&mut self, newcomer: u64, bytes: u64, admits: impl Fn(u64, u64) -> bool) -> bool {
        let before = self.segments.len();
        let made = self.segments.make_room(newcomer, bytes, admits);
        self.evicted += (before - self.segments.len()) as u64;
        made
    }
}
