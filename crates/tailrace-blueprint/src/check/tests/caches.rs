//! Tables of broken caches and stand-ins: each names exactly its place.

use super::paths_with;
use serde_json::{json, Value};

/// `upstreams[1]` of the sample forwards no header.
const UPSTREAM: &str = "/upstreams/1/cache";

// req 16.5
#[test]
fn a_cache_keeps_for_times_that_mean_something() {
    let cases = [
        (json!({"ttl_ms": 0.0}), "ttl_ms"),
        (json!({"ttl_ms": -1.0}), "ttl_ms"),
        (json!({"ttl_ms": 86_400_001.0}), "ttl_ms"),
        (json!({"ttl_ms": 10.0, "stale_ms": -1.0}), "stale_ms"),
        (
            json!({"ttl_ms": 10.0, "stale_ms": 86_400_001.0}),
            "stale_ms",
        ),
        (
            json!({"ttl_ms": 10.0, "stale_if_error_ms": -1.0}),
            "stale_if_error_ms",
        ),
        (
            json!({"ttl_ms": 10.0, "stale_if_error_ms": 9.0}),
            "stale_if_error_ms",
        ),
        (
            json!({"ttl_ms": 10.0, "stale_ms": 30.0, "stale_if_error_ms": 29.0}),
            "stale_if_error_ms",
        ),
        (json!({"ttl_ms": 10.0, "negative_ms": -1.0}), "negative_ms"),
        (json!({"ttl_ms": 10.0, "negative_ms": 11.0}), "negative_ms"),
    ];
    for (value, field) in cases {
        let found = paths_with(UPSTREAM, value.clone());
        assert_eq!(found, [format!("upstreams[1].cache.{field}")], "{value}");
    }
    for value in [
        json!({"ttl_ms": 0.001}),
        json!({"ttl_ms": 86_400_000.0, "stale_if_error_ms": 86_400_000.0}),
        json!({"ttl_ms": 10.0, "stale_ms": 0.0, "stale_if_error_ms": 0.0, "negative_ms": 0.0}),
        json!({"ttl_ms": 10.0, "stale_ms": 30.0, "stale_if_error_ms": 0.0, "negative_ms": 10.0}),
    ] {
        assert_eq!(paths_with(UPSTREAM, value.clone()), [""; 0], "{value}");
    }
}

// RELIABILITY S09: what tells callers apart is cached only by who says so.
#[test]
fn a_cache_of_what_callers_send_says_that_it_keeps_them_apart() {
    let silent = json!({"ttl_ms": 10.0});
    let said = json!({"ttl_ms": 10.0, "per_identity": true});
    // `orders` forwards `authorization`, and a part of it sends a header parameter.
    let found = paths_with("/upstreams/0/cache", silent.clone());
    assert_eq!(found, ["upstreams[0].cache", "views[0].parts[1].cache"]);
    assert_eq!(paths_with("/upstreams/0/cache", said.clone()), [""; 0]);
    let part = "/views/0/parts/1/cache";
    assert_eq!(
        paths_with(part, silent.clone()),
        ["views[0].parts[1].cache"]
    );
    assert_eq!(paths_with(part, said), [""; 0]);
    // A part that sends no header of its own to an upstream that forwards none.
    assert_eq!(paths_with("/views/0/parts/0/cache", silent), [""; 0]);
}

fn spare() -> Value {
    json!({"upstream": "stock", "path": [{"text": "/coupon"}]})
}

// req 8.3
#[test]
fn a_stand_in_is_another_upstream_of_a_weak_part() {
    let coupon = "/views/0/parts/2/otherwise";
    assert_eq!(paths_with(coupon, spare()), [""; 0]);
    for (pointer, value, field) in [
        ("/views/0/parts/1/otherwise", spare(), "parts[1].otherwise"),
        ("/views/0/parts/0/otherwise", spare(), "parts[0].otherwise"),
        (
            coupon,
            json!({"upstream": "orders", "path": [{"text": "/coupon"}]}),
            "parts[2].otherwise.upstream",
        ),
        (
            coupon,
            json!({"upstream": "none", "path": [{"text": "/coupon"}]}),
            "parts[2].otherwise.upstream",
        ),
        (
            coupon,
            json!({"upstream": "stock", "path": [{"text": "coupon"}]}),
            "parts[2].otherwise.path",
        ),
        (
            coupon,
            json!({"upstream": "stock", "path": [{"text": "/"}, {"parameter": "nobody"}]}),
            "parts[2].otherwise.path[1].parameter",
        ),
        (
            coupon,
            json!({"upstream": "stock", "path": [{"text": "/"}, {"item": ["sku"]}]}),
            "parts[2].otherwise.path[1].item",
        ),
    ] {
        let found = paths_with(pointer, value.clone());
        assert_eq!(found, [format!("views[0].{field}")], "{value}");
    }
    // What it reads it waits for: itself is a circle.
    let itself = json!([{"text": "/"}, {"part": {"name": "coupon", "field": ["id"]}}]);
    let found = paths_with(coupon, json!({"upstream": "stock", "path": itself}));
    assert_eq!(found, ["views[0].parts[2]"]);
}
