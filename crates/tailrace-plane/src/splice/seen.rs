//! What an open object has seen: declared keys as bits, other keys as a short list. Prevents two
//! failures: a body whose meaning depends on which of two equal keys a reader takes, and an object
//! whose keys were chosen to make that check slow (RELIABILITY S17).
//!
//! A 64-bit filter says "certainly new" for most keys; others are compared with the list, and past
//! [`LIST_MAX`] keys the object moves to a hash set with a random seed. All open objects share one
//! stack, whose first [`FEW`] entries need no allocation. At most [`KEYS_MAX`] undeclared or dict
//! keys per object.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};

use super::keys::Key;
use super::mismatch::{Fault, MismatchCode};

/// Undeclared keys compared one by one before a hash set takes over.
pub(super) const LIST_MAX: usize = 16;
/// Most undeclared (or dict) keys in one object.
pub(super) const KEYS_MAX: usize = 10_000;
/// Undeclared keys of all open objects that are held without an allocation.
const FEW: usize = 32;

/// A set of small integers; those from 64 on live on the stack of [`SeenKeys`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Bits {
    pub(super) low: u64,
    base: usize,
}

impl Bits {
    /// Adds `bit`; false where it was there already.
    #[inline(always)]
    pub(super) fn insert(&mut self, bit: usize, keys: &mut SeenKeys<'_>) -> bool {
        if bit < 64 {
            let mask = 1 << bit;
            let fresh = self.low & mask == 0;
            self.low |= mask;
            return fresh;
        }
        keys.insert_high(self.base, bit - 64)
    }

    pub(super) fn contains(self, bit: usize, keys: &SeenKeys<'_>) -> bool {
        if bit < 64 {
            return self.low & 1 << bit != 0;
        }
        let high = bit - 64;
        keys.high
            .get(self.base + high / 64)
            .is_some_and(|word| word & 1 << (high % 64) != 0)
    }
}

/// An undeclared key in the list of its object.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    head: u64,
    start: u32,
    len: u32,
}

impl Mark {
    fn text<'a>(&self, body: &'a [u8]) -> &'a [u8] {
        let start = self.start as usize;
        body.get(start..start + self.len as usize).unwrap_or(&[])
    }
}

/// Decoded key text in a large set; the test build counts its comparisons.
#[derive(Debug)]
struct Text<'a>(Cow<'a, [u8]>);

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        count_step();
        self.0 == other.0
    }
}

impl Eq for Text<'_> {}

impl Hash for Text<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// The keys of all open objects, innermost last.
#[derive(Debug)]
pub(super) struct SeenKeys<'a> {
    len: usize,
    few: [Mark; FEW],
    more: Vec<Mark>,
    /// Bits from 64 on of objects that declare so many keys.
    high: Vec<u64>,
    /// Sets of the open objects that outgrew the list.
    large: Vec<HashSet<Text<'a>>>,
}

/// The undeclared keys of one open object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Others {
    base: usize,
    filter: u64,
    /// This object's keys are in the innermost large set.
    large: bool,
}

impl<'a> SeenKeys<'a> {
    pub(super) fn new() -> Self {
        let few = [Mark::default(); FEW];
        Self {
            len: 0,
            few,
            more: Vec::new(),
            high: Vec::new(),
            large: Vec::new(),
        }
    }

    /// An empty set for `count` declared keys.
    #[inline(always)]
    pub(super) fn bits(&mut self, count: usize) -> Bits {
        let base = self.high.len();
        if count > 64 {
            self.high.resize(base + (count - 64).div_ceil(64), 0);
        }
        Bits { low: 0, base }
    }

    #[inline(never)]
    fn insert_high(&mut self, base: usize, high: usize) -> bool {
        let Some(word) = self.high.get_mut(base + high / 64) else {
            return false;
        };
        let mask = 1 << (high % 64);
        let fresh = *word & mask == 0;
        *word |= mask;
        fresh
    }

    /// Gives back `bits` and all sets made after it.
    #[inline(always)]
    pub(super) fn close_bits(&mut self, bits: Bits) {
        if bits.base != self.high.len() {
            self.high.truncate(bits.base);
        }
    }

    /// An empty list of undeclared keys.
    #[inline(always)]
    pub(super) fn others(&self) -> Others {
        Others {
            base: self.len,
            filter: 0,
            large: false,
        }
    }

    /// Notes `key`, whose filter bit is `bit`, in the innermost open object; a key seen before, or
    /// one too many, is refused.
    #[inline(always)]
    pub(super) fn insert(
        &mut self,
        others: &mut Others,
        body: &'a [u8],
        key: &Key,
        bit: u64,
    ) -> Result<(), Fault> {
        let len = key.end - key.start;
        let fresh = others.filter & bit == 0;
        others.filter |= bit;
        if fresh && !key.escaped && !others.large && self.len - others.base < LIST_MAX {
            if let Some(slot) = self.few.get_mut(self.len) {
                *slot = Mark {
                    head: key.head,
                    start: key.start as u32,
                    len: len as u32,
                };
                self.len += 1;
                return Ok(());
            }
        }
        others.large = self.insert_slow(*others, body, key)?;
        Ok(())
    }

    /// The key may be a duplicate, needs decoding, or finds its list full; says whether the
    /// object's keys are in a large set now.
    #[inline(never)]
    fn insert_slow(&mut self, others: Others, body: &'a [u8], key: &Key) -> Result<bool, Fault> {
        if !others.large && !key.escaped && self.len - others.base < LIST_MAX {
            let raw = key.raw(body);
            let repeated = (others.base..self.len).any(|index| {
                count_step();
                let mark = self.mark(index);
                mark.head == key.head && mark.text(body) == raw
            });
            if repeated {
                return Err(Fault::new(MismatchCode::DuplicateKey, key.start));
            }
            let (start, len) = (key.start as u32, raw.len() as u32);
            self.push(Mark {
                head: key.head,
                start,
                len,
            });
            return Ok(false);
        }
        if !others.large {
            let marks = (others.base..self.len).map(|index| self.mark(index));
            let set = marks
                .map(|mark| Text(Cow::Borrowed(mark.text(body))))
                .collect();
            self.large.push(set);
        }
        let Some(set) = self.large.last_mut() else {
            return Ok(false);
        };
        if set.len() >= KEYS_MAX {
            return Err(Fault::new(MismatchCode::TooManyKeys, key.start));
        }
        if !set.insert(Text(key.text(body))) {
            return Err(Fault::new(MismatchCode::DuplicateKey, key.start));
        }
        Ok(true)
    }

    fn mark(&self, index: usize) -> Mark {
        let mark = self.few.get(index).or_else(|| self.more.get(index - FEW));
        mark.copied().unwrap_or_default()
    }

    fn push(&mut self, mark: Mark) {
        match self.few.get_mut(self.len) {
            Some(slot) => *slot = mark,
            None => self.more.push(mark),
        }
        self.len += 1;
    }

    /// The innermost object is closed: its keys are forgotten.
    #[inline(always)]
    pub(super) fn close(&mut self, others: Others) {
        self.len = others.base;
        if others.large || !self.more.is_empty() {
            self.close_slow(others);
        }
    }

    #[inline(never)]
    fn close_slow(&mut self, others: Others) {
        self.more.truncate(others.base.saturating_sub(FEW));
        if others.large {
            self.large.pop();
        }
    }
}

#[cfg(test)]
thread_local! {
    /// Key comparisons made on this thread, for tests that count steps instead of measuring time.
    pub(super) static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
fn count_step() {
    STEPS.with(|steps| steps.set(steps.get() + 1));
}

#[cfg(not(test))]
#[inline(always)]
fn count_step() {}
