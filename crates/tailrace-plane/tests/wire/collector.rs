//! A collector of a test: what it was sent, decoded, and a service whose traces go to it.

use crate::patience::eventually;
use crate::service::{strong, Running, Service};
use crate::upstream::{answer, Seen, Step, Upstream};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::{span::SpanKind, Span};
use prost::Message;

/// A collector that takes everything.
pub(crate) fn collector() -> Upstream {
    Upstream::start(|_| vec![Step::Send(answer("200 OK", "application/x-protobuf", ""))])
}

/// What a collector was sent.
pub(crate) fn requests(collector: &Upstream) -> Vec<ExportTraceServiceRequest> {
    let seen = collector.seen();
    let read = |seen: &Seen| ExportTraceServiceRequest::decode(seen.body.as_slice());
    seen.iter()
        .map(read)
        .collect::<Result<_, _>>()
        .expect("OTLP")
}

pub(crate) fn spans(collector: &Upstream) -> Vec<Span> {
    let resources = requests(collector)
        .into_iter()
        .flat_map(|one| one.resource_spans);
    let scopes = resources.flat_map(|one| one.scope_spans);
    scopes.flat_map(|one| one.spans).collect()
}

/// The spans of `count` requests, once they are there.
pub(crate) fn traced(collector: &Upstream, count: usize) -> Vec<Span> {
    let roots = |spans: &[Span]| spans.iter().filter(|one| is(one, SpanKind::Server)).count();
    eventually("the traces are there", || roots(&spans(collector)) >= count);
    spans(collector)
}

pub(crate) fn is(span: &Span, kind: SpanKind) -> bool {
    span.kind == kind as i32
}

pub(crate) fn attribute(span: &Span, key: &str) -> Option<Any> {
    find(&span.attributes, key)
}

pub(crate) fn find(attributes: &[KeyValue], key: &str) -> Option<Any> {
    let found = attributes.iter().find(|one| one.key == key)?;
    found.value.clone()?.value
}

pub(crate) fn text(span: &Span, key: &str) -> String {
    match attribute(span, key) {
        Some(Any::StringValue(text)) => text,
        other => panic!("{key} of {}: {other:?}", span.name),
    }
}

pub(crate) fn number(span: &Span, key: &str) -> i64 {
    match attribute(span, key) {
        Some(Any::IntValue(number)) => number,
        other => panic!("{key} of {}: {other:?}", span.name),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
    digits.collect()
}

pub(crate) fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found = spans.iter().find(|span| span.name == name);
    found.unwrap_or_else(|| panic!("no span {name}: {:?}", names(spans)))
}

pub(crate) fn names(spans: &[Span]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

/// Attempts of one call, in their order.
pub(crate) fn attempts<'a>(spans: &'a [Span], call: &Span) -> Vec<&'a Span> {
    let own = spans
        .iter()
        .filter(|one| one.parent_span_id == call.span_id);
    own.filter(|one| is(one, SpanKind::Client)).collect()
}

/// One request on a connection of its own, with header lines; its status.
pub(crate) fn ask(plane: &Running, target: &str, lines: &str) -> u16 {
    let mut client = plane.client();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n{lines}\r\n"));
    client.reply().status
}

/// A view of two parts, one after the other.
pub(crate) fn chain(upstream: &Upstream) -> Service {
    let parts = vec![strong("first", "/a/{id}"), strong("then", "/b/{first.id}")];
    Service::new()
        .upstream("up", upstream)
        .view("chain", "/chain/{id}", parts)
}
