//! Landing and storing: what is kept of an answer, and what makes room for it.
//!
//! The failure prevented is memory without a bound, and an entry that is kept although it may not
//! be: an error, an answer that was invalidated while it was fetched. Bytes are held before an
//! entry is put in (`tailrace_policy::byte_budget`), so the cache is never larger than it may be,
//! not even for a moment.

use super::key::Key;
use super::{Cache, Fetched, Kept, Shard, Stored};
use tailrace_policy::byte_budget::{entry_bytes, BytesExceeded};
use tailrace_policy::flight::Flight;
use tailrace_policy::freshness::{Entry, Params};
use tailrace_policy::Nanos;

/// Entries that go, above a bound that was lowered, with each that is stored.
const EXCESS_EVICTED: usize = 16;

/// A flight that ends, and what decides whether its answer is kept.
pub(super) struct Landing<'a> {
    pub key: &'a Key,
    pub flight: Flight,
    pub params: &'a Params,
    /// An empty answer is one.
    pub empty_allowed: bool,
    /// What the fetch took.
    pub cost: Nanos,
}

impl Landing<'_> {
    fn entry(&self, fetched: &Fetched, now: Nanos, draw: u64) -> Option<(Kept, Entry)> {
        let (value, status) = match fetched {
            Ok(None) if !self.empty_allowed => return None,
            Ok(value) => (Kept::Value(value.clone()), 200),
            Err(reason) => (Kept::Absent(*reason), reason.upstream_status()?),
        };
        let entry = self.params.store(status, now, self.cost, draw)?;
        Some((value, entry))
    }
}

impl Cache {
    /// A fetch ended: it is stored when it may be, and whoever waits gets it.
    pub(super) fn land(
        &self,
        landing: &Landing<'_>,
        fetched: Fetched,
        now: Nanos,
        draw: u64,
    ) -> Stored {
        let hash = landing.key.hash;
        let entry = landing.entry(&fetched, now, draw);
        let mut shard = self.place(hash).lock();
        let Some(landed) = shard.flights.land(landing.flight, entry.is_some()) else {
            return Stored::Not;
        };
        let meeting = shard.air.remove(&landing.flight).map(|air| air.meeting);
        let stored = match entry {
            Some((value, entry)) if landed.store => {
                self.store(&mut shard, landing.key, value, entry, draw)
            }
            Some(_) => Stored::Invalidated,
            None => Stored::Not,
        };
        drop(shard);
        if let Some(meeting) = meeting {
            meeting.land(fetched);
        }
        stored
    }

    fn store(&self, shard: &mut Shard, key: &Key, value: Kept, entry: Entry, draw: u64) -> Stored {
        let bytes = entry_bytes(key.bytes.len(), value.len());
        // What it replaces goes first: the two never need room at the same time.
        let replaced = shard.segments.find(key.hash, &key.bytes).is_some();
        if replaced {
            shard.segments.remove(key.hash);
        }
        // Left over from a larger bound: a few go with each that comes.
        for _ in 0..EXCESS_EVICTED {
            if self.budget.excess() == 0 || !shard.evict(key.hash, bytes, |_, _| true) {
                break;
            }
        }
        loop {
            match self.budget.try_hold(bytes) {
                Ok(held) => {
                    shard.segments.insert(key.clone(), value, entry, held);
                    return Stored::Kept;
                }
                Err(BytesExceeded::TooLarge) => return Stored::Refused,
                Err(BytesExceeded::Full { .. }) => {
                    let admits =
                        |newcomer, victim| replaced || self.sketch.admits(newcomer, victim, draw);
                    let made = shard.evict(key.hash, bytes, admits);
                    let empty = shard.segments.len() == 0;
                    let made = made || empty && self.evict_elsewhere(key.hash, bytes, admits);
                    if !made {
                        return Stored::Refused;
                    }
                }
            }
        }
    }

    /// The shard of a newcomer is empty and others hold all bytes: one of theirs is asked. A shard
    /// that is busy is passed over; nobody waits for two locks.
    fn evict_elsewhere(
        &self,
        newcomer: u64,
        bytes: u64,
        admits: impl Fn(u64, u64) -> bool + std::marker::Copy,
    ) -> bool {
        let mut others = self
            .places
            .iter()
            .filter_map(|place| place.shard.try_lock().ok());
        others.any(|mut other| other.evict(newcomer, bytes, admits))
    }
}
