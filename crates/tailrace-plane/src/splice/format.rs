//! String formats, in the ISO forms pydantic accepts in strict JSON mode: what the declared model
//! would take in Python is what passes here, so the two never disagree about a date. Numbers of
//! seconds since the epoch, a bare date where a date-time is due, and week dates are refused. No
//! allocation.

use tailrace_blueprint::StringFormat;

use super::scan::{byte_at, digits_end};

pub(super) fn format_ok(format: StringFormat, text: &[u8]) -> bool {
    match format {
        StringFormat::Date => date_end(text) == Some(10) && text.len() == 10,
        StringFormat::DateTime => {
            date_end(text).is_some()
                && matches!(text.get(10), Some(b'T' | b't' | b' ' | b'_'))
                && text.get(11..).is_some_and(time_ok)
        }
        StringFormat::Time => time_ok(text),
        StringFormat::Uuid => uuid_ok(text),
        StringFormat::Decimal => decimal_ok(text),
    }
}

/// Two digits at `at`.
fn pair(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..)?.first_chunk::<2>()?;
    let (tens, ones) = (digits[0].wrapping_sub(b'0'), digits[1].wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| u32::from(tens) * 10 + u32::from(ones))
}

/// 10 where `text` starts with a real calendar date `YYYY-MM-DD`.
fn date_end(text: &[u8]) -> Option<usize> {
    let year = pair(text, 0)? * 100 + pair(text, 2)?;
    let (month, day) = (pair(text, 5)?, pair(text, 8)?);
    let dashes = text.get(4) == Some(&b'-') && text.get(7) == Some(&b'-');
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    (dashes && year > 0 && (1..=days).contains(&day)).then_some(10)
}

/// `HH:MM[:SS[.fraction]]` and an optional offset, to the end of `text`.
fn time_ok(text: &[u8]) -> bool {
    let Some((hour, minute)) = pair(text, 0).zip(pair(text, 3)) else {
        return false;
    };
    if hour > 23 || minute > 59 || text.get(2) != Some(&b':') {
        return false;
    }
    let mut at = 5;
    if text.get(at) == Some(&b':') {
        if pair(text, at + 1).is_none_or(|second| second > 59) {
            return false;
        }
        at += 3;
        if matches!(text.get(at), Some(b'.' | b',')) {
            let fraction = text.get(at + 1..).unwrap_or(&[]);
            let digits = fraction
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            if digits == 0 {
                return false;
            }
            at += 1 + digits;
        }
    }
    text.get(at..).is_some_and(offset_ok)
}

/// Nothing, `Z`, `+HH:MM` or `+HHMM` (a minus sign may be U+2212).
fn offset_ok(text: &[u8]) -> bool {
    let rest = match text {
        [] | [b'Z' | b'z'] => return true,
        [b'+' | b'-', rest @ ..] | [0xe2, 0x88, 0x92, rest @ ..] => rest,
        _ => return false,
    };
    let minute_at = match rest.len() {
        4 => 2,
        5 if rest.get(2) == Some(&b':') => 3,
        _ => return false,
    };
    matches!(
        pair(rest, 0).zip(pair(rest, minute_at)),
        Some((0..=23, 0..=59))
    )
}

/// Hyphenated, simple, in braces, or as a URN.
fn uuid_ok(text: &[u8]) -> bool {
    let hyphenated = match text {
        [b'{', inner @ .., b'}'] => inner,
        _ => text.strip_prefix(b"urn:uuid:").unwrap_or(text),
    };
    if text.len() == 32 {
        return text.iter().all(u8::is_ascii_hexdigit);
    }
    hyphenated.len() == 36
        && hyphenated.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// A finite decimal: sign, digits with at most one point, optional exponent.
fn decimal_ok(text: &[u8]) -> bool {
    let start = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let whole_end = digits_end(text, start);
    let mut end = whole_end;
    let mut digits = whole_end - start;
    if byte_at(text, end) == b'.' {
        end = digits_end(text, end + 1);
        digits += end - whole_end - 1;
    }
    if digits > 0 && byte_at(text, end) | 0x20 == b'e' {
        let sign = usize::from(matches!(byte_at(text, end + 1), b'+' | b'-'));
        let exponent = end + 1 + sign;
        end = digits_end(text, exponent);
        digits = end - exponent;
    }
    digits > 0 && end == text.len()
}
