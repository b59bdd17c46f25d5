//! Frequencies: which of two entries is worth its place in the cache (req 16.5).
//!
//! The failure prevented is a scan: ten thousand keys that are read once push out the hundred that
//! are read all the time. A newcomer takes the place of a victim only if it was asked for more
//! often lately. How often is kept for every key, stored or not, in counters of four bits, four for
//! each key in one cache line; the least of them counts, so that an estimate is never too low.
//! After ten times as many questions as the cache has entries all are halved, which is how they
//! forget (TinyLFU, ALGORITHMS 8).
//!
//! Limits: counters end at 15. Who knows the hash could keep a victim in place for ever by asking
//! for it; the hash must be keyed, and a newcomer that is warm gets in by chance once in 128.

use crate::draw::below;
use crate::lock::try_lock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;

/// A newcomer this frequent may get in by chance.
pub const WARM: u8 = 6;

const WORDS: usize = 8;
const COUNTER: u64 = 0xf;
const HALF: u64 = 0x7777_7777_7777_7777;
const ODD: u64 = 0x1111_1111_1111_1111;
const SAMPLES: u64 = 10;

/// One cache line: all counters of a key are in it.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Block([AtomicU64; WORDS]);

/// Shared by all workers.
#[derive(Debug)]
pub struct Sketch {
    blocks: Box<[Block]>,
    samples: AtomicU64,
    samples_max: u64,
    halving: Mutex<()>,
}

/// Where the `nth` counter of a key is: block, word, and shift in it.
fn place(hash: u64, nth: u32, blocks: usize) -> (usize, usize, u32) {
    // Two multiplications part the bits that name the block from those that name the counters.
    let block = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let counters = block.wrapping_mul(0xc2b2_ae3d_27d4_eb4f) >> 32;
    let bits = (counters >> (nth * 8)) as u32;
    let word = nth * 2 + (bits & 1);
    let shift = (bits >> 1 & 0xf) * 4;
    ((block >> 32) as usize % blocks, word as usize, shift)
}

impl Sketch {
    /// For a cache of about `entries`; it takes eight bytes for each.
    pub fn new(entries: usize) -> Self {
        let entries = entries.clamp(WORDS, 1 << 28).next_power_of_two();
        Self {
            blocks: (0..entries / WORDS).map(|_| Block::default()).collect(),
            samples: AtomicU64::new(0),
            samples_max: SAMPLES * entries as u64,
            halving: Mutex::new(()),
        }
    }

    /// Counts one question for the key of this hash, hit or miss.
    pub fn record(&self, hash: u64) {
        let mut counted = false;
        for nth in 0..4 {
            let (word, shift) = self.word(hash, nth);
            let more = |old: u64| {
                let room = (old >> shift & COUNTER) < COUNTER;
                room.then(|| old + (1 << shift))
            };
            counted |= word
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
                .is_ok();
        }
        if counted && self.samples.fetch_add(1, Ordering::Relaxed) + 1 >= self.samples_max {
            self.halve();
        }
    }

    /// How often the key was asked for lately, up to 15; maybe too high, never too low.
    pub fn frequency(&self, hash: u64) -> u8 {
        let counts = (0..4).map(|nth| {
            let (word, shift) = self.word(hash, nth);
            (word.load(Ordering::Relaxed) >> shift & COUNTER) as u8
        });
        counts.min().unwrap_or(0)
    }

    /// Whether the newcomer takes the victim's place.
    pub fn admits(&self, newcomer: u64, victim: u64, draw: u64) -> bool {
        let frequency = self.frequency(newcomer);
        frequency > self.frequency(victim) || (frequency >= WARM && below(draw, 128) == 0)
    }

    fn word(&self, hash: u64, nth: u32) -> (&AtomicU64, u32) {
        let (block, word, shift) = place(hash, nth, self.blocks.len());
        (&self.blocks[block].0[word], shift)
    }

    /// Half of every count. Others go on counting meanwhile.
    fn halve(&self) {
        let Some(_held) = try_lock(&self.halving) else {
            return;
        };
        let samples = self.samples.load(Ordering::Relaxed);
        if samples < self.samples_max {
            return;
        }
        let mut odd = 0;
        for word in self.blocks.iter().flat_map(|block| &block.0) {
            let half = |old: u64| Some(old >> 1 & HALF);
            let old = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, half);
            odd += u64::from((old.unwrap_or(0) & ODD).count_ones());
        }
        // What rounding took from four counters was one sample.
        let left = samples.saturating_sub(odd / 4) / 2;
        self.samples.fetch_sub(samples - left, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{HashMap, HashSet};

    fn asked(sketch: &Sketch, hash: u64, times: u32) {
        (0..times).for_each(|_| sketch.record(hash));
    }

    #[test]
    fn a_block_is_a_cache_line_and_holds_all_counters_of_a_key() {
        assert_eq!((size_of::<Block>(), align_of::<Block>()), (64, 64));
        for hash in (0..1_000_u64).map(|step| step.wrapping_mul(0x1234_5678_9abc_def1)) {
            let places = [0, 1, 2, 3].map(|nth| place(hash, nth, 128));
            assert!(places.iter().all(|place| place.0 == places[0].0));
            let words: HashSet<_> = places.iter().map(|place| place.1).collect();
            assert_eq!(words.len(), 4);
        }
    }

    #[test]
    fn counters_end_at_fifteen() {
        let sketch = Sketch::new(1_024);
        for (times, frequency) in [(1, 1), (4, 5), (10, 15), (10, 15)] {
            asked(&sketch, 7, times);
            assert_eq!(sketch.frequency(7), frequency);
        }
        assert_eq!(sketch.frequency(8), 0);
    }

    #[test]
    fn ten_questions_for_each_entry_halve_all_counts() {
        let sketch = Sketch::new(64);
        asked(&sketch, 1, 15);
        asked(&sketch, 2, 6);
        let others = (10_u64..).map(|step| step.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for hash in others.take_while(|_| sketch.samples.load(Ordering::Relaxed) < 639) {
            sketch.record(hash);
        }
        let before = (sketch.frequency(1), sketch.frequency(2));
        // The last one may be full already: then it is not counted and nothing happens.
        for hash in 1_000_000.. {
            sketch.record(hash);
            if sketch.samples.load(Ordering::Relaxed) < 639 {
                break;
            }
        }
        let after = (sketch.frequency(1), sketch.frequency(2));
        assert!(
            after.0 == 7 && after.1.abs_diff(before.1 / 2) <= 1,
            "{before:?} {after:?}"
        );
        let left = sketch.samples.load(Ordering::Relaxed);
        assert!((200..=320).contains(&left), "{left}");
    }

    // ALGORITHMS 8: more frequent, or at least six and one chance in 128.
    #[test]
    fn the_more_frequent_gets_the_place_and_a_warm_one_by_chance() {
        let sketch = Sketch::new(1_024);
        for (hash, times) in [(1, 1), (5, 5), (6, 6), (15, 15)] {
            asked(&sketch, hash, times);
        }
        let (lucky, unlucky) = (0, u64::MAX);
        for (newcomer, victim, draw, expected) in [
            (6, 5, unlucky, true),
            (5, 5, lucky, false),
            (5, 6, lucky, false),
            (6, 6, unlucky, false),
            (6, 6, lucky, true),
            (6, 15, lucky, true),
            (6, 15, 1 << 57, false),
            (0, 99, lucky, false),
        ] {
            let got = sketch.admits(newcomer, victim, draw);
            assert_eq!(got, expected, "{newcomer} for {victim}");
        }
    }

    // A hundred keys are read all the time; then somebody lists ten thousand orders, each once.
    #[test]
    fn a_scan_does_not_push_out_what_is_read() {
        let (sketch, mut random) = (Sketch::new(128), fastrand::Rng::with_seed(1));
        let mut stored: Vec<u64> = (0..100).map(|_| random.u64(..)).collect();
        let hot = stored.clone();
        for step in 0..20_000 {
            let hash = match step % 2 {
                0 => hot[random.usize(..100)],
                _ => random.u64(..),
            };
            sketch.record(hash);
            let victim = random.usize(..100);
            let missed = !stored.contains(&hash);
            if missed && sketch.admits(hash, stored[victim], random.u64(..)) {
                stored[victim] = hash;
            }
        }
        let kept = hot.iter().filter(|hash| stored.contains(hash)).count();
        assert!(kept >= 90, "{kept}");
    }

    #[test]
    fn eight_threads_lose_no_count_and_spill_none() {
        let sketch = Sketch::new(1_024);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let sketch = &sketch;
                scope.spawn(move || {
                    asked(sketch, 77, 1);
                    asked(sketch, 1_000 + thread, 1);
                });
            }
        });
        assert_eq!(sketch.frequency(77), 8);
        let samples = sketch.samples.load(Ordering::Relaxed);
        assert_eq!(samples, 16);
    }

    proptest! {
        #[test]
        fn an_estimate_is_never_too_low(hashes in prop::collection::vec(0_u64..60, 0..600)) {
            // Six hundred questions are fewer than halve these counts.
            let (sketch, mut exact) = (Sketch::new(64), HashMap::new());
            for hash in hashes {
                sketch.record(hash);
                *exact.entry(hash).or_insert(0_u32) += 1;
            }
            for (hash, times) in exact {
                let frequency = u32::from(sketch.frequency(hash));
                prop_assert!(frequency >= times.min(15), "{hash}: {frequency} < {times}");
            }
        }
    }
}
