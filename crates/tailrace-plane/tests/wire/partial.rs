//! RELIABILITY A03, DESIGN 4: a partial reply says so, in body, header and metric alike, for every
//! combination of outcomes (req 8.1, 10.2).

use crate::client::Reply;
use crate::service::{strong, weak, with, Running, Service, THING_OR_NULL};
use crate::upstream::{answer, echo, json as json_answer, Step, Upstream};
use serde_json::{json, Value};

/// The eight parts, in declared order: name, strong, the part it needs.
const PARTS: [(&str, bool, Option<usize>); 8] = [
    ("order", true, None),
    ("stock", true, None),
    ("coupon", false, None),
    ("recommend", false, None),
    ("reviews", false, Some(2)),
    ("shipping", false, Some(3)),
    ("badges", false, Some(4)),
    ("rating", false, None),
];

/// An upstream whose answers follow the bits of the mask in the path: `/<part>/<mask>`.
fn by_mask() -> Upstream {
    Upstream::start(|seen| {
        let target = seen.target();
        let mut words = target.split('/').skip(1);
        let part: usize = words
            .next()
            .and_then(|word| word.parse().ok())
            .expect("a part");
        let mask: usize = words
            .next()
            .and_then(|word| word.parse().ok())
            .expect("a mask");
        vec![Step::Send(if mask & (1 << part) == 0 {
            json_answer(format!(r#"{{"id":"{mask}"}}"#))
        } else {
            answer("500 Oops", "application/json", r#"{"id":"foreign"}"#)
        })]
    })
}

fn eight_parts(upstream: &Upstream) -> Running {
    let part = |(index, (name, is_strong, needs)): (usize, &(&str, bool, Option<usize>))| {
        let from = needs.map_or("mask".to_owned(), |need| format!("{}.id", PARTS[need].0));
        let path = format!("/{index}/{{{from}}}");
        if *is_strong {
            strong(name, &path)
        } else {
            weak(name, &path)
        }
    };
    let parts = PARTS.iter().enumerate().map(part).collect();
    Service::new()
        .upstream("up", upstream)
        .view("eight", "/eight/{mask}", parts)
        .start()
}

/// What must become of a part, or `None` when it has its value.
fn reason(index: usize, mask: usize) -> Option<&'static str> {
    let (_, _, needs) = PARTS[index];
    if needs.is_some_and(|need| reason(need, mask).is_some()) {
        return Some("dependency");
    }
    (mask & (1 << index) != 0).then_some("server_error")
}

/// No strong part fails.
fn is_served(mask: usize) -> bool {
    PARTS
        .iter()
        .enumerate()
        .all(|(index, (_, is_strong, _))| !is_strong || mask & (1 << index) == 0)
}

fn check(mask: usize, reply: &Reply) {
    let first_strong = (0..2).find(|index| mask & (1 << index) != 0);
    if first_strong.is_some() {
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (502, "server_error"),
            "{mask:08b}"
        );
        let part = reply.json()["part"].as_str().expect("a part").to_owned();
        let failed = PARTS
            .iter()
            .position(|(name, ..)| *name == part)
            .expect("a declared part");
        assert!(
            failed < 2 && mask & (1 << failed) != 0,
            "{mask:08b} blames {part}"
        );
        return;
    }
    assert_eq!(reply.status, 200, "{mask:08b}");
    let failed: Vec<(&str, &str)> = (0..PARTS.len())
        .filter_map(|index| reason(index, mask).map(|reason| (PARTS[index].0, reason)))
        .collect();
    let header: Vec<_> = failed
        .iter()
        .map(|(n, reason)| format!("{n};reason={reason}"))
        .collect();
    let header = (!header.is_empty()).then(|| header.join(", "));
    assert_eq!(
        reply.header("tailrace-degraded"),
        header.as_deref(),
        "{mask:08b}"
    );
    let no_store = header.is_some().then_some("no-store");
    assert_eq!(reply.header("cache-control"), no_store, "{mask:08b}");
    let body = reply.json();
    let names: Vec<_> = failed.iter().map(|(name, _)| *name).collect();
    assert_eq!(body["degraded"], json!(names), "{mask:08b}");
    for (index, (name, ..)) in PARTS.iter().enumerate() {
        let value = reason(index, mask).map_or(json!({"id": mask.to_string()}), |_| Value::Null);
        assert_eq!(body[name], value, "{mask:08b} {name}");
    }
    // Parts in declared order, then the reply's own fields.
    let text = String::from_utf8(reply.body.clone()).expect("UTF-8");
    let keys =
        PARTS
            .iter()
            .map(|(name, ..)| *name)
            .chain(["degraded", "request_id", "served_at_ms"]);
    let places: Vec<_> = keys
        .map(|key| text.find(&format!("\"{key}\":")).expect("a key"))
        .collect();
    assert!(places.is_sorted(), "{text}");
}

#[test]
fn all_outcomes_of_eight_parts_agree_in_body_header_and_metric() {
    let upstream = by_mask();
    let plane = eight_parts(&upstream);
    let mut client = plane.client();
    let masks = 1 << PARTS.len();
    for mask in 0..masks {
        check(mask, &client.get(&format!("/eight/{mask}")));
    }
    println!(
        "A03: {masks} outcomes of {} parts, {masks} told the truth",
        PARTS.len()
    );
    let served: Vec<usize> = (0..masks).filter(|mask| is_served(*mask)).collect();
    let degraded = served.iter().filter(|mask| **mask != 0).count();
    let metric = |name: &str, label: &str| plane.metric(name, label) as usize;
    assert_eq!(
        metric("tailrace_degraded_replies_total", "view=\"eight\""),
        degraded
    );
    assert_eq!(
        metric("tailrace_requests_total", "status=\"200\""),
        served.len()
    );
    assert_eq!(
        metric("tailrace_requests_total", "status=\"502\""),
        masks - served.len()
    );
}

/// How often each part has ended in each of the ways this upstream can bring about.
fn ends(plane: &Running) -> Vec<u64> {
    let mut counts = Vec::new();
    for (name, ..) in PARTS {
        for code in ["ok", "server_error", "dependency"] {
            let label = format!("part=\"{name}\" result=\"{code}\"");
            counts.push(plane.metric("tailrace_part_results_total", &label) as u64);
        }
    }
    counts
}

#[test]
fn the_metric_of_each_part_moves_by_what_its_reply_says() {
    let upstream = by_mask();
    let plane = eight_parts(&upstream);
    let mut client = plane.client();
    let mut before = ends(&plane);
    for mask in (0..1_usize << PARTS.len()).filter(|mask| is_served(*mask)) {
        check(mask, &client.get(&format!("/eight/{mask}")));
        let after = ends(&plane);
        let moved: Vec<u64> = after
            .iter()
            .zip(&before)
            .map(|(new, old)| new - old)
            .collect();
        let codes = |index| ["ok", "server_error", "dependency"].map(|code| (index, code));
        let expected: Vec<u64> = (0..PARTS.len())
            .flat_map(codes)
            .map(|(index, code)| u64::from(reason(index, mask).unwrap_or("ok") == code))
            .collect();
        assert_eq!(moved, expected, "{mask:08b}");
        before = after;
    }
}

#[test]
fn a_default_stands_in_and_a_204_is_an_empty_part() {
    let upstream = Upstream::start(|seen| match seen.target().as_str() {
        "/empty" => vec![Step::Send(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())],
        "/fails" => vec![Step::Send(answer("500 Oops", "text/plain", ""))],
        _ => vec![Step::Send(echo(seen))],
    });
    let default = json!({"default": {"id": "default"}});
    let parts = vec![
        with(weak("failed", "/fails"), default.clone()),
        with(weak("empty", "/empty"), default.clone()),
        weak("nothing", "/empty"),
        with(
            strong("strong_empty", "/empty"),
            json!({"shape": THING_OR_NULL}),
        ),
        with(strong("strong_default", "/empty"), default),
    ];
    let plane = Service::new()
        .upstream("up", &upstream)
        .view("x", "/x", parts)
        .view("must", "/must", vec![strong("it", "/empty")])
        .start();
    let reply = plane.get("/x");
    let body = reply.json();
    assert_eq!(body["failed"], json!({"id": "default"}));
    assert_eq!(body["empty"], json!({"id": "default"}));
    assert_eq!(
        (&body["nothing"], &body["strong_empty"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(body["strong_default"], json!({"id": "default"}));
    assert_eq!(
        body["degraded"],
        json!(["failed"]),
        "an empty answer is an answer"
    );
    let reply = plane.get("/must");
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (502, "model_mismatch")
    );
}

/// What the model does not declare never leaves, in a whole reply or a partial one.
#[test]
fn undeclared_fields_never_leak() {
    let upstream = Upstream::start(|seen| match seen.target().as_str() {
        "/fails" => vec![Step::Send(answer(
            "400 No",
            "application/json",
            r#"{"secret":1}"#,
        ))],
        _ => vec![Step::Send(json_answer(
            r#"{"secret":1,"id":"a","x":{"secret":2},"secret2":[3]}"#,
        ))],
    });
    let parts = vec![strong("a", "/a"), weak("b", "/fails")];
    let plane = Service::new()
        .upstream("up", &upstream)
        .view("x", "/x", parts)
        .view("fails", "/fails", vec![strong("it", "/fails")])
        .start();
    for target in ["/x", "/fails"] {
        let body = plane.get(target).body;
        assert!(
            !String::from_utf8_lossy(&body).contains("secret"),
            "{target}"
        );
    }
    assert_eq!(plane.get("/x").json()["a"], json!({"id": "a"}));
}
