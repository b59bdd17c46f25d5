//! The cache under a made-up clock: whom it makes wait, what it keeps, what it lets go (req 16.5).

use super::near::{Near, KEYS_MAX};
use super::store::Landing;
use super::{Asked, Cache, Fetched, Kept, Scope, Stored};
use crate::reason::Reason;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tailrace_policy::freshness::{Params, Use};
use tailrace_policy::Nanos;

const SECOND: Nanos = 1_000_000_000;
const START: Nanos = 100 * SECOND;

/// ALGORITHMS 8: ttl 1, swr 2, sie 5; nothing taken off by chance.
fn params() -> Params {
    Params {
        stale_while_revalidate: 2 * SECOND,
        stale_if_error: 5 * SECOND,
        jitter: 0.0,
        beta: 0.0,
        ..Params::of(SECOND)
    }
}

#[allow(clippy::unnecessary_wraps)] // what a fetch brings
fn json(text: &str) -> Fetched {
    Ok(Some(text.as_bytes().into()))
}

/// A key as `key::push` makes it: upstream, scope, target.
fn key(target: &str) -> Vec<u8> {
    [&[0; 12], target.as_bytes(), b"\r\n"].concat()
}

fn ask(cache: &Arc<Cache>, target: &str, now: Nanos) -> Asked {
    let key = key(target);
    cache.ask(cache.hash(&key), &key, now, 0)
}

/// Lands the flight that `asked` has to start, and says what became of the answer.
fn land(cache: &Arc<Cache>, asked: &Asked, fetched: Fetched, now: Nanos) -> Stored {
    let (key, flight) = match asked {
        Asked::Wait {
            waiter,
            start: true,
            ..
        } => (waiter.key.clone(), waiter.flight),
        Asked::Serve {
            refresh: Some((key, flight)),
            ..
        } => (key.clone(), *flight),
        other => panic!("nothing to fetch: {other:?}"),
    };
    let landing = Landing {
        key: &key,
        flight,
        params: &params(),
        empty_allowed: true,
        cost: 0,
    };
    cache.land(&landing, fetched, now, 0)
}

/// Fetches and keeps `text`.
fn keep(cache: &Arc<Cache>, target: &str, text: &str, now: Nanos) -> Stored {
    let asked = ask(cache, target, now);
    land(cache, &asked, json(text), now)
}

/// Keeps `text` as the answer of this key, for the tests of others.
pub fn put(cache: &Arc<Cache>, key: &[u8], text: &str, now: Nanos) {
    let asked = cache.ask(cache.hash(key), key, now, 0);
    assert_eq!(land(cache, &asked, json(text), now), Stored::Kept);
}

/// What is served at once, and for what it is good.
fn served(asked: &Asked) -> Option<(String, Use)> {
    let Asked::Serve { copy, found, .. } = asked else {
        return None;
    };
    let Kept::Value(Some(json)) = &copy.value else {
        return None;
    };
    Some((String::from_utf8_lossy(json).into_owned(), *found))
}

fn refreshes(asked: &Asked) -> bool {
    matches!(
        asked,
        Asked::Serve {
            refresh: Some(_),
            ..
        }
    )
}

fn polled(asked: &mut Asked) -> Poll<Fetched> {
    let Asked::Wait { waiter, .. } = asked else {
        panic!("nothing to wait for");
    };
    Pin::new(waiter).poll(&mut Context::from_waker(Waker::noop()))
}

// ALGORITHMS 8: a=0.999 fresh; 1.0 stale + 1 refresh; 2.5 stale + 1 refresh (second reader starts
// none); 3.5 fetch, error -> stale; 6.5 fetch, error -> error.
#[test]
fn an_entry_lives_as_the_story_says() {
    let cache = Cache::new(1 << 20);
    assert_eq!(keep(&cache, "/a", "1", START), Stored::Kept);
    let at = |ms: Nanos| START + ms * 1_000_000;
    let fresh = ask(&cache, "/a", at(999));
    assert_eq!(served(&fresh), Some(("1".to_owned(), Use::Fresh)));
    assert!(!refreshes(&fresh));
    let stale = ask(&cache, "/a", at(1_000));
    assert_eq!(served(&stale), Some(("1".to_owned(), Use::Revalidate)));
    assert!(refreshes(&stale));
    assert!(
        !refreshes(&ask(&cache, "/a", at(2_500))),
        "one is under way"
    );
    let error = Err(Reason::ServerError);
    assert_eq!(land(&cache, &stale, error, at(2_600)), Stored::Not);
    let again = ask(&cache, "/a", at(2_700));
    assert!(refreshes(&again), "the failed one is over");
    assert_eq!(
        land(&cache, &again, Err(Reason::Timeout), at(2_800)),
        Stored::Not
    );
    let mut late = ask(&cache, "/a", at(3_500));
    assert!(
        matches!(&late, Asked::Wait { start: true, kept: Some(copy), .. }
        if copy.entry.at(at(3_500), 0, 0).serves_on_error())
    );
    assert_eq!(
        land(&cache, &late, Err(Reason::Reset), at(3_600)),
        Stored::Not
    );
    assert!(matches!(polled(&mut late), Poll::Ready(Err(Reason::Reset))));
    assert!(matches!(
        ask(&cache, "/a", at(6_500)),
        Asked::Wait { kept: None, .. }
    ));
    assert_eq!(cache.totals().entries, 0, "a dead entry is let go");
}

// ALGORITHMS 8: 100 concurrent misses -> 1 call; the leader goes -> still 1 call, 99 answers.
#[test]
fn a_hundred_wait_for_one_fetch_whoever_leaves() {
    let cache = Cache::new(1 << 20);
    let mut all: Vec<Asked> = (0..100).map(|_| ask(&cache, "/hot", START)).collect();
    let starts = |asked: &&Asked| matches!(asked, Asked::Wait { start: true, .. });
    assert_eq!(all.iter().filter(starts).count(), 1);
    for asked in &mut all {
        assert!(polled(asked).is_pending());
    }
    let leader = all.remove(0);
    let Asked::Wait { waiter, .. } = &leader else {
        panic!("the first starts it");
    };
    let (key, flight) = (waiter.key.clone(), waiter.flight);
    drop(leader);
    assert_eq!(cache.totals().flights, 1);
    let landing = Landing {
        key: &key,
        flight,
        params: &params(),
        empty_allowed: true,
        cost: 0,
    };
    assert_eq!(cache.land(&landing, json("1"), START, 0), Stored::Kept);
    let answers = all.iter_mut().map(polled);
    let got =
        answers.filter(|answer| matches!(answer, Poll::Ready(Ok(Some(json))) if **json == *b"1"));
    assert_eq!(got.count(), 99);
    drop(all);
    assert_eq!((cache.totals().flights, cache.totals().entries), (0, 1));
}

#[test]
fn with_the_last_who_waits_the_flight_ends() {
    let cache = Cache::new(1 << 20);
    let first = ask(&cache, "/a", START);
    let second = ask(&cache, "/a", START);
    drop(first);
    assert_eq!(cache.totals().flights, 1);
    drop(second);
    assert_eq!(cache.totals().flights, 0);
    let next = ask(&cache, "/a", START);
    assert!(matches!(next, Asked::Wait { start: true, .. }));
    assert_eq!(land(&cache, &next, json("2"), START), Stored::Kept);
}

// What came before an invalidation is told to those who wait for it, and to nobody after.
#[test]
fn an_invalidation_detaches_what_is_in_the_air() {
    let cache = Cache::new(1 << 20);
    let mut old = ask(&cache, "/users/1", START);
    let other = ask(&cache, "/stock/1", START);
    let scope = Scope::Upstream {
        upstream: 0,
        prefix: b"/users/".to_vec(),
    };
    assert_eq!(cache.invalidate(&scope), 0);
    let new = ask(&cache, "/users/1", START);
    assert!(
        matches!(new, Asked::Wait { start: true, .. }),
        "nobody joins the old one"
    );
    assert_eq!(land(&cache, &old, json("old"), START), Stored::Invalidated);
    assert!(matches!(polled(&mut old), Poll::Ready(Ok(Some(json))) if *json == *b"old"));
    assert_eq!(land(&cache, &new, json("new"), START), Stored::Kept);
    assert_eq!(land(&cache, &other, json("other"), START), Stored::Kept);
    let found = served(&ask(&cache, "/users/1", START));
    assert_eq!(found, Some(("new".to_owned(), Use::Fresh)));
    assert_eq!(cache.invalidate(&Scope::Everything), 2);
}

#[test]
fn absence_is_kept_errors_and_empty_answers_that_mean_nothing_are_not() {
    let cache = Cache::new(1 << 20);
    for reason in [Reason::NotFound, Reason::Gone] {
        let asked = ask(&cache, reason.code(), START);
        assert_eq!(land(&cache, &asked, Err(reason), START), Stored::Kept);
    }
    for reason in Reason::ALL {
        if !matches!(reason, Reason::NotFound | Reason::Gone) {
            let asked = ask(&cache, reason.code(), START);
            assert_eq!(
                land(&cache, &asked, Err(reason), START),
                Stored::Not,
                "{reason:?}"
            );
        }
    }
    let asked = ask(&cache, "/empty", START);
    let Asked::Wait { waiter, .. } = &asked else {
        panic!("nothing is kept of it");
    };
    let landing = Landing {
        key: &waiter.key,
        flight: waiter.flight,
        params: &params(),
        empty_allowed: false,
        cost: 0,
    };
    assert_eq!(cache.land(&landing, Ok(None), START, 0), Stored::Not);
}

// The failure that frequencies prevent: what is read once pushes out what is read all the time.
#[test]
fn a_scan_leaves_what_is_read_all_the_time() {
    let cache = Cache::new(1 << 18);
    let body = "x".repeat(800);
    let hot: Vec<String> = (0..100).map(|number| format!("/hot/{number}")).collect();
    for target in &hot {
        keep(&cache, target, &body, START);
        (0..8).for_each(|_| drop(ask(&cache, target, START)));
    }
    for number in 0..10_000 {
        keep(&cache, &format!("/scan/{number}"), &body, START);
        if number % 100 == 0 {
            for target in &hot {
                drop(ask(&cache, target, START));
            }
        }
        assert!(cache.totals().bytes <= 1 << 18);
    }
    let there = |target: &&String| served(&ask(&cache, target, START)).is_some();
    let left = hot.iter().filter(there).count();
    println!("scan of 10000: {left} of 100 hot entries left");
    assert!(left >= 95, "{left}");
    assert!(cache.totals().evicted > 9_000);
}

#[test]
fn what_is_too_large_or_finds_no_room_is_refused_and_a_lower_bound_is_reached() {
    let cache = Cache::new(1 << 16);
    let large = "x".repeat(1 << 14);
    assert_eq!(keep(&cache, "/large", &large, START), Stored::Refused);
    for number in 0..200 {
        keep(&cache, &format!("/{number}"), "0123456789", START);
    }
    let before = cache.totals();
    cache.resize(1 << 14);
    for number in 200..400 {
        keep(&cache, &format!("/{number}"), "0123456789", START);
    }
    let after = cache.totals();
    assert!(
        before.bytes > 1 << 14 && after.bytes <= 1 << 14,
        "{before:?} {after:?}"
    );
    assert_eq!(after.bytes_max, 1 << 14);
}

// All bytes may be in other shards: a newcomer still gets in, or nothing new ever would.
#[test]
fn an_empty_shard_gets_its_room_from_others() {
    let cache = Cache::new(4 << 20);
    assert!(cache.places.len() > 1);
    let body = "x".repeat(500_000);
    for number in 0..40 {
        let target = format!("/{number}");
        (0..number).for_each(|_| drop(ask(&cache, &target, START)));
        keep(&cache, &target, &body, START);
        assert!(cache.totals().bytes <= 4 << 20);
    }
    assert!(
        served(&ask(&cache, "/39", START)).is_some(),
        "the one most asked for"
    );
}

/// Makes a key hot for `near` and offers its copy.
fn heated(near: &mut Near, cache: &Arc<Cache>, target: &str, now: Nanos) {
    let key = key(target);
    let hash = cache.hash(&key);
    for _ in 0..100 {
        near.get(cache, hash, &key, now, 0);
    }
    let epoch = cache.epoch(hash);
    if let Asked::Serve { copy, .. } = ask(cache, target, now) {
        near.offer(hash, &key, &copy, epoch, now);
    }
}

#[test]
fn a_copy_beside_a_worker_ends_with_its_time_and_with_an_invalidation() {
    let cache = Cache::new(1 << 20);
    let (mut near, key) = (Near::default(), key("/hot"));
    let hash = cache.hash(&key);
    keep(&cache, "/hot", "1", START);
    let found = |near: &mut Near, now| near.get(&cache, hash, &key, now, 0).is_some();
    assert!(!found(&mut near, START));
    heated(&mut near, &cache, "/hot", START);
    assert!(found(&mut near, START) && found(&mut near, START + 99_000_000));
    assert!(
        !found(&mut near, START + 100_000_000),
        "a tenth of a second"
    );
    heated(&mut near, &cache, "/hot", START);
    assert!(found(&mut near, START));
    cache.invalidate(&Scope::Everything);
    assert!(!found(&mut near, START));
    // Its time to live ends before a tenth of a second has passed.
    keep(&cache, "/hot", "2", START);
    heated(&mut near, &cache, "/hot", START + SECOND - 1_000);
    assert!(found(&mut near, START + SECOND - 1));
    assert!(!found(&mut near, START + SECOND));
}

#[test]
fn few_keys_stand_beside_a_worker_and_only_hot_ones() {
    let cache = Cache::new(1 << 20);
    let mut near = Near::default();
    for number in 0..100 {
        let target = format!("/{number}");
        keep(&cache, &target, "1", START);
        heated(&mut near, &cache, &target, START);
        assert!(near.len() <= KEYS_MAX);
    }
    let key = key("/cold");
    keep(&cache, "/cold", "1", START);
    let Asked::Serve { copy, .. } = ask(&cache, "/cold", START) else {
        panic!("it is kept");
    };
    near.offer(cache.hash(&key), &key, &copy, 0, START);
    assert!(near.get(&cache, cache.hash(&key), &key, START, 0).is_none());
}
