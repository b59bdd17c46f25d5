//! A finished receipt as spans of OpenTelemetry.
//!
//! ```text
//! request   SERVER    one; for a client's calls outside of a service: INTERNAL
//! handler   INTERNAL  the Python code of the request, when it has any; its calls are below it
//! call      INTERNAL  one per call, named after its part; waits are attributes
//! attempt   CLIENT    one per wire exchange: first, retry, hedge
//! computed  INTERNAL  the computed fields
//! ```
//!
//! The failure prevented is a second set of notes that disagrees with the first: everything here is
//! read from the receipt, times and outcomes in the words that log and metrics use. Attribute names
//! are OpenTelemetry's where it has one (HTTP semantic conventions); ours begin with `tailrace.`.
//! What is no span of its own is an event with a name of the catalogue (`events`).
//!
//! Names come from the declaration, and nothing a client sent is in a span but the request id: no
//! path with its ids, no query, no header (RELIABILITY S22). OpenTelemetry asks for `url.full` and
//! `url.path`; the route is told instead.
//!
//! Limits: calls and attempts beyond what a receipt keeps (`receipt::calls`) are only counted.

use super::Finished;
use crate::clock;
use crate::program::{Program, View};
use crate::reason::Reason;
use crate::receipt::{attempt_span, json, CallBill, Mark, Receipt};
use crate::source::Source;
use crate::upstream::Upstream;
use opentelemetry_proto::tonic::common::v1::{any_value::Value, AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use tailrace_policy::Nanos;

/// Counted on from the request's own span.
const HANDLER: u64 = 1;
const COMPUTED: u64 = 2;
/// In the flags of a span: whether its parent lies in another process is known, and it does.
const REMOTE_KNOWN: u32 = 0x100;
const REMOTE: u32 = 0x200;

/// All spans of one request.
pub fn push(program: &Program, finished: &Finished, out: &mut Vec<Span>) {
    let receipt = &finished.receipt;
    let view = receipt.view.map(usize::from);
    let made = Made {
        program,
        view: view.and_then(|view| program.views.get(view)),
        receipt,
        // One offset for all times of a trace, so that they keep their distances.
        epoch: clock::epoch_of(receipt.ended),
    };
    out.push(made.request(finished));
    if receipt.handler && receipt.view.is_some() {
        out.push(made.handler());
    }
    for bill in receipt.calls.bills() {
        out.push(made.call(bill));
        let marks = receipt.calls.marks(bill).iter();
        out.extend(marks.map(|mark| made.attempt(bill, mark)));
    }
    if receipt.computed > 0 {
        out.push(made.computed());
    }
}

struct Made<'a> {
    program: &'a Program,
    view: Option<&'a View>,
    receipt: &'a Receipt,
    /// The wall clock at the request's end.
    epoch: u64,
}

impl Made<'_> {
    fn at(&self, time: Nanos) -> u64 {
        let before = self.receipt.ended.saturating_sub(time);
        self.epoch.saturating_sub(before)
    }

    /// A span from one time to another; what has not ended ended with the request.
    fn span(&self, id: u64, parent: u64, kind: SpanKind, from: Nanos, to: Nanos) -> Span {
        let receipt = self.receipt;
        let until = |time: Nanos| time.clamp(receipt.started, receipt.ended);
        let from = until(from);
        Span {
            trace_id: receipt.trace.trace.to_be_bytes().to_vec(),
            span_id: id.to_be_bytes().to_vec(),
            parent_span_id: match parent {
                0 => Vec::new(),
                parent => parent.to_be_bytes().to_vec(),
            },
            flags: u32::from(receipt.trace.flags) | REMOTE_KNOWN,
            kind: kind as i32,
            start_time_unix_nano: self.at(from),
            end_time_unix_nano: self.at(until(to).max(from)),
            ..Span::default()
        }
    }

    fn request(&self, finished: &Finished) -> Span {
        let (receipt, trace) = (self.receipt, &self.receipt.trace);
        let kind = match self.view {
            Some(_) => SpanKind::Server,
            None => SpanKind::Internal,
        };
        let mut span = self.span(
            trace.span,
            trace.parent,
            kind,
            receipt.started,
            receipt.ended,
        );
        if trace.parent != 0 {
            span.flags |= REMOTE;
        }
        let attributes = &mut span.attributes;
        attributes.push(text("tailrace.kept", finished.kept.code()));
        if let Some(view) = self.view {
            span.name = format!("{} {}", receipt.method.as_str(), view.route);
            attributes.extend([
                text("http.request.method", receipt.method.as_str()),
                text("http.route", &view.route),
                text("url.scheme", "http"),
                number("http.response.status_code", receipt.status.into()),
                number("http.response.body.size", receipt.bytes),
                text("tailrace.view", &view.name),
                flag("tailrace.degraded", receipt.degraded),
                real(
                    "tailrace.deadline_ms",
                    between(receipt.started, receipt.deadline),
                ),
            ]);
        } else {
            "calls".clone_into(&mut span.name);
        }
        attributes.push(text(
            "tailrace.request_id",
            &String::from_utf8_lossy(receipt.id()),
        ));
        if receipt.calls.left_out > 0 {
            let left_out = u64::from(receipt.calls.left_out);
            attributes.push(number("tailrace.calls_left_out", left_out));
        }
        if !receipt.code.is_empty() {
            attributes.push(text("tailrace.code", receipt.code));
        }
        if receipt.status >= 500 {
            attributes.push(text("error.type", receipt.code));
            span.status = Some(failed(receipt.code));
        }
        span.events = self.events(finished.slow);
        span
    }

    /// What of the request is no span: that it was slow, and parts that were not called for.
    fn events(&self, slow: bool) -> Vec<Event> {
        let receipt = self.receipt;
        let mut found = Vec::new();
        if slow {
            found.push(self.event("request.slow", receipt.ended, Vec::new()));
        }
        for (index, part) in receipt.parts.iter().enumerate() {
            let called = |bill: &CallBill| usize::from(bill.part) == index;
            if receipt.handler || receipt.calls.bills().iter().any(called) {
                continue;
            }
            let mut attributes = vec![
                text("part", self.name(index as u16)),
                text("source", part.source.code()),
            ];
            attributes.extend(part.failed.map(|reason| text("failed", reason.code())));
            let at = [part.done, part.ready, receipt.done];
            let at = at.into_iter().find(|at| *at > 0).unwrap_or(receipt.ended);
            found.push(self.event("part", at, attributes));
        }
        found
    }

    fn event(&self, name: &str, at: Nanos, attributes: Vec<KeyValue>) -> Event {
        Event {
            time_unix_nano: self.at(at),
            name: name.to_owned(),
            attributes,
            ..Event::default()
        }
    }

    fn handler(&self) -> Span {
        let receipt = self.receipt;
        let own = receipt.trace.span + HANDLER;
        let (from, to) = (receipt.fanned, receipt.done);
        let mut span = self.span(own, receipt.trace.span, SpanKind::Internal, from, to);
        "handler".clone_into(&mut span.name);
        span.attributes = self.python();
        span
    }

    fn computed(&self) -> Span {
        let receipt = self.receipt;
        let own = receipt.trace.span + COMPUTED;
        let (from, to) = (receipt.done, receipt.computed);
        let mut span = self.span(own, receipt.trace.span, SpanKind::Internal, from, to);
        "computed".clone_into(&mut span.name);
        span.attributes = self.python();
        span
    }

    /// Where the time of Python went that no code of the user's ran.
    fn python(&self) -> Vec<KeyValue> {
        let python = self.receipt.python.iter();
        let pairs = python.flat_map(|python| {
            [
                real("tailrace.python.loop_wait_ms", json::ms(python.loop_wait)),
                real("tailrace.python.lock_wait_ms", json::ms(python.lock_wait)),
            ]
        });
        pairs.collect()
    }

    fn call(&self, bill: &CallBill) -> Span {
        let receipt = self.receipt;
        let in_handler = receipt.handler && receipt.view.is_some();
        let parent = receipt.trace.span + if in_handler { HANDLER } else { 0 };
        let mut span = self.span(
            bill.span,
            parent,
            SpanKind::Internal,
            bill.ready,
            bill.ended,
        );
        self.name(bill.part).clone_into(&mut span.name);
        let upstream = self.program.upstreams.get(usize::from(bill.upstream));
        let attributes = &mut span.attributes;
        attributes.extend(upstream.map(|upstream| text("tailrace.upstream", &upstream.name)));
        attributes.extend([
            number("tailrace.item", bill.item.into()),
            text("tailrace.outcome", outcome(bill.landed, bill.failed)),
            text("tailrace.source", bill.source.code()),
            number("tailrace.attempts", bill.attempts.into()),
            real("tailrace.fanout_wait_ms", between(bill.ready, bill.started)),
            real("tailrace.bulkhead_wait_ms", json::ms(bill.bulkhead_wait())),
        ]);
        if bill.other {
            attributes.push(flag("tailrace.otherwise", true));
        }
        if bill.shared {
            attributes.push(flag("tailrace.shared_fetch", true));
        }
        if let Some(reason) = bill.failed {
            attributes.push(text("error.type", reason.code()));
            span.status = Some(failed(reason.code()));
        }
        if matches!(bill.source, Source::Cached | Source::Stale) {
            let result = vec![text("result", bill.source.code())];
            span.events = vec![self.event("cache", bill.ended, result)];
        }
        span
    }

    fn attempt(&self, bill: &CallBill, mark: &Mark) -> Span {
        let id = attempt_span(bill.span, mark.number);
        // One that was dropped ended with its call at the latest.
        let end = if mark.end == 0 { bill.ended } else { mark.end };
        let mut span = self.span(id, bill.span, SpanKind::Client, mark.start, end);
        bill.method.as_str().clone_into(&mut span.name);
        let attributes = &mut span.attributes;
        attributes.push(text("http.request.method", bill.method.as_str()));
        let upstream = self.program.upstreams.get(usize::from(bill.upstream));
        let server = upstream.and_then(|upstream| server(upstream, mark.address));
        if let Some((host, port)) = server {
            attributes.push(text("server.address", host));
            attributes.push(number("server.port", port.into()));
        }
        if mark.status > 0 {
            attributes.push(number("http.response.status_code", mark.status.into()));
        }
        if mark.number > 1 {
            let before = u64::from(mark.number) - 1;
            attributes.push(number("http.request.resend_count", before));
        }
        attributes.extend([
            text("tailrace.attempt", mark.kind.code()),
            text("tailrace.outcome", outcome(mark.end > 0, mark.failed)),
            flag("tailrace.connection.opened", mark.opened),
            number("http.request.size", mark.bytes_out.into()),
            number("http.response.size", mark.bytes_in.into()),
        ]);
        for (name, at) in [
            ("tailrace.connected_ms", mark.connected),
            ("tailrace.first_byte_ms", mark.first_byte),
        ] {
            if at > 0 {
                attributes.push(real(name, between(mark.start, at)));
            }
        }
        if let Some(reason) = mark.failed {
            attributes.push(text("error.type", reason.code()));
            span.status = Some(failed(reason.code()));
        }
        span
    }

    fn name(&self, part: u16) -> &str {
        json::part_name(self.program, self.view, part)
    }
}

/// Milliseconds.
fn between(from: Nanos, to: Nanos) -> f64 {
    json::ms(to.saturating_sub(from))
}

/// How a call or an attempt ended, in the words of receipts.
fn outcome(ended: bool, failed: Option<Reason>) -> &'static str {
    match (ended, failed) {
        (false, _) => "dropped",
        (true, None) => "ok",
        (true, Some(reason)) => reason.code(),
    }
}

/// The origin of an address that was tried. Where a name stands for several addresses it is the
/// name: which of them is in `tailrace.address` of no span, since it may mean another by now.
fn server(upstream: &Upstream, address: u16) -> Option<(&str, u16)> {
    let origin = match upstream.origins.len() {
        1 => upstream.origins.first(),
        _ => {
            let set = upstream.addresses();
            let tried = set.addresses.get(usize::from(address))?;
            let same = |origin: &&_| is_of(origin, &tried.authority);
            upstream.origins.iter().find(same)
        }
    };
    origin.map(|origin| (origin.host.as_str(), origin.port))
}

fn is_of(origin: &crate::upstream::Origin, authority: &str) -> bool {
    *origin.authority == *authority
}

fn failed(code: &str) -> Status {
    Status {
        message: code.to_owned(),
        code: StatusCode::Error as i32,
    }
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

pub fn text(key: &str, value: &str) -> KeyValue {
    pair(key, Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: u64) -> KeyValue {
    pair(
        key,
        Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)),
    )
}

fn real(key: &str, value: f64) -> KeyValue {
    pair(key, Value::DoubleValue(value))
}

fn flag(key: &str, value: bool) -> KeyValue {
    pair(key, Value::BoolValue(value))
}
