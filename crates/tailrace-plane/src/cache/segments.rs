//! Three queues over one table of entries: who was read last, and who goes first (req 16.5).
//!
//! The failure prevented is a scan that pushes out what is read all the time. A new entry stands in
//! a small window; from there it must be asked for more often than the entry it would replace. What
//! is read again in the main part is protected. All moves take constant time: the queues are links
//! between places of the table.

use super::key::Key;
use super::Kept;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use tailrace_policy::byte_budget::Held;
use tailrace_policy::freshness::Entry;

/// Where an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment {
    Window,
    Probation,
    Protected,
}

/// One cached answer.
#[derive(Debug)]
pub struct Cached {
    pub key: Key,
    pub value: Kept,
    pub entry: Entry,
    /// Readers since it was stored.
    pub reads: u64,
    held: Held,
    segment: Segment,
    newer: usize,
    older: usize,
}

const NONE: usize = usize::MAX;

#[derive(Debug, Clone, Copy)]
struct Queue {
    newest: usize,
    oldest: usize,
    bytes: u64,
}

const EMPTY: Queue = Queue {
    newest: NONE,
    oldest: NONE,
    bytes: 0,
};

/// Hashes are keyed already; another round would only cost.
#[derive(Debug, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// The entries of one shard.
#[derive(Debug)]
pub struct Segments {
    places: HashMap<u64, usize, BuildHasherDefault<AsIs>>,
    table: Vec<Option<Cached>>,
    free: Vec<usize>,
    queues: [Queue; 3],
    /// What the window and the protected part may hold before they pass entries on.
    window_max: u64,
    protected_max: u64,
}

/// The window's share of the bytes, and that of the main part which is protected.
const WINDOW: f64 = 0.01;
const PROTECTED: f64 = 0.8;

impl Segments {
    /// For about so many bytes; how many it holds is the budget's to say.
    pub fn new(bytes: u64) -> Self {
        let mut made = Self {
            places: HashMap::default(),
            table: Vec::new(),
            free: Vec::new(),
            queues: [EMPTY; 3],
            window_max: 0,
            protected_max: 0,
        };
        made.resize(bytes);
        made
    }

    /// For another number of bytes.
    pub fn resize(&mut self, bytes: u64) {
        self.window_max = (bytes as f64 * WINDOW) as u64;
        self.protected_max = ((bytes - self.window_max) as f64 * PROTECTED) as u64;
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// The place of exactly this key; another one of the same hash is a miss.
    pub fn find(&self, hash: u64, bytes: &[u8]) -> Option<usize> {
        let place = *self.places.get(&hash)?;
        let cached = self.table[place].as_ref()?;
        (*cached.key.bytes == *bytes).then_some(place)
    }

    pub fn get(&self, place: usize) -> Option<&Cached> {
        self.table.get(place)?.as_ref()
    }

    /// Somebody reads it: it becomes the newest, and what is read twice in the main part is
    /// protected.
    pub fn read(&mut self, place: usize) {
        let Some(cached) = self.table[place].as_mut() else {
            return;
        };
        cached.reads += 1;
        let to = match cached.segment {
            Segment::Window => Segment::Window,
            Segment::Probation | Segment::Protected => Segment::Protected,
        };
        self.shift(place, to);
        while self.queues[Segment::Protected as usize].bytes > self.protected_max {
            let oldest = self.queues[Segment::Protected as usize].oldest;
            if oldest == place || oldest == NONE {
                break;
            }
            self.shift(oldest, Segment::Probation);
        }
    }

    /// Takes the bytes that `held` holds; an entry of the same hash is replaced where it stands.
    pub fn insert(&mut self, key: Key, value: Kept, entry: Entry, held: Held) {
        let hash = key.hash;
        let segment = match self.places.get(&hash) {
            Some(place) => self.table[*place]
                .as_ref()
                .map_or(Segment::Window, |old| old.segment),
            None => Segment::Window,
        };
        self.remove(hash);
        let cached = Cached {
            key,
            value,
            entry,
            reads: 0,
            held,
            segment,
            newer: NONE,
            older: NONE,
        };
        let place = self.free.pop().unwrap_or(self.table.len());
        if place == self.table.len() {
            self.table.push(Some(cached));
        } else {
            self.table[place] = Some(cached);
        }
        self.places.insert(hash, place);
        self.link(place, segment);
        self.settle_window(place);
    }

    /// What the window holds too much goes on into the main part, while there is room for all.
    fn settle_window(&mut self, newest: usize) {
        while self.queues[Segment::Window as usize].bytes > self.window_max {
            let oldest = self.queues[Segment::Window as usize].oldest;
            if oldest == NONE || oldest == newest {
                return;
            }
            self.shift(oldest, Segment::Probation);
        }
    }

    pub fn remove(&mut self, hash: u64) -> bool {
        let Some(place) = self.places.remove(&hash) else {
            return false;
        };
        self.unlink(place);
        self.table[place] = None;
        self.free.push(place);
        true
    }

    /// Removes every entry that is meant; how many there were.
    pub fn remove_where(&mut self, meant: impl Fn(&Key) -> bool) -> usize {
        let cached = self.table.iter().flatten();
        let hashes: Vec<u64> = cached
            .filter(|cached| meant(&cached.key))
            .map(|cached| cached.key.hash)
            .collect();
        hashes.into_iter().filter(|hash| self.remove(*hash)).count()
    }

    /// Makes room by one entry for a newcomer of so many bytes. One that fits the window takes the
    /// place of what was read the longest ago; otherwise the window's oldest, or without one the
    /// newcomer, goes on against it: `admits` says whether the first takes the second one's place.
    /// `false` when the newcomer lost, or nothing is left to remove.
    pub fn make_room(
        &mut self,
        newcomer: u64,
        bytes: u64,
        admits: impl Fn(u64, u64) -> bool,
    ) -> bool {
        let victim = [Segment::Probation, Segment::Protected]
            .into_iter()
            .map(|segment| self.queues[segment as usize].oldest)
            .find_map(|place| self.hash_at(place));
        let window = self.queues[Segment::Window as usize];
        let fits = window.bytes + bytes <= self.window_max;
        match (self.hash_at(window.oldest), victim) {
            (None, None) => false,
            (_, Some(victim)) if fits => self.remove(victim),
            (None, Some(victim)) => admits(newcomer, victim) && self.remove(victim),
            (Some(candidate), Some(victim)) if admits(candidate, victim) => {
                self.shift(window.oldest, Segment::Probation);
                self.remove(victim)
            }
            (Some(candidate), _) => self.remove(candidate),
        }
    }

    fn hash_at(&self, place: usize) -> Option<u64> {
        self.get(place).map(|cached| cached.key.hash)
    }

    fn shift(&mut self, place: usize, to: Segment) {
        self.unlink(place);
        self.link(place, to);
    }

    fn link(&mut self, place: usize, segment: Segment) {
        let newest = self.queues[segment as usize].newest;
        let Some(cached) = self.table[place].as_mut() else {
            return;
        };
        cached.segment = segment;
        cached.newer = NONE;
        cached.older = newest;
        let queue = &mut self.queues[segment as usize];
        queue.bytes += cached.held.bytes();
        queue.newest = place;
        if newest == NONE {
            queue.oldest = place;
        } else if let Some(next) = self.table[newest].as_mut() {
            next.newer = place;
        }
    }

    fn unlink(&mut self, place: usize) {
        let Some(cached) = self.table[place].as_ref() else {
            return;
        };
        let (newer, older, segment) = (cached.newer, cached.older, cached.segment as usize);
        self.queues[segment].bytes -= cached.held.bytes();
        match self.table.get_mut(newer).and_then(Option::as_mut) {
            Some(next) => next.older = older,
            None => self.queues[segment].newest = older,
        }
        match self.table.get_mut(older).and_then(Option::as_mut) {
            Some(next) => next.newer = newer,
            None => self.queues[segment].oldest = newer,
        }
    }
}
