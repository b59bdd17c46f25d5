//! A receipt as the admin port shows it.
//!
//! Names come from the program, so nothing a client sent is in it but the request id, which is
//! admitted only in harmless characters; JSON escapes the rest. Upstreams are named, never their
//! addresses. Times are milliseconds since the request's start, exact to the nanosecond.

use super::path::Node;
use super::tail::saving;
use super::tally::Mark;
use super::{CallBill, PartBill, Receipt, Timeline};
use crate::program::{Program, Strength, View};
use serde_json::{json, Value};
use tailrace_policy::Nanos;

/// One receipt.
pub fn receipt(program: &Program, receipt: &Receipt) -> Value {
    let view = receipt.view.map(usize::from);
    let view = view.and_then(|view| program.views.get(view));
    let shown = Shown {
        program,
        view,
        receipt,
    };
    let (cpu, memory, io) = (&receipt.cpu, &receipt.memory, &receipt.calls.io);
    json!({
        "id": format!("{}-{}", receipt.worker, receipt.number),
        "request_id": String::from_utf8_lossy(receipt.id()),
        "trace_id": match receipt.trace.trace {
            0 => None,
            trace => Some(format!("{trace:032x}")),
        },
        "view": view.map(|view| &view.name),
        "route": view.map(|view| &view.route),
        "time_ms": receipt.epoch_ms,
        "status": receipt.status,
        "code": receipt.code,
        "degraded": receipt.degraded,
        "duration_ms": ms(receipt.duration()),
        "deadline_ms": shown.at(receipt.deadline),
        "cpu": {
            "polls": cpu.polls,
            "poll_ms": ms(cpu.poll),
            "thread_ms": cpu.thread.map(ms),
        },
        "memory": {
            "peak_bytes": memory.peak,
            "limit_bytes": memory.limit,
            "buffer_hits": memory.buffer_hits,
            "buffer_misses": memory.buffer_misses,
            "allocations": memory.allocated.map(|one| one.count),
            "allocated_bytes": memory.allocated.map(|one| one.bytes),
        },
        "concurrency": {
            "calls": io.calls,
            "in_flight_max": receipt.calls.in_flight_max,
            "fanout_wait_ms": ms(io.fanout_wait),
            "bulkhead_wait_ms": ms(io.bulkhead_wait),
            "wake_delay_ms": receipt.delay.map(|delay| ms(delay.total)),
            "wake_delay_worst_ms": receipt.delay.map(|delay| ms(delay.worst)),
        },
        "io": {
            "attempts": io.attempts,
            "retries": io.retries,
            "hedges": io.hedges,
            "timeouts": io.timeouts,
            "connects": io.connects,
            "connect_wait_ms": ms(io.connect_wait),
            "bytes_out": io.bytes_out,
            "bytes_in": io.bytes_in,
            "reply_bytes": receipt.bytes,
        },
        "python": receipt.python.map(|python| json!({
            "loop_wait_ms": ms(python.loop_wait),
            "lock_wait_ms": ms(python.lock_wait),
        })),
        "tail": shown.tail(),
        "parts": shown.parts(),
        "calls_left_out": receipt.calls.left_out,
    })
}

pub fn ms(nanos: Nanos) -> f64 {
    nanos as f64 / 1e6
}

/// What a part of the view, or an upstream of a handler, is called.
pub fn part_name<'a>(program: &'a Program, view: Option<&'a View>, part: u16) -> &'a str {
    let part = usize::from(part);
    let own = view.filter(|view| view.handler.is_none());
    match own {
        Some(view) => view.parts.get(part).map_or("", |part| part.name.as_str()),
        None => upstream_name(program, part),
    }
}

fn upstream_name(program: &Program, upstream: usize) -> &str {
    let upstream = program.upstreams.get(upstream);
    upstream.map_or("", |upstream| upstream.name.as_str())
}

struct Shown<'a> {
    program: &'a Program,
    view: Option<&'a View>,
    receipt: &'a Receipt,
}

impl Shown<'_> {
    /// Since the request began; null for what never happened.
    fn at(&self, time: Nanos) -> Option<f64> {
        (time > 0).then(|| ms(time.saturating_sub(self.receipt.started)))
    }

    fn name(&self, part: u16) -> &str {
        part_name(self.program, self.view, part)
    }

    /// The critical path, and what each part on it would have saved (req 3.5).
    fn tail(&self) -> Value {
        let (mut timeline, mut nodes) = (Timeline::default(), Vec::<Node>::new());
        timeline.cut(self.receipt);
        let mut path: Vec<u16> = Vec::new();
        for part in timeline.segments().iter().filter_map(|one| one.part) {
            if !path.contains(&part) {
                path.push(part);
            }
        }
        let saved = |part| saving(self.receipt, part, &timeline, &mut nodes);
        let savings: Vec<Nanos> = path.iter().copied().map(saved).collect();
        let steps = timeline.segments().iter().map(|one| {
            json!({
                "step": one.step.code(),
                "part": one.part.map(|part| self.name(part)),
                "from_ms": self.at(one.from),
                "took_ms": ms(one.took()),
            })
        });
        let path = path.iter().zip(savings);
        let path =
            path.map(|(part, saving)| json!({"part": self.name(*part), "saving_ms": ms(saving)}));
        json!({
            "path": path.collect::<Vec<_>>(),
            "steps": steps.collect::<Vec<_>>(),
        })
    }

    fn parts(&self) -> Vec<Value> {
        if self.receipt.handler {
            let calls = self.receipt.calls.bills().iter();
            let mut upstreams: Vec<u16> = calls.map(|bill| bill.part).collect();
            upstreams.sort_unstable();
            upstreams.dedup();
            let shown = |part| json!({"name": self.name(part), "calls": self.calls(part)});
            return upstreams.into_iter().map(shown).collect();
        }
        let parts = self.receipt.parts.iter().enumerate();
        parts
            .map(|(index, bill)| self.part(index as u16, bill))
            .collect()
    }

    fn part(&self, index: u16, bill: &PartBill) -> Value {
        let declared = self
            .view
            .and_then(|view| view.parts.get(usize::from(index)));
        let needs = (0..64_u16).filter(|one| bill.needs & (1 << one) != 0);
        let needs = needs.map(|one| self.name(one));
        json!({
            "name": self.name(index),
            "strength": declared.map(|part| match part.strength {
                Strength::Strong => "strong",
                Strength::Weak => "weak",
            }),
            "needs": needs.filter(|name| !name.is_empty()).collect::<Vec<_>>(),
            "ready_ms": self.at(bill.ready),
            "done_ms": self.at(bill.done),
            "failed": bill.failed.map(crate::reason::Reason::code),
            "source": bill.source.code(),
            "calls": self.calls(index),
        })
    }

    fn calls(&self, part: u16) -> Vec<Value> {
        let calls = self.receipt.calls.bills().iter();
        let own = calls.filter(|bill| bill.part == part);
        own.map(|bill| self.call(bill)).collect()
    }

    fn call(&self, bill: &CallBill) -> Value {
        let marks = self.receipt.calls.marks(bill).iter();
        json!({
            "item": bill.item,
            "upstream": upstream_name(self.program, usize::from(bill.upstream)),
            "otherwise": bill.other,
            "outcome": match (bill.landed, bill.failed) {
                (false, _) => "dropped",
                (true, None) => "ok",
                (true, Some(reason)) => reason.code(),
            },
            "source": bill.source.code(),
            "shared_fetch": bill.shared,
            "ready_ms": self.at(bill.ready),
            "started_ms": self.at(bill.started),
            "permitted_ms": self.at(bill.permitted),
            "ended_ms": self.at(bill.ended),
            "attempts_made": bill.attempts,
            "attempts": marks.map(|mark| self.attempt(mark)).collect::<Vec<_>>(),
        })
    }

    fn attempt(&self, mark: &Mark) -> Value {
        json!({
            "number": mark.number,
            "kind": mark.kind.code(),
            "address": mark.address,
            "status": (mark.status > 0).then_some(mark.status),
            "outcome": match (mark.end, mark.failed) {
                (0, _) => "dropped",
                (_, None) => "ok",
                (_, Some(reason)) => reason.code(),
            },
            "opened": mark.opened,
            "start_ms": self.at(mark.start),
            "connected_ms": self.at(mark.connected),
            "dispatched_ms": self.at(mark.dispatched),
            "first_byte_ms": self.at(mark.first_byte),
            "end_ms": self.at(mark.end),
            "bytes_out": mark.bytes_out,
            "bytes_in": mark.bytes_in,
        })
    }
}
