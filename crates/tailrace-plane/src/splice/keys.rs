//! Object keys: scanning, matching against the declared ones, and finding duplicates. Prevents two
//! failures: a body whose meaning depends on which of two equal keys a reader takes, and an object whose
//! keys were chosen to make that check slow (RELIABILITY S17).
//!
//! A key's first eight bytes and its length stand in registers; most comparisons end there. Undeclared
//! keys of one object are kept in a short list (a 64-bit filter says "certainly new" first); past
//! [`LIST_MAX`] they move to a hash set with a random seed. At most [`KEYS_MAX`] of them per object.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};

use super::mismatch::{Fault, MismatchCode};
use super::scan::{byte_at, special_bytes, string_rest, word_at};
use super::text::unescape_into;

/// Undeclared keys compared one by one before a hash set takes over.
pub(super) const LIST_MAX: usize = 16;
/// Most undeclared (or dict) keys in one object.
pub(super) const KEYS_MAX: usize = 10_000;
/// Declared keys compared one by one before binary search takes over.
const LINEAR_MAX: usize = 16;

/// A key as it stands in the body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// Raw text between the quotes.
    pub(super) start: usize,
    pub(super) end: usize,
    /// Its first eight bytes, padded with NUL (which no key can contain unescaped).
    pub(super) head: u64,
    pub(super) escaped: bool,
}

impl Key {
    pub(super) fn raw<'a>(&self, body: &'a [u8]) -> &'a [u8] {
        body.get(self.start..self.end).unwrap_or(&[])
    }

    pub(super) fn text<'a>(&self, body: &'a [u8]) -> Cow<'a, [u8]> {
        if !self.escaped {
            return Cow::Borrowed(self.raw(body));
        }
        let mut text = Vec::new();
        unescape_into(self.raw(body), &mut text);
        Cow::Owned(text)
    }
}

/// Scans the key whose opening quote is at `at`.
#[inline(always)]
pub(super) fn key_at(body: &[u8], at: usize) -> Result<Key, Fault> {
    if byte_at(body, at) != b'"' {
        return Err(Fault::new(MismatchCode::Syntax, at));
    }
    let start = at + 1;
    let Some(head) = word_at(body, start) else {
        return key_rest(body, start);
    };
    let specials = special_bytes(head);
    if specials != 0 {
        let bits = specials.trailing_zeros() & !7;
        if (head >> bits) as u8 == b'"' {
            let end = start + (bits >> 3) as usize;
            return Ok(Key {
                start,
                end,
                head: head & !(u64::MAX << bits),
                escaped: false,
            });
        }
        return key_rest(body, start);
    }
    let mut cursor = start + 8;
    while let Some(word) = word_at(body, cursor) {
        let specials = special_bytes(word);
        if specials != 0 {
            let bits = specials.trailing_zeros() & !7;
            if (word >> bits) as u8 == b'"' {
                let end = cursor + (bits >> 3) as usize;
                return Ok(Key {
                    start,
                    end,
                    head,
                    escaped: false,
                });
            }
            break;
        }
        cursor += 8;
    }
    key_rest(body, start)
}

/// Keys with escapes, at the end of the body, longer than a string may be, or wrong.
#[inline(never)]
fn key_rest(body: &[u8], start: usize) -> Result<Key, Fault> {
    let end = string_rest(body, start, start)?;
    let raw = body.get(start..end).unwrap_or(&[]);
    let escaped = memchr::memchr(b'\\', raw).is_some();
    Ok(Key {
        start,
        end,
        head: head_of(raw),
        escaped,
    })
}

/// The first eight bytes of `text`, padded with NUL.
fn head_of(text: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let len = text.len().min(8);
    bytes[..len].copy_from_slice(&text[..len]);
    u64::from_le_bytes(bytes)
}

/// A declared key, ready for comparison.
#[derive(Debug, Clone)]
pub(super) struct WireKey {
    head: u64,
    len: usize,
    /// The field it fills.
    pub(super) field: usize,
    /// An alias: the field leaves under another name.
    pub(super) renamed: bool,
    pub(super) bytes: Box<[u8]>,
}

impl WireKey {
    pub(super) fn new(name: &str, field: usize, renamed: bool) -> Self {
        let bytes: Box<[u8]> = name.as_bytes().into();
        Self {
            head: head_of(&bytes),
            len: bytes.len(),
            field,
            renamed,
            bytes,
        }
    }

    /// Is `key`, which has no escapes, this key?
    #[inline(always)]
    fn same(&self, body: &[u8], key: &Key) -> bool {
        self.head == key.head
            && self.len == key.end - key.start
            && (self.len <= 8 || self.same_tail(body, key))
    }

    #[inline(always)]
    fn same_tail(&self, body: &[u8], key: &Key) -> bool {
        if self.len <= 16 {
            // The last eight bytes overlap the first: together they are the whole key.
            return word_at(body, key.end - 8) == word_at(&self.bytes, self.len - 8);
        }
        key.raw(body) == self.bytes.as_ref()
    }

    /// Is `key`, escaped or not, this key?
    pub(super) fn matches(&self, body: &[u8], key: &Key) -> bool {
        if key.escaped {
            key.text(body).as_ref() == self.bytes.as_ref()
        } else {
            self.same(body, key)
        }
    }
}

/// The keys an object declares, names and aliases.
#[derive(Debug)]
pub(super) struct KeyPlan {
    keys: Box<[WireKey]>,
    /// Indexes into `keys` by (head, length, text); empty where the list is short enough to walk.
    sorted: Box<[u32]>,
}

impl KeyPlan {
    pub(super) fn new(keys: Vec<WireKey>) -> Self {
        let mut sorted = Vec::new();
        if keys.len() > LINEAR_MAX {
            sorted.extend(0..keys.len() as u32);
            sorted.sort_by_key(|index| {
                let key = &keys[*index as usize];
                (key.head, key.len, key.bytes.clone())
            });
        }
        Self {
            keys: keys.into(),
            sorted: sorted.into(),
        }
    }

    /// Index of the declared key equal to `key`. Upstreams keep their field order, so the key after the
    /// last match is tried first.
    #[inline(always)]
    pub(super) fn find(&self, body: &[u8], key: &Key, guess: usize) -> Option<(usize, &WireKey)> {
        if let Some(guessed) = self.keys.get(guess) {
            if guessed.same(body, key) && !key.escaped {
                return Some((guess, guessed));
            }
        }
        let found = self.search(body, key)?;
        Some((found, self.keys.get(found)?))
    }

    #[inline]
    fn search(&self, body: &[u8], key: &Key) -> Option<usize> {
        if key.escaped {
            return self
                .keys
                .iter()
                .position(|declared| declared.matches(body, key));
        }
        if self.sorted.is_empty() {
            return self
                .keys
                .iter()
                .position(|declared| declared.same(body, key));
        }
        let (len, raw) = (key.end - key.start, key.raw(body));
        let slot = self.sorted.binary_search_by(|index| {
            let declared = &self.keys[*index as usize];
            (declared.head, declared.len, declared.bytes.as_ref()).cmp(&(key.head, len, raw))
        });
        slot.ok().map(|slot| self.sorted[slot] as usize)
    }
}

/// A set of small integers; no allocation below 64.
#[derive(Debug, Default)]
pub(super) struct Bits {
    low: u64,
    high: Vec<u64>,
}

impl Bits {
    /// Adds `bit`; false where it was there already.
    #[inline(always)]
    pub(super) fn insert(&mut self, bit: usize) -> bool {
        if bit < 64 {
            let mask = 1 << bit;
            let fresh = self.low & mask == 0;
            self.low |= mask;
            return fresh;
        }
        self.insert_high(bit - 64)
    }

    #[inline(never)]
    fn insert_high(&mut self, bit: usize) -> bool {
        let (slot, mask) = (bit / 64, 1 << (bit % 64));
        if self.high.len() <= slot {
            self.high.resize(slot + 1, 0);
        }
        let fresh = self.high[slot] & mask == 0;
        self.high[slot] |= mask;
        fresh
    }

    pub(super) fn contains(&self, bit: usize) -> bool {
        if bit < 64 {
            return self.low & 1 << bit != 0;
        }
        let word = self.high.get((bit - 64) / 64).copied().unwrap_or(0);
        word & 1 << (bit % 64) != 0
    }

    pub(super) fn len(&self) -> usize {
        let high: u32 = self.high.iter().map(|word| word.count_ones()).sum();
        (self.low.count_ones() + high) as usize
    }
}

/// An undeclared key in the short list of its object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    head: u64,
    start: u32,
    len: u32,
}

/// Decoded key text in the large set; the test build counts its comparisons.
#[derive(Debug)]
struct Seen<'a>(Cow<'a, [u8]>);

impl PartialEq for Seen<'_> {
    fn eq(&self, other: &Self) -> bool {
        count_step();
        self.0 == other.0
    }
}

impl Eq for Seen<'_> {}

impl Hash for Seen<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// The undeclared keys of one open object. The marks of all open objects share one stack.
#[derive(Debug)]
pub(super) struct Others<'a> {
    base: usize,
    filter: u64,
    many: Option<Box<HashSet<Seen<'a>>>>,
}

impl<'a> Others<'a> {
    #[inline(always)]
    pub(super) fn new(marks: &[Mark]) -> Self {
        Self {
            base: marks.len(),
            filter: 0,
            many: None,
        }
    }

    /// Notes `key`; a key seen before, or one too many, is refused.
    #[inline(always)]
    pub(super) fn insert(
        &mut self,
        marks: &mut Vec<Mark>,
        body: &'a [u8],
        key: &Key,
    ) -> Result<(), Fault> {
        let len = key.end - key.start;
        let mixed = key
            .head
            .wrapping_add(len as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bit = 1 << (mixed >> 58);
        let listed = self.filter & bit == 0 && !key.escaped && self.many.is_none();
        if listed && marks.len() - self.base < LIST_MAX {
            self.filter |= bit;
            marks.push(Mark {
                head: key.head,
                start: key.start as u32,
                len: len as u32,
            });
            return Ok(());
        }
        self.filter |= bit;
        self.insert_slow(marks, body, key)
    }

    #[inline(never)]
    fn insert_slow(
        &mut self,
        marks: &mut Vec<Mark>,
        body: &'a [u8],
        key: &Key,
    ) -> Result<(), Fault> {
        let open = marks.get(self.base..).unwrap_or(&[]);
        if self.many.is_none() && !key.escaped && open.len() < LIST_MAX {
            let raw = key.raw(body);
            let repeated = open.iter().any(|mark| {
                count_step();
                mark.head == key.head && mark.text(body) == raw
            });
            if repeated {
                return Err(Fault::new(MismatchCode::DuplicateKey, key.start));
            }
            let (start, len) = (key.start as u32, raw.len() as u32);
            marks.push(Mark {
                head: key.head,
                start,
                len,
            });
            return Ok(());
        }
        let many = self.many.get_or_insert_with(|| {
            let listed = open.iter().map(|mark| Seen(Cow::Borrowed(mark.text(body))));
            Box::new(listed.collect())
        });
        if many.len() >= KEYS_MAX {
            return Err(Fault::new(MismatchCode::TooManyKeys, key.start));
        }
        if !many.insert(Seen(key.text(body))) {
            return Err(Fault::new(MismatchCode::DuplicateKey, key.start));
        }
        Ok(())
    }

    /// The object is closed: its marks leave the stack.
    #[inline(always)]
    pub(super) fn close(&self, marks: &mut Vec<Mark>) {
        marks.truncate(self.base);
    }
}

impl Mark {
    fn text<'a>(&self, body: &'a [u8]) -> &'a [u8] {
        let start = self.start as usize;
        body.get(start..start + self.len as usize).unwrap_or(&[])
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
