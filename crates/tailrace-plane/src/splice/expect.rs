//! The member an upstream is expected to send next. Prevents the key scan and the look-up that
//! usually dominate reading an object: upstreams keep their field order, so the next declared key
//! is compared as a whole, quotes and colon included, in one or two machine words. A wrong guess
//! costs one comparison. Limits: keys that need escapes are never guessed; longer keys than sixteen
//! bytes are compared bytewise.

use super::keys::head_of;
use super::scan::word_at;

/// `"name":` as compact JSON has it, and what the walk needs once it has matched.
#[derive(Debug)]
pub(super) struct Expect {
    /// The first bytes, up to eight, and which bits of them count.
    head: u64,
    mask: u64,
    /// The last eight bytes where there are more than that.
    tail: u64,
    member: Box<[u8]>,
    /// The field it fills, and that field's shape.
    pub(super) field: u32,
    pub(super) shape: u32,
    /// The shape is a string without rules.
    pub(super) text: bool,
    /// The member leaves as it came and its field has no other key.
    pub(super) simple: bool,
}

impl Expect {
    pub(super) fn new(name: &str, (field, shape): (u32, u32), text: bool, simple: bool) -> Self {
        let plain = !name
            .bytes()
            .any(|byte| matches!(byte, 0..=0x1f | b'"' | b'\\'));
        let member = if plain {
            format!("\"{name}\":").into_bytes()
        } else {
            Vec::new()
        };
        let (head, mask) = match member.len() {
            // Nothing matches: a word without its bits is zero, not all ones.
            0 => (u64::MAX, 0),
            len @ 1..8 => (head_of(&member), !(u64::MAX << (8 * len))),
            _ => (head_of(&member), u64::MAX),
        };
        let tail = word_at(&member, member.len().saturating_sub(8)).unwrap_or(0);
        Self {
            head,
            mask,
            tail,
            member: member.into(),
            field,
            shape,
            text,
            simple,
        }
    }

    /// Does the body go on with exactly this key and its colon? If so, the byte after the colon.
    #[inline(always)]
    pub(super) fn end(&self, body: &[u8], at: usize) -> Option<usize> {
        let len = self.member.len();
        if word_at(body, at)? & self.mask != self.head {
            return None;
        }
        let end = at + len;
        let same = len <= 8
            || if len <= 16 {
                word_at(body, end - 8) == Some(self.tail)
            } else {
                body.get(at..end) == Some(&self.member)
            };
        same.then_some(end)
    }
}
