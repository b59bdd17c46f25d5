//! Slots, cap and failure, without sockets: results are landed by hand in any order.

use super::{FanOut, Stop};
use crate::access_log::PartEnd;
use crate::program::Program;
use crate::reason::Reason;
use crate::reply::{self, Frame};
use crate::shared::Shared;
use crate::worker::Worker;
use proptest::prelude::*;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tailrace_blueprint::Blueprint;
use tailrace_policy::deadline::Deadline;

/// `list` holds the items of `each`; `a` to `d` are independent; `w` is weak with a default.
const BLUEPRINT: &str = r#"{
  "format_version": 1, "service": "slots",
  "upstreams": [{"name": "u", "addresses": ["http://127.0.0.1:1"], "timeout_ms": 50,
                 "bulkhead": {"limit": 100}}],
  "shapes": [{"kind": "any"}],
  "views": [{
    "name": "v", "method": "GET", "path": "/v", "deadline_ms": 100, "fanout": 3, "parameters": [],
    "parts": [
      {"name": "a", "strength": "strong", "upstream": "u", "method": "GET", "shape": 0,
       "path": [{"text": "/a"}]},
      {"name": "b", "strength": "strong", "upstream": "u", "method": "GET", "shape": 0,
       "path": [{"text": "/b"}]},
      {"name": "c", "strength": "weak", "upstream": "u", "method": "GET", "shape": 0,
       "path": [{"text": "/c"}]},
      {"name": "w", "strength": "weak", "upstream": "u", "method": "GET", "shape": 0,
       "path": [{"text": "/w"}], "default": {"items": []}},
      {"name": "list", "strength": "weak", "upstream": "u", "method": "GET", "shape": 0,
       "path": [{"text": "/l/"}, {"item": ["sku"]}],
       "each": {"part": "a", "field": ["items"], "items_max": 4}}
    ]
  }]
}"#;

const TWO: &str = r#"{"items":[{"sku":1},{"sku":2}]}"#;

fn worker() -> Rc<Worker> {
    let blueprint = Blueprint::from_json(BLUEPRINT.as_bytes()).unwrap();
    let program = Arc::new(Program::compile(&blueprint).unwrap());
    let shared = Arc::new(Shared::new(program, 1, Vec::new(), b"{}".to_vec()));
    Worker::new(0, &shared, None, 7)
}

fn begin(worker: &Worker) -> FanOut {
    let mut fan = FanOut::default();
    fan.open_memory(worker);
    fan.begin(
        &worker.program,
        0,
        Deadline::new(worker.tick(), 100_000_000),
    );
    fan
}

/// What a call lands with.
#[allow(clippy::unnecessary_wraps)]
fn json(text: &str) -> crate::call::Landed {
    Ok(Some(text.as_bytes().to_vec()))
}

fn body(worker: &Worker, fan: &FanOut) -> String {
    let frame = Frame {
        request_id: b"r",
        keep_alive: true,
        old: false,
        head_only: false,
        epoch_ms: 1,
        lines: b"",
    };
    let mut out = Vec::new();
    let length = reply::aggregate(worker, fan, frame, &mut out);
    String::from_utf8(out.split_off(out.len() - length)).unwrap()
}

proptest! {
    // req 5.1: whatever the order of arrival, each result is in its own slot and the reply is in
    // declared order. req 10.4: the bytes are the ones that came.
    #[test]
    fn results_land_in_their_own_slot_in_any_order(seed: u64) {
        let worker = worker();
        let view = &worker.program.views[0];
        let mut fan = begin(&worker);
        fan.unlock(&worker, view).unwrap();
        let mut arrivals = [(0, TWO), (1, "1.10"), (2, "[ 1,2 ]"), (3, "\"w\"")];
        fastrand::Rng::with_seed(seed).shuffle(&mut arrivals);
        for (part, value) in arrivals {
            fan.land(&worker, view, part, 0, json(value)).unwrap();
        }
        fan.unlock(&worker, view).unwrap();
        fan.land(&worker, view, 4, 1, json("22")).unwrap();
        fan.land(&worker, view, 4, 0, json("11")).unwrap();
        prop_assert_eq!(
            body(&worker, &fan),
            r#"{"a":{"items":[{"sku":1},{"sku":2}]},"b":1.10,"c":[ 1,2 ],"w":"w","list":[11,22],"#
                .to_owned() + r#""degraded":[],"request_id":"r","served_at_ms":1}"#
        );
    }
}

// req 4.3
#[test]
fn no_more_calls_start_than_the_fan_out_allows() {
    let worker = worker();
    let view = &worker.program.views[0];
    let mut fan = begin(&worker);
    fan.unlock(&worker, view).unwrap();
    let now = worker.now.get();
    fan.launch(&worker, view, now).unwrap();
    assert_eq!((fan.running.len(), fan.ready.len()), (3, 1));
    fan.running.pop();
    fan.launch(&worker, view, now).unwrap();
    assert_eq!((fan.running.len(), fan.ready.len()), (3, 0));
}

// req 4.5, 8.1
#[test]
fn a_strong_failure_stops_the_request_and_names_what_it_cancelled() {
    let worker = worker();
    let view = &worker.program.views[0];
    let mut fan = begin(&worker);
    fan.unlock(&worker, view).unwrap();
    fan.launch(&worker, view, worker.now.get()).unwrap();
    let stop = fan.land(&worker, view, 1, 0, Err(Reason::ServerError));
    assert_eq!(stop, Err(Stop::Strong(1, Reason::ServerError)));
    fan.cancel(&worker);
    let failed: Vec<_> = fan.ends.iter().map(|end: &PartEnd| end.failed).collect();
    let cancelled = Some(Reason::Cancelled);
    assert_eq!(
        failed,
        [
            cancelled,
            Some(Reason::ServerError),
            cancelled,
            cancelled,
            cancelled
        ]
    );
    assert!(fan.running.is_empty() && fan.ready.is_empty());
}

// req 8.1: a weak failure degrades; its default or null stands in, and says so.
#[test]
fn weak_failures_leave_defaults_and_nulls_behind() {
    let worker = worker();
    let view = &worker.program.views[0];
    let mut fan = begin(&worker);
    fan.unlock(&worker, view).unwrap();
    fan.land(&worker, view, 0, 0, json(TWO)).unwrap();
    fan.land(&worker, view, 1, 0, Ok(None)).unwrap();
    fan.land(&worker, view, 2, 0, Err(Reason::Timeout)).unwrap();
    fan.land(&worker, view, 3, 0, Err(Reason::ModelMismatch))
        .unwrap();
    fan.unlock(&worker, view).unwrap();
    fan.land(&worker, view, 4, 0, Err(Reason::NotFound))
        .unwrap();
    fan.land(&worker, view, 4, 1, json("2")).unwrap();
    let body = body(&worker, &fan);
    assert!(
        body.contains(r#""b":null,"c":null,"w":{"items":[]},"list":[null,2]"#),
        "{body}"
    );
    assert!(body.contains(r#""degraded":["c","w","list"]"#), "{body}");
}

#[test]
fn a_list_longer_than_declared_fails_its_part_before_any_call() {
    let worker = worker();
    let view = &worker.program.views[0];
    let mut fan = begin(&worker);
    fan.unlock(&worker, view).unwrap();
    fan.ready.clear();
    let five = r#"{"items":[{"sku":1},{"sku":2},{"sku":3},{"sku":4},{"sku":5}]}"#;
    fan.land(&worker, view, 0, 0, json(five)).unwrap();
    fan.unlock(&worker, view).unwrap();
    assert_eq!(fan.ends[4].failed, Some(Reason::TooManyItems));
    assert!(fan.ready.is_empty());
}

#[test]
fn an_empty_list_needs_no_call() {
    let worker = worker();
    let view = &worker.program.views[0];
    let mut fan = begin(&worker);
    fan.unlock(&worker, view).unwrap();
    fan.land(&worker, view, 0, 0, json(r#"{"items":[]}"#))
        .unwrap();
    fan.unlock(&worker, view).unwrap();
    assert_eq!(fan.values[4].as_deref(), Some(&b"[]"[..]));
    assert_eq!(fan.ends[4].failed, None);
}

// req 4.5: at the deadline what is not done fails; the strong part decides.
#[tokio::test(start_paused = true)]
async fn at_the_deadline_the_request_ends() {
    let worker = worker();
    let mut fan = begin(&worker);
    let view = &worker.program.views[0];
    fan.unlock(&worker, view).unwrap();
    fan.ready.clear();
    tokio::time::advance(std::time::Duration::from_millis(99)).await;
    worker.tick();
    let ended = fan.poll(&worker, &mut Context::from_waker(Waker::noop()));
    assert_eq!(ended, Poll::Ready(Err(Stop::Strong(0, Reason::Deadline))));
}

/// Parts that read each other against the order they are declared in: `a` needs `b` needs `c`.
const BACKWARDS: &str = r#"{
  "format_version": 1, "service": "backwards",
  "upstreams": [{"name": "u", "addresses": ["http://127.0.0.1:1"], "timeout_ms": 50,
                 "bulkhead": {"limit": 100}}],
  "shapes": [{"kind": "any"}],
  "views": [{
    "name": "v", "method": "GET", "path": "/v", "deadline_ms": 60000, "fanout": 3,
    "parameters": [],
    "parts": [
      {"name": "a", "strength": "weak", "upstream": "u", "method": "GET", "shape": 0,
       "path": [{"text": "/a/"}, {"part": {"name": "b", "field": ["id"]}}]},
      {"name": "b", "strength": "weak", "upstream": "u", "method": "GET", "shape": 0,
       "path": [{"text": "/b/"}, {"part": {"name": "c", "field": ["id"]}}]},
      {"name": "c", "strength": "weak", "upstream": "u", "method": "GET", "shape": 0,
       "path": [{"text": "/c"}]}
    ]
  }]
}"#;

// A part that ends without a call unlocks those declared before it, now and not at the deadline.
#[tokio::test(start_paused = true)]
async fn a_chain_that_fails_against_the_declared_order_ends_at_once() {
    let blueprint = Blueprint::from_json(BACKWARDS.as_bytes()).unwrap();
    let program = Arc::new(Program::compile(&blueprint).unwrap());
    let shared = Arc::new(Shared::new(program, 1, Vec::new(), b"{}".to_vec()));
    let worker = Worker::new(0, &shared, None, 7);
    let mut fan = FanOut::default();
    fan.open_memory(&worker);
    fan.begin(
        &worker.program,
        0,
        Deadline::new(worker.tick(), 60_000_000_000),
    );
    let view = &worker.program.views[0];
    fan.unlock(&worker, view).unwrap();
    fan.ready.clear();
    fan.land(&worker, view, 2, 0, Err(Reason::ServerError))
        .unwrap();
    let ended = fan.poll(&worker, &mut Context::from_waker(Waker::noop()));
    assert_eq!(ended, Poll::Ready(Ok(())));
    let failed: Vec<_> = fan.ends.iter().map(|end: &PartEnd| end.failed).collect();
    let dependency = Some(Reason::Dependency);
    assert_eq!(failed, [dependency, dependency, Some(Reason::ServerError)]);
}
