use super::{AdaptiveLimit, Law, Machine, Params, Seen};
use crate::outcome::Outcome;
use crate::Nanos;
use proptest::prelude::*;

const MILLI: Nanos = 1_000_000;
const SECOND: Nanos = 1_000 * MILLI;

fn seen(rtt: Nanos, in_flight: u32, drops: f64) -> Seen {
    Seen {
        rtt: Some(rtt * MILLI),
        in_flight,
        drops,
    }
}

fn machine(law: Law) -> Machine {
    let params = Params {
        law,
        ceiling: Some(80 * MILLI),
        ..Params::default()
    };
    params.check().unwrap();
    Machine::new(params)
}

const LAWS: [Law; 3] = [Law::Vegas, Law::Aimd, Law::Gradient];

// ALGORITHMS 1: calls that all return at the timeout have no variance and let laws climb.
#[test]
fn no_law_climbs_above_the_absolute_ceiling() {
    for law in LAWS {
        let mut machine = machine(law);
        let mut limit = 20;
        for _ in 0..60 {
            limit = machine.close(&seen(81, limit, 0.0), 400);
        }
        assert_eq!(limit, 4, "{law:?}");
    }
}

#[test]
fn drops_are_never_samples() {
    for law in LAWS {
        let mut machine = machine(law);
        let mut limit = 20;
        for _ in 0..60 {
            let dropped = Seen {
                rtt: None,
                in_flight: limit,
                drops: 1.0,
            };
            limit = machine.close(&dropped, 400);
        }
        assert_eq!(limit, 4, "{law:?}");
        let mut machine = super::tests::machine(law);
        let before = machine.close(&seen(10, 20, 0.0), 400);
        let after = machine.close(&seen(10, before, 0.11), 400);
        assert!(after < before, "{law:?}: more than a tenth");
    }
}

#[test]
fn answers_that_took_no_time_are_numbers() {
    for law in LAWS {
        let mut machine = machine(law);
        for _ in 0..5 {
            machine.close(&seen(0, 20, 0.0), 400);
        }
        let limit = machine.limit;
        assert!((20.0..=50.0).contains(&limit), "{law:?}: {limit}");
        assert!(machine.close(&seen(10, 20, 0.0), 400) >= 20, "{law:?}");
    }
}

// Errors that are not its doing must not starve an upstream.
#[test]
fn a_limit_that_is_not_half_used_stays() {
    for law in LAWS {
        let mut machine = machine(law);
        for (rtt, drops) in [(10, 0.0), (90, 0.0), (10, 0.5), (10, 0.05)] {
            assert_eq!(machine.close(&seen(rtt, 9, drops), 400), 20, "{law:?}");
        }
    }
}

#[test]
fn rare_drops_do_not_stop_growth() {
    let mut machine = machine(Law::Vegas);
    let mut limit = 20;
    for _ in 0..10 {
        limit = machine.close(&seen(10, limit, 0.005), 400);
    }
    assert!(limit >= 70, "{limit}");
}

// A burst raised the limit; when it is over, five times what is in flight is enough.
#[test]
fn the_limit_does_not_stay_far_above_use() {
    let mut machine = machine(Law::Vegas);
    let mut limit = 20;
    for _ in 0..30 {
        limit = machine.close(&seen(10, limit, 0.0), 400);
    }
    assert!(limit > 150, "{limit}");
    assert_eq!(machine.close(&seen(10, 10, 0.0), 400), 50);
    assert_eq!(
        machine.close(&seen(10, 1, 0.0), 400),
        20,
        "never below its start"
    );
}

/// Samples of one window: `count` answers, then one that closes it.
fn window(limit: &AdaptiveLimit, from: Nanos, count: u32, rtt: Nanos) -> Option<u32> {
    let in_flight = limit.limit();
    for _ in 1..count {
        let early = limit.sample(from, rtt, in_flight, Outcome::Ok);
        assert_eq!(early, None);
    }
    limit.sample(from + SECOND, rtt, in_flight, Outcome::Ok)
}

#[test]
fn a_window_needs_its_time_and_its_samples() {
    let limit = AdaptiveLimit::new(Params::default());
    assert_eq!(window(&limit, SECOND, 49, 10 * MILLI), None);
    assert_eq!(
        limit.sample(2 * SECOND, 10 * MILLI, 20, Outcome::Ok),
        Some(26)
    );
    assert_eq!(limit.limit(), 26);
    assert_eq!(window(&limit, 2 * SECOND, 50, 10 * MILLI), Some(32));
}

#[test]
fn a_window_that_does_not_fill_is_discarded() {
    let limit = AdaptiveLimit::new(Params::default());
    window(&limit, SECOND, 30, 10 * MILLI);
    assert_eq!(limit.sample(60 * SECOND, MILLI, 20, Outcome::Ok), None);
    assert_eq!(
        window(&limit, 60 * SECOND, 49, 10 * MILLI),
        None,
        "30 are forgotten"
    );
    assert_eq!(limit.sample(61 * SECOND, MILLI, 20, Outcome::Ok), Some(26));
}

#[test]
fn slow_upstreams_get_longer_windows() {
    let limit = AdaptiveLimit::new(Params::default());
    assert!(window(&limit, SECOND, 50, 2 * SECOND).is_some());
    assert_eq!(window(&limit, 2 * SECOND, 50, 2 * SECOND), None);
    let closed = limit.sample(7 * SECOND, 2 * SECOND, 26, Outcome::Ok);
    assert!(closed.is_some());
}

#[test]
fn what_says_nothing_is_no_sample() {
    let limit = AdaptiveLimit::new(Params::default());
    limit.sample(SECOND, 10 * MILLI, 20, Outcome::Ok);
    for outcome in [Outcome::Failed, Outcome::Cancelled, Outcome::LocalReject] {
        for _ in 0..100 {
            assert_eq!(limit.sample(3 * SECOND, MILLI, 1_000, outcome), None);
        }
    }
    for _ in 0..48 {
        assert_eq!(limit.sample(3 * SECOND, MILLI, 20, Outcome::Timeout), None);
    }
    let closed = limit.sample(3 * SECOND, MILLI, 20, Outcome::RejectedByPeer);
    assert_eq!(closed, Some(18), "49 of 50 dropped");
}

#[test]
fn a_lower_maximum_is_obeyed_by_the_next_window() {
    let limit = AdaptiveLimit::new(Params::default());
    let bounded = |max| Params {
        init: 4,
        max,
        ..Params::default()
    };
    let limit = limit.renewed(bounded(10));
    assert_eq!(limit.limit(), 20, "not before the window ends");
    assert_eq!(window(&limit, SECOND, 50, 10 * MILLI), Some(10));
    let limit = limit.renewed(bounded(4));
    assert_eq!(window(&limit, 2 * SECOND, 50, 10 * MILLI), Some(4));
}

#[test]
fn eight_threads_close_each_window_once() {
    let limit = AdaptiveLimit::new(Params::default());
    let together = std::sync::Barrier::new(8);
    let closed: usize = std::thread::scope(|scope| {
        let work = || {
            let mut closed = 0;
            for second in 1..=20 {
                together.wait();
                for _ in 0..200 {
                    let now = second * SECOND;
                    let in_flight = limit.limit();
                    let new = limit.sample(now, 10 * MILLI, in_flight, Outcome::Ok);
                    closed += usize::from(new.is_some());
                }
            }
            closed
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|one| one.join().unwrap()).sum()
    });
    // The first second opens the first window; each later one closes one, if all agree.
    assert_eq!(closed, 19);
    assert!(limit.limit() > 100);
}

#[test]
fn nonsense_is_refused() {
    let sound = Params::default();
    assert_eq!(sound.check(), Ok(()));
    for bad in [
        Params { min: 0, ..sound },
        Params { min: 21, ..sound },
        Params { max: 19, ..sound },
        Params {
            quantile: 1.0,
            ..sound
        },
        Params {
            quantile: f64::NAN,
            ..sound
        },
        Params { window: 0, ..sound },
        Params {
            samples_min: 9,
            ..sound
        },
        Params {
            ceiling: Some(0),
            ..sound
        },
    ] {
        assert!(bad.check().is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn no_law_leaves_its_bounds(
        law in prop::sample::select(LAWS.to_vec()),
        windows in prop::collection::vec((0_u64..200, 0_u32..500, 0.0_f64..0.2), 0..200),
    ) {
        let mut machine = machine(law);
        let mut before = 20;
        for (rtt, in_flight, drops) in windows {
            let limit = machine.close(&seen(rtt, in_flight, drops), 100);
            prop_assert!((4..=100).contains(&limit));
            prop_assert!(limit <= before + 12, "{} after {}", limit, before);
            before = limit;
        }
    }
}
