use super::*;

fn leads(flights: &mut Flights<&'static str>, key: &'static str) -> Flight {
    match flights.join(&key) {
        Joined::Lead(flight) => flight,
        other => panic!("{other:?}"),
    }
}

fn landing(waiters: u32, store: bool) -> Landing {
    Landing { waiters, store }
}

// ALGORITHMS 8: a hundred misses are one call. The first caller goes away: still one call, and
// ninety-nine answers.
#[test]
fn a_hundred_misses_are_one_call_whoever_leaves() {
    let mut flights = Flights::new(8);
    let flight = leads(&mut flights, "hot");
    for _ in 1..100 {
        assert_eq!(flights.join(&"hot"), Joined::Follow(flight));
    }
    assert_eq!(flights.leave(flight), Left::Flying);
    assert_eq!(flights.land(flight, true), Some(landing(99, true)));
    assert_eq!((flights.flying(), flights.current.len()), (0, 0));
}

// ALGORITHMS 8: with nobody left the call ends; who comes between that and its end is not aborted.
#[test]
fn the_last_to_leave_ends_the_call_and_nobody_inherits_that() {
    let mut flights = Flights::new(8);
    let first = leads(&mut flights, "a");
    flights.join(&"a");
    assert_eq!(flights.leave(first), Left::Flying);
    assert_eq!(flights.leave(first), Left::Abort);
    // The task of the first is still being aborted.
    let second = leads(&mut flights, "a");
    assert_ne!(first, second);
    assert_eq!(
        flights.land(first, true),
        None,
        "an answer that came anyway is nobody's"
    );
    assert_eq!(flights.leave(first), Left::Landed);
    assert_eq!(flights.land(second, true), Some(landing(1, true)));
}

// ALGORITHMS 8: a second reader of a stale entry starts no second refresh, and a refresh needs no
// reader.
#[test]
fn one_refresh_runs_and_goes_on_alone() {
    let mut flights = Flights::new(8);
    let refresh = flights.refresh(&"a");
    assert!(refresh.is_some_and(|_| flights.refresh(&"a").is_none()));
    let flight = refresh.unwrap();
    assert_eq!(flights.join(&"a"), Joined::Follow(flight));
    assert_eq!(flights.leave(flight), Left::Flying);
    assert_eq!(flights.land(flight, true), Some(landing(0, true)));
    assert!(flights.refresh(&"a").is_some(), "and then the next may");
}

// ALGORITHMS 8: an error is everybody's and is not stored.
#[test]
fn an_error_reaches_all_and_is_not_stored() {
    let mut flights = Flights::new(8);
    let flight = leads(&mut flights, "a");
    flights.join(&"a");
    assert_eq!(flights.land(flight, false), Some(landing(2, false)));
    leads(&mut flights, "a");
}

// ALGORITHMS 8: what was read before an invalidation is not stored after it, nor given to those who
// come after it.
#[test]
fn an_invalidation_parts_what_is_read_before_from_what_is_asked_after() {
    for all in [false, true] {
        let mut flights = Flights::new(8);
        let (old, other) = (leads(&mut flights, "a"), leads(&mut flights, "b"));
        if all {
            flights.invalidate_all();
        } else {
            flights.invalidate(&"a");
        }
        let new = leads(&mut flights, "a");
        assert_eq!(flights.join(&"a"), Joined::Follow(new));
        assert_eq!(flights.land(old, true), Some(landing(1, false)));
        assert_eq!(
            flights.join(&"a"),
            Joined::Follow(new),
            "its end ends no other"
        );
        assert_eq!(flights.land(new, true), Some(landing(3, true)));
        assert_eq!(flights.land(other, true), Some(landing(1, !all)));
    }
}

#[test]
fn too_many_keys_are_fetched_alone() {
    let mut flights = Flights::new(2);
    let a = leads(&mut flights, "a");
    leads(&mut flights, "b");
    assert_eq!(flights.join(&"c"), Joined::Alone);
    assert_eq!(flights.refresh(&"c"), None);
    assert_eq!(flights.join(&"a"), Joined::Follow(a));
    flights.land(a, true);
    leads(&mut flights, "c");
}

// Keys that are not meant keep their flight: it can be joined and is stored.
#[test]
fn an_invalidation_of_some_keys_leaves_the_others_alone() {
    let mut flights = Flights::new(8);
    let (old, other) = (
        leads(&mut flights, "users/1"),
        leads(&mut flights, "stock/1"),
    );
    flights.invalidate_where(|key| key.starts_with("users/"));
    let new = leads(&mut flights, "users/1");
    assert_eq!(flights.join(&"stock/1"), Joined::Follow(other));
    assert_eq!(flights.land(old, true), Some(landing(1, false)));
    assert_eq!(flights.land(new, true), Some(landing(1, true)));
    assert_eq!(flights.land(other, true), Some(landing(2, true)));
}
