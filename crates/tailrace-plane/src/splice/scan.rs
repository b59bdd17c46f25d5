//! The byte scanner: JSON's lexical grammar over a slice, with nothing built. Prevents the cost
//! that makes validation worth skipping: most strings end within sixteen bytes, which are looked at
//! at once, and end of input reads as a NUL byte (which no grammar rule accepts), so each step is
//! one load and one branch. Limits: strings of [`STRING_MAX`] raw bytes, numbers of [`DIGITS_MAX`]
//! digits. UTF-8 is checked once for the whole body before any of this runs.

use super::mismatch::{Fault, MismatchCode};
use crate::blocks::{block_at, text_ends};

/// Longest string, in raw bytes between the quotes.
pub(super) const STRING_MAX: usize = 1 << 20;
/// Most digits in one number: integer part, fraction and exponent together.
pub(super) const DIGITS_MAX: usize = 64;

/// Where a scanned piece ends, or why it is refused.
pub(super) type Step = Result<usize, Fault>;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The byte at `at`, NUL past the end: NUL is valid nowhere outside strings and nowhere inside
/// them.
#[inline(always)]
pub(super) fn byte_at(body: &[u8], at: usize) -> u8 {
    match body.get(at) {
        Some(byte) => *byte,
        None => 0,
    }
}

/// Eight bytes from `at`, first byte lowest.
#[inline(always)]
pub(super) fn word_at(body: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*body.get(at..)?.first_chunk::<8>()?))
}

/// High bit set in each byte that ends a plain run of string text: quote, backslash, control
/// character. Bits above the lowest one may be false (borrows run upwards), the lowest is exact.
#[inline(always)]
pub(super) fn special_bytes(word: u64) -> u64 {
    // Flipping bit 1 moves the quote (0x22) to 0x20, just above the control characters, and leaves
    // no other byte below 0x21: one comparison finds both.
    let quote_or_control = (word ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
    let backslash = (word ^ (ONES * 0x5c)).wrapping_sub(ONES);
    (quote_or_control | backslash) & !word & HIGHS
}

/// First byte at or after `at` that is not whitespace.
#[inline(always)]
pub(super) fn space(body: &[u8], at: usize) -> usize {
    if byte_at(body, at) > b' ' {
        at
    } else {
        space_run(body, at)
    }
}

#[inline(never)]
fn space_run(body: &[u8], mut at: usize) -> usize {
    loop {
        if word_at(body, at) == Some(ONES * 0x20) {
            at += 8;
        } else if matches!(byte_at(body, at), b' ' | b'\n' | b'\r' | b'\t') {
            at += 1;
        } else {
            return at;
        }
    }
}

/// Index of the closing quote of a string that ends within two blocks and has no escapes; most do.
/// `None` says nothing about the string.
#[inline(always)]
pub(super) fn plain_end(body: &[u8], at: usize) -> Option<usize> {
    let mut cursor = at;
    for _ in 0..2 {
        let block = block_at(body, cursor)?;
        let ends = text_ends(block);
        if ends != 0 {
            let first = ends.trailing_zeros() as usize;
            return (block[first & 15] == b'"').then_some(cursor + first);
        }
        cursor += 16;
    }
    None
}

/// Index of the closing quote; `at` is the byte after the opening one.
#[inline(always)]
pub(super) fn string_end(body: &[u8], at: usize) -> Step {
    match plain_end(body, at) {
        Some(end) => Ok(end),
        None => string_rest(body, at),
    }
}

/// Any other string: long, with escapes, at the end of the body, or wrong.
#[inline(never)]
pub(super) fn string_rest(body: &[u8], start: usize) -> Step {
    let mut at = start;
    loop {
        while let Some(word) = word_at(body, at) {
            let specials = special_bytes(word);
            if specials != 0 {
                at += (specials.trailing_zeros() >> 3) as usize;
                break;
            }
            at += 8;
        }
        match byte_at(body, at) {
            b'"' if at - start > STRING_MAX => {
                return Err(Fault::new(MismatchCode::StringTooLong, start))
            }
            b'"' => return Ok(at),
            b'\\' => at = escape_end(body, at)?,
            0..=0x1f => return Err(Fault::new(MismatchCode::Syntax, at)),
            _ => at += 1,
        }
    }
}

/// The byte after the escape that starts at `at`; a surrogate must come as a correct pair.
fn escape_end(body: &[u8], at: usize) -> Step {
    match byte_at(body, at + 1) {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(at + 2),
        b'u' => match hex4(body, at + 2) {
            Some(0xd800..=0xdbff) => {
                let low = (byte_at(body, at + 6) == b'\\' && byte_at(body, at + 7) == b'u')
                    .then(|| hex4(body, at + 8))
                    .flatten();
                match low {
                    Some(0xdc00..=0xdfff) => Ok(at + 12),
                    _ => Err(Fault::new(MismatchCode::Syntax, at)),
                }
            }
            Some(0xdc00..=0xdfff) | None => Err(Fault::new(MismatchCode::Syntax, at)),
            Some(_) => Ok(at + 6),
        },
        _ => Err(Fault::new(MismatchCode::Syntax, at)),
    }
}

/// Four hexadecimal digits as a code unit.
pub(super) fn hex4(body: &[u8], at: usize) -> Option<u32> {
    let digits = body.get(at..)?.first_chunk::<4>()?;
    let mut unit = 0;
    for digit in digits {
        unit = unit << 4 | char::from(*digit).to_digit(16)?;
    }
    Some(unit)
}

/// A scanned number: where it ends and whether it had neither fraction nor exponent, in one word so
/// that a result still fits two registers.
#[derive(Clone, Copy)]
pub(super) struct Number(usize);

impl Number {
    #[inline(always)]
    fn new(end: usize, integer: bool) -> Self {
        Self(end << 1 | usize::from(integer))
    }

    #[inline(always)]
    pub(super) fn end(self) -> usize {
        self.0 >> 1
    }

    #[inline(always)]
    pub(super) fn integer(self) -> bool {
        self.0 & 1 == 1
    }
}

/// The number that starts at `at` (a minus sign or a digit).
#[inline]
pub(super) fn number_end(body: &[u8], at: usize) -> Result<Number, Fault> {
    let first = if byte_at(body, at) == b'-' {
        at + 1
    } else {
        at
    };
    let mut end = first + 1;
    match byte_at(body, first) {
        b'0' => {}
        b'1'..=b'9' => end = digits_end(body, end),
        _ => return Err(Fault::new(MismatchCode::Syntax, first)),
    }
    let mut integer = true;
    if byte_at(body, end) == b'.' {
        integer = false;
        end = some_digits(body, end + 1)?;
    }
    if byte_at(body, end) | 0x20 == b'e' {
        integer = false;
        let sign = usize::from(matches!(byte_at(body, end + 1), b'+' | b'-'));
        end = some_digits(body, end + 1 + sign)?;
    }
    if end - at > DIGITS_MAX {
        digits_bounded(body, at, end)?;
    }
    Ok(Number::new(end, integer))
}

#[inline(always)]
pub(super) fn digits_end(body: &[u8], mut at: usize) -> usize {
    while byte_at(body, at).is_ascii_digit() {
        at += 1;
    }
    at
}

#[inline(always)]
fn some_digits(body: &[u8], at: usize) -> Step {
    let end = digits_end(body, at);
    if end == at {
        return Err(Fault::new(MismatchCode::Syntax, at));
    }
    Ok(end)
}

/// A token longer than the limit may still have few enough digits (sign, point, exponent sign).
#[cold]
fn digits_bounded(body: &[u8], at: usize, end: usize) -> Result<(), Fault> {
    let token = body.get(at..end).unwrap_or(&[]);
    if token.iter().filter(|byte| byte.is_ascii_digit()).count() > DIGITS_MAX {
        return Err(Fault::new(MismatchCode::NumberTooLong, at));
    }
    Ok(())
}

/// `true`, `false` or `null` at `at`, byte for byte.
#[inline(always)]
pub(super) fn word_end<const N: usize>(body: &[u8], at: usize, word: &[u8; N]) -> Step {
    match body.get(at..).and_then(|rest| rest.first_chunk::<N>()) {
        Some(found) if found == word => Ok(at + N),
        _ => Err(Fault::new(MismatchCode::Syntax, at)),
    }
}
