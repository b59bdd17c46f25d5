//! How important a request is: one of four classes, and one of 32 cohorts inside it.
//!
//! The failure prevented is priority so coarse that a threshold refuses a whole class or nothing. A
//! cohort is a part of the callers: a caller is refused or served as a whole, which is worth more
//! than every caller failing sometimes. Cohorts take turns, so that it is not the same callers for
//! ever. Class and cohort travel with the calls a request makes, and with its retries: who tries
//! again must not get a better place (ALGORITHMS 10).

use crate::Nanos;
use std::fmt;

pub const COHORTS: u8 = 32;
/// How long a caller keeps its cohort.
pub const TURN: Nanos = 600 * 1_000_000_000;

/// What a request is worth, least first. What says nothing is critical.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Class {
    /// Nobody notices: prefetch, batch.
    Sheddable,
    /// May be missing for a while, is tried again.
    SheddablePlus,
    /// A person waits for it.
    #[default]
    Critical,
    /// The last to be refused: payment, sign-in.
    CriticalPlus,
}

impl Class {
    pub const ALL: [Self; 4] = [
        Self::Sheddable,
        Self::SheddablePlus,
        Self::Critical,
        Self::CriticalPlus,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Sheddable => "sheddable",
            Self::SheddablePlus => "sheddable_plus",
            Self::Critical => "critical",
            Self::CriticalPlus => "critical_plus",
        }
    }

    /// The class of this name, in any case.
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|class| class.name().as_bytes().eq_ignore_ascii_case(name))
    }
}

/// Class and cohort; the higher one is served first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u8);

impl Level {
    /// The level of a caller, known by the hash of what identifies it. For an unknown caller give a
    /// draw: then a part of these requests is refused, and not all of them.
    pub fn of(class: Class, caller: u64, now: Nanos) -> Self {
        let turn = (now / TURN) as u8;
        Self::new(class, ((caller >> 59) as u8).wrapping_add(turn))
    }

    /// This cohort of the class; cohorts above the last begin again.
    pub fn new(class: Class, cohort: u8) -> Self {
        Self(class as u8 * COHORTS + cohort % COHORTS)
    }

    pub fn class(self) -> Class {
        Class::ALL[usize::from(self.0 / COHORTS)]
    }

    pub fn cohort(self) -> u8 {
        self.0 % COHORTS
    }

    /// Place among all levels, 0 to 127.
    pub fn rank(self) -> u8 {
        self.0
    }
}

/// What a priority field says: `critical`, or with the cohort `critical;cohort=7`. None when it is
/// something else, which the caller treats as if nothing had been said.
pub fn parse(value: &[u8]) -> Option<(Class, Option<u8>)> {
    let mut parts = value.split(|byte| *byte == b';');
    let class = Class::parse(parts.next()?.trim_ascii())?;
    let Some(parameter) = parts.next() else {
        return Some((class, None));
    };
    let digits = parameter.trim_ascii().strip_prefix(b"cohort=")?;
    if parts.next().is_some() || !(1..=2).contains(&digits.len()) {
        return None;
    }
    let cohort = digits.iter().try_fold(0_u8, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        Some(sum * 10 + digit)
    })?;
    (cohort < COHORTS).then_some((class, Some(cohort)))
}

/// The form that `parse` reads.
impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};cohort={}", self.class().name(), self.cohort())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn a_class_beats_every_cohort_of_the_class_below() {
        assert_eq!(Level::new(Class::Sheddable, 0).rank(), 0);
        assert_eq!(Level::new(Class::CriticalPlus, 31).rank(), 127);
        assert!(Level::new(Class::Critical, 0) > Level::new(Class::SheddablePlus, 31));
        assert_eq!(Class::default(), Class::Critical);
    }

    #[test]
    fn a_field_is_a_class_and_maybe_a_cohort() {
        let critical = Class::Critical;
        for (value, expected) in [
            ("critical", Some((critical, None))),
            (" CRITICAL ", Some((critical, None))),
            ("critical;cohort=7", Some((critical, Some(7)))),
            (
                "Critical_Plus ; cohort=31",
                Some((Class::CriticalPlus, Some(31))),
            ),
            ("sheddable_plus", Some((Class::SheddablePlus, None))),
            ("critical;cohort=32", None),
            ("critical;cohort=", None),
            ("critical;cohort=007", None),
            ("critical;cohort=-1", None),
            ("critical;cohort=1;cohort=2", None),
            ("critical;q=1", None),
            ("urgent", None),
            ("", None),
        ] {
            assert_eq!(parse(value.as_bytes()), expected, "{value}");
        }
    }

    // One caller visits every cohort, and keeps one for a whole turn.
    #[test]
    fn cohorts_take_turns() {
        let level = |now| Level::of(Class::Critical, 0xdead_beef << 32, now);
        assert_eq!(level(0), level(TURN - 1));
        let visited: HashSet<_> = (0..32).map(|turn| level(turn * TURN).cohort()).collect();
        assert_eq!(visited.len(), 32);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(class in 0_usize..4, caller: u64, now: u64) {
            let level = Level::of(Class::ALL[class], caller, now);
            let (class, cohort) = parse(level.to_string().as_bytes()).unwrap();
            prop_assert_eq!(Level::new(class, cohort.unwrap()), level);
        }

        #[test]
        fn no_bytes_make_it_fail(value: Vec<u8>) {
            let _ = parse(&value);
        }
    }
}
