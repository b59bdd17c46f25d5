//! Tables of broken breakers, throttles and adaptive limits: each names exactly its place.

use super::{paths_with, read, sample};
use crate::check::check;
use serde_json::{json, Value};

/// `upstreams[0]` of the sample: a timeout of 80 ms, a bulkhead of 4.
fn assert_names(policy: &str, cases: &[(Value, &str)]) {
    for (value, field) in cases {
        let found = paths_with(&format!("/upstreams/0/{policy}"), value.clone());
        let expected = format!("upstreams[0].{policy}.{field}");
        assert_eq!(found, [expected], "{policy} = {value}");
    }
}

fn assert_sound(policy: &str, cases: &[Value]) {
    for value in cases {
        let found = paths_with(&format!("/upstreams/0/{policy}"), value.clone());
        assert_eq!(found, [""; 0], "{policy} = {value}");
    }
}

// req 9.1b
#[test]
fn a_breaker_has_bounds_that_can_be_kept() {
    assert_names(
        "breaker",
        &[
            (json!({"consecutive": 0}), "consecutive"),
            (json!({"consecutive": 10_001}), "consecutive"),
            (json!({"samples_min": 0}), "samples_min"),
            (json!({"success_min": -0.1}), "success_min"),
            (json!({"success_min": 50.0}), "success_min"),
            (json!({"slow_ms": 0.0}), "slow_ms"),
            (json!({"slow_ms": 80.0}), "slow_ms"),
            (json!({"open_ms": 0.0}), "open_ms"),
            (json!({"open_ms": -1.0}), "open_ms"),
            (json!({"open_ms": 3_600_001.0}), "open_ms"),
            (json!({"open_max_ms": 999.0}), "open_max_ms"),
            (json!({"open_max_ms": 3_600_001.0}), "open_max_ms"),
        ],
    );
    assert_sound(
        "breaker",
        &[
            json!({}),
            json!({"consecutive": 1, "samples_min": 1, "success_min": 0.0}),
            json!({"consecutive": 10_000, "success_min": 1.0, "slow_ms": 79.9}),
            json!({"open_ms": 1_000.0, "open_max_ms": 1_000.0}),
            json!({"slow_ms": null, "open_max_ms": 3_600_000.0}),
        ],
    );
}

// req 9.1a
#[test]
fn a_throttle_has_bounds_that_can_be_kept() {
    assert_names(
        "throttle",
        &[
            (json!({"factor": 0.9}), "factor"),
            (json!({"factor": 10.1}), "factor"),
            (json!({"requests_min": 0}), "requests_min"),
            (json!({"requests_min": 1_000_001}), "requests_min"),
            (json!({"reject_max": 0.0}), "reject_max"),
            (json!({"reject_max": 1.0}), "reject_max"),
            (json!({"reject_max": -0.5}), "reject_max"),
        ],
    );
    assert_sound(
        "throttle",
        &[
            json!({}),
            json!({"factor": 1.0, "requests_min": 1, "reject_max": 0.01}),
            json!({"factor": 10.0, "requests_min": 1_000_000, "reject_max": 0.99}),
        ],
    );
}

// req 16.4
#[test]
fn an_adaptive_limit_has_room_below_the_bulkhead() {
    assert_names(
        "adaptive",
        &[
            (json!({"min": 0, "init": 4}), "min"),
            (json!({"min": 4, "init": 4}), "min"),
            (json!({"min": 2, "init": 1}), "init"),
            (json!({"min": 2, "init": 5}), "init"),
        ],
    );
    assert_sound(
        "adaptive",
        &[json!({"min": 1, "init": 1}), json!({"min": 3, "init": 4})],
    );
}

// What the checks accept, the plane must be able to run: its own defaults are sound.
#[test]
fn the_defaults_are_sound_together() {
    let mut document = sample();
    document["upstreams"][0]["bulkhead"] = json!({"limit": 64});
    for policy in ["retry", "hedge", "breaker", "throttle", "adaptive"] {
        document["upstreams"][0][policy] = json!({});
    }
    assert_eq!(check(&read(document)), []);
}
