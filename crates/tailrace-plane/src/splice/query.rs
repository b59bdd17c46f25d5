//! Reading single values out of projected bytes, for templates (`{order.user_id}`) and `each=`.
//! Prevents a second parse of the body: nothing is built, members are passed over byte by byte. The
//! input has been validated already; on anything else these functions answer `None` or end early,
//! they never panic.

use super::keys::key_at;
use super::scan::{byte_at, number_end, space, string_end, word_end};
use super::text::unescape_into;
use std::ops::Range;

/// The raw value at a path of object keys; the whole value for an empty path.
pub fn lookup<'a>(json: &'a [u8], path: &[impl AsRef<str>]) -> Option<&'a [u8]> {
    json.get(span(json, path)?)
}

/// Where the raw value at a path of object keys stands.
pub fn span(json: &[u8], path: &[impl AsRef<str>]) -> Option<Range<usize>> {
    let mut start = space(json, 0);
    for name in path {
        start = member_at(json, start, name.as_ref().as_bytes())?;
    }
    Some(start..value_end(json, start)?)
}

/// Where the value of member `name` starts in the object at `at`.
fn member_at(json: &[u8], at: usize, name: &[u8]) -> Option<usize> {
    if byte_at(json, at) != b'{' {
        return None;
    }
    let mut cursor = space(json, at + 1);
    loop {
        let key = key_at(json, cursor).ok()?;
        let colon = space(json, key.end + 1);
        if byte_at(json, colon) != b':' {
            return None;
        }
        let value = space(json, colon + 1);
        if key.text(json).as_ref() == name {
            return Some(value);
        }
        cursor = next_item(json, value_end(json, value)?)?;
    }
}

/// Start of what follows the comma after an item that ended at `end`.
fn next_item(json: &[u8], end: usize) -> Option<usize> {
    let comma = space(json, end);
    (byte_at(json, comma) == b',').then(|| space(json, comma + 1))
}

/// The byte after the valid value at `at`; containers are passed by counting brackets outside
/// strings.
fn value_end(json: &[u8], at: usize) -> Option<usize> {
    match byte_at(json, at) {
        b'"' => Some(string_end(json, at + 1).ok()? + 1),
        b'{' | b'[' => container_end(json, at),
        b't' => word_end(json, at, b"true").ok(),
        b'f' => word_end(json, at, b"false").ok(),
        b'n' => word_end(json, at, b"null").ok(),
        _ => Some(number_end(json, at).ok()?.end()),
    }
}

fn container_end(json: &[u8], at: usize) -> Option<usize> {
    let (mut cursor, mut open) = (at, 0usize);
    loop {
        match json.get(cursor)? {
            b'"' => cursor = string_end(json, cursor + 1).ok()?,
            b'{' | b'[' => open += 1,
            b'}' | b']' => {
                open -= 1;
                if open == 0 {
                    return Some(cursor + 1);
                }
            }
            _ => {}
        }
        cursor += 1;
    }
}

/// The raw elements of an array; `None` where `json` is not one.
pub fn items(json: &[u8]) -> Option<ItemIter<'_>> {
    let start = space(json, 0);
    if byte_at(json, start) != b'[' {
        return None;
    }
    let first = space(json, start + 1);
    let at = (byte_at(json, first) != b']').then_some(first);
    Some(ItemIter { json, at })
}

/// See [`items`].
#[derive(Debug, Clone)]
pub struct ItemIter<'a> {
    json: &'a [u8],
    /// Start of the next element; `None` at the end.
    at: Option<usize>,
}

impl<'a> Iterator for ItemIter<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.at.take()?;
        let end = value_end(self.json, start)?;
        self.at = next_item(self.json, end);
        self.json.get(start..end)
    }
}

/// A scalar as text: strings without quotes and escapes, numbers and booleans as they stand; `None`
/// for `null`, objects and arrays. `scratch` is used only where a string has escapes.
pub fn scalar_text<'a>(raw: &'a [u8], scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    let raw = raw.trim_ascii();
    match raw.first()? {
        b'"' => {
            let text = raw.get(1..raw.len().checked_sub(1)?)?;
            if memchr::memchr(b'\\', text).is_none() {
                return Some(text);
            }
            scratch.clear();
            unescape_into(text, scratch);
            Some(scratch)
        }
        b'n' | b'{' | b'[' => None,
        _ => Some(raw),
    }
}
