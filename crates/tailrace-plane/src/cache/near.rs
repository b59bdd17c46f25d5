//! Hot keys, beside the worker that is asked for them (req 16.5).
//!
//! The failure prevented is one key that all workers queue up for: its shard's lock and its entry's
//! count of readers are the same two cache lines for everybody. A key that certainly has a
//! twentieth of a worker's questions is copied to that worker, bytes and all, for a tenth of a
//! second. Nothing outlives an invalidation: the copy holds the epoch of its shard from before it
//! was read, which an invalidation raises, and nothing is served past the entry's own time to live.
//!
//! Limits: few keys, none of them large.

use super::{Cache, Copy, Kept};
use tailrace_policy::freshness::Use;
use tailrace_policy::hot_keys::HotKeys;
use tailrace_policy::Nanos;

/// Copies per worker.
pub const KEYS_MAX: usize = 16;
/// The largest answer that is copied.
const BYTES_MAX: usize = 64 * 1024;
/// How long a copy is used.
const TIME: Nanos = 100_000_000;
/// What makes a key hot: this share of the last questions.
const SHARE: f64 = 0.05;
const COUNTERS: usize = 64;
const WINDOW: u64 = 10_000;

#[derive(Debug)]
struct Beside {
    hash: u64,
    key: Box<[u8]>,
    copy: Copy,
    epoch: u64,
    until: Nanos,
    reads: u64,
}

/// One worker's first level.
#[derive(Debug)]
pub struct Near {
    keys: HotKeys,
    beside: Vec<Beside>,
}

impl Default for Near {
    fn default() -> Self {
        Self {
            keys: HotKeys::new(COUNTERS, WINDOW),
            beside: Vec::new(),
        }
    }
}

impl Near {
    /// The answer of a key that is hot here, while it is plainly fresh.
    pub fn get(
        &mut self,
        cache: &Cache,
        hash: u64,
        key: &[u8],
        now: Nanos,
        draw: u64,
    ) -> Option<Copy> {
        self.keys.record(hash);
        let at = self.beside.iter().position(|one| one.hash == hash)?;
        let one = &mut self.beside[at];
        one.reads += 1;
        let good = now < one.until
            && *one.key == *key
            && one.epoch == cache.epoch(hash)
            && one.copy.entry.at(now, one.reads, draw) == Use::Fresh;
        if good {
            return Some(one.copy.clone());
        }
        self.beside.swap_remove(at);
        None
    }

    /// Keeps a copy of a fresh answer when its key is hot. `epoch` was read before the answer.
    pub fn offer(&mut self, hash: u64, key: &[u8], copy: &Copy, epoch: u64, now: Nanos) {
        if copy.value.len() > BYTES_MAX || !self.keys.is_hot(hash, SHARE) {
            return;
        }
        self.beside
            .retain(|one| one.hash != hash && now < one.until);
        if self.beside.len() >= KEYS_MAX {
            self.beside.swap_remove(0);
        }
        let value = match &copy.value {
            // Its own bytes: the count of readers must not be shared with other workers.
            Kept::Value(Some(json)) => Kept::Value(Some(json.to_vec().into())),
            other => other.clone(),
        };
        self.beside.push(Beside {
            hash,
            key: key.into(),
            copy: Copy {
                value,
                entry: copy.entry,
            },
            epoch,
            until: now + TIME,
            reads: 0,
        });
    }

    /// Keys kept here now.
    pub fn len(&self) -> usize {
        self.beside.len()
    }
}
