//! Deadlines: one time limit per request, carved into budgets for its calls (req 4.5).
//!
//! The failure prevented is work that nobody waits for any more, and calls that are each within
//! their own timeout while the request is long over. A call gets the smaller of its own timeout and
//! what is left of the request, less a reserve for assembling the reply; a call whose share is
//! below a floor is not sent at all. What is left travels downstream as a relative time, which no
//! clock skew can bend. A caller may only shorten the deadline. Formulas and wire forms: ALGORITHMS
//! 3.

use crate::Nanos;

const MILLI: Nanos = 1_000_000;

/// The moment a request must be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    pub at: Nanos,
}

/// Too little is left for the call to be worth sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadlinePassed;

impl DeadlinePassed {
    pub fn code(self) -> &'static str {
        "deadline"
    }
}

impl std::fmt::Display for DeadlinePassed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("what is left of the deadline is too little to send the call")
    }
}

impl std::error::Error for DeadlinePassed {}

impl Deadline {
    pub fn new(now: Nanos, budget: Nanos) -> Self {
        Self {
            at: now.saturating_add(budget),
        }
    }

    /// The deadline of an inbound request: what the caller asks for may only shorten the route's.
    pub fn inbound(now: Nanos, route_budget: Nanos, asked: Option<Nanos>) -> Self {
        Self::new(
            now,
            asked.map_or(route_budget, |asked| asked.min(route_budget)),
        )
    }

    pub fn left(self, now: Nanos) -> Nanos {
        self.at.saturating_sub(now)
    }

    /// The budget of a call that starts now.
    pub fn child(
        self,
        now: Nanos,
        upstream_timeout: Nanos,
        reserve: Nanos,
        floor: Nanos,
    ) -> Result<Nanos, DeadlinePassed> {
        let budget = self.left(now).saturating_sub(reserve).min(upstream_timeout);
        if budget == 0 || budget < floor {
            return Err(DeadlinePassed);
        }
        Ok(budget)
    }
}

/// Whole milliseconds, rounded down: never promise more time than there is.
pub fn millis_floor(time: Nanos) -> u64 {
    time / MILLI
}

/// Parses `grpc-timeout`: one to eight digits and a unit (`H M S m u n`).
pub fn parse_grpc_timeout(value: &[u8]) -> Option<Nanos> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let scale: Nanos = match unit {
        b'H' => 3_600_000 * MILLI,
        b'M' => 60_000 * MILLI,
        b'S' => 1_000 * MILLI,
        b'm' => MILLI,
        b'u' => 1_000,
        b'n' => 1,
        _ => return None,
    };
    number(digits)?.checked_mul(scale)
}

/// Writes `grpc-timeout` with the finest unit that fits eight digits, rounding up.
pub fn encode_grpc_timeout(time: Nanos) -> String {
    const UNITS: [(char, Nanos); 6] = [
        ('n', 1),
        ('u', 1_000),
        ('m', MILLI),
        ('S', 1_000 * MILLI),
        ('M', 60_000 * MILLI),
        ('H', 3_600_000 * MILLI),
    ];
    for (unit, scale) in UNITS {
        let count = time.div_ceil(scale);
        if count <= 99_999_999 {
            return format!("{count}{unit}");
        }
    }
    "99999999H".to_owned()
}

/// Parses a relative timeout in milliseconds, as `x-envoy-expected-rq-timeout-ms` and
/// `Connect-Timeout-Ms` carry it: at most ten digits, not zero.
pub fn parse_timeout_ms(value: &[u8]) -> Option<Nanos> {
    if value.is_empty() || value.len() > 10 {
        return None;
    }
    number(value).filter(|ms| *ms > 0)?.checked_mul(MILLI)
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |sum, digit| {
        digit
            .is_ascii_digit()
            .then(|| sum * 10 + u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn grpc_timeouts_parse_as_the_protocol_says() {
        let second = 1_000 * MILLI;
        assert_eq!(parse_grpc_timeout(b"1S"), Some(second));
        assert_eq!(parse_grpc_timeout(b"5000000u"), Some(5 * second));
        assert_eq!(parse_grpc_timeout(b"100m"), Some(100 * MILLI));
        assert_eq!(parse_grpc_timeout(b"99999999n"), Some(99_999_999));
        for bad in [&b"100000000n"[..], b"1x", b"", b"-1S", b"S", b"1 S", b"+1S"] {
            assert_eq!(parse_grpc_timeout(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn grpc_timeouts_use_the_finest_unit_that_fits() {
        assert_eq!(encode_grpc_timeout(100 * MILLI), "100000u");
        assert_eq!(encode_grpc_timeout(1_000 * MILLI), "1000000u");
        assert_eq!(encode_grpc_timeout(100_000 * MILLI), "100000m");
    }

    // The story of ALGORITHMS 3: 200 ms inbound, 35 ms used, 5 ms reserve (req 4.5).
    #[test]
    fn children_get_what_is_left() {
        let deadline = Deadline::new(0, 200 * MILLI);
        let child = |used, timeout| deadline.child(used * MILLI, timeout * MILLI, 5 * MILLI, MILLI);
        assert_eq!(child(35, 120), Ok(120 * MILLI));
        assert_eq!(child(155, 120), Ok(40 * MILLI));
        assert_eq!(child(196, 120), Err(DeadlinePassed));
        assert_eq!(
            child(195, 120),
            Err(DeadlinePassed),
            "zero left is never sent as no timeout"
        );
    }

    // RELIABILITY S27.
    #[test]
    fn a_caller_can_only_shorten_the_deadline() {
        assert_eq!(Deadline::inbound(10, 100, Some(1_000_000)).at, 110);
        assert_eq!(Deadline::inbound(10, 100, Some(40)).at, 50);
        assert_eq!(Deadline::inbound(10, 100, None).at, 110);
    }

    #[test]
    fn millisecond_headers_are_digits_and_not_zero() {
        assert_eq!(parse_timeout_ms(b"250"), Some(250 * MILLI));
        for bad in [&b""[..], b"0", b"-1", b"1.5", b"99999999999", b" 1"] {
            assert_eq!(parse_timeout_ms(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn encoding_never_shortens(time in 1_u64..u64::from(u32::MAX) * 1_000_000) {
            let text = encode_grpc_timeout(time);
            let back = parse_grpc_timeout(text.as_bytes());
            prop_assert!(back.is_some_and(|back| back >= time));
        }

        #[test]
        fn a_child_never_outlives_its_parent(
            budget in 0_u64..10_000, now in 0_u64..20_000, timeout in 0_u64..10_000,
            reserve in 0_u64..100, floor in 0_u64..100,
        ) {
            let deadline = Deadline::new(0, budget);
            if let Ok(child) = deadline.child(now, timeout, reserve, floor) {
                prop_assert!(child <= timeout && now + child + reserve <= deadline.at && child > 0);
            }
        }
    }
}
