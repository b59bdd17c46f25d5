use super::*;
use proptest::prelude::*;

const MILLI: Nanos = 1_000_000;

/// ttl 1 s, stale while revalidate 2 s, stale if error 5 s.
fn params() -> Params {
    Params {
        ttl: SECOND,
        stale_while_revalidate: 2 * SECOND,
        stale_if_error: 5 * SECOND,
        negative: SECOND / 4,
        jitter: 0.0,
        beta: 1.0,
    }
}

fn entry(params: Params, cost: Nanos) -> Entry {
    params.check().unwrap();
    params.store(200, 10 * SECOND, cost, 0).unwrap()
}

// ALGORITHMS 8, with the borders.
#[test]
fn an_entry_goes_through_its_ages() {
    let entry = entry(params(), 0);
    for (age, expected) in [
        (0, Use::Fresh),
        (999, Use::Fresh),
        (1_000, Use::Revalidate),
        (2_500, Use::Revalidate),
        (3_000, Use::Revalidate),
        (3_001, Use::IfError),
        (3_500, Use::IfError),
        (6_000, Use::IfError),
        (6_001, Use::Dead),
        (6_500, Use::Dead),
    ] {
        let now = 10 * SECOND + age * MILLI;
        assert_eq!(entry.at(now, 9, u64::MAX), expected, "{age} ms");
    }
    assert_eq!(
        entry.at(0, 0, 0),
        Use::Fresh,
        "a late clock makes nothing stale"
    );
    assert_eq!(entry.dead_at(), 16 * SECOND + 1);
}

#[test]
fn without_stale_times_an_expired_entry_is_dead() {
    let strict = Params {
        stale_while_revalidate: 0,
        stale_if_error: 0,
        ..params()
    };
    let entry = entry(strict, 0);
    assert_eq!(entry.at(11 * SECOND - 1, 0, 0), Use::Fresh);
    assert_eq!(entry.at(11 * SECOND, 0, 0), Use::Dead);
}

#[test]
fn uses_say_whether_to_serve_and_to_fetch() {
    let all = [
        Use::Fresh,
        Use::Early,
        Use::Revalidate,
        Use::IfError,
        Use::Dead,
    ];
    let yes = |f: fn(Use) -> bool| all.map(f);
    assert_eq!(yes(Use::serves), [true, true, true, false, false]);
    assert_eq!(yes(Use::serves_on_error), [true, true, true, true, false]);
    assert_eq!(yes(Use::fetches), [false, true, true, true, true]);
}

/// The longest time before the expiry at which a draw refreshes an entry that costs 400 ms.
fn earliest(chance: f64) -> f64 {
    let params = Params {
        ttl: 100 * SECOND,
        ..params()
    };
    let entry = entry(params, 400 * MILLI);
    // The draw for which one minus its fraction is the chance.
    let draw = ((1.0 - chance) * (1_u64 << 53) as f64) as u64 * (1 << 11);
    let left = |millis: u64| 110 * SECOND - millis * MILLI / 10;
    let refreshes = |tenths: &u64| entry.at(left(*tenths), 2, draw) == Use::Early;
    (1..100_000).rev().find(refreshes).unwrap_or(0) as f64 / 10.0
}

// ALGORITHMS 8: a fetch takes 0.4 s.
#[test]
fn a_draw_refreshes_from_a_certain_time_on() {
    assert!((earliest(0.5) - 277.3).abs() < 0.11, "{}", earliest(0.5));
    assert!((earliest(0.01) - 1_842.0).abs() < 0.5, "{}", earliest(0.01));
    assert!(earliest(1.0) <= 0.0);
}

// ALGORITHMS 8: the chance is exp(-left / cost), over draws that lie evenly.
#[test]
fn the_chance_of_a_refresh_grows_towards_the_expiry() {
    let entry = entry(
        Params {
            ttl: 100 * SECOND,
            ..params()
        },
        400 * MILLI,
    );
    for (left, expected) in [
        (100, 0.7788),
        (400, 0.3679),
        (2_000, 0.006_74),
        (10_000, 0.0),
    ] {
        let now = 110 * SECOND - left * MILLI;
        let early = (0..1_u64 << 16)
            .filter(|step| entry.at(now, 2, step << 48) == Use::Early)
            .count();
        let chance = early as f64 / f64::from(1 << 16);
        assert!((chance - expected).abs() < 1e-4, "{left} ms: {chance}");
    }
}

#[test]
fn a_key_that_is_hardly_read_is_not_refreshed_early() {
    let entry = entry(params(), SECOND);
    let now = 11 * SECOND - 1;
    assert_eq!(entry.at(now, 1, u64::MAX), Use::Fresh);
    assert_eq!(entry.at(now, 2, u64::MAX), Use::Early);
    let never = self::entry(
        Params {
            beta: 0.0,
            ..params()
        },
        SECOND,
    );
    assert_eq!(never.at(now, 9, u64::MAX), Use::Fresh);
}

#[test]
fn successes_and_absences_are_stored_and_errors_never() {
    for (status, ttl) in [
        (200, Some(60)),
        (204, Some(60)),
        (404, Some(5)),
        (410, Some(5)),
        (301, None),
        (400, None),
        (401, None),
        (429, None),
        (500, None),
        (503, None),
    ] {
        let long = Params {
            jitter: 0.0,
            ..Params::of(60 * SECOND)
        };
        let entry = long.store(status, 0, 0, 0);
        assert_eq!(
            entry.map(|entry| entry.ttl),
            ttl.map(|ttl| ttl * SECOND),
            "{status}"
        );
    }
    let absent = params().store(404, 0, 0, 0).unwrap();
    assert!(absent.negative());
    assert_eq!(
        absent.at(249 * MILLI, 0, 0),
        Use::Fresh,
        "a quarter of the ttl"
    );
    assert_eq!(absent.at(250 * MILLI, 0, 0), Use::Dead, "and never stale");
}

#[test]
fn only_failures_excuse_a_stale_answer() {
    let excused = [None, Some(500), Some(502), Some(503), Some(504)];
    assert!(excused.into_iter().all(excuses));
    let not = [Some(200), Some(400), Some(404), Some(429), Some(501)];
    assert!(!not.into_iter().any(excuses));
}

#[test]
fn nonsense_is_refused() {
    assert_eq!(Params::of(SECOND).check(), Ok(()));
    let bad = [
        Params::of(0),
        Params {
            jitter: 0.6,
            ..params()
        },
        Params {
            beta: -1.0,
            ..params()
        },
        Params {
            beta: f64::NAN,
            ..params()
        },
        Params::of(3 * 3_600 * SECOND),
    ];
    assert!(bad.iter().all(|params| params.check().is_err()));
}

// A thousand entries are loaded at once: no fiftieth of the time to live sees a quarter of them
// expire, and none outlives what was agreed.
#[test]
fn what_was_loaded_together_does_not_expire_together() {
    let mut random = fastrand::Rng::with_seed(5);
    let mut expiring = [0_u32; 51];
    for _ in 0..1_000 {
        let entry = Params::of(SECOND).store(200, 0, 0, random.u64(..)).unwrap();
        expiring[(entry.ttl * 50 / SECOND) as usize] += 1;
    }
    assert_eq!(
        expiring[..45].iter().sum::<u32>(),
        0,
        "at most a tenth earlier"
    );
    assert!(expiring.iter().all(|count| *count < 250), "{expiring:?}");
}

proptest! {
    // Time makes an entry good for less and less.
    #[test]
    fn an_entry_never_gets_younger(
        ttl in 1_u64..100, swr in 0_u64..100, sie in 0_u64..100, draw: u64,
        status in prop::sample::select(vec![200_u16, 404]),
    ) {
        let params = Params {
            ttl,
            stale_while_revalidate: swr,
            stale_if_error: sie,
            ..params()
        };
        let entry = params.store(status, 0, 30, draw).unwrap();
        let ages = [Use::Fresh, Use::Early, Use::Revalidate, Use::IfError, Use::Dead];
        let place = |now| ages.iter().position(|one| *one == entry.at(now, 2, draw));
        for now in 0..300 {
            prop_assert!(place(now) <= place(now + 1), "{now}");
        }
        prop_assert_eq!(entry.at(entry.dead_at(), 2, draw), Use::Dead);
    }
}
