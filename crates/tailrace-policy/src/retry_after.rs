//! `Retry-After`: when the peer says an attempt is welcome again (RFC 9110 10.2.3).
//!
//! The failure prevented is a peer that says how long it needs and is not heard, and a value that
//! nobody checked becoming a wait. Seconds or a date in the three forms a recipient must know. What
//! is neither is ignored; a date in the past is zero; anything is capped, so that no sum overflows:
//! the cap is far above any deadline, and what does not fit a deadline is refused (`retry.rs`).

use crate::Nanos;

/// The longest wait that is told apart from a longer one.
pub const CAP: Nanos = 3_600 * SECOND;

const SECOND: Nanos = 1_000_000_000;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The wait that `value` asks for. `epoch` is wall time in seconds since 1970: a date has no other
/// reading.
pub fn parse(value: &[u8], epoch: u64) -> Option<Nanos> {
    let text = std::str::from_utf8(value).ok()?.trim_matches([' ', '\t']);
    let seconds = if text.as_bytes().first()?.is_ascii_digit() {
        text.bytes().try_fold(0_u64, |sum, digit| {
            let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
            Some(sum.saturating_mul(10).saturating_add(digit))
        })?
    } else {
        date(text, epoch)?.saturating_sub(epoch)
    };
    Some(seconds.saturating_mul(SECOND).min(CAP))
}

/// Seconds since 1970 of an HTTP date.
fn date(text: &str, epoch: u64) -> Option<u64> {
    let mut words = text.split([' ', ',', '-']).filter(|word| !word.is_empty());
    let mut word = || words.next();
    let _weekday = word()?;
    let (first, second, third, fourth) = (word()?, word()?, word()?, word()?);
    let zone = word();
    if word().is_some() {
        return None;
    }
    // asctime puts the month first and the year last, and knows no zone.
    let (day, month, year, time) = if zone.is_none() {
        (second, first, fourth, third)
    } else {
        (first, second, third, fourth)
    };
    if zone.is_some_and(|zone| zone != "GMT") {
        return None;
    }
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let year = match (number(year, 4)?, year.len()) {
        (year, 4) => year,
        (year, 2) => full_year(year, epoch),
        _ => return None,
    };
    let day = number(day, 2).filter(|day| (1..=31).contains(day))?;
    let midnight = days(year, month, day).saturating_mul(86_400);
    (year >= 1970).then_some(midnight.saturating_add(seconds_of_day(time)?))
}

/// Two digits mean the past when they would lie more than 50 years ahead (RFC 9110 5.6.7).
fn full_year(year: u64, epoch: u64) -> u64 {
    let now = 1970 + epoch / 31_556_952;
    let year = now / 100 * 100 + year;
    if year > now + 50 {
        year - 100
    } else {
        year
    }
}

fn seconds_of_day(text: &str) -> Option<u64> {
    let mut fields = text.split(':').map(|field| number(field, 2));
    let (hour, minute, second) = (fields.next()??, fields.next()??, fields.next()??);
    let sound = fields.next().is_none() && hour < 24 && minute < 60 && second <= 60;
    sound.then_some(hour * 3_600 + minute * 60 + second)
}

fn number(text: &str, digits_max: usize) -> Option<u64> {
    if text.len() > digits_max || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Days since 1970 of a date of the Gregorian calendar. The year begins in March here, so that the
/// leap day is its last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leaps = year / 4 - year / 100 + year / 400;
    // 719468 days lie between 1 March of year 0 and 1970.
    (year * 365 + leaps + (153 * month + 2) / 5 + day - 1).saturating_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110.
    const EXAMPLE: u64 = 784_111_777;

    #[test]
    fn seconds_are_digits_and_are_capped() {
        for (value, seconds) in [("0", 0), ("120", 120), (" 7\t", 7), ("3600", 3_600)] {
            assert_eq!(
                parse(value.as_bytes(), 0),
                Some(seconds * SECOND),
                "{value}"
            );
        }
        for value in ["3601", "99999999999999999999999999"] {
            assert_eq!(parse(value.as_bytes(), 0), Some(CAP), "{value}");
        }
    }

    #[test]
    fn all_three_forms_of_a_date_mean_the_same() {
        for value in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(date(value, EXAMPLE), Some(EXAMPLE), "{value}");
            assert_eq!(
                parse(value.as_bytes(), EXAMPLE - 5),
                Some(5 * SECOND),
                "{value}"
            );
            assert_eq!(
                parse(value.as_bytes(), EXAMPLE + 5),
                Some(0),
                "{value}: past"
            );
        }
    }

    #[test]
    fn dates_follow_the_calendar() {
        for (value, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799),
            ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800),
            ("Fri, 31 Dec 2100 00:00:00 GMT", 4_133_894_400),
            ("Saturday, 01-Jan-50 00:00:00 GMT", 2_524_608_000),
        ] {
            assert_eq!(date(value, 1_700_000_000), Some(seconds), "{value}");
        }
        let old = date("Sunday, 06-Nov-94 08:49:37 GMT", 1_700_000_000);
        assert_eq!(old, Some(EXAMPLE), "94 is not 2094");
    }

    #[test]
    fn what_is_neither_is_ignored() {
        for value in [
            "",
            " ",
            "-1",
            "+1",
            "1.5",
            "1s",
            "1 2",
            "soon",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Brumaire 1994 08:49:37 GMT",
            "Sun, 06 Nov 194 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT now",
            "\u{661}",
        ] {
            assert_eq!(parse(value.as_bytes(), EXAMPLE), None, "{value:?}");
        }
        assert_eq!(parse(&[0xff], 0), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_pass_the_cap(value: Vec<u8>, epoch: u64) {
            prop_assert!(parse(&value, epoch).is_none_or(|wait| wait <= CAP));
        }

        #[test]
        fn nearly_dates_neither(
            value in "[A-Z][a-z]{2},? [0-9]{1,4}[ -](Feb|Dec|Foo)[ -][0-9]{0,5} [0-9:]{0,9} (GMT)?",
            epoch: u64,
        ) {
            prop_assert!(parse(value.as_bytes(), epoch).is_none_or(|wait| wait <= CAP));
        }
    }
}
