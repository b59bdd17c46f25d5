use super::*;
use crate::rate::Rate;
use proptest::prelude::*;
use std::collections::HashMap;

const SECOND: Nanos = 1_000_000_000;
const KEYS: usize = 65_536;

fn params(per_second: f64, burst: u32) -> Params {
    let params = Params { per_second, burst };
    params.check().unwrap();
    params
}

fn passing(keyed: &Keyed, hash: u64, now: Nanos, tries: usize) -> usize {
    (0..tries)
        .filter(|_| keyed.check_hash(hash, now, 1).is_ok())
        .count()
}

#[test]
fn keys_do_not_share_a_rate() {
    let keyed = Keyed::new(params(1.0, 3), KEYS);
    for key in ["10.0.0.1", "10.0.0.2", "key:abc", ""] {
        let passed = (0..9).filter(|_| keyed.check(key.as_bytes(), 0, 1).is_ok());
        assert_eq!(passed.count(), 3, "{key}");
    }
    assert_eq!((keyed.live(0), keyed.evicted()), (4, 0));
    assert_eq!(keyed.live(3 * SECOND), 0, "all is paid for");
}

// Neither a question nor what can never pass takes a place.
#[test]
fn nothing_taken_takes_no_place() {
    let keyed = Keyed::new(params(1.0, 3), KEYS);
    assert_eq!(keyed.check(b"a", 0, 0).map(|told| told.remaining), Ok(3));
    assert!(keyed.check(b"a", 0, 4).is_err());
    assert_eq!(keyed.live(0), 0);
}

// An idle key needs no sweep: its place is free for the next one.
#[test]
fn an_idle_place_is_taken_again() {
    let keyed = Keyed::new(params(1.0, 1), 0);
    let bucket = keyed.places.len() as u64 / BUCKET as u64;
    for second in 0..1_000 {
        // Eight keys of one bucket a second, each a new one.
        for key in 0..BUCKET as u64 {
            let hash = 1 + bucket * (second * BUCKET as u64 + key);
            assert_eq!(passing(&keyed, hash, second * SECOND, 2), 1);
        }
    }
    assert_eq!(keyed.evicted(), 0);
}

// Someone invents clients to be forgotten among them: the table stays as it is, a new client is
// still served, and who asks most stays refused.
#[test]
fn invented_keys_do_not_make_a_greedy_one_forgotten() {
    let keyed = Keyed::new(params(1.0, 10), 0);
    let (greedy, mut taken) = (1, 0);
    for step in 0..10_000_u64 {
        let now = step * 1_000_000;
        taken += passing(&keyed, greedy, now, 2);
        assert_eq!(
            passing(&keyed, 2 + step, now, 1),
            1,
            "a new client is served"
        );
    }
    assert_eq!(taken, 10 + 9);
    assert!(keyed.evicted() > 1_000, "{}", keyed.evicted());
    assert_eq!(keyed.places.len(), 512);
    assert!(keyed.live(0) <= 512);
}

#[test]
fn changed_limits_hold_for_known_keys() {
    let keyed = Keyed::new(params(1.0, 1), 0);
    assert_eq!(passing(&keyed, 7, 0, 5), 1);
    keyed.set(params(100.0, 50));
    assert_eq!(passing(&keyed, 7, 10 * SECOND, 500), 50);
}

// All workers meet a new key at once, while others come and go in the same bucket.
#[test]
fn eight_threads_grant_a_new_key_its_burst_once() {
    let keyed = Keyed::new(params(1.0, 100), 0);
    let bucket = keyed.places.len() as u64 / BUCKET as u64;
    let granted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let keyed = &keyed;
                scope.spawn(move || {
                    let mut granted = 0;
                    for step in 0..2_000_u64 {
                        granted += passing(keyed, 5, SECOND, 1);
                        // One cell each: they owe less than the key above from its second on.
                        let other = 5 + bucket * (1 + step * 8 + thread);
                        passing(keyed, other, SECOND, usize::from(step > 50));
                    }
                    granted
                })
            })
            .collect();
        threads.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!(granted, 100);
}

proptest! {
    #[test]
    fn agrees_with_a_rate_for_each_key(
        steps in prop::collection::vec((0_u64..40, 0_u64..400_000_000, 0_u32..4), 0..300),
    ) {
        let params = params(5.0, 3);
        let keyed = Keyed::new(params, KEYS);
        let (mut model, mut now) = (HashMap::new(), 0);
        for (key, wait, cells) in steps {
            now += wait;
            let rate = model.entry(key).or_insert_with(|| Rate::new(params));
            let answer = keyed.check(&key.to_le_bytes(), now, cells);
            prop_assert_eq!(answer, rate.check(now, cells));
        }
    }
}
