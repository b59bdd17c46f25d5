//! Tables of broken retries and hedges: each names exactly its place.

use super::{assert_each_names, paths_with, read, sample};
use crate::check::check;
use serde_json::{json, Value};

fn retry_with(key: &str, value: Value) -> Value {
    let mut retry = json!({});
    retry[key] = value;
    retry
}

// req 9.4
#[test]
fn a_retry_has_bounds_that_can_be_kept() {
    let cases = [
        ("attempts", json!(0), "attempts"),
        ("attempts", json!(6), "attempts"),
        ("backoff_ms", json!(0.0), "backoff_ms"),
        ("backoff_ms", json!(-1.0), "backoff_ms"),
        ("backoff_ms", json!(0.0009), "backoff_ms"),
        ("backoff_ms", json!(80.0), "backoff_ms"),
        ("backoff_max_ms", json!(9.0), "backoff_max_ms"),
        ("backoff_max_ms", json!(-1.0), "backoff_max_ms"),
        ("budget", json!(-0.1), "budget"),
        ("budget", json!(0.0009), "budget"),
        ("budget", json!(10.0), "budget"),
        ("budget_min", json!(1_001), "budget_min"),
    ];
    for (key, value, expected) in cases {
        let shown = format!("{key} = {value}");
        let found = paths_with("/upstreams/0/retry", retry_with(key, value));
        assert_eq!(found, [format!("upstreams[0].retry.{expected}")], "{shown}");
    }
}

#[test]
fn a_retry_at_its_bounds_is_sound() {
    let cases = [
        ("attempts", json!(1)),
        ("attempts", json!(5)),
        ("backoff_ms", json!(79.9)),
        ("backoff_max_ms", json!(10.0)),
        ("budget", json!(0.0)),
        ("budget", json!(0.001)),
        ("budget", json!(1.0)),
        ("budget_min", json!(1_000)),
    ];
    for (key, value) in cases {
        let shown = format!("{key} = {value}");
        let found = paths_with("/upstreams/0/retry", retry_with(key, value));
        assert_eq!(found, [""; 0], "{shown}");
    }
}

// req 8.3
#[test]
fn a_hedge_has_bounds_that_can_be_kept() {
    assert_each_names([
        (
            "/upstreams/0/hedge",
            json!({"after": 0.49}),
            "upstreams[0].hedge.after",
        ),
        (
            "/upstreams/0/hedge",
            json!({"after": 1.0}),
            "upstreams[0].hedge.after",
        ),
        (
            "/upstreams/0/hedge",
            json!({"after": 95.0}),
            "upstreams[0].hedge.after",
        ),
        (
            "/upstreams/0/hedge",
            json!({"extra": 0.0}),
            "upstreams[0].hedge.extra",
        ),
        (
            "/upstreams/0/hedge",
            json!({"extra": 0.51}),
            "upstreams[0].hedge.extra",
        ),
        (
            "/upstreams/0/hedge",
            json!({"delay_min_ms": 0.0}),
            "upstreams[0].hedge.delay_min_ms",
        ),
        (
            "/upstreams/0/hedge",
            json!({"delay_min_ms": 80.0}),
            "upstreams[0].hedge.delay_min_ms",
        ),
        (
            "/upstreams/0/hedge",
            json!({"delay_min_ms": 2_000.0}),
            "upstreams[0].hedge.delay_min_ms",
        ),
    ]);
    for sound in [
        json!({"after": 0.5}),
        json!({"after": 0.999, "extra": 0.5, "delay_min_ms": 79.9}),
        json!({"extra": 0.001}),
    ] {
        assert_eq!(paths_with("/upstreams/0/hedge", sound), [""; 0]);
    }
}

// req 4.4: the second attempt takes a place of the same bulkhead.
#[test]
fn a_hedge_needs_a_second_place() {
    for (limit, expected) in [(1, vec!["upstreams[0].hedge"]), (2, vec![])] {
        let mut document = sample();
        document["upstreams"][0]["hedge"] = json!({});
        document["upstreams"][0]["bulkhead"] = json!({ "limit": limit });
        let problems = check(&read(document));
        let paths: Vec<_> = problems.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, expected, "{limit}");
    }
}

#[test]
fn numbers_that_are_none_are_refused() {
    let mut blueprint = read(sample());
    blueprint.upstreams[0].retry = Some(crate::RetryParams {
        backoff_max_ms: f64::INFINITY,
        budget: f64::NAN,
        ..crate::RetryParams::default()
    });
    blueprint.upstreams[0].hedge = Some(crate::HedgeParams {
        after: f64::NAN,
        extra: f64::NAN,
        delay_min_ms: f64::NAN,
    });
    let paths: Vec<_> = check(&blueprint).into_iter().map(|one| one.path).collect();
    let expected = [
        "retry.backoff_max_ms",
        "retry.budget",
        "hedge.after",
        "hedge.extra",
        "hedge.delay_min_ms",
    ];
    assert_eq!(paths, expected.map(|one| format!("upstreams[0].{one}")));
}

#[test]
fn a_broken_timeout_is_one_problem() {
    let mut document = sample();
    document["upstreams"][0]["retry"] = json!({});
    document["upstreams"][0]["hedge"] = json!({});
    document["upstreams"][0]["timeout_ms"] = json!(0.0);
    let problems = check(&read(document));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].path, "upstreams[0].timeout_ms");
}

#[test]
fn a_purse_may_be_empty_but_not_endless() {
    let pointer = "/views/0/extra_attempts";
    assert_eq!(paths_with(pointer, json!(0)), [""; 0]);
    assert_eq!(paths_with(pointer, json!(65_535)), [""; 0]);
    assert_each_names([(pointer, json!(65_536), "views[0].extra_attempts")]);
}
