use super::{self as diff, Change, ADMISSION, UPSTREAM, VIEW};
use serde_json::{json, Value};
use tailrace_blueprint::Blueprint;

fn service() -> Value {
    json!({
        "format_version": 1, "service": "shop",
        "upstreams": [
            {"name": "users", "addresses": ["http://a:1"], "timeout_ms": 50.0,
             "bulkhead": {"limit": 100}, "retry": {}, "hedge": {}, "breaker": {}, "throttle": {},
             "adaptive": {}, "rate": {"per_second": 5.0, "burst": 5}, "cache": {"ttl_ms": 1000.0},
             "body_max_bytes": 5, "forward_headers": ["x-a"]},
            {"name": "orders", "addresses": ["http://b:1"], "timeout_ms": 50.0,
             "bulkhead": {"limit": 100}},
        ],
        "shapes": [{"kind": "any"}],
        "views": [{
            "name": "order", "method": "GET", "path": "/order", "deadline_ms": 100.0, "fanout": 3,
            "extra_attempts": 3, "parameters": [], "rate": {"per_second": 2.0, "burst": 3},
            "parts": [
                {"name": "order", "strength": "strong", "upstream": "orders", "method": "GET",
                 "shape": 0, "path": [{"text": "/a"}], "timeout_ms": 40.0},
                {"name": "user", "strength": "weak", "upstream": "users", "method": "GET",
                 "shape": 0, "path": [{"text": "/b/"}, {"item": []}],
                 "each": {"part": "order", "field": [], "items_max": 4}},
            ],
        }],
    })
}

fn blueprint(data: &Value) -> Blueprint {
    serde_json::from_value(data.clone()).unwrap()
}

fn changes(before: &Blueprint, after: &Blueprint) -> Result<Vec<Change>, String> {
    diff::changes(before, after, true)
}

/// The change of the value at `pointer`.
fn change(pointer: &str, to: &Value) -> Result<Vec<Change>, String> {
    let before = blueprint(&service());
    let mut after = serde_json::to_value(&before).unwrap();
    *after.pointer_mut(pointer).unwrap() = to.clone();
    changes(&before, &blueprint(&after))
}

#[test]
fn a_limit_that_changed_is_named_with_both_values() {
    let cases = [
        (
            "/upstreams/0/timeout_ms",
            json!(62.5),
            "upstreams.users.timeout_ms 50 -> 62.5",
        ),
        (
            "/upstreams/1/bulkhead/limit",
            json!(7),
            "upstreams.orders.bulkhead.limit 100 -> 7",
        ),
        (
            "/upstreams/0/bulkhead/queue",
            json!(0),
            "upstreams.users.bulkhead.queue none -> 0",
        ),
        (
            "/upstreams/0/retry/attempts",
            json!(3),
            "upstreams.users.retry.attempts 2 -> 3",
        ),
        (
            "/upstreams/0/addresses",
            json!(["http://c:1", "http://d:1"]),
            "upstreams.users.addresses http://a:1 -> http://c:1, http://d:1",
        ),
        (
            "/views/0/parts/1/each/items_max",
            json!(8),
            "views.order.parts.user.each.items_max 4 -> 8",
        ),
        ("/limits/idle_ms", json!(1), "limits.idle_ms 30000 -> 1"),
        (
            "/access_log/format",
            json!("text"),
            "access_log.format json -> text",
        ),
    ];
    each_is_one_change(cases);
    assert_eq!(change("/limits/idle_ms", &json!(30_000)), Ok(vec![]));
}

fn each_is_one_change(cases: impl IntoIterator<Item = (&'static str, Value, &'static str)>) {
    for (pointer, to, expected) in cases {
        let found = change(pointer, &to).unwrap();
        assert_eq!(found.len(), 1, "{pointer}");
        assert_eq!(found[0].to_string(), expected);
    }
}

// req 9.1a, 9.1c: who is let in, too.
#[test]
fn rates_priorities_and_the_limits_of_admission_follow() {
    each_is_one_change([
        (
            "/upstreams/0/rate/burst",
            json!(9),
            "upstreams.users.rate.burst 5 -> 9",
        ),
        (
            "/views/0/priority",
            json!("sheddable"),
            "views.order.priority critical -> sheddable",
        ),
        (
            "/views/0/rate/per_second",
            json!(2.5),
            "views.order.rate.per_second 2 -> 2.5",
        ),
        (
            "/admission/calls_max",
            json!(7),
            "admission.calls_max 8192 -> 7",
        ),
        (
            "/admission/shed/delay_ms",
            json!(9.0),
            "admission.shed.delay_ms 5 -> 9",
        ),
        (
            "/admission/priorities",
            json!([{"client": "a", "priority": "sheddable"}]),
            r#"admission.priorities  -> [{"client":"a","priority":"sheddable"}]"#,
        ),
    ]);
}

#[test]
fn a_policy_is_switched_on_and_off_as_a_whole() {
    let before = blueprint(&service());
    let mut after = before.clone();
    after.upstreams[0].hedge = None;
    after.upstreams[1].throttle = Some(tailrace_blueprint::ThrottleParams::default());
    let found = changes(&before, &after).unwrap();
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            r#"upstreams.users.hedge {"after":0.95,"extra":0.05,"delay_min_ms":1.0} -> none"#,
            "upstreams.orders.throttle none -> \
             {\"factor\":2.0,\"requests_min\":50,\"reject_max\":0.9}",
        ]
    );
}

#[test]
fn anything_else_needs_a_restart_and_says_what() {
    let cases = [
        ("/service", json!("other"), "service shop -> other"),
        ("/listen/port", json!(1), "listen.port 8080 -> 1"),
        ("/listen/workers", json!(3), "listen.workers none -> 3"),
        (
            "/access_log/path",
            json!("/x"),
            "access_log.path none -> /x",
        ),
        ("/access_log/ring", json!(8), "access_log.ring 4096 -> 8"),
        ("/protections", json!("off"), "protections on -> off"),
        (
            "/admission/client",
            json!("header:x-tenant"),
            "admission.client address -> header:x-tenant",
        ),
        (
            "/admission/trusted",
            json!(["10.0.0.0/8"]),
            "admission.trusted  -> 10.0.0.0/8",
        ),
        (
            "/admission/clients_max",
            json!(9),
            "admission.clients_max 65536 -> 9",
        ),
        (
            "/envelope/degraded",
            json!("missing"),
            "envelope.degraded degraded -> missing",
        ),
        (
            "/upstreams/0/name",
            json!("people"),
            "upstreams users, orders -> people, orders",
        ),
        (
            "/views/0/path",
            json!("/other"),
            "views.order.path /order -> /other",
        ),
        (
            "/views/0/parts/0/strength",
            json!("weak"),
            "views.order.parts.order.strength strong -> weak",
        ),
        (
            "/shapes/0",
            json!({"kind": "boolean"}),
            r#"shapes [{"kind":"any"}] -> [{"kind":"boolean"}]"#,
        ),
    ];
    for (pointer, to, expected) in cases {
        let refused = change(pointer, &to).unwrap_err();
        assert_eq!(refused, format!("needs a restart: {expected}"));
    }
}

#[test]
fn one_fixed_value_refuses_the_whole_change_and_many_are_counted() {
    let before = blueprint(&service());
    let mut after = before.clone();
    after.limits.idle_ms = 1;
    after.listen.port = 1;
    let refused = changes(&before, &after).unwrap_err();
    assert_eq!(refused, "needs a restart: listen.port 8080 -> 1");
    after.listen.admin_port = 2;
    after.listen.workers = Some(2);
    after.listen.host = "h".to_owned();
    after.service = "s".to_owned();
    after.envelope.degraded = "d".to_owned();
    after.envelope.request_id = "r".to_owned();
    let refused = changes(&before, &after).unwrap_err();
    assert!(refused.ends_with(", and 2 more"), "{refused}");
    let mut off = before.clone();
    off.access_log.format = tailrace_blueprint::LogFormat::Off;
    assert!(changes(&off, &before).is_ok());
    let refused = diff::changes(&off, &before, false).unwrap_err();
    assert_eq!(refused, "needs a restart: access_log.format off -> json");
}

/// A field that is renamed in the blueprint must not stay listed here under its old name.
#[test]
fn what_is_listed_exists() {
    let data = serde_json::to_value(blueprint(&service())).unwrap();
    for field in UPSTREAM {
        assert!(data["upstreams"][0].get(field).is_some(), "{field}");
    }
    for field in VIEW {
        assert!(data["views"][0].get(field).is_some(), "{field}");
    }
    for field in ADMISSION {
        assert!(data["admission"].get(field).is_some(), "{field}");
    }
}

#[test]
fn a_long_value_is_cut() {
    let long: Vec<_> = (0..50).map(|n| format!("http://host-{n}:80")).collect();
    let found = change("/upstreams/0/addresses", &json!(long)).unwrap();
    assert_eq!(found[0].to.chars().count(), 80);
    assert!(found[0].to.ends_with("..."));
}
