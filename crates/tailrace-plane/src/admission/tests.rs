//! Admission without sockets: one worker, made-up lateness, counted allocations.

use super::load::Meter;
use super::*;
use crate::clock::made_up::work;
use crate::h1::parse_request;
use crate::request::Exchange;
use crate::shared::Shared;
use allocation_counter::measure;
use serde_json::{json, Value};
use std::sync::atomic::Ordering;
use std::task::Poll;
use tailrace_blueprint::Blueprint;
use tailrace_policy::shed::{Class, Signals};
use tokio::task::{spawn_local, yield_now, JoinHandle, LocalSet};

const MILLI: Nanos = crate::clock::MILLI;
/// Between two looks.
const LOOK: Nanos = 500 * MILLI;

/// One worker of a service with a strong part and two weak ones; no CPU signal, which would be the
/// machine's.
fn worker(admission: Value, view: Value) -> Rc<Worker> {
    let part = |name: &str, strength: &str| {
        json!({"name": name, "strength": strength, "upstream": "u", "method": "GET", "shape": 0,
               "path": [{"text": "/x"}]})
    };
    let mut declared = json!({
        "format_version": 1, "service": "gate", "shapes": [{"kind": "any"}],
        "upstreams": [{"name": "u", "addresses": ["http://127.0.0.1:1"], "timeout_ms": 50,
                       "bulkhead": {"limit": 100}}],
        "admission": {"shed": {"cpu": null}},
        "views": [{"name": "v", "method": "GET", "path": "/v", "deadline_ms": 100, "fanout": 3,
                   "allow_overcommit": "what is tested here makes no call",
                   "parameters": [],
                   "parts": [part("a", "strong"), part("b", "weak"), part("c", "weak")]}],
    });
    for (at, fields) in [("/admission", admission), ("/views/0", view)] {
        for (name, value) in fields.as_object().unwrap() {
            declared.pointer_mut(at).unwrap()[name] = value.clone();
        }
    }
    let source = declared.to_string().into_bytes();
    let blueprint = Blueprint::from_json(&source).unwrap();
    let program = Arc::new(Program::compile(&blueprint).unwrap());
    let shared = Arc::new(Shared::new(program, 1, source, b"{}".to_vec()));
    Worker::new(0, &shared, None, 7)
}

/// A request as the connection hands it over.
fn request(worker: &Worker, lines: &str) -> Exchange {
    let text = format!("GET /v HTTP/1.1\r\nhost: a\r\n{lines}\r\n");
    let mut exchange = Exchange::default();
    exchange.input = text.into_bytes();
    let limits = worker.program.head_limits;
    parse_request(&exchange.input, &limits, &mut exchange.head).unwrap();
    exchange
}

/// The reply of a request that is refused; `None` when it was let in, and left.
fn refused(worker: &Rc<Worker>, exchange: &mut Exchange) -> Option<String> {
    match exchange.begin(worker) {
        Poll::Ready(()) => Some(String::from_utf8_lossy(&exchange.reply).into_owned()),
        Poll::Pending => {
            exchange.abandon(worker);
            None
        }
    }
}

fn code(reply: &str) -> Value {
    let (_, body) = reply.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    body["code"].clone()
}

/// Requests that are let in and do not end, and how late the ready queue was.
fn overload(worker: &Worker, meter: &mut Meter, now: &mut Nanos, late: Nanos) {
    *now += LOOK;
    meter.note(worker, *now, late);
}

fn assert_costs_nothing(worker: &Rc<Worker>, lines: &str, expected: &str) {
    let mut exchange = request(worker, lines);
    // The first ones find out how large the reply is.
    for _ in 0..2 {
        let reply = refused(worker, &mut exchange).unwrap_or_else(|| panic!("{expected}: let in"));
        assert_eq!(code(&reply), expected);
    }
    let counted = measure(|| {
        for _ in 0..100 {
            assert!(exchange.begin(worker).is_ready());
        }
    });
    assert_eq!(counted.count_total, 0, "{expected} allocates");
}

// ALGORITHMS 10: reject before allocation, answer from a static buffer.
#[test]
fn a_refusal_allocates_nothing() {
    let rate = json!({"per_second": 0.001, "burst": 1});
    let clients = worker(json!({"rate": rate}), json!({}));
    assert!(refused(&clients, &mut request(&clients, "")).is_none());
    assert_costs_nothing(&clients, "", "client_rate");

    let route = worker(json!({}), json!({"rate": rate}));
    assert!(refused(&route, &mut request(&route, "")).is_none());
    assert_costs_nothing(&route, "", "route_rate");

    let full = worker(json!({"calls_max": 3}), json!({}));
    let mut held = request(&full, "");
    assert!(held.begin(&full).is_pending());
    assert_costs_nothing(&full, "", "overloaded");

    let shedding = worker(json!({"brownout": null}), json!({}));
    let shedder = &shedding.gate.load.shedder;
    for level in 0..100 {
        shedder
            .admit(Level::new(Class::CriticalPlus, level), 0)
            .unwrap();
    }
    let overload = || Signals {
        admitted: 100,
        done: 0,
        queue_delay: 100 * MILLI,
        cpu: 0.0,
    };
    assert!(shedder.tick(1, overload).is_some_and(|rate| rate > 0.5));
    assert_costs_nothing(&shedding, "", "shed");

    let draining = worker(json!({}), json!({"deadline_ms": 60_000.0}));
    draining.shared.advance(Phase::Draining);
    assert_costs_nothing(&draining, "", "draining");
}

#[test]
fn to_be_let_in_allocates_nothing() {
    let worker = worker(json!({}), json!({}));
    let exchange = request(&worker, "");
    let mut passed = Passed::default();
    let now = worker.tick();
    let counted = measure(|| {
        for _ in 0..100 {
            let asking = Asking {
                head: &exchange.head,
                input: &exchange.input,
                peer: Peer::default(),
                now,
                deadline: Deadline::new(now, 100 * MILLI),
            };
            assert!(admit(&worker, 0, asking, &mut passed).is_ok());
        }
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn a_refusal_says_what_a_problem_says() {
    let full = worker(json!({"calls_max": 3}), json!({}));
    let mut held = request(&full, "");
    assert!(held.begin(&full).is_pending());
    let reply = refused(&full, &mut request(&full, "x-request-id: abc\r\n")).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
        "{head}"
    );
    assert!(
        head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())),
        "{head}"
    );
    assert!(head.contains("\r\nx-request-id: abc\r\n"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["type"], "urn:tailrace:problem:overloaded");
    assert_eq!(
        (&body["status"], &body["request_id"]),
        (&json!(503), &json!("abc"))
    );
    let fields: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        fields,
        ["type", "title", "status", "code", "detail", "request_id"]
    );
    held.abandon(&full);
    assert_eq!(full.shared.admission.inbound.in_use(), 0);
    assert!(refused(&full, &mut request(&full, "")).is_none());
}

// req 9.1c: under pressure weak parts go before any request is refused.
#[test]
fn parts_go_before_requests_and_both_come_back() {
    let worker = worker(json!({}), json!({}));
    let load = &worker.gate.load;
    let mut now = worker.tick();
    let mut meter = Meter::new(&worker, now);
    let mut held: Vec<Exchange> = (0..50).map(|_| request(&worker, "")).collect();
    overload(&worker, &mut meter, &mut now, MILLI);
    assert_eq!((load.rung(0), worker.gate.left_out(0)), (0, 0));
    for exchange in &mut held {
        assert!(exchange.begin(&worker).is_pending());
    }
    // 4.3 ms of the 5 ms that are fine: the part declared last.
    overload(&worker, &mut meter, &mut now, 4_300_000);
    assert_eq!((load.rung(0), worker.gate.left_out(0)), (1, 0b100));
    // Overload: first the other part, and only then requests.
    overload(&worker, &mut meter, &mut now, 50 * MILLI);
    assert_eq!((load.rung(0), worker.gate.left_out(0)), (2, 0b110));
    assert!(load.shed_rate() <= 0.0, "a part went in this interval");
    overload(&worker, &mut meter, &mut now, 50 * MILLI);
    assert!(load.shed_rate() > 0.05, "{}", load.shed_rate());
    // The load is gone.
    for exchange in &mut held {
        exchange.abandon(&worker);
    }
    for _ in 0..2 {
        overload(&worker, &mut meter, &mut now, 0);
    }
    assert!(load.shed_rate() <= 0.0);
    assert_eq!(
        worker.gate.left_out(0),
        0b100,
        "in reverse, one in each dwell"
    );
    overload(&worker, &mut meter, &mut now, 0);
    overload(&worker, &mut meter, &mut now, 0);
    assert_eq!(worker.gate.left_out(0), 0);
}

#[test]
fn one_late_timer_is_no_overload() {
    let worker = worker(json!({}), json!({}));
    let now = worker.tick();
    let mut meter = Meter::new(&worker, now);
    for late in [400 * MILLI, 0, 90 * MILLI] {
        meter.note(&worker, now, late);
    }
    meter.note(&worker, now + LOOK, 80 * MILLI);
    assert_eq!(worker.gate.load.delay.load(Ordering::Relaxed), 0);
    assert_eq!(worker.gate.left_out(0), 0);
}

/// The worker of the next revision, in which overload begins at this delay.
fn delayed(worker: &Rc<Worker>, delay_ms: f64) -> Rc<Worker> {
    let mut declared = worker.program.declared.clone();
    declared.admission.shed.as_mut().unwrap().delay_ms = delay_ms;
    let source = serde_json::to_vec(&declared).unwrap();
    let changed = worker.shared.change(source, b"{}".to_vec(), "test");
    assert_eq!(changed.unwrap().len(), 1);
    worker.newest()
}

// Live configuration: what the shedder takes for overload, the room does too.
#[test]
fn the_room_follows_the_delay_in_force() {
    let first = worker(json!({}), json!({}));
    let room = |worker: &Worker| worker.gate.load.room.load(Ordering::Relaxed);
    let waits = |worker: &Worker| (0..2).for_each(|_| worker.gate.note_wait(20 * MILLI));
    let patient = delayed(&first, 50.0);
    waits(&patient);
    assert_eq!(room(&patient), u64::MAX, "20 ms are fine now");
    let strict = delayed(&first, 4.0);
    waits(&strict);
    assert_eq!(
        room(&strict),
        4,
        "nobody is inside, and the least is let in"
    );
}

// RELIABILITY A06: from the first moment of an overload, before room has been measured.
#[tokio::test(start_paused = true)]
async fn who_would_stand_in_line_for_too_long_is_refused_at_once() {
    let first = worker(json!({}), json!({}));
    let local = LocalSet::new();
    local
        .run_until(async {
            // Each of them costs a millisecond; the deadline is a hundred.
            let stands = |_| {
                let worker = Rc::clone(&first);
                spawn_local(async move {
                    worker.lane.share().await;
                    work(MILLI);
                })
            };
            let tasks: Vec<_> = (0..60).map(stands).collect();
            assert!(refused(&first, &mut request(&first, "")).is_none());
            let mut shed = 0;
            while !tasks.iter().all(JoinHandle::is_finished) {
                yield_now().await;
                let ahead = first.lane.ahead();
                let reply = refused(&first, &mut request(&first, ""));
                assert_eq!(reply.is_some(), ahead > 6_250_000, "{ahead} ns ahead");
                shed += reply.map_or(0, |reply| i32::from(code(&reply) == "shed"));
            }
            assert!(shed >= 20, "{shed} refused");
            assert!(refused(&first, &mut request(&first, "")).is_none());
        })
        .await;
}

#[test]
fn what_each_takes_is_weighed_by_what_it_took() {
    let each = json!({"parts": [
        {"name": "a", "strength": "strong", "upstream": "u", "method": "GET", "shape": 0,
         "path": [{"text": "/a"}]},
        {"name": "list", "strength": "strong", "upstream": "u", "method": "GET", "shape": 0,
         "path": [{"text": "/l"}], "each": {"part": "a", "field": [], "items_max": 40}},
    ]});
    let worker = worker(json!({}), each);
    assert_eq!(worker.gate.expected[0].calls(), 41);
    let mut fan = FanOut::default();
    fan.begin(
        &worker.program,
        0,
        Deadline::new(worker.tick(), 100 * MILLI),
    );
    fan.launched = 4;
    for _ in 0..200 {
        worker.gate.learn(&worker, &fan);
    }
    assert_eq!(worker.gate.expected[0].calls(), 5);
}

#[test]
fn the_floor_of_a_view_is_that_of_its_longest_strong_chain() {
    let part = |name: &str, strength: &str, path: Value| {
        json!({"name": name, "strength": strength, "upstream": "u", "method": "GET", "shape": 0,
               "path": path})
    };
    let after = |name: &str| json!([{"text": "/"}, {"part": {"name": name, "field": []}}]);
    let view = json!({"parts": [
        part("last", "strong", after("first")),
        part("first", "strong", json!([{"text": "/f"}])),
        part("beside", "strong", json!([{"text": "/b"}])),
        part("slow", "weak", json!([{"text": "/s"}])),
    ]});
    let worker = worker(json!({}), view);
    let (program, floors) = (&worker.program, &worker.shared.admission.floors);
    let mut fan = FanOut::default();
    let now = worker.tick();
    fan.begin(program, 0, Deadline::new(now, 100 * MILLI));
    for (end, us) in fan.ends.iter_mut().zip([20_000, 10_000, 25_000, 90_000]) {
        end.us = us;
    }
    assert_eq!(floors.needed(&program.views[0], now), 0);
    for _ in 0..40 {
        floors.learn(&program.views[0], &fan, now);
    }
    // A cached floor may be three seconds old.
    let needed = floors.needed(&program.views[0], now + 4_000 * MILLI);
    assert!((29_000_000..=30_000_000).contains(&needed), "{needed}");
}
