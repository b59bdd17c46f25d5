//! Traces on real sockets: the context passed on, the spans a collector gets, and a collector that
//! is of no use (req 16.6).

use crate::extra::until_hedged;
use crate::patience::eventually;
use crate::service::{strong, weak, with, Running, Service};
use crate::upstream::{answer, echo, Seen, Step, Upstream};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::{span::SpanKind, Span};
use prost::Message;
use serde_json::json;
use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A collector that takes everything.
fn collector() -> Upstream {
    Upstream::start(|_| vec![Step::Send(answer("200 OK", "application/x-protobuf", ""))])
}

/// What a collector was sent.
fn requests(collector: &Upstream) -> Vec<ExportTraceServiceRequest> {
    let seen = collector.seen();
    let read = |seen: &Seen| ExportTraceServiceRequest::decode(seen.body.as_slice());
    seen.iter()
        .map(read)
        .collect::<Result<_, _>>()
        .expect("OTLP")
}

fn spans(collector: &Upstream) -> Vec<Span> {
    let resources = requests(collector)
        .into_iter()
        .flat_map(|one| one.resource_spans);
    let scopes = resources.flat_map(|one| one.scope_spans);
    scopes.flat_map(|one| one.spans).collect()
}

/// The spans of `count` requests, once they are there.
fn traced(collector: &Upstream, count: usize) -> Vec<Span> {
    let roots = |spans: &[Span]| spans.iter().filter(|one| is(one, SpanKind::Server)).count();
    eventually("the traces are there", || roots(&spans(collector)) >= count);
    spans(collector)
}

fn is(span: &Span, kind: SpanKind) -> bool {
    span.kind == kind as i32
}

fn attribute(span: &Span, key: &str) -> Option<Any> {
    find(&span.attributes, key)
}

fn find(attributes: &[KeyValue], key: &str) -> Option<Any> {
    let found = attributes.iter().find(|one| one.key == key)?;
    found.value.clone()?.value
}

fn text(span: &Span, key: &str) -> String {
    match attribute(span, key) {
        Some(Any::StringValue(text)) => text,
        other => panic!("{key} of {}: {other:?}", span.name),
    }
}

fn number(span: &Span, key: &str) -> i64 {
    match attribute(span, key) {
        Some(Any::IntValue(number)) => number,
        other => panic!("{key} of {}: {other:?}", span.name),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found = spans.iter().find(|span| span.name == name);
    found.unwrap_or_else(|| panic!("no span {name}: {:?}", names(spans)))
}

fn names(spans: &[Span]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

/// Attempts of one call, in their order.
fn attempts<'a>(spans: &'a [Span], call: &Span) -> Vec<&'a Span> {
    let own = spans
        .iter()
        .filter(|one| one.parent_span_id == call.span_id);
    own.filter(|one| is(one, SpanKind::Client)).collect()
}

fn ask(plane: &Running, target: &str, lines: &str) -> u16 {
    let mut client = plane.client();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n{lines}\r\n"));
    client.reply().status
}

fn chain(upstream: &Upstream) -> Service {
    let parts = vec![strong("first", "/a/{id}"), strong("then", "/b/{first.id}")];
    Service::new()
        .upstream("up", upstream)
        .view("chain", "/chain/{id}", parts)
}

#[test]
fn a_trace_is_a_tree_and_each_attempt_was_told_its_own_span() {
    let (upstream, collector) = (Upstream::echo(), collector());
    let plane = chain(&upstream).tracing(collector.address()).start();
    let lines = format!("X-Request-Id: r-1\r\nTraceParent: {PARENT}\r\ntracestate: a=1,b=2\r\n");
    assert_eq!(ask(&plane, "/chain/7", &lines), 200);
    let found = traced(&collector, 1);
    assert_eq!(found.len(), 5, "{:?}", names(&found));
    assert!(found.iter().all(|span| hex(&span.trace_id) == TRACE));
    let ids: HashSet<_> = found.iter().map(|span| &span.span_id).collect();
    assert_eq!(ids.len(), 5, "each has an id of its own");

    let root = named(&found, "GET /chain/{id}");
    assert!(is(root, SpanKind::Server));
    assert_eq!(hex(&root.parent_span_id), "00f067aa0ba902b7");
    assert_eq!(text(root, "http.request.method"), "GET");
    assert_eq!(text(root, "http.route"), "/chain/{id}");
    assert_eq!(number(root, "http.response.status_code"), 200);
    assert_eq!(text(root, "tailrace.request_id"), "r-1");
    assert_eq!(text(root, "tailrace.kept"), "sampled");
    assert!(root.status.is_none(), "a success is nobody's to judge");

    let mut told = Vec::new();
    for name in ["first", "then"] {
        let call = named(&found, name);
        assert!(is(call, SpanKind::Internal));
        assert_eq!(call.parent_span_id, root.span_id);
        assert_eq!(text(call, "tailrace.upstream"), "up");
        let [attempt] = attempts(&found, call)[..] else {
            panic!("one attempt of {name}");
        };
        assert_eq!(text(attempt, "tailrace.attempt"), "first");
        assert_eq!(text(attempt, "server.address"), "127.0.0.1");
        let port = i64::from(upstream.address().port());
        assert_eq!(number(attempt, "server.port"), port);
        assert_eq!(number(attempt, "http.response.status_code"), 200);
        assert!(attribute(attempt, "http.request.resend_count").is_none());
        assert!(root.start_time_unix_nano <= call.start_time_unix_nano);
        assert!(call.start_time_unix_nano <= attempt.start_time_unix_nano);
        assert!(attempt.start_time_unix_nano <= attempt.end_time_unix_nano);
        assert!(attempt.end_time_unix_nano <= root.end_time_unix_nano);
        told.push(format!("00-{TRACE}-{}-01", hex(&attempt.span_id)));
    }
    let seen = upstream.seen();
    let parents: Vec<_> = seen.iter().map(|one| one.header("traceparent")).collect();
    assert_eq!(parents, told.into_iter().map(Some).collect::<Vec<_>>());
    assert!(seen
        .iter()
        .all(|one| one.header("tracestate").as_deref() == Some("a=1,b=2")));

    let exported = requests(&collector);
    let resource = exported[0].resource_spans[0]
        .resource
        .clone()
        .expect("a resource");
    let service = find(&resource.attributes, "service.name");
    assert_eq!(service, Some(Any::StringValue("wire".to_owned())));
    let head = collector.seen()[0].text();
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains("content-type: application/x-protobuf\r\n"),
        "{head}"
    );
    assert!(plane.counter("tailrace_spans_exported_total", "") >= 5);
    let sampled = r#"reason="sampled""#;
    assert_eq!(plane.counter("tailrace_traces_kept_total", sampled), 1);
}

#[test]
fn without_tracing_a_context_is_passed_on_as_it_came() {
    let upstream = Upstream::echo();
    let plane = chain(&upstream).start();
    let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-09-more";
    for parent in [PARENT, later] {
        let lines = format!("tracestate: a=1\r\ntraceparent: {parent}\r\ntracestate: b=2\r\n");
        assert_eq!(ask(&plane, "/chain/7", &lines), 200);
    }
    // RELIABILITY S05: a client cannot strip it.
    let stripped = format!("traceparent: {PARENT}\r\nConnection: traceparent\r\n");
    assert_eq!(ask(&plane, "/chain/7", &stripped), 200);
    let seen = upstream.seen();
    let said = |name: &str| seen.iter().map(|one| one.header(name)).collect::<Vec<_>>();
    let expected = [PARENT, PARENT, later, later, PARENT, PARENT];
    assert_eq!(
        said("traceparent"),
        expected.map(|one| Some(one.to_owned()))
    );
    let states = [Some("a=1,b=2".to_owned()), None];
    assert_eq!(said("tracestate")[..4], vec![states[0].clone(); 4]);
    assert_eq!(said("tracestate")[4..], vec![states[1].clone(); 2]);
}

#[test]
fn what_is_no_context_is_passed_on_to_nobody_and_hurts_nobody() {
    let upstream = Upstream::echo();
    let plane = chain(&upstream).start();
    let twice = format!("traceparent: {PARENT}\r\ntraceparent: {PARENT}\r\n");
    let rows = [
        "traceparent: \r\ntracestate: a=1\r\n",
        "traceparent: 00-0-0-0\r\n",
        "traceparent: ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n",
        "traceparent: 00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01\r\n",
        "tracestate: a=1\r\n",
        "",
        twice.as_str(),
    ];
    for lines in rows {
        assert_eq!(ask(&plane, "/chain/7", lines), 200, "{lines}");
    }
    for one in upstream.seen() {
        let text = one.text().to_lowercase();
        assert!(
            !text.contains("traceparent") && !text.contains("tracestate"),
            "{text}"
        );
    }
}

#[test]
fn with_tracing_what_is_no_context_begins_a_trace() {
    let (upstream, collector) = (Upstream::echo(), collector());
    let plane = chain(&upstream).tracing(collector.address()).start();
    for lines in ["", "traceparent: 00-0-0-0\r\ntracestate: a=1\r\n"] {
        assert_eq!(ask(&plane, "/chain/7", lines), 200);
    }
    let found = traced(&collector, 2);
    let traces: HashSet<_> = found.iter().map(|span| hex(&span.trace_id)).collect();
    assert_eq!(traces.len(), 2);
    for root in found.iter().filter(|one| is(one, SpanKind::Server)) {
        assert!(root.parent_span_id.is_empty());
    }
    for one in upstream.seen() {
        let told = one.header("traceparent").expect("a context");
        let trace = told.split('-').nth(1).unwrap_or_default().to_owned();
        assert!(
            traces.contains(&trace) && told.len() == PARENT.len(),
            "{told}"
        );
        assert!(
            one.header("tracestate").is_none(),
            "it belonged to no trace"
        );
    }
}

/// Answers 503 the first time, well afterwards.
fn second_time_lucky() -> Upstream {
    let turn = AtomicUsize::new(0);
    Upstream::start(move |seen: &Seen| {
        let bad = answer("503 Service Unavailable", "text/plain", "");
        match turn.fetch_add(1, Ordering::SeqCst) {
            0 => vec![Step::Send(bad)],
            _ => vec![Step::Send(echo(seen))],
        }
    })
}

#[test]
fn a_retry_is_a_span_of_its_own() {
    let (upstream, collector) = (second_time_lucky(), collector());
    let retry = json!({"attempts": 2, "backoff_ms": 1.0, "backoff_max_ms": 2.0});
    let plane = Service::new()
        .upstream_with("up", &upstream, json!({"retry": retry}))
        .view("one", "/one/{id}", vec![strong("it", "/one/{id}")])
        .tracing(collector.address())
        .tracing_with(json!({"share": 0.0}))
        .start();
    assert_eq!(ask(&plane, "/one/1", ""), 200);
    // Nothing speaks for this one.
    assert_eq!(ask(&plane, "/one/2", ""), 200);
    let found = traced(&collector, 1);
    assert_eq!(
        text(named(&found, "GET /one/{id}"), "tailrace.kept"),
        "retried"
    );
    let [first, second] = attempts(&found, named(&found, "it"))[..] else {
        panic!("two attempts: {:?}", names(&found));
    };
    assert_eq!(text(first, "tailrace.attempt"), "first");
    assert_eq!(text(first, "error.type"), "server_error");
    assert_eq!(first.status.clone().map(|status| status.code), Some(2));
    assert_eq!(text(second, "tailrace.attempt"), "retry");
    assert_eq!(number(second, "http.request.resend_count"), 1);
    assert!(second.status.is_none());
    let told: Vec<_> = upstream
        .seen()
        .iter()
        .map(|one| one.header("traceparent"))
        .collect();
    let ids = [first, second].map(|one| hex(&one.span_id));
    for (told, id) in told.into_iter().zip(&ids) {
        assert!(told.expect("a context").contains(id.as_str()));
    }
    drop(plane);
    let roots = spans(&collector);
    let roots = roots.iter().filter(|one| is(one, SpanKind::Server));
    assert_eq!(roots.count(), 1, "an ordinary request leaves no trace");
}

#[test]
fn a_hedge_is_a_span_of_its_own() {
    let collector = collector();
    let slow = AtomicUsize::new(0);
    let upstream = Upstream::start(move |seen: &Seen| {
        let waits = seen.target().contains("slow") && slow.fetch_add(1, Ordering::SeqCst) % 2 == 0;
        let first = waits.then(|| Step::Pause(Duration::from_millis(2_000)));
        first.into_iter().chain([Step::Send(echo(seen))]).collect()
    });
    let hedge = json!({"after": 0.95, "extra": 0.5, "delay_min_ms": 100.0});
    let declared = json!({"hedge": hedge, "timeout_ms": 10_000.0});
    let deadline = json!({"deadline_ms": 15_000.0});
    let plane = Service::new()
        .upstream_with("up", &upstream, declared)
        .view_with(
            "one",
            "/one/{id}",
            vec![strong("it", "/one/{id}")],
            deadline,
        )
        .tracing(collector.address())
        .tracing_with(json!({"share": 0.0}))
        .start();
    let hedges = || plane.counter("tailrace_upstream_hedge_wins_total", "");
    until_hedged(
        &plane,
        || hedges() >= 1,
        |reply| assert_eq!(reply.status, 200),
    );
    let kept = |span: &Span| {
        attribute(span, "tailrace.kept") == Some(Any::StringValue("hedged".to_owned()))
    };
    eventually("the hedged request's trace", || {
        spans(&collector).iter().any(kept)
    });
    let found = spans(&collector);
    let root = found.iter().find(|one| kept(one)).expect("just seen");
    let call = found.iter().find(|one| one.parent_span_id == root.span_id);
    let [first, hedge] = attempts(&found, call.expect("a call"))[..] else {
        panic!("two attempts");
    };
    assert_eq!(text(first, "tailrace.outcome"), "dropped");
    assert_eq!(text(hedge, "tailrace.attempt"), "hedge");
    assert_eq!(text(hedge, "tailrace.outcome"), "ok");
    assert!(first.start_time_unix_nano < hedge.start_time_unix_nano);
}

#[test]
fn what_failed_says_so() {
    let upstream = Upstream::start(|seen: &Seen| match seen.target().as_str() {
        "/good/1" => vec![Step::Send(echo(seen))],
        _ => vec![Step::Send(answer("500 Oh", "text/plain", ""))],
    });
    let collector = collector();
    let plane = Service::new()
        .upstream_with("up", &upstream, json!({"retry": null}))
        .view("bad", "/bad/{id}", vec![strong("it", "/bad/{id}")])
        .view(
            "half",
            "/half/{id}",
            vec![
                strong("it", "/good/{id}"),
                weak("maybe", "/bad/{id}"),
                with(weak("never", "/bad/{maybe.id}"), json!({})),
            ],
        )
        .tracing(collector.address())
        .tracing_with(json!({"share": 0.0}))
        .start();
    assert_eq!(ask(&plane, "/bad/1", ""), 502);
    assert_eq!(ask(&plane, "/half/1", ""), 200);
    let found = traced(&collector, 2);
    let bad = named(&found, "GET /bad/{id}");
    assert_eq!(text(bad, "tailrace.kept"), "failed");
    assert_eq!(text(bad, "error.type"), "server_error");
    assert_eq!(bad.status.clone().map(|status| status.code), Some(2));
    let half = named(&found, "GET /half/{id}");
    assert_eq!(text(half, "tailrace.kept"), "degraded");
    assert!(half.status.is_none(), "a degraded reply is a reply");
    let maybe = named(&found, "maybe");
    assert_eq!(text(maybe, "error.type"), "server_error");
    // What was not called is an event of the request.
    let event = half
        .events
        .iter()
        .find(|event| event.name == "part")
        .expect("an event");
    assert_eq!(
        find(&event.attributes, "part"),
        Some(Any::StringValue("never".to_owned()))
    );
    assert_eq!(
        find(&event.attributes, "failed"),
        Some(Any::StringValue("dependency".to_owned()))
    );
}

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
