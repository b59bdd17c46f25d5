//! Object keys: scanning them and matching them against the declared ones. Prevents the look-up by
//! name that usually dominates reading an object. Upstreams keep their field order, so the key
//! expected next is compared as a whole, quotes and colon included, before anything is scanned;
//! otherwise a key's first eight bytes and its length stand in registers and most comparisons end
//! there. Limits: up to [`LINEAR_MAX`] declared keys are walked, more are searched by halves.

use std::borrow::Cow;

use super::mismatch::{Fault, MismatchCode};
use super::scan::{byte_at, special_bytes, string_rest, word_at};
use super::text::unescape_into;

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
    if let Some(word) = word_at(body, start + 8) {
        let specials = special_bytes(word);
        let bits = specials.trailing_zeros() & !7;
        if specials != 0 && (word >> bits) as u8 == b'"' {
            let end = start + 8 + (bits >> 3) as usize;
            return Ok(Key {
                start,
                end,
                head,
                escaped: false,
            });
        }
    }
    key_rest(body, start)
}

/// Keys that are long, have escapes, stand at the end of the body, or are wrong.
#[inline(never)]
fn key_rest(body: &[u8], start: usize) -> Result<Key, Fault> {
    let end = string_rest(body, start, start)?;
    Ok(Key::at(body, start, end))
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
    /// `"name":` as compact JSON has it; empty where the name needs escapes.
    member: Box<[u8]>,
    /// Its first bytes, up to eight, and which bits of them count.
    member_head: u64,
    member_mask: u64,
    /// Its last eight bytes where it is longer than that.
    member_tail: u64,
}

impl WireKey {
    pub(super) fn new(name: &str, field: usize, renamed: bool) -> Self {
        let bytes: Box<[u8]> = name.as_bytes().into();
        let plain = !bytes
            .iter()
            .any(|byte| matches!(byte, 0..=0x1f | b'"' | b'\\'));
        let member = if plain {
            format!("\"{name}\":").into_bytes()
        } else {
            Vec::new()
        };
        // Without a member every comparison must fail: no bits of any word equal all ones and zero.
        let (member_head, member_mask) = match member.len() {
            0 => (u64::MAX, 0),
            len @ 1..8 => (head_of(&member), !(u64::MAX << (8 * len))),
            _ => (head_of(&member), u64::MAX),
        };
        let member_tail = word_at(&member, member.len().saturating_sub(8)).unwrap_or(0);
        Self {
            head: head_of(&bytes),
            len: bytes.len(),
            field,
            renamed,
            bytes,
            member: member.into(),
            member_head,
            member_mask,
            member_tail,
        }
    }

    /// Does the body go on with exactly this key and its colon? If so, the byte after the colon.
    #[inline(always)]
    pub(super) fn member_end(&self, body: &[u8], at: usize) -> Option<usize> {
        let len = self.member.len();
        if word_at(body, at)? & self.member_mask != self.member_head {
            return None;
        }
        let end = at + len;
        let same = len <= 8
            || if len <= 16 {
                word_at(body, end - 8) == Some(self.member_tail)
            } else {
                body.get(at..end) == Some(&self.member)
            };
        same.then_some(end)
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

    #[inline(always)]
    pub(super) fn get(&self, index: usize) -> Option<&WireKey> {
        self.keys.get(index)
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The declared key equal to `key`, and its index.
    #[inline]
    pub(super) fn find(&self, body: &[u8], key: &Key) -> Option<(usize, &WireKey)> {
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
