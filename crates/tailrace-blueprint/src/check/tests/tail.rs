//! Deadlines that cannot be kept and bulkheads that one request could fill (req 4.2, 4.3, 4.4).

use super::{assert_each_names, paths_with, read, sample};
use crate::check::check;
use serde_json::{json, Value};

/// The one problem of a view with these parts, if any.
fn problem_of(view: &Value, orders: u32) -> Option<String> {
    let mut document = sample();
    document["upstreams"][0]["bulkhead"]["limit"] = json!(orders);
    for (name, value) in view.as_object().unwrap() {
        document["views"][0][name] = value.clone();
    }
    let problems = check(&read(document));
    assert!(problems.len() <= 1, "{problems:?}");
    problems
        .first()
        .map(|one| format!("{}: {}", one.path, one.message))
}

/// A part of upstream `orders` (80 ms) that waits for `after`.
fn part(name: &str, after: &[&str]) -> Value {
    let mut path = vec![json!({"text": "/"})];
    path.extend(
        after
            .iter()
            .map(|one| json!({"part": {"name": one, "field": []}})),
    );
    json!({"name": name, "strength": "strong", "upstream": "orders", "method": "GET",
           "path": path, "shape": 1})
}

fn each(name: &str, list: &str, items: u16, timeout: f64) -> Value {
    let mut part = part(name, &[]);
    part["each"] = json!({"part": list, "field": [], "items_max": items});
    part["timeout_ms"] = json!(timeout);
    part
}

#[test]
fn strong_parts_must_fit_the_deadline_one_after_the_other() {
    let chain = json!([part("a", &[]), part("b", &["a"])]);
    let found = problem_of(&json!({"parts": chain}), 64).unwrap();
    assert_eq!(
        found,
        "views[0].deadline_ms: the strong parts need a 80 ms + b 80 ms, in all 160 ms; the \
         deadline is 150 ms"
    );
    assert_eq!(
        problem_of(&json!({"parts": chain, "deadline_ms": 160.0}), 64),
        None
    );
    let beside = json!([part("a", &[]), part("b", &[])]);
    assert_eq!(problem_of(&json!({"parts": beside}), 64), None);
}

#[test]
fn the_time_kept_for_computed_fields_is_not_the_parts() {
    let computed = |ms: f64| {
        let field = json!({"name": "total", "strength": "strong", "after": 2});
        json!({"limit": 1, "time_ms": ms, "fields": [field]})
    };
    let view = |ms| {
        json!({"parts": [part("a", &[]), part("b", &["a"])], "deadline_ms": 170.0,
                           "computed": computed(ms)})
    };
    assert_eq!(problem_of(&view(10.0), 64), None);
    let found = problem_of(&view(11.0), 64).unwrap();
    assert!(
        found.contains("a 80 ms + b 80 ms + computed fields 11 ms, in all 171 ms"),
        "{found}"
    );
}

#[test]
fn a_list_counts_once_per_round_of_the_fan_out() {
    let list = |items| json!({"parts": [part("a", &[]), each("b", "a", items, 30.0)]});
    assert_eq!(problem_of(&list(8), 64), None, "two rounds of four");
    let found = problem_of(&list(9), 64).unwrap();
    assert!(
        found.contains("a 80 ms + b 30 ms x 3 rounds, in all 170 ms"),
        "{found}"
    );
}

#[test]
fn a_weak_part_counts_only_where_a_strong_one_waits_for_it() {
    let mut last = part("b", &["a"]);
    last["strength"] = json!("weak");
    last["default"] = json!({});
    let weak = json!({"parts": [part("a", &[]), last.clone()]});
    assert_eq!(problem_of(&weak, 64), None);
    last["timeout_ms"] = json!(20.0);
    let between = json!({"parts": [part("a", &[]), last, part("c", &["b"])]});
    let found = problem_of(&between, 64).unwrap();
    assert!(
        found.contains("a 80 ms + b 20 ms + c 80 ms, in all 180 ms"),
        "{found}"
    );
}

// What waits for a weak part waits for its stand-in too, which is a call of another upstream.
#[test]
fn a_stand_in_takes_its_time_and_a_place() {
    let mut weak = part("b", &["a"]);
    weak["strength"] = json!("weak");
    weak["default"] = json!({});
    weak["timeout_ms"] = json!(20.0);
    weak["otherwise"] = json!({"upstream": "stock", "path": [{"text": "/b"}]});
    let view = json!({"parts": [part("a", &[]), weak, part("c", &["b"])], "deadline_ms": 239.0});
    let found = problem_of(&view, 64).unwrap();
    assert!(
        found.contains("a 80 ms + b 20 ms + its stand-in 60 ms + c 80 ms, in all 240 ms"),
        "{found}"
    );
    let mut enough = view;
    enough["deadline_ms"] = json!(240.0);
    assert_eq!(problem_of(&enough, 64), None);
}

#[test]
fn one_request_must_leave_a_place_in_a_bulkhead() {
    let two = json!({"parts": [part("a", &[]), part("b", &[])]});
    let found = problem_of(&two, 2).unwrap();
    assert_eq!(
        found,
        "views[0].fanout: one request may take 2 places of upstream `orders`, which has 2"
    );
    assert_eq!(problem_of(&two, 3), None);
    let list = json!({"parts": [part("a", &[]), each("b", "a", 8, 10.0)]});
    assert!(problem_of(&list, 4).is_some(), "four at a time");
    assert_eq!(problem_of(&list, 5), None);
    let single = json!({"parts": [part("a", &[])]});
    assert_eq!(problem_of(&single, 1), None, "nobody could leave a place");
}

// Only calls that run together count: who waits for one another never does.
#[test]
fn calls_that_wait_for_one_another_share_a_place() {
    let deadline = 1_000.0;
    let chain = [part("a", &[]), part("b", &["a"]), part("c", &["b"])];
    assert_eq!(
        problem_of(&json!({"parts": chain, "deadline_ms": deadline}), 2),
        None
    );
    // a -> b, a -> c, d -> c: b and c and d are no two of a chain but for d -> c.
    let cross = json!([
        part("a", &[]),
        part("b", &["a"]),
        part("c", &["a", "d"]),
        part("d", &[])
    ]);
    let found = problem_of(&json!({"parts": cross, "deadline_ms": deadline}), 2).unwrap();
    assert!(found.contains("may take 2 places"), "{found}");
    assert_eq!(
        problem_of(&json!({"parts": cross, "deadline_ms": deadline}), 3),
        None
    );
}

#[test]
fn a_reason_allows_what_does_not_fit_and_must_be_one() {
    let chain = json!([part("a", &[]), part("b", &["a"])]);
    let with = |reason: &str| {
        problem_of(
            &json!({"parts": chain, "allow_overcommit": reason, "fanout": 64}),
            2,
        )
    };
    assert_eq!(with("a report, nobody waits for it"), None);
    for reason in ["", "  ", "two\nlines", &"x".repeat(201)] {
        let found = with(reason).unwrap();
        assert!(found.starts_with("views[0].allow_overcommit"), "{found}");
    }
}

#[test]
fn an_override_is_checked_like_what_it_overrides() {
    assert_each_names([
        ("/views/0/deadline_ms", json!(60.0), "views[0].deadline_ms"),
        ("/views/1/deadline_ms", json!(79.0), "views[1].deadline_ms"),
        (
            "/upstreams/1/bulkhead",
            json!({"limit": 4}),
            "views[0].fanout",
        ),
    ]);
    // Nothing is kept or asked without protections.
    assert_eq!(paths_with("/protections", json!("off")), [""; 0]);
    let mut document = sample();
    document["protections"] = json!("off");
    document["views"][1]["deadline_ms"] = json!(79.0);
    assert_eq!(check(&read(document)), []);
}
