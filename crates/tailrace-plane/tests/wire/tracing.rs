//! Traces on real sockets: the context passed on, and the spans a collector gets (req 16.6).

use crate::collector::{
    ask, attempts, attribute, chain, collector, find, hex, is, named, names, number, requests,
    spans, text, traced,
};
use crate::counts::count;
use crate::extra::until_hedged;
use crate::patience::eventually;
use crate::service::{strong, weak, Service};
use crate::upstream::{answer, echo, Seen, Step, Upstream};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::{span::SpanKind, Span};
use serde_json::json;
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

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
    eventually("they are counted, once the collector has said so", || {
        plane.counter("tailrace_spans_exported_total", "") >= 5
    });
    let sampled = r#"reason="sampled""#;
    assert_eq!(plane.counter("tailrace_traces_kept_total", sampled), 1);
}

#[test]
fn without_tracing_a_context_is_passed_on_as_it_came() {
    let upstream = Upstream::echo();
    let plane = chain(&upstream).start();
    let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-09-more";
    // What nobody knows of a later version goes nowhere.
    let known = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-09";
    for parent in [PARENT, later] {
        let lines = format!("tracestate: a=1\r\ntraceparent: {parent}\r\ntracestate: b=2\r\n");
        assert_eq!(ask(&plane, "/chain/7", &lines), 200);
    }
    // RELIABILITY S05: a client cannot strip it.
    let stripped = format!("traceparent: {PARENT}\r\nConnection: traceparent\r\n");
    assert_eq!(ask(&plane, "/chain/7", &stripped), 200);
    let seen = upstream.seen();
    let said = |name: &str| seen.iter().map(|one| one.header(name)).collect::<Vec<_>>();
    let expected = [PARENT, PARENT, known, known, PARENT, PARENT];
    assert_eq!(
        said("traceparent"),
        expected.map(|one| Some(one.to_owned()))
    );
    let receipts = plane.admin("/receipts?view=chain").json();
    let one = &receipts["receipts"][0];
    assert_eq!(one["trace_id"], TRACE, "a receipt knows it all the same");
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

/// A header value of any bytes that HTTP lets through, and of some that it does not.
fn any_value(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut value = match random.u8(..3) {
        0 => PARENT.as_bytes().to_vec(),
        1 => b"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x".to_vec(),
        _ => (0..random.usize(..300)).map(|_| random.u8(..)).collect(),
    };
    for _ in 0..random.usize(..3) {
        if let Some(byte) = random.choice(value.iter_mut()) {
            *byte = random.u8(..);
        }
    }
    // These end a line, and then it is another request that is asked for.
    value.retain(|byte| !b"\r\n".contains(byte));
    value
}

// RELIABILITY 7, trace headers: whatever they say, the reply comes, and upstreams are told a whole
// context or none. `Baggage` is nobody's business but the caller's.
#[test]
fn no_bytes_in_trace_headers_reach_an_upstream_or_hurt_a_request() {
    let upstream = Upstream::echo();
    let collector = collector();
    let planes = [
        chain(&upstream).start(),
        chain(&upstream).tracing(collector.address()).start(),
    ];
    let mut random = fastrand::Rng::with_seed(166);
    let requests = count(1_000, 20_000);
    let mut served = 0;
    for index in 0..requests {
        let mut client = planes[index % 2].client();
        let mut request = b"GET /chain/7 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".to_vec();
        for name in ["traceparent", "tracestate", "baggage", "TraceParent"] {
            if random.u8(..4) > 0 {
                let value = any_value(&mut random);
                request.extend_from_slice(&[name.as_bytes(), b": ", &value, b"\r\n"].concat());
            }
        }
        client.send([&request[..], b"\r\n"].concat());
        let status = client.reply().status;
        assert!(matches!(status, 200 | 400), "{status}");
        served += usize::from(status == 200);
    }
    let mut contexts = 0;
    for seen in upstream.seen() {
        assert_eq!(seen.header("baggage"), None);
        if let Some(told) = seen.header("traceparent") {
            let whole = told.len() == PARENT.len() && told.starts_with("00-");
            let hex = |one: u8| b"0123456789abcdef-".contains(&one);
            assert!(whole && told.bytes().all(hex), "{told}");
            contexts += 1;
        }
        let state = seen.header("tracestate").unwrap_or_default();
        assert!(
            state.bytes().all(|one| matches!(one, b' '..=b'~')),
            "{state}"
        );
    }
    assert!(served > requests / 10 && contexts > requests / 10);
    println!("{requests} requests, {served} served, {contexts} contexts told, all of them whole");
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
        let waits =
            seen.target().contains("slow") && slow.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
        let first = waits.then(|| Step::Pause(Duration::from_secs(2)));
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
                weak("never", "/bad/{maybe.id}"),
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
