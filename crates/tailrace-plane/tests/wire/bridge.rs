//! Handlers as the plane sees them: a script stands where Python would be (RELIABILITY A04, A09).

use crate::client::get;
use crate::patience::eventually;
use crate::service::{strong, template, Running, Service, TEXT, THING};
use crate::upstream::{answer, echo, Step, Upstream};
use serde_json::{json, Value};
use std::sync::Arc;
use std::time::Duration;
use tailrace_blueprint::Blueprint;
use tailrace_plane::bridge::{
    Answer, Asked, Bridge, End, Event, Group, Kept, Letter, Post, Start, Wanted,
};
use tailrace_plane::{Engine, Reason};

/// One upstream `up`, one handler `/h/{id}`, one view `/v/{id}`.
pub(crate) fn service(upstream: &Upstream, with: Value) -> Service {
    let mut declared = json!({"handler": {"limit": 2}});
    crate::service::merge(&mut declared, with);
    Service::new()
        .upstream("up", upstream)
        .view_with("h", "/h/{id}", Vec::new(), declared)
        .view("v", "/v/{id}", vec![strong("it", "/v/{id}")])
}

/// The blueprint as text.
pub(crate) fn text(service: &Service) -> String {
    String::from_utf8(service.source()).expect("JSON is text")
}

/// The next events, which come in time.
fn take(bridge: &Bridge) -> Vec<Event> {
    let mut events = Vec::new();
    eventually("something waits for Python", || {
        events = bridge.take().events;
        !events.is_empty()
    });
    events
}

pub(crate) fn started(bridge: &Bridge) -> Start {
    match take(bridge).pop() {
        Some(Event::Start(start)) => start,
        other => panic!("no start: {other:?}"),
    }
}

pub(crate) fn landed(bridge: &Bridge) -> Vec<Answer> {
    landed_from(bridge).0
}

/// The same, and which of the answers are from the cache.
pub(crate) fn landed_from(bridge: &Bridge) -> (Vec<Answer>, Vec<Kept>) {
    match take(bridge).pop() {
        Some(Event::Landed { answers, kept, .. }) => (answers, kept),
        other => panic!("nothing landed: {other:?}"),
    }
}

/// Registers a GET of `path` whose values are `names`, giving things.
pub(crate) fn register(bridge: &Bridge, service: &str, path: &str, names: &[&str]) -> usize {
    let parameters: Vec<Value> = names
        .iter()
        .map(|name| json!({"name": name, "in": "query", "shape": TEXT, "required": true}))
        .collect();
    let mut declared: Value = serde_json::from_str(service).expect("JSON");
    declared["views"] = json!([{
        "name": "call", "method": "GET", "path": "/", "deadline_ms": 86_400_000.0, "fanout": 1,
        "parameters": parameters,
        "parts": [{"name": "call", "strength": "strong", "upstream": "up", "method": "GET",
                   "path": template(path), "shape": THING}],
    }]);
    let source = declared.to_string();
    let checked = Blueprint::from_json(source.as_bytes()).expect("a call of a test");
    bridge.register(&checked).expect("room for it")
}

pub(crate) fn wanted(bridge: &Bridge, number: usize, value: &str, strong: bool) -> Wanted {
    let template = bridge.template(number).expect("registered");
    let values = vec![Some(value.as_bytes().to_vec())];
    Wanted {
        template,
        values,
        strong,
    }
}

pub(crate) fn ask(bridge: &Bridge, start: &Start, token: u64, calls: Vec<Wanted>) {
    let letter = Letter::Calls(Group { token, calls });
    bridge.post(vec![(start.ticket, Post::Letter(letter))]);
}

pub(crate) fn end(bridge: &Bridge, start: &Start, end: End) {
    bridge.post(vec![bridge.ended(start.ticket, start.view, end)]);
}

pub(crate) fn reply(body: &str) -> End {
    End::Reply {
        body: body.as_bytes().to_vec(),
        degraded: Vec::new(),
    }
}

pub(crate) fn bridge(plane: &Running) -> Arc<Bridge> {
    Arc::clone(plane.bridge().expect("a service with handlers"))
}

#[test]
fn a_handler_gets_its_parameters_makes_calls_and_answers() {
    let upstream = Upstream::echo();
    let service = service(&upstream, json!({}));
    let source = text(&service);
    let plane = service.start();
    let bridge = bridge(&plane);
    let number = register(&bridge, &source, "/things/{id}", &["id"]);
    let mut client = plane.client();
    client.send("GET /h/a%20b HTTP/1.1\r\nHost: x\r\nX-Request-Id: r-1\r\n\r\n");
    let start = started(&bridge);
    assert_eq!(start.values, [Some(b"a b".to_vec())]);
    assert_eq!(start.request_id, b"r-1");
    let calls = vec![
        wanted(&bridge, number, "1/2", true),
        wanted(&bridge, number, "3", false),
    ];
    ask(&bridge, &start, 7, calls);
    let answers = landed(&bridge);
    assert_eq!(answers[0], Ok(Some(br#"{"id":"1%2F2"}"#.to_vec())));
    assert_eq!(answers[1], Ok(Some(br#"{"id":"3"}"#.to_vec())));
    let degraded = vec![("up".to_owned(), Reason::Timeout)];
    let body = br#"{"ok":true}"#.to_vec();
    end(&bridge, &start, End::Reply { body, degraded });
    let reply = client.reply();
    assert_eq!(
        (reply.status, reply.body.as_slice()),
        (200, &br#"{"ok":true}"#[..])
    );
    assert_eq!(reply.header("tailrace-degraded"), Some("up;reason=timeout"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let ids = upstream
        .seen()
        .iter()
        .filter_map(|seen| seen.header("x-request-id"))
        .count();
    assert_eq!(ids, 2, "the request's id goes with each call");
    assert_eq!(
        plane.counter("tailrace_requests_total", "view=\"h\" status=\"200\""),
        1
    );
    assert_eq!(
        plane.counter("tailrace_degraded_replies_total", "view=\"h\""),
        1
    );
}

// req 4.5
#[test]
fn the_first_strong_failure_of_a_group_ends_the_calls_beside_it() {
    let upstream = Upstream::start(|seen| match seen.target().as_str() {
        "/things/bad" => vec![Step::Send(answer("409 No", "text/plain", ""))],
        _ => vec![Step::Hold],
    });
    let service = service(&upstream, json!({}));
    let source = text(&service);
    let plane = service.start();
    let bridge = bridge(&plane);
    let number = register(&bridge, &source, "/things/{id}", &["id"]);
    let mut client = plane.client();
    client.send(get("/h/1"));
    let start = started(&bridge);
    ask(
        &bridge,
        &start,
        1,
        vec![wanted(&bridge, number, "hangs", true)],
    );
    eventually("the first group runs", || upstream.active() == 1);
    let calls = vec![
        wanted(&bridge, number, "hangs", false),
        wanted(&bridge, number, "bad", true),
    ];
    ask(&bridge, &start, 2, calls);
    let answers = landed(&bridge);
    let failed = |index: usize| *answers[index].as_ref().expect_err("a failure");
    assert_eq!(failed(0).reason, Reason::Cancelled);
    assert_eq!(
        (failed(1).reason, failed(1).answered),
        (Reason::ClientError, 409)
    );
    eventually("the sibling sees the end", || upstream.abandoned() == 1);
    bridge.post(vec![(start.ticket, Post::Letter(Letter::Withdraw(1)))]);
    eventually("what is withdrawn ends", || upstream.abandoned() == 2);
    let upstream = "up".to_owned();
    let reason = Reason::ClientError;
    end(&bridge, &start, End::Failed { upstream, reason });
    let reply = client.reply();
    assert_eq!((reply.status, reply.code().as_str()), (502, "client_error"));
    assert_eq!(reply.json()["part"], "up");
}

/// RELIABILITY A09: the deadline and the limit are the plane's, whatever the handler does.
#[test]
fn a_handler_that_never_returns_costs_its_own_places_and_nothing_else() {
    let upstream = Upstream::echo();
    let plane = service(&upstream, json!({"deadline_ms": 300.0})).start();
    let bridge = bridge(&plane);
    let timed_out = plane.get("/h/1");
    assert_eq!(
        (timed_out.status, timed_out.code().as_str()),
        (504, "deadline")
    );
    let timed_out = plane.get("/h/2");
    assert_eq!(timed_out.status, 504);
    // Neither was taken by Python; both are forgotten before it sees them.
    assert!(bridge.take().events.is_empty());
    assert_eq!(plane.counter("tailrace_handler_in_flight", "view=\"h\""), 0);
    let mut first = plane.client();
    first.send(get("/h/3"));
    let one = started(&bridge);
    let mut second = plane.client();
    second.send(get("/h/4"));
    let other = started(&bridge);
    assert_eq!(first.reply().status, 504);
    assert_eq!(second.reply().status, 504);
    let refused = plane.get("/h/5");
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (503, "handler_full")
    );
    assert!(refused.header("retry-after").is_some());
    assert_eq!(plane.get("/v/1").status, 200, "a view is untouched");
    assert_eq!(plane.admin("/livez").status, 200);
    assert_eq!(
        plane.counter("tailrace_handler_refused_total", "view=\"h\""),
        1
    );
    // They end after all: their places are free again, and nobody hears their answers.
    end(&bridge, &one, reply("late"));
    end(&bridge, &other, End::Crashed);
    let told = bridge.take().events;
    assert!(
        told.iter().all(|event| matches!(event, Event::Cancel(_))),
        "{told:?}"
    );
    assert_eq!(told.len(), 2);
    let mut third = plane.client();
    third.send(get("/h/6"));
    let last = started(&bridge);
    end(&bridge, &last, End::Crashed);
    let crashed = third.reply();
    assert_eq!(
        (crashed.status, crashed.code().as_str()),
        (500, "handler_error")
    );
    assert_eq!(
        plane.counter("tailrace_handler_errors_total", "view=\"h\""),
        2
    );
}

/// RELIABILITY A04: a client that leaves takes the handler's calls with it.
#[test]
fn a_client_that_leaves_ends_the_calls_of_its_handler() {
    let upstream = Upstream::start(|_| vec![Step::Hold]);
    let service = service(&upstream, json!({}));
    let source = text(&service);
    let plane = service.start();
    let bridge = bridge(&plane);
    let number = register(&bridge, &source, "/things/{id}", &["id"]);
    let mut client = plane.client();
    client.send(get("/h/1"));
    let start = started(&bridge);
    ask(&bridge, &start, 1, vec![wanted(&bridge, number, "1", true)]);
    eventually("the call runs", || upstream.active() == 1);
    drop(client);
    eventually("the upstream sees the end", || upstream.abandoned() == 1);
    assert!(matches!(take(&bridge).as_slice(), [Event::Cancel(ticket)] if *ticket == start.ticket));
    let in_flight = || plane.counter("tailrace_bulkhead_in_flight", "upstream=\"up\"");
    eventually("its place is free", || in_flight() == 0);
    end(&bridge, &start, End::Cancelled);
    assert_eq!(plane.counter("tailrace_handler_in_flight", "view=\"h\""), 0);
    assert_eq!(
        plane.counter("tailrace_cancelled_requests_total", "view=\"h\""),
        1
    );
}

// req 4.3
#[test]
fn a_handlers_calls_keep_to_its_fan_out() {
    let upstream = Upstream::start(|seen| {
        vec![
            Step::Pause(Duration::from_millis(5)),
            Step::Send(echo(seen)),
        ]
    });
    let service = service(&upstream, json!({"fanout": 2}));
    let source = text(&service);
    let plane = service.start();
    let bridge = bridge(&plane);
    let number = register(&bridge, &source, "/things/{id}", &["id"]);
    let mut client = plane.client();
    client.send(get("/h/1"));
    let start = started(&bridge);
    let calls = (0..8).map(|one| wanted(&bridge, number, &one.to_string(), true));
    ask(&bridge, &start, 1, calls.collect());
    let answers = landed(&bridge);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(answers[5], Ok(Some(br#"{"id":"5"}"#.to_vec())));
    assert_eq!(upstream.active_max(), 2);
    end(&bridge, &start, reply("1"));
    assert_eq!(client.reply().status, 200);
}

#[test]
fn a_client_makes_calls_without_a_port() {
    let upstream = Upstream::start(|seen| match seen.target().as_str() {
        "/things/a" => vec![Step::Send(echo(seen))],
        _ => vec![Step::Hold],
    });
    let source = Service::new().upstream("up", &upstream);
    let source = text(&source);
    let checked = Blueprint::from_json(source.as_bytes()).expect("a blueprint");
    let engine = Engine::start(&checked, source.clone().into_bytes()).expect("it starts");
    let bridge = engine.bridge();
    let number = register(bridge, &source, "/things/{id}", &["id"]);
    let ask = |ticket: u64, token: u64, value: &str, within: Duration| {
        let calls = vec![wanted(bridge, number, value, true)];
        let group = Group { token, calls };
        let asked = Asked {
            within: within.as_nanos() as u64,
            request_id: Vec::new(),
            trace: Default::default(),
        };
        let post = bridge.alone(group, asked).expect("room");
        bridge.post(vec![(tailrace_plane::bridge::Ticket(ticket), post)]);
    };
    ask(1, 1, "a", Duration::from_secs(5));
    assert_eq!(landed(bridge), [Ok(Some(br#"{"id":"a"}"#.to_vec()))]);
    ask(2, 2, "hangs", Duration::from_millis(40));
    let late = landed(bridge);
    assert_eq!(late[0].as_ref().expect_err("late").reason, Reason::Deadline);
    ask(3, 3, "withdrawn", Duration::from_secs(60));
    let arrived = |value: &str| {
        upstream
            .seen()
            .iter()
            .any(|seen| seen.target().ends_with(value))
    };
    eventually("the call runs", || arrived("withdrawn"));
    let withdrawn = Post::Letter(Letter::Withdraw(3));
    bridge.post(vec![(tailrace_plane::bridge::Ticket(3), withdrawn)]);
    eventually("the upstream sees the end", || upstream.active() == 0);
    assert!(bridge.take().events.is_empty());
    assert!(engine.end());
}

/// A service that formats values into paths fills the table, and is told so.
#[test]
fn there_is_an_end_to_different_calls() {
    let upstream = Upstream::echo();
    let service = service(&upstream, json!({}));
    let source = text(&service);
    let plane = service.start();
    let bridge = bridge(&plane);
    let mut declared: Value = serde_json::from_str(&source).expect("JSON");
    declared["views"] = json!([{
        "name": "call", "method": "GET", "path": "/", "deadline_ms": 1e6, "fanout": 1,
        "parameters": [],
        "parts": [{"name": "call", "strength": "strong", "upstream": "up", "method": "GET",
                   "path": template("/same"), "shape": THING}],
    }]);
    let source = declared.to_string();
    let checked = Blueprint::from_json(source.as_bytes()).expect("a call of a test");
    for _ in 0..4_096 {
        bridge.register(&checked).expect("room for it");
    }
    let refused = bridge.register(&checked).expect_err("full");
    assert!(refused.contains("4096 different calls"), "{refused}");
}
