//! Path segments and query values: decoded once on the way in, encoded with an empty safe set on
//! the way out.
//!
//! Prevents: a parameter that leaves its segment, adds a query, climbs with `..` or is decoded
//! twice (RELIABILITY S07: KrakenD CVE-2022-1561, `%252f`). How: decoding is one pass and refuses
//! what no text holds (broken escapes, control bytes, invalid UTF-8); encoding leaves only
//! unreserved bytes as they are, so no encoded value can contain a separator of any kind. Limits:
//! `.` is unreserved, so a value that *is* a dot segment must be refused by the caller with
//! [`is_dot_segment`]; an empty value, too, where the template needs a segment.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentError {
    BadPercent,
    ControlByte,
    NotUtf8,
}

impl SegmentError {
    pub fn code(self) -> &'static str {
        match self {
            Self::BadPercent => "bad_percent",
            Self::ControlByte => "control_byte",
            Self::NotUtf8 => "not_utf8",
        }
    }
}

impl fmt::Display for SegmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadPercent => "A `%` is not followed by two hex digits.",
            Self::ControlByte => "The value holds a control byte.",
            Self::NotUtf8 => "The value is not UTF-8.",
        })
    }
}

impl std::error::Error for SegmentError {}

/// Percent-decodes `raw` once and appends it to `out`; on an error `out` is as it was.
pub fn decode_segment(raw: &[u8], out: &mut Vec<u8>) -> Result<(), SegmentError> {
    decode(raw, false, out)
}

/// Like [`decode_segment`], and `+` is a space (the form encoding of query strings).
pub fn decode_query_value(raw: &[u8], out: &mut Vec<u8>) -> Result<(), SegmentError> {
    decode(raw, true, out)
}

fn decode(raw: &[u8], plus_is_space: bool, out: &mut Vec<u8>) -> Result<(), SegmentError> {
    let start = out.len();
    let verdict = append_decoded(raw, plus_is_space, out).and_then(|()| {
        simdutf8::basic::from_utf8(&out[start..])
            .map(|_| ())
            .map_err(|_| SegmentError::NotUtf8)
    });
    if verdict.is_err() {
        out.truncate(start);
    }
    verdict
}

fn append_decoded(raw: &[u8], plus_is_space: bool, out: &mut Vec<u8>) -> Result<(), SegmentError> {
    out.reserve(raw.len());
    let mut rest = raw;
    while let [first, tail @ ..] = rest {
        let byte = match (*first, tail) {
            (b'%', [high, low, after @ ..]) => {
                rest = after;
                hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low)
            }
            (b'%', _) => None,
            (b'+', _) if plus_is_space => {
                rest = tail;
                Some(b' ')
            }
            (byte, _) => {
                rest = tail;
                Some(byte)
            }
        };
        let byte = byte.ok_or(SegmentError::BadPercent)?;
        if byte < b' ' || byte == 0x7f {
            return Err(SegmentError::ControlByte);
        }
        out.push(byte);
    }
    Ok(())
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

/// Appends `value` as one path segment: every byte but `A-Z a-z 0-9 - . _ ~` is percent-encoded.
pub fn encode_segment(value: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    // Most are ids, which go as they are.
    if value.iter().all(|&byte| safe(byte)) {
        out.extend_from_slice(value);
        return;
    }
    out.reserve(value.len());
    for &byte in value {
        if safe(byte) {
            out.push(byte);
        } else {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            out.extend_from_slice(&[b'%', HEX[high], HEX[low]]);
        }
    }
}

/// Appends `value` as a query key or value; the same empty safe set, a space becomes `%20`.
pub fn encode_query(value: &[u8], out: &mut Vec<u8>) {
    encode_segment(value, out);
}

/// Whether a decoded segment would be eaten by path normalisation further on.
pub fn is_dot_segment(decoded: &[u8]) -> bool {
    matches!(decoded, b"." | b"..")
}

/// The raw `key=value` pairs of a query; empty pairs are skipped, a missing `=` means an empty
/// value.
pub fn query_pairs(raw: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    raw.split(|&byte| byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| match memchr::memchr(b'=', pair) {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &pair[pair.len()..]),
        })
}
