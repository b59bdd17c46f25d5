//! Object keys: scanning them and matching them against the declared ones. Prevents a look-up by
//! name per member: a key's first eight bytes and its length stand in registers, a 64-bit filter
//! says "certainly not declared" for most undeclared keys, and most other comparisons end with one
//! word. Limits: up to [`LINEAR_MAX`] declared keys are walked, more are searched by halves.

use std::borrow::Cow;

use super::mismatch::{Fault, MismatchCode};
use super::scan::{byte_at, string_rest, word_at};
use super::text::unescape_into;
use crate::blocks::{block_at, text_ends};

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
    /// The scanned key whose raw text stands between `start` and `end`.
    pub(super) fn at(body: &[u8], start: usize, end: usize) -> Self {
        let raw = body.get(start..end).unwrap_or(&[]);
        Self {
            start,
            end,
            head: head_of(raw),
            escaped: memchr::memchr(b'\\', raw).is_some(),
        }
    }

    pub(super) fn raw<'a>(&self, body: &'a [u8]) -> &'a [u8] {
        body.get(self.start..self.end).unwrap_or(&[])
    }

    /// One bit of a filter over heads and lengths. Its constant is no secret: a filter only saves
    /// comparisons, it never decides.
    #[inline(always)]
    pub(super) fn filter_bit(&self) -> u64 {
        filter_bit(self.head, self.end - self.start)
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
    match plain_key(body, at) {
        Some(key) => Ok(key),
        None => key_rest(body, at),
    }
}

/// A key of at most fifteen bytes without escapes; `None` says nothing about the key.
#[inline(always)]
pub(super) fn plain_key(body: &[u8], at: usize) -> Option<Key> {
    if byte_at(body, at) != b'"' {
        return None;
    }
    let start = at + 1;
    let block = block_at(body, start)?;
    let ends = text_ends(block);
    let len = ends.trailing_zeros() as usize;
    if ends == 0 || block[len & 15] != b'"' {
        return None;
    }
    let word = u64::from_le_bytes(*block.first_chunk()?);
    let head = match len {
        0..8 => word & !(u64::MAX << (8 * len)),
        _ => word,
    };
    Some(Key {
        start,
        end: start + len,
        head,
        escaped: false,
    })
}

/// Keys that are long, have escapes, stand at the end of the body, or are wrong.
#[inline(never)]
pub(super) fn key_rest(body: &[u8], at: usize) -> Result<Key, Fault> {
    if byte_at(body, at) != b'"' {
        return Err(Fault::new(MismatchCode::Syntax, at));
    }
    let end = string_rest(body, at + 1)?;
    Ok(Key::at(body, at + 1, end))
}

#[inline(always)]
fn filter_bit(head: u64, len: usize) -> u64 {
    1 << (head
        .wrapping_add(len as u64)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        >> 58)
}

/// The first eight bytes of `text`, padded with NUL.
pub(super) fn head_of(text: &[u8]) -> u64 {
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
    /// Filter bits of all keys.
    filter: u64,
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
        let filter = keys
            .iter()
            .fold(0, |bits, key| bits | filter_bit(key.head, key.len));
        Self {
            keys: keys.into(),
            filter,
            sorted: sorted.into(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<&WireKey> {
        self.keys.get(index)
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Index of the declared key equal to `key`, whose filter bit is `bit`.
    #[inline(always)]
    pub(super) fn find(&self, body: &[u8], key: &Key, bit: u64) -> Option<usize> {
        if self.filter & bit == 0 && !key.escaped {
            return None;
        }
        self.search(body, key)
    }

    #[inline(never)]
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
