use super::{Breaker, BreakerOpen, Params, State};
use crate::outcome::Outcome;
use crate::Nanos;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;

const MILLI: Nanos = 1_000_000;
const SECOND: Nanos = 1_000 * MILLI;

fn breaker(params: Params) -> Arc<Breaker> {
    params.check().unwrap();
    Breaker::new(params)
}

/// One call at `now`, if the breaker lets it in.
fn call(breaker: &Arc<Breaker>, now: Nanos, outcome: Outcome) -> bool {
    let Ok(guard) = breaker.admit(now) else {
        return false;
    };
    guard.settle(now, outcome, MILLI, 0);
    true
}

fn tripped() -> Arc<Breaker> {
    let breaker = breaker(Params::default());
    (0..7).for_each(|_| assert!(call(&breaker, 0, Outcome::Failed)));
    assert_eq!(breaker.state(), State::Open);
    breaker
}

// Live configuration: a change of limits is no pardon, and no second sentence.
#[test]
fn other_limits_keep_an_ejected_address_ejected() {
    let before = tripped();
    let after = before.renewed(Params {
        consecutive: 1,
        ..Params::default()
    });
    assert_eq!(after.state(), State::Open);
    assert!(!after.available(SECOND - 1) && after.available(2 * SECOND));
    // A call let in under the old limits settles what the new ones look at.
    let probe = before.admit(2 * SECOND).unwrap();
    assert_eq!(after.state(), State::Probe);
    probe.settle(2 * SECOND, Outcome::Ok, MILLI, 0);
    assert_eq!(after.state(), State::Closed);
    assert!(call(&after, 3 * SECOND, Outcome::Failed));
    assert_eq!(before.state(), State::Open, "one failure is enough now");
}

// ALGORITHMS 6, linkerd: six failures and a success two hundred times; seven in a row trip.
#[test]
fn seven_failures_in_a_row_open_it() {
    let params = Params {
        success_min: 0.0,
        ..Params::default()
    };
    let breaker = breaker(params);
    for _ in 0..200 {
        (0..6).for_each(|_| assert!(call(&breaker, 0, Outcome::Failed)));
        assert!(call(&breaker, 0, Outcome::Ok));
    }
    assert_eq!(breaker.state(), State::Closed);
    (0..7).for_each(|_| assert!(call(&breaker, 0, Outcome::Timeout)));
    assert_eq!(
        breaker.admit(0).err(),
        Some(BreakerOpen { until: SECOND }),
        "open for a second"
    );
}

// ALGORITHMS 6, linkerd: half 503, at least ten, threshold 0.6: the tenth trips.
#[test]
fn half_rejections_open_it_at_the_smallest_sample() {
    let breaker = breaker(Params {
        success_min: 0.6,
        samples_min: 10,
        ..Params::default()
    });
    for count in 1..=10 {
        assert_eq!(breaker.state(), State::Closed, "{count}");
        let rejected = count % 2 == 0;
        let outcome = if rejected {
            Outcome::RejectedByPeer
        } else {
            Outcome::Ok
        };
        assert!(call(&breaker, 0, outcome));
    }
    assert_eq!(breaker.state(), State::Open);
}

// ALGORITHMS 6, resilience4j with ten of ten and 50 %. It opens at the threshold, this below it.
#[test]
fn the_ratio_waits_for_enough_ends() {
    let cases = [
        (5, 10, State::Open),
        (4, 10, State::Closed),
        (9, 9, State::Closed),
    ];
    for (failures, calls, state) in cases {
        let breaker = breaker(Params {
            consecutive: 100,
            success_min: 0.51,
            samples_min: 10,
            ..Params::default()
        });
        for index in 0..calls {
            let outcome = if index < failures {
                Outcome::Failed
            } else {
                Outcome::Ok
            };
            assert!(call(&breaker, 0, outcome));
        }
        assert_eq!(breaker.state(), state, "{failures} of {calls}");
    }
}

#[test]
fn exactly_half_is_enough_and_old_ends_do_not_count() {
    let breaker = breaker(Params::default());
    for _ in 0..50 {
        call(&breaker, 0, Outcome::Ok);
        call(&breaker, 0, Outcome::Failed);
    }
    assert_eq!(breaker.state(), State::Closed);
    for _ in 0..19 {
        call(&breaker, 20 * SECOND, Outcome::RejectedByPeer);
    }
    assert_eq!(breaker.state(), State::Closed, "19 are too few");
    call(&breaker, 20 * SECOND, Outcome::RejectedByPeer);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn what_says_nothing_about_the_address_changes_nothing() {
    let breaker = breaker(Params::default());
    for outcome in [
        Outcome::ClientError,
        Outcome::Cancelled,
        Outcome::LocalReject,
    ] {
        (0..100).for_each(|_| assert!(call(&breaker, 0, outcome)));
    }
    (0..100).for_each(|_| drop(breaker.admit(0)));
    (0..6).for_each(|_| assert!(call(&breaker, 0, Outcome::Failed)));
    call(&breaker, 0, Outcome::ClientError);
    assert_eq!(breaker.state(), State::Closed);
    call(&breaker, 0, Outcome::Failed);
    assert_eq!(
        breaker.state(),
        State::Open,
        "a 404 does not interrupt the row"
    );
}

// Strictly longer is slow; slow answers open it by ratio.
#[test]
fn slow_answers_are_no_successes() {
    let slow = breaker(Params {
        slow: Some(50 * MILLI),
        ..Params::default()
    });
    let answer = |elapsed| {
        let guard = slow.admit(0).unwrap();
        guard.settle(0, Outcome::Ok, elapsed, 0);
    };
    (0..19).for_each(|_| answer(50 * MILLI));
    (0..19).for_each(|_| answer(50 * MILLI + 1));
    assert_eq!(slow.state(), State::Closed);
    answer(50 * MILLI + 1);
    assert_eq!(slow.state(), State::Open);
    let probe = slow.admit(2 * SECOND).unwrap();
    probe.settle(2 * SECOND, Outcome::Ok, SECOND, 0);
    assert_eq!(slow.state(), State::Open, "a slow probe fails");
}

#[test]
fn one_probe_decides() {
    let breaker = tripped();
    assert!(!breaker.available(SECOND - 1) && breaker.admit(SECOND - 1).is_err());
    assert!(breaker.available(SECOND));
    let probe = breaker.admit(SECOND).unwrap();
    assert!(probe.is_probe());
    assert!(breaker.admit(SECOND).is_err() && !breaker.available(SECOND));
    probe.settle(SECOND, Outcome::Ok, MILLI, 0);
    assert_eq!(breaker.state(), State::Closed);
    (0..6).for_each(|_| assert!(call(&breaker, SECOND, Outcome::Failed)));
    assert_eq!(breaker.state(), State::Closed, "the row starts anew");
}

// ALGORITHMS 6: 1 s doubled up to 60 s, half of it jitter; closing starts over.
#[test]
fn each_failed_probe_doubles_the_wait() {
    let breaker = tripped();
    let mut now = 0;
    for (seconds, draw) in [
        (2, 0),
        (4, 0),
        (8, 0),
        (24, u64::MAX),
        (32, 0),
        (60, 0),
        (60, 0),
    ] {
        now = breaker.admit(now).map_or_else(|open| open.until, |_| now);
        let probe = breaker.admit(now).unwrap();
        probe.settle(now, Outcome::RejectedByPeer, MILLI, draw);
        let until = breaker.admit(now).unwrap_err().until;
        assert!(
            (until - now).abs_diff(seconds * SECOND) <= MILLI,
            "{seconds}"
        );
        now = until;
    }
    assert!(call(&breaker, now, Outcome::DegradedOk));
    (0..7).for_each(|_| assert!(call(&breaker, now, Outcome::Failed)));
    assert_eq!(breaker.admit(now).unwrap_err().until, now + SECOND);
}

// resilience4j #544, #903, #935: a probe that never reports must not eject the address for ever.
#[test]
fn a_cancelled_probe_is_offered_again_at_once() {
    let breaker = tripped();
    for _ in 0..3 {
        let probe = breaker.admit(SECOND).unwrap();
        assert!(breaker.admit(SECOND).is_err());
        drop(probe);
    }
    let probe = breaker.admit(SECOND).unwrap();
    probe.settle(SECOND, Outcome::Cancelled, MILLI, 0);
    let probe = breaker.admit(SECOND).unwrap();
    probe.settle(SECOND, Outcome::ClientError, MILLI, 0);
    assert_eq!(breaker.state(), State::Closed, "who answers 404 is alive");
}

#[test]
fn an_end_of_an_earlier_generation_changes_nothing() {
    let breaker = breaker(Params::default());
    let late: Vec<_> = (0..20).map(|_| breaker.admit(0).unwrap()).collect();
    (0..7).for_each(|_| assert!(call(&breaker, 0, Outcome::Failed)));
    assert!(call(&breaker, SECOND, Outcome::Ok));
    for guard in late {
        guard.settle(SECOND, Outcome::Failed, MILLI, 0);
    }
    assert_eq!(breaker.state(), State::Closed);
}

// Panic: calls go in although it is open; their success closes it, their failure prolongs nothing.
#[test]
fn a_forced_call_may_close_it_and_never_prolongs() {
    let breaker = tripped();
    let forced = breaker.admit_anyway(0);
    assert!(!forced.is_probe());
    forced.settle(0, Outcome::Failed, MILLI, 0);
    assert_eq!(breaker.admit(0).unwrap_err().until, SECOND);
    let late = breaker.admit_anyway(0);
    breaker.admit_anyway(0).settle(0, Outcome::Ok, MILLI, 0);
    assert_eq!(breaker.state(), State::Closed);
    late.settle(0, Outcome::Failed, MILLI, 0);
    assert!(breaker.admit_anyway(0).breaker.available(0));
    let tripped = tripped();
    assert!(
        tripped.admit_anyway(SECOND).is_probe(),
        "the probe is taken when it is due"
    );
    assert!(tripped.admit(SECOND).is_ok(), "and given back");
}

// resilience4j #1432: never more than one call around the opening, whatever the number of threads.
#[test]
fn eight_threads_get_one_probe_at_a_time() {
    let breaker = tripped();
    let (inside, peak, probes) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for turn in 0..5_000_u64 {
                    let Ok(probe) = breaker.admit(u64::MAX) else {
                        continue;
                    };
                    assert!(probe.is_probe());
                    probes.fetch_add(1, Ordering::SeqCst);
                    let count = inside.fetch_add(1, Ordering::SeqCst) + 1;
                    peak.fetch_max(count, Ordering::SeqCst);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    if turn % 2 == 0 {
                        drop(probe);
                    } else {
                        probe.settle(0, Outcome::Failed, MILLI, turn);
                    }
                }
            });
        }
    });
    assert_eq!(peak.load(Ordering::SeqCst), 1);
    assert!(probes.load(Ordering::SeqCst) > 8, "no probe leaked");
    assert!(breaker.admit(u64::MAX).is_ok());
}

// An address fails for 30 s of a minute; a thousand calls a second want it.
#[test]
fn a_story_of_an_outage() {
    let breaker = breaker(Params::default());
    let (mut failed, mut refused_after) = (0, 0);
    for millisecond in 0..90_000 {
        let now = millisecond * MILLI;
        let broken = (10_000..40_000).contains(&millisecond);
        let outcome = if broken { Outcome::Failed } else { Outcome::Ok };
        let sent = call(&breaker, now, outcome);
        failed += u32::from(sent && broken);
        refused_after += u32::from(!sent && millisecond >= 40_000);
    }
    assert!(
        (7..=13).contains(&failed),
        "seven and a few probes: {failed}"
    );
    assert!(
        refused_after < 33_000,
        "back after one wait: {refused_after}"
    );
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn nonsense_is_refused() {
    let sound = Params::default();
    assert_eq!(sound.check(), Ok(()));
    for bad in [
        Params {
            consecutive: 0,
            ..sound
        },
        Params {
            samples_min: 0,
            ..sound
        },
        Params {
            success_min: 1.1,
            ..sound
        },
        Params {
            success_min: f64::NAN,
            ..sound
        },
        Params { window: 0, ..sound },
        Params {
            slow: Some(0),
            ..sound
        },
        Params { open: 0, ..sound },
        Params {
            open_max: 1,
            ..sound
        },
        Params {
            jitter: -0.1,
            ..sound
        },
    ] {
        assert!(bad.check().is_err(), "{bad:?}");
    }
}
