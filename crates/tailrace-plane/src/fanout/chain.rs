//! The fallback chain of one part, without sockets: which step is taken, and what is said of it
//! (req 8.3).

use super::{FanOut, State};
use crate::cache::{key, tests::put};
use crate::program::Program;
use crate::reason::Reason;
use crate::shared::Shared;
use crate::source::Source;
use crate::worker::Worker;
use std::rc::Rc;
use std::sync::Arc;
use tailrace_blueprint::Blueprint;
use tailrace_policy::deadline::Deadline;

/// `kept` is cached, has another upstream and a default; `plain` has another upstream only.
const BLUEPRINT: &str = r#"{
  "format_version": 1, "service": "chain",
  "upstreams": [
    {"name": "u", "addresses": ["http://127.0.0.1:1"], "timeout_ms": 50, "bulkhead": {"limit": 9}},
    {"name": "spare", "addresses": ["http://127.0.0.1:2"], "timeout_ms": 50,
     "bulkhead": {"limit": 9}}],
  "shapes": [{"kind": "any"}],
  "views": [{
    "name": "v", "method": "GET", "path": "/v", "deadline_ms": 100, "fanout": 3, "parameters": [],
    "parts": [
      {"name": "kept", "strength": "weak", "upstream": "u", "method": "GET", "shape": 0,
       "path": [{"text": "/kept"}], "default": "default",
       "cache": {"ttl_ms": 1000, "stale_if_error_ms": 60000},
       "otherwise": {"upstream": "spare", "path": [{"text": "/spare"}]}},
      {"name": "plain", "strength": "weak", "upstream": "u", "method": "GET", "shape": 0,
       "path": [{"text": "/plain"}],
       "otherwise": {"upstream": "spare", "path": [{"text": "/spare"}]}}
    ]
  }]
}"#;

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

/// Keeps an answer of the part `kept`.
fn keep(worker: &Worker, fan: &FanOut, text: &str) {
    let part = &worker.program.views[0].parts[0];
    let Ok(rendered) = fan.render(worker, part, None) else {
        panic!("it has no parameters");
    };
    let mut bytes = Vec::new();
    let scope = part.cache.as_ref().map_or(0, |keep| keep.scope);
    key::push(part, scope, &rendered, &mut bytes);
    put(worker.shared.cache(), &bytes, text, worker.now.get());
}

fn said(fan: &FanOut, part: usize) -> (Option<&[u8]>, Option<Reason>, Source) {
    let end = fan.ends[part];
    (fan.values[part].as_deref(), end.failed, end.source)
}

// What is left out under pressure makes no call at all: neither its own nor another.
#[test]
fn a_part_that_is_left_out_is_what_is_kept_of_it_or_its_fallback() {
    let worker = worker();
    let view = &worker.program.views[0];
    let brownout = Some(Reason::Brownout);
    for kept in [false, true] {
        let mut fan = begin(&worker);
        if kept {
            keep(&worker, &fan, "1");
        }
        fan.left_out = 0b11;
        fan.unlock(&worker, view).unwrap();
        assert!(fan.ready.is_empty() && fan.running.is_empty());
        assert!(fan.states.iter().all(|state| *state == State::Done));
        let expected: (&[u8], _) = if kept {
            (b"1", Source::Cached)
        } else {
            (br#""default""#, Source::Default)
        };
        assert_eq!(said(&fan, 0), (Some(expected.0), brownout, expected.1));
        let nothing = (Some(&b"null"[..]), brownout, Source::Missing);
        assert_eq!(said(&fan, 1), nothing);
    }
}

// Another call is made once; what is said is why the part's own failed.
#[test]
fn another_call_is_made_once_and_then_the_fallback_stands() {
    let worker = worker();
    let view = &worker.program.views[0];
    for other in [true, false] {
        let mut fan = begin(&worker);
        fan.unlock(&worker, view).unwrap();
        fan.ready.clear();
        fan.land(&worker, view, 1, 0, Err(Reason::Timeout)).unwrap();
        let again: Vec<_> = fan.ready.iter().map(|job| job.part).collect();
        assert_eq!((again, fan.is_done(1)), (vec![1], false));
        let rendered = &fan.ready[0].rendered;
        assert_eq!(&rendered.bytes[..rendered.target], b"/spare");
        let answer = if other {
            Ok(Some(b"2".to_vec()))
        } else {
            Err(Reason::Connect)
        };
        fan.ready.clear();
        fan.land(&worker, view, 1, 0, answer).unwrap();
        assert!(fan.ready.is_empty() && fan.is_done(1));
        let expected: (&[u8], _) = if other {
            (b"2", Source::Other)
        } else {
            (b"null", Source::Missing)
        };
        let timeout = Some(Reason::Timeout);
        assert_eq!(said(&fan, 1), (Some(expected.0), timeout, expected.1));
    }
}

// A call for which the deadline leaves no time is not made; what is kept of it costs none.
#[test]
fn what_is_kept_stands_in_when_there_is_no_time_for_the_call() {
    let worker = worker();
    let view = &worker.program.views[0];
    let mut fan = begin(&worker);
    keep(&worker, &fan, "1");
    fan.unlock(&worker, view).unwrap();
    let late = worker.now.get() + 100_000_000;
    fan.launch(&worker, view, late).unwrap();
    assert!(fan.running.is_empty());
    let deadline = Some(Reason::Deadline);
    assert_eq!(said(&fan, 0), (Some(&b"1"[..]), deadline, Source::Cached));
    // No time for another call either.
    assert_eq!(
        said(&fan, 1),
        (Some(&b"null"[..]), deadline, Source::Missing)
    );
}
