//! What is kept of finished requests, and what is dropped (req 16.6).

use super::context::{Carried, SAMPLED};
use super::{Traces, WAITING_MAX};
use crate::program::Program;
use crate::receipt::Receipt;
use tailrace_blueprint::{Blueprint, Tracing};
use tailrace_policy::trace_sample::Kept;

const SECOND: u64 = 1_000_000_000;

fn program(tracing: Option<Tracing>) -> Program {
    let source = br#"{"format_version": 1, "service": "s", "upstreams": [], "views": [],
        "shapes": []}"#;
    let mut declared: Blueprint = serde_json::from_slice(source).unwrap();
    declared.tracing = tracing;
    Program::compile(&declared).unwrap()
}

fn traces(per_second: f64) -> Traces {
    let tracing = Tracing {
        per_second,
        ..Tracing::default()
    };
    Traces::new(&program(Some(tracing)), 2).unwrap()
}

fn failed(worker: u16) -> Receipt {
    let mut receipt = Receipt::default();
    receipt.begin(1, usize::from(worker), false, 5 * SECOND);
    receipt.status = 502;
    receipt.ended = 5 * SECOND + 1;
    receipt
}

#[test]
fn nothing_is_there_when_nothing_is_traced() {
    assert!(Traces::new(&program(None), 2).is_none());
}

#[test]
fn what_is_worth_it_waits_and_the_rest_leaves_nothing() {
    let traces = traces(1_000.0);
    let mut plain = failed(0);
    plain.status = 404;
    traces.offer(&plain, false);
    assert_eq!(
        traces.waiting(),
        0,
        "a refusal of the client's is no failure"
    );
    traces.offer(&plain, true);
    plain.trace.flags = SAMPLED;
    traces.offer(&plain, false);
    traces.offer(&failed(1), false);
    // A worker nobody knows is nobody's.
    traces.offer(&failed(7), false);
    let taken = traces.take(10);
    let why: Vec<_> = taken.iter().map(|one| (one.kept, one.slow)).collect();
    let expected = [
        (Kept::Slow, true),
        (Kept::Sampled, false),
        (Kept::Failed, false),
    ];
    assert_eq!(why, expected);
    assert_eq!(traces.waiting(), 0);
    assert_eq!(traces.lanes[1].kept[Kept::Failed as usize].get(), 1);
}

// Bounded: an exporter that does not come leaves so many and no more, and each loss is counted.
#[test]
fn a_full_queue_drops_and_counts() {
    let traces = traces(10_000.0);
    for _ in 0..WAITING_MAX + 30 {
        traces.offer(&failed(0), false);
    }
    assert_eq!(traces.waiting(), WAITING_MAX);
    assert_eq!(traces.lanes[0].queue_full.get(), 30);
    // While the exporter takes what is there the worker does not wait for it.
    let held = traces.lanes[1].waiting.lock().unwrap();
    traces.offer(&failed(1), false);
    assert_eq!(traces.lanes[1].queue_full.get(), 1);
    drop(held);
    assert_eq!(traces.take(100).len(), 100);
    assert_eq!(traces.take(100).len(), WAITING_MAX - 100);
}

#[test]
fn more_than_the_rate_are_dropped_and_counted() {
    let traces = traces(10.0);
    for _ in 0..25 {
        traces.offer(&failed(0), false);
    }
    assert_eq!(traces.waiting(), 10);
    assert_eq!(traces.lanes[0].rate_limited.get(), 15);
}

// A share of the traces that begin here is marked, and so kept by all who see the mark.
#[test]
fn a_trace_that_begins_here_is_marked_by_its_share() {
    let tracing = Tracing {
        share: 1.0,
        ..Tracing::default()
    };
    let all = Traces::new(&program(Some(tracing)), 1).unwrap();
    let carried = Carried::read(std::iter::empty(), &mut Vec::new());
    assert!(all.open(&carried, || 7).is_sampled());
    let given: [(&[u8], &[u8]); 1] = [(
        b"traceparent",
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
    )];
    let carried = Carried::read(given.into_iter(), &mut Vec::new());
    assert!(
        !all.open(&carried, || 7).is_sampled(),
        "the caller has decided"
    );
}
