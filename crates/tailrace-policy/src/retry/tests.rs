use super::{is_idempotent, Attempt, Failure, Params, Retry, RetryRefused};
use crate::backoff::Backoff;
use crate::purse::Purse;
use crate::retry_budget::{self, RetryBudget};
use crate::Nanos;
use proptest::prelude::*;

const MILLI: Nanos = 1_000_000;
const FAR: Nanos = 1_000_000 * MILLI;

fn retry(attempts: u32) -> Retry {
    let params = Params {
        attempts,
        ..Params::default()
    };
    params.check().unwrap();
    Retry::new(params)
}

fn failed(failure: Failure) -> Attempt {
    Attempt {
        number: 1,
        idempotent: true,
        failure,
        retry_after: None,
    }
}

fn answer(attempt: Attempt, left: Nanos) -> Result<Nanos, RetryRefused> {
    retry(2).decide(attempt, left * MILLI, 20 * MILLI, 1 << 63)
}

// ALGORITHMS 4 and RFC 9110 9.2.1-2 (req 9.4).
#[test]
fn only_idempotent_methods_are_repeated() {
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
        assert!(is_idempotent(method.as_bytes()), "{method}");
    }
    for method in ["POST", "PATCH", "CONNECT", "get", "", "GETS"] {
        assert!(!is_idempotent(method.as_bytes()), "{method}");
    }
}

// ALGORITHMS 4: gateway errors, resets and timeouts; a connection that was never made always.
#[test]
fn what_may_end_differently_is_retried() {
    use Failure::{Invalid, NotSent, Reset, Status, Timeout};
    let cases = [
        (NotSent, true, true),
        (Reset, true, false),
        (Timeout, true, false),
        (Status(502), true, false),
        (Status(503), true, false),
        (Status(504), true, false),
        (Status(500), false, false),
        (Status(501), false, false),
        (Status(505), false, false),
        (Status(429), false, false),
        (Status(404), false, false),
        (Status(409), false, false),
        (Status(302), false, false),
        (Invalid, false, false),
    ];
    for (failure, safe, unsafe_too) in cases {
        assert_eq!(answer(failed(failure), 1_000).is_ok(), safe, "{failure:?}");
        let other = Attempt {
            idempotent: false,
            ..failed(failure)
        };
        assert_eq!(answer(other, 1_000).is_ok(), unsafe_too, "{failure:?}");
    }
}

#[test]
fn every_refusal_says_why() {
    let plain = failed(Failure::Reset);
    let told = |status, wait: Nanos| Attempt {
        retry_after: Some(wait * MILLI),
        ..failed(Failure::Status(status))
    };
    let cases = [
        (Attempt { number: 2, ..plain }, 1_000, "attempts"),
        (failed(Failure::Status(500)), 1_000, "not_retriable"),
        (
            Attempt {
                idempotent: false,
                ..plain
            },
            1_000,
            "not_idempotent",
        ),
        (told(503, 1_000), 150, "retry_after"),
        (told(429, 150), 150, "retry_after"),
        // Backoff 5 ms and a usual answer of 20 ms need more than 25 ms.
        (plain, 25, "no_time"),
        (told(503, 130), 150, "no_time"),
    ];
    for (attempt, left, code) in cases {
        let refused = answer(attempt, left).unwrap_err();
        assert_eq!(refused.code(), code, "{attempt:?}");
    }
    assert_eq!(answer(plain, 26), Ok(5 * MILLI));
}

// ALGORITHMS 4: honoured on 429 and 503 only; jitter comes on top.
#[test]
fn the_peer_says_when() {
    let told = |status| {
        let attempt = Attempt {
            retry_after: Some(40 * MILLI),
            ..failed(Failure::Status(status))
        };
        answer(attempt, 1_000)
    };
    assert_eq!(told(503), Ok(45 * MILLI));
    assert_eq!(told(429), Ok(45 * MILLI));
    assert_eq!(told(502), Ok(5 * MILLI));
    assert_eq!(told(500), Err(RetryRefused::NotRetriable));
}

/// Attempts of one call whose nth attempt fails where `fails` says so.
fn attempts(retry: &Retry, fails: &[bool]) -> u32 {
    let mut number = 1;
    while fails[number as usize - 1] {
        let attempt = Attempt {
            number,
            ..failed(Failure::Timeout)
        };
        match retry.decide(attempt, FAR, MILLI, 0) {
            Ok(_) => number += 1,
            Err(_) => break,
        }
    }
    number
}

// ALGORITHMS 4: (1-p^n)/(1-p) attempts: 1.75 at p = 0.5, n = 3; 3 at p = 1.
#[test]
fn expected_attempts_follow_the_formula() {
    let retry = retry(3);
    let total: u32 = (0..8_u32)
        .map(|bits| attempts(&retry, &[bits & 1 > 0, bits & 2 > 0, bits & 4 > 0]))
        .sum();
    assert_eq!(total, 14, "1.75 of eight equally likely calls");
    assert_eq!(attempts(&retry, &[true; 4]), 3);
}

// Governance: an upstream at 100 % errors sees at most 1.1 attempts per request (req 9.4).
#[test]
fn purse_and_budget_hold_when_everything_fails() {
    let retry = retry(2);
    let budget = RetryBudget::new(retry_budget::Params::default());
    let (mut requests, mut sent) = (0_u32, 0_u32);
    for turn in 0..20_000_u64 {
        let (now, purse) = (turn * MILLI, Purse::new(2));
        requests += 1;
        for _call in 0..4 {
            budget.deposit(now);
            sent += 1;
            let again = retry.decide(failed(Failure::Status(503)), FAR, MILLI, turn);
            if again.is_ok() && purse.try_take().is_ok() {
                match budget.try_withdraw(now) {
                    Ok(()) => sent += 1,
                    Err(_) => purse.put_back(),
                }
            }
        }
    }
    let per_call = f64::from(sent) / f64::from(requests * 4);
    assert!((1.05..=1.101).contains(&per_call), "{per_call}");
}

#[test]
fn nonsense_is_refused() {
    let sound = Params::default();
    assert_eq!(sound.check(), Ok(()));
    let backoff = Backoff { base: 2, cap: 1 };
    for bad in [
        Params {
            attempts: 0,
            ..sound
        },
        Params {
            attempts: 6,
            ..sound
        },
        Params { backoff, ..sound },
    ] {
        assert!(bad.check().is_err(), "{bad:?}");
    }
}

fn failures() -> impl Strategy<Value = Failure> {
    prop_oneof![
        Just(Failure::NotSent),
        Just(Failure::Reset),
        Just(Failure::Timeout),
        Just(Failure::Invalid),
        (300_u16..600).prop_map(Failure::Status),
    ]
}

proptest! {
    #[test]
    fn a_granted_retry_is_safe_waits_as_asked_and_fits(
        number in 1_u32..6, idempotent: bool, failure in failures(),
        retry_after in prop::option::of(0_u64..400), left in 0_u64..400, p50 in 0_u64..100,
        draw: u64,
    ) {
        let retry_after = retry_after.map(|wait| wait * MILLI);
        let attempt = Attempt { number, idempotent, failure, retry_after };
        let decided = retry(3).decide(attempt, left * MILLI, p50 * MILLI, draw);
        if let Ok(wait) = decided {
            prop_assert!(number < 3);
            prop_assert!(idempotent || failure == Failure::NotSent);
            prop_assert!(wait + p50 * MILLI < left * MILLI);
            if matches!(failure, Failure::Status(429 | 503)) {
                prop_assert!(wait >= retry_after.unwrap_or(0));
            } else {
                prop_assert!(wait < 20 * MILLI);
            }
        }
    }
}
