//! What a client is told about its rate: `RateLimit`, `RateLimit-Policy` and `Retry-After`.
//!
//! The failure prevented is a client that must guess, and clients that were refused together and
//! come back together. The fields are those of the draft after its sixth version: a policy has a
//! quota `q` and a window `w` in seconds, a limit has what remains `r` and a time `t` (ALGORITHMS
//! 7). `Retry-After` is whole seconds rounded up, plus a fifth of it at most by chance: never
//! shorter than computed, and never earlier than `t`, which on a refusal is the wait without the
//! chance.
//!
//! Values are written into the caller's buffer: a refusal allocates nothing.

use crate::draw::below;
use crate::rate::{Allowed, Params, RateExceeded};
use crate::Nanos;
use std::fmt::{self, Write};

const SECOND: Nanos = 1_000_000_000;

/// Seconds of a `Retry-After` for a wait; at least one, for zero is no advice.
pub fn retry_after(wait: Nanos, draw: u64) -> u64 {
    let seconds = wait.div_ceil(SECOND).max(1);
    let millis = below(draw, seconds.saturating_mul(200).saturating_add(1));
    // A second more in as many cases as the rest is of a second: also one second is spread.
    let up = below(draw.rotate_left(32), 1_000) < millis % 1_000;
    seconds.saturating_add(millis / 1_000 + u64::from(up))
}

/// The value of `RateLimit-Policy`: what a client may do.
#[derive(Debug, Clone, Copy)]
pub struct PolicyValue<'a> {
    pub name: &'a str,
    pub params: Params,
}

impl fmt::Display for PolicyValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let window = f64::from(self.params.burst) / self.params.per_second;
        // A window of 60 s must not become 61 by a rounding of the division.
        let window = ((window - 1e-6).ceil() as u64).max(1);
        write_name(f, self.name)?;
        write!(f, ";q={};w={window}", self.params.burst)
    }
}

/// The value of `RateLimit`: what a client may still do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitValue<'a> {
    name: &'a str,
    remaining: u32,
    after: Option<Nanos>,
}

impl<'a> LimitValue<'a> {
    pub fn allowed(name: &'a str, allowed: Allowed) -> Self {
        Self {
            name,
            remaining: allowed.remaining,
            after: Some(allowed.reset),
        }
    }

    pub fn refused(name: &'a str, refused: RateExceeded) -> Self {
        Self {
            name,
            remaining: refused.remaining,
            after: refused.retry_after,
        }
    }
}

impl fmt::Display for LimitValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(f, self.name)?;
        write!(f, ";r={}", self.remaining)?;
        match self.after {
            Some(after) => write!(f, ";t={}", after.div_ceil(SECOND)),
            None => Ok(()),
        }
    }
}

/// A string of structured fields (RFC 9651): what it cannot hold is left out, so that no name can
/// end the value or the line.
fn write_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    f.write_char('"')?;
    for letter in name.chars().filter(|letter| matches!(letter, ' '..='~')) {
        if matches!(letter, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(letter)?;
    }
    f.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::Rate;
    use proptest::prelude::*;

    fn policy(name: &str, per_second: f64, burst: u32) -> String {
        let params = Params { per_second, burst };
        PolicyValue { name, params }.to_string()
    }

    #[test]
    fn a_policy_is_its_quota_and_window() {
        for (per_second, burst, value) in [
            (100.0 / 60.0, 100, "\"client\";q=100;w=60"),
            (5.0, 5, "\"client\";q=5;w=1"),
            (1_000.0, 10, "\"client\";q=10;w=1"),
            (2.0, 5, "\"client\";q=5;w=3"),
        ] {
            assert_eq!(policy("client", per_second, burst), value);
        }
    }

    #[test]
    fn a_name_stays_inside_its_quotes() {
        let value = policy("a\"b\\c\r\nd\u{e9}", 1.0, 1);
        assert_eq!(value, "\"a\\\"b\\\\cd\";q=1;w=1");
    }

    // Draft: t may be left out, and Retry-After is not earlier than it.
    #[test]
    fn a_client_is_told_what_remains_and_when() {
        let rate = Rate::new(Params {
            per_second: 0.5,
            burst: 2,
        });
        let told = rate.check(0, 1).unwrap();
        assert_eq!(LimitValue::allowed("c", told).to_string(), "\"c\";r=1;t=2");
        rate.check(0, 1).unwrap();
        let refused = rate.check(0, 1).unwrap_err();
        assert_eq!(
            LimitValue::refused("c", refused).to_string(),
            "\"c\";r=0;t=2"
        );
        let never = rate.check(0, 3).unwrap_err();
        assert_eq!(LimitValue::refused("c", never).to_string(), "\"c\";r=0");
    }

    #[test]
    fn a_wait_is_rounded_up_and_at_most_a_fifth_longer() {
        for (wait, shortest, longest) in [
            (0, 1, 2),
            (1, 1, 2),
            (SECOND, 1, 2),
            (SECOND + 1, 2, 3),
            (10 * SECOND, 10, 12),
            (100 * SECOND, 100, 120),
        ] {
            assert_eq!(retry_after(wait, 0), shortest);
            assert_eq!(retry_after(wait, u64::MAX - u64::from(u32::MAX)), longest);
        }
    }

    // A thousand clients that were refused in the same moment: no second gets them all back.
    #[test]
    fn clients_refused_together_do_not_come_back_together() {
        let mut random = fastrand::Rng::with_seed(11);
        let mut back = [0_u32; 13];
        for _ in 0..1_000 {
            back[retry_after(10 * SECOND, random.u64(..)) as usize] += 1;
        }
        assert_eq!(back.iter().sum::<u32>(), 1_000);
        assert!(back[10..].iter().all(|count| *count < 600), "{back:?}");
        let late: u32 = (0..1_000)
            .map(|_| u32::from(retry_after(1, random.u64(..)) == 2))
            .sum();
        assert!((60..140).contains(&late), "a tenth in the mean, {late}");
    }

    proptest! {
        #[test]
        fn never_shorter_than_computed(wait: u64, draw: u64) {
            let seconds = retry_after(wait, draw);
            let shortest = wait.div_ceil(SECOND).max(1);
            prop_assert!(seconds >= shortest);
            prop_assert!(seconds <= shortest + (shortest / 5) + 1);
        }
    }
}
