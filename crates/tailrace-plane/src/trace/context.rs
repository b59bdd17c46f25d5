//! The W3C trace context of a request: read strictly, handed on with every attempt (req 16.6).
//!
//! The failure prevented is a trace that ends here, or one that a stranger's bytes lead astray:
//! what is not exactly as the recommendation says is no context, and the request begins a trace of
//! its own. Nothing a caller sends here can fail a request.
//!
//! A request's line is written once, with its parent id left open at a fixed place from its end;
//! each attempt copies it with its other lines and fills in the id of its own span
//! ([`fill`]). `tracestate` belongs to others and is passed on as it came, when it keeps its
//! grammar, has at most [`MEMBERS_MAX`] members and [`STATE_MAX`] bytes; else it is left out, which
//! the recommendation allows, and the trace goes on without it.
//!
//! Limits: a context of a later version is read as version 00 and handed on as such; what stood
//! behind it, which nothing bounds, goes nowhere. Of the flags of a request's own context `sampled`
//! and `random` are told.

use crate::hex;

/// Members a `tracestate` may have (W3C trace context 3.3.1.1).
pub const MEMBERS_MAX: usize = 32;
/// Bytes of a `tracestate` that are handed on; the recommendation asks for 512 at least.
pub const STATE_MAX: usize = 512;

/// The trace is recorded somewhere.
pub const SAMPLED: u8 = 1;
/// The last 56 bits of the trace id are random (level 2).
const RANDOM: u8 = 2;

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";
/// The version whose fields are known.
const VERSION: &[u8] = b"00";
/// `00-` trace `-` span `-` flags.
const PARENT_LEN: usize = 55;
/// From the end of a line to the place of its span: digits, `-`, flags and the line's end.
const SPAN_AT: usize = 16 + 1 + 2 + 2;

/// What a caller said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    pub trace: u128,
    pub span: u64,
    pub flags: u8,
}

/// The context of one request: the trace it belongs to and its own span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Context {
    /// 0: the request has no trace.
    pub trace: u128,
    /// Of the caller; 0: the trace begins here.
    pub parent: u64,
    /// Of the request. Those of what belongs to it are counted on from here.
    pub span: u64,
    pub flags: u8,
}

impl Context {
    /// Goes on with a caller's trace, or begins one when there is none; `draw` is a random number,
    /// `chosen` whether a new trace is marked as sampled.
    pub fn open(
        parent: Option<Parent>,
        mut draw: impl FnMut() -> u64,
        chosen: impl FnOnce(u128) -> bool,
    ) -> Self {
        let span = span_base(draw());
        match parent {
            Some(parent) => Self {
                trace: parent.trace,
                parent: parent.span,
                span,
                flags: parent.flags & (SAMPLED | RANDOM),
            },
            None => {
                let trace = (u128::from(draw()) << 64 | u128::from(draw())).max(1);
                Self {
                    trace,
                    parent: 0,
                    span,
                    flags: RANDOM | u8::from(chosen(trace)),
                }
            }
        }
    }

    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Appends the header line of its calls, with the span left open: it must be the last line of
    /// those an attempt copies.
    pub fn push_line(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"traceparent: 00-");
        hex::push(self.trace, 32, out);
        out.extend_from_slice(b"-0000000000000000-");
        hex::push(self.flags.into(), 2, out);
        out.extend_from_slice(b"\r\n");
    }
}

/// A span id from a draw: never 0, and with room above it for the spans counted on from it.
pub fn span_base(draw: u64) -> u64 {
    draw >> 1 | 1
}

/// Writes the span of an attempt into the line that ends `lines`, which [`Context::push_line`]
/// wrote.
pub fn fill(lines: &mut [u8], span: u64) {
    let Some(at) = lines.len().checked_sub(SPAN_AT) else {
        return;
    };
    hex::fill(span.into(), &mut lines[at..at + 16]);
}

/// Reads a `traceparent`; nothing unless it is exactly as W3C trace context has it.
pub fn parse(value: &[u8]) -> Option<Parent> {
    let (head, rest) = value.split_at_checked(PARENT_LEN)?;
    if head[2] != b'-' || head[35] != b'-' || head[52] != b'-' {
        return None;
    }
    match value_of(&head[..2])? {
        0xff => return None,
        0 if !rest.is_empty() => return None,
        // A later version may say more behind another dash.
        _ if !matches!(rest.first(), None | Some(b'-')) => return None,
        _ => {}
    }
    let parent = Parent {
        trace: value_of(&head[3..35])?,
        span: value_of(&head[36..52])? as u64,
        flags: value_of(&head[53..])? as u8,
    };
    (parent.trace != 0 && parent.span != 0).then_some(parent)
}

/// Lower-case digits only.
fn value_of(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |value: u128, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u128::from(digit))
    })
}

/// What a request's headers say, and where it is handed on.
#[derive(Debug)]
pub struct Carried<'a> {
    /// As it came, from its version to the end of its flags.
    line: Option<&'a [u8]>,
    pub parent: Option<Parent>,
}

impl<'a> Carried<'a> {
    /// Reads the context of a request, and appends its `tracestate` line to `out`. Two
    /// `traceparent`s are none; several `tracestate`s are one, in their order.
    pub fn read(headers: impl Iterator<Item = (&'a [u8], &'a [u8])>, out: &mut Vec<u8>) -> Self {
        let (mut line, mut twice) = (None, false);
        let mark = out.len();
        for (name, value) in headers {
            // Two lengths are looked at before any letter.
            if name.len() == PARENT.len() && name.eq_ignore_ascii_case(PARENT.as_bytes()) {
                twice |= line.replace(value).is_some();
            } else if name.len() == STATE.len() && name.eq_ignore_ascii_case(STATE.as_bytes()) {
                push_state(value, mark, out);
            }
        }
        let parent = line.filter(|_| !twice).and_then(parse);
        let state = out.get(mark + STATE.len() + 2..).unwrap_or_default();
        if parent.is_none() || !is_state(state) {
            out.truncate(mark);
        } else {
            out.extend_from_slice(b"\r\n");
        }
        let line = line.filter(|_| parent.is_some());
        Self {
            line: line.and_then(|line| line.get(..PARENT_LEN)),
            parent,
        }
    }

    /// Appends the caller's own line, when this process adds no span.
    pub fn push_line(&self, out: &mut Vec<u8>) {
        if let Some(line) = self.line {
            let fields = &line[VERSION.len()..];
            for bytes in [PARENT.as_bytes(), b": ", VERSION, fields, b"\r\n"] {
                out.extend_from_slice(bytes);
            }
        }
    }
}

/// Adds one `tracestate` header to the line that begins at `mark`, or begins it. What is too long
/// is not copied first.
fn push_state(value: &[u8], mark: usize, out: &mut Vec<u8>) {
    let lead: &[u8] = if out.len() == mark { b"" } else { b"," };
    if lead.is_empty() {
        out.extend_from_slice(STATE.as_bytes());
        out.extend_from_slice(b": ");
    }
    out.extend_from_slice(lead);
    // One byte more than may be handed on: it is then seen to be too long.
    out.extend_from_slice(&value[..value.len().min(STATE_MAX + 1)]);
}

/// Whether a list of members may be handed on; an empty one need not be.
fn is_state(list: &[u8]) -> bool {
    let mut seen: [&[u8]; MEMBERS_MAX] = [b""; MEMBERS_MAX];
    let mut count = 0;
    for member in list.split(|byte| *byte == b',') {
        let member = member.trim_ascii();
        if member.is_empty() {
            continue;
        }
        let Some((key, value)) = member_of(member) else {
            return false;
        };
        let known = seen[..count].contains(&key);
        if count == MEMBERS_MAX || known || !is_key(key) || !is_value(value) {
            return false;
        }
        seen[count] = key;
        count += 1;
    }
    count > 0 && list.len() <= STATE_MAX
}

fn member_of(member: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = member.iter().position(|byte| *byte == b'=')?;
    Some((&member[..at], &member[at + 1..]))
}

fn is_key(key: &[u8]) -> bool {
    let first = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let rest = |byte: &u8| first(byte) || b"_-*/@".contains(byte);
    key.len() <= 256 && key.first().is_some_and(first) && key.iter().all(rest)
}

fn is_value(value: &[u8]) -> bool {
    let known = |byte: &u8| matches!(byte, 0x20..=0x2b | 0x2d..=0x3c | 0x3e..=0x7e);
    (1..=256).contains(&value.len()) && value.iter().all(known) && !value.ends_with(b" ")
}

#[cfg(test)]
mod tests;
