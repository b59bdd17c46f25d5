use super::*;
use crate::breaker;
use proptest::prelude::*;

const MILLI: Nanos = 1_000_000;

fn close(actual: f64, expected: f64) {
    assert!(
        (actual - expected).abs() < 5e-4 * expected.max(1.0),
        "{actual} is not {expected}"
    );
}

// ALGORITHMS 9: rtt 10 ms, tau 1 s.
#[test]
fn the_average_decays_and_jumps_up_at_once() {
    let endpoint = Arc::new(Endpoint::with_tau(1_000 * MILLI));
    let start = 1_000 * MILLI;
    endpoint.record(start, 10 * MILLI);
    close(endpoint.average(start + 100 * MILLI) / 1e6, 9.0484);
    close(endpoint.average(start + 200 * MILLI) / 1e6, 8.1873);
    let guards = [endpoint.start(), endpoint.start()];
    close(endpoint.load(start + 200 * MILLI) / 1e6, 24.562);
    drop(guards);
    endpoint.record(start + 200 * MILLI, 50 * MILLI);
    close(endpoint.average(start + 200 * MILLI) / 1e6, 50.0);
}

// ALGORITHMS 9: A has 3 pending x 10 ms = 40, B none x 30 ms = 30: B.
#[test]
fn the_less_loaded_of_two_wins() {
    let endpoints = [Arc::new(Endpoint::new()), Arc::new(Endpoint::new())];
    endpoints[0].record(MILLI, 10 * MILLI);
    endpoints[1].record(MILLI, 30 * MILLI);
    let guards: Vec<_> = (0..3).map(|_| endpoints[0].start()).collect();
    for draw in [0, 1, u64::MAX, 1 << 32] {
        assert_eq!(pick(&endpoints, MILLI, draw, None), 1);
    }
    drop(guards);
    assert_eq!(pick(&endpoints, MILLI, 1, None), 0);
}

#[test]
fn a_fast_failure_does_not_attract_calls() {
    let endpoints = [Arc::new(Endpoint::new()), Arc::new(Endpoint::new())];
    endpoints[0]
        .start()
        .finish(MILLI, MILLI / 10, Outcome::Failed);
    endpoints[1].start().finish(MILLI, 20 * MILLI, Outcome::Ok);
    assert_eq!(pick(&endpoints, MILLI, 0, None), 1);
}

// ALGORITHMS 9: a newcomer at zero would get a flood.
#[test]
fn a_newcomer_starts_at_the_median_of_those_that_answered() {
    let pool: Vec<_> = (0..4).map(|_| Arc::new(Endpoint::new())).collect();
    close(
        Endpoint::joining(&pool, MILLI).average(MILLI),
        FIRST_RTT as f64,
    );
    for (endpoint, rtt) in pool.iter().zip([90, 10, 20]) {
        endpoint.record(MILLI, rtt * MILLI);
    }
    let newcomer = Endpoint::joining(&pool, MILLI);
    close(newcomer.average(MILLI), 20e6);
    close(newcomer.average(1_000 * MILLI), 20e6);
    newcomer.record(2 * MILLI, 5 * MILLI);
    close(newcomer.average(2 * MILLI), 5e6);
}

#[test]
fn a_cancelled_call_leaves_no_trace() {
    let endpoint = Arc::new(Endpoint::new());
    let before = endpoint.average(5);
    drop(endpoint.start());
    endpoint.start().finish(5, 1, Outcome::Cancelled);
    assert_eq!(endpoint.pending(), 0);
    close(endpoint.average(5), before);
}

proptest! {
    #[test]
    fn an_avoided_address_is_never_picked_when_there_is_another(
        count in 2_usize..6, draw: u64, avoid in 0_usize..6,
    ) {
        let endpoints: Vec<_> = (0..count).map(|_| Arc::new(Endpoint::new())).collect();
        let picked = pick(&endpoints, 0, draw, Some(avoid));
        prop_assert!(picked < count && (picked != avoid || avoid >= count));
    }
}

// Mitzenmacher: two choices beat one by far. Jobs of equal length on 50 addresses, seeded.
#[test]
fn two_choices_keep_the_longest_queue_short() {
    let endpoints: Vec<_> = (0..50).map(|_| Arc::new(Endpoint::new())).collect();
    let mut random = fastrand::Rng::with_seed(7);
    let mut one = [0_u32; 50];
    let mut guards = Vec::new();
    for _ in 0..500 {
        guards.push(endpoints[pick(&endpoints, 0, random.u64(..), None)].start());
        one[random.usize(..50)] += 1;
    }
    let two = endpoints.iter().map(|endpoint| endpoint.pending()).max();
    assert!(
        two <= Some(13) && two.as_ref() < one.iter().max(),
        "{two:?} against {one:?}"
    );
}

fn ejected(count: usize, open: usize) -> (Vec<Arc<Endpoint>>, Vec<Arc<Breaker>>) {
    let endpoints = (0..count).map(|_| Arc::new(Endpoint::new())).collect();
    let breakers: Vec<_> = (0..count)
        .map(|_| Breaker::new(breaker::Params::default()))
        .collect();
    for breaker in &breakers[..open] {
        for _ in 0..7 {
            let guard = breaker.admit(0).unwrap();
            guard.settle(0, Outcome::Failed, MILLI, 0);
        }
    }
    (endpoints, breakers)
}

// ALGORITHMS 9: available 4 of 10: panic; 5 of 10: none.
#[test]
fn ejection_is_ignored_when_less_than_half_are_left() {
    for (open, panic) in [(0, false), (5, false), (6, true), (10, true)] {
        let (endpoints, breakers) = ejected(10, open);
        let mut random = fastrand::Rng::with_seed(5);
        let mut ejected_ones = 0;
        for _ in 0..200 {
            let picked = pick_available(&endpoints, &breakers, 0, random.u64(..), None);
            assert_eq!(picked.panic, panic, "{open} of 10 ejected");
            ejected_ones += u32::from(picked.index < open);
        }
        assert_eq!(ejected_ones > 0, panic, "{open} of 10 ejected");
    }
    let (endpoints, breakers) = ejected(1, 1);
    let picked = pick_available(&endpoints, &breakers, 0, 0, Some(0));
    assert_eq!(
        (picked.index, picked.panic),
        (0, true),
        "one address is never ejected"
    );
}

#[test]
fn a_retry_prefers_another_address_but_not_an_ejected_one() {
    let (endpoints, breakers) = ejected(2, 1);
    for draw in [0, 1, u64::MAX] {
        let picked = pick_available(&endpoints, &breakers, 0, draw, Some(1));
        assert_eq!((picked.index, picked.panic), (1, false));
    }
    let (endpoints, breakers) = ejected(3, 1);
    let picked = pick_available(&endpoints, &breakers, 0, 7, Some(1));
    assert_eq!(picked.index, 2);
}

// By load alone an address that failed would wait a minute until its penalty is forgotten.
#[test]
fn an_address_that_waits_for_a_probe_gets_one_call_and_no_more() {
    let (endpoints, breakers) = ejected(3, 1);
    endpoints[0].record(0, FAILURE_RTT);
    let (now, mut random) = (1_000 * MILLI, fastrand::Rng::with_seed(9));
    let mut probes = Vec::new();
    for _ in 0..50 {
        let picked = pick_available(&endpoints, &breakers, now, random.u64(..), None);
        let guard = breakers[picked.index].admit(now).unwrap();
        probes.extend(guard.is_probe().then_some(guard));
    }
    assert_eq!(probes.len(), 1);
}

proptest! {
    #[test]
    fn what_is_picked_is_offered_unless_it_panics(
        count in 1_usize..7, open in 0_usize..7, draw: u64, avoid in prop::option::of(0_usize..7),
    ) {
        let open = open.min(count);
        let (endpoints, breakers) = ejected(count, open);
        let picked = pick_available(&endpoints, &breakers, 0, draw, avoid);
        prop_assert!(picked.index < count);
        prop_assert_eq!(picked.panic, (count - open) * 2 < count);
        prop_assert!(picked.panic || picked.index >= open);
        let others = (open..count).any(|index| Some(index) != avoid);
        prop_assert!(picked.panic || !others || Some(picked.index) != avoid);
    }
}
