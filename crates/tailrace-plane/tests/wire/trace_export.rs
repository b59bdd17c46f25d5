//! A collector that is of no use costs traces, which are counted, and nothing else (req 16.6).

use crate::collector::{chain, collector, spans};
use crate::patience::eventually;
use crate::service::Running;
use crate::upstream::{answer, Step, Upstream};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;
use serde_json::json;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Whatever the collector does, `count` requests are answered as ever.
fn unaffected(plane: &Running, count: usize) {
    let mut client = plane.client();
    for _ in 0..count {
        assert_eq!(client.get("/chain/7").status, 200);
    }
}

fn lost(plane: &Running, reason: &str) -> u64 {
    plane.counter(
        "tailrace_traces_dropped_total",
        &format!("reason=\"{reason}\""),
    )
}

// The whole way of an outage: the queue fills, what finds no room is dropped and counted, and no
// request waits for any of it.
#[test]
fn a_collector_that_hangs_costs_traces_and_nothing_else() {
    let upstream = Upstream::echo();
    let collector = Upstream::start(|_| vec![Step::Hold]);
    let plane = chain(&upstream)
        .tracing(collector.address())
        .tracing_with(json!({"timeout_ms": 60_000, "per_second": 10_000.0}))
        .start();
    unaffected(&plane, 1);
    eventually("the collector has a request", || collector.count() > 0);
    unaffected(&plane, 200);
    assert_eq!(lost(&plane, "queue_full"), 200 - 128);
    assert_eq!(plane.metric("tailrace_traces_waiting", "") as u64, 128);
    assert!(plane.end(), "and the end does not wait for it");
}

#[test]
fn a_collector_that_is_not_there_is_tried_and_given_up() {
    let upstream = Upstream::echo();
    // Taken once, then closed.
    let nobody = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("bound");
    let plane = chain(&upstream).tracing(nobody).start();
    unaffected(&plane, 3);
    eventually("the batch is given up", || lost(&plane, "unreachable") >= 1);
    let spans = r#"reason="unreachable""#;
    assert!(plane.counter("tailrace_spans_dropped_total", spans) >= 5);
    let retried = r#"result="retried""#;
    assert!(plane.counter("tailrace_trace_exports_total", retried) >= 3);
    assert_eq!(plane.counter("tailrace_spans_exported_total", ""), 0);
    unaffected(&plane, 3);
}

#[test]
fn a_collector_that_is_busy_gets_the_same_again() {
    let upstream = Upstream::echo();
    let turn = AtomicUsize::new(0);
    let collector = Upstream::start(move |_| match turn.fetch_add(1, Ordering::SeqCst) {
        0 => vec![Step::Send(answer("503 Busy", "text/plain", ""))],
        1 => vec![Step::Send(b"HTTP/1.1 2".to_vec()), Step::Close],
        _ => vec![Step::Send(answer("200 OK", "application/x-protobuf", ""))],
    });
    let plane = chain(&upstream).tracing(collector.address()).start();
    unaffected(&plane, 1);
    let ok = r#"result="ok""#;
    let done = || plane.counter("tailrace_trace_exports_total", ok) == 1;
    eventually("it is taken in the end", done);
    let seen = collector.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|one| one.body == seen[0].body));
    assert_eq!(plane.counter("tailrace_spans_exported_total", ""), 5);
    assert_eq!(lost(&plane, "unreachable"), 0);
}

#[test]
fn a_collector_that_says_no_is_believed() {
    let upstream = Upstream::echo();
    let collector = Upstream::start(|_| vec![Step::Send(answer("400 No", "text/plain", ""))]);
    let plane = chain(&upstream).tracing(collector.address()).start();
    unaffected(&plane, 1);
    eventually("it is lost", || lost(&plane, "refused") == 1);
    assert_eq!(collector.count(), 1, "it would say the same again");
}

#[test]
fn spans_that_a_collector_leaves_out_are_counted() {
    let upstream = Upstream::echo();
    let said = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 2,
            error_message: "too many".to_owned(),
        }),
    };
    let said = answer("200 OK", "application/x-protobuf", said.encode_to_vec());
    let collector = Upstream::start(move |_| vec![Step::Send(said.clone())]);
    let plane = chain(&upstream).tracing(collector.address()).start();
    unaffected(&plane, 1);
    let refused = r#"reason="refused""#;
    let dropped = || plane.counter("tailrace_spans_dropped_total", refused);
    eventually("two of five", || dropped() == 2);
    assert_eq!(plane.counter("tailrace_spans_exported_total", ""), 3);
}

// What was kept a moment before the end is sent all the same.
#[test]
fn the_end_sends_what_waits() {
    let (upstream, collector) = (Upstream::echo(), collector());
    let plane = chain(&upstream).tracing(collector.address()).start();
    unaffected(&plane, 1);
    drop(plane);
    assert_eq!(spans(&collector).len(), 5);
}

#[test]
fn more_than_the_rate_is_dropped_and_counted() {
    let (upstream, collector) = (Upstream::echo(), collector());
    let plane = chain(&upstream)
        .tracing(collector.address())
        // One in a quarter of an hour, and at once.
        .tracing_with(json!({"per_second": 0.001}))
        .start();
    unaffected(&plane, 4);
    let sampled = r#"reason="sampled""#;
    assert_eq!(plane.counter("tailrace_traces_kept_total", sampled), 1);
    assert_eq!(lost(&plane, "rate_limited"), 3);
}
