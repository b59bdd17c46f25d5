//! Receipts as events of the Chrome trace format.
//!
//! Complete events (`"ph":"X"`) with microseconds since the trace began, exact to the nanosecond;
//! metadata events name processes and tracks. Text is escaped by the JSON library.

use super::lanes::{place, Lanes};
use super::CALLS_MAX;
use crate::program::Program;
use crate::receipt::json::part_name;
use crate::receipt::{CallBill, Kind, Mark, Receipt};
use serde_json::{json, Value};
use std::io::Write;
use tailrace_policy::Nanos;

/// Tracks per lane: the request's own and those of its calls.
const TRACKS: usize = 1 + CALLS_MAX;

/// Events written so far.
#[derive(Debug)]
pub struct Events {
    began: Nanos,
    out: Vec<u8>,
}

/// What became of the calls of a request.
#[derive(Debug, Clone, Copy)]
pub struct Written {
    /// Tracks they took.
    pub tracks: usize,
    /// Calls and hedges that found none.
    pub left_out: u64,
}

/// Where a slice lies.
#[derive(Debug, Clone, Copy)]
struct Track {
    worker: usize,
    track: usize,
}

/// One slice of a track.
#[derive(Debug, Clone, Copy)]
struct Slice<'a> {
    name: &'a str,
    kind: &'static str,
    from: Nanos,
    to: Nanos,
}

impl Events {
    pub fn new(began: Nanos) -> Self {
        Self {
            began,
            out: b"{\"traceEvents\":[".to_vec(),
        }
    }

    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Writes a request into its lane.
    pub fn request(&mut self, program: &Program, receipt: &Receipt, lane: usize) -> Written {
        let worker = usize::from(receipt.worker);
        let view = receipt
            .view
            .and_then(|view| program.views.get(usize::from(view)));
        let name = view.map_or("", |view| view.name.as_str());
        let id = format!("{}-{}", receipt.worker, receipt.number);
        for (from, to) in &receipt.turns {
            let slice = Slice {
                name,
                kind: "poll",
                from: *from,
                to: *to,
            };
            self.slice(Track { worker, track: 0 }, slice, &json!({"receipt": id}));
        }
        let about = json!({
            "receipt": id,
            "request_id": String::from_utf8_lossy(receipt.id()),
            "status": receipt.status,
            "code": receipt.code,
            "degraded": receipt.degraded,
            "deadline_ms": receipt.deadline.saturating_sub(receipt.started) as f64 / 1e6,
            "polls": receipt.cpu.polls,
            "poll_ms": receipt.cpu.poll as f64 / 1e6,
        });
        let slice = Slice {
            name,
            kind: "request",
            from: receipt.started,
            to: receipt.ended,
        };
        let track = Track {
            worker,
            track: 1 + lane * TRACKS,
        };
        self.slice(track, slice, &about);
        self.calls(program, receipt, track)
    }

    /// Writes the calls below the track of their request.
    fn calls(&mut self, program: &Program, receipt: &Receipt, request: Track) -> Written {
        let view = receipt
            .view
            .and_then(|view| program.views.get(usize::from(view)));
        let mut calls: Vec<&CallBill> = receipt.calls.bills().iter().collect();
        calls.sort_by_key(|bill| bill.ready);
        let mut ends = Vec::new();
        let mut left_out = u64::from(receipt.calls.left_out);
        for bill in calls {
            let name = part_name(program, view, bill.part);
            let marks = receipt.calls.marks(bill);
            let Some(at) = place(&mut ends, bill.ready, bill.ended, CALLS_MAX) else {
                left_out += 1;
                continue;
            };
            let track = |at: usize| Track {
                track: request.track + 1 + at,
                ..request
            };
            self.call(program, track(at), name, bill);
            for mark in marks {
                let ended = end_of(mark, bill);
                if mark.kind != Kind::Hedge {
                    self.attempt(track(at), mark, ended);
                    continue;
                }
                // Beside the attempt it hedges.
                match place(&mut ends, mark.start, ended, CALLS_MAX) {
                    Some(at) => self.attempt(track(at), mark, ended),
                    None => left_out += 1,
                }
            }
        }
        Written {
            tracks: ends.len(),
            left_out,
        }
    }

    fn call(&mut self, program: &Program, track: Track, name: &str, bill: &CallBill) {
        let upstream = program.upstreams.get(usize::from(bill.upstream));
        let about = json!({
            "upstream": upstream.map(|upstream| &upstream.name),
            "item": bill.item,
            "otherwise": bill.other,
            "outcome": match (bill.landed, bill.failed) {
                (false, _) => "dropped",
                (true, None) => "ok",
                (true, Some(reason)) => reason.code(),
            },
            "source": bill.source.code(),
            "shared_fetch": bill.shared,
            "attempts": bill.attempts,
        });
        let slice = |name, kind, from, to| Slice {
            name,
            kind,
            from,
            to,
        };
        self.slice(track, slice(name, "call", bill.ready, bill.ended), &about);
        let nothing = Value::Null;
        self.wait(track, "fanout wait", bill.ready, bill.started);
        if bill.queued > 0 {
            let until = match bill.permitted {
                0 => bill.ended,
                permitted => permitted,
            };
            self.wait(track, "bulkhead wait", bill.queued, until);
        }
        if bill.shared {
            let own = slice("shared fetch", "wait", bill.started, bill.ended);
            self.slice(track, own, &nothing);
        }
    }

    fn attempt(&mut self, track: Track, mark: &Mark, ended: Nanos) {
        let about = json!({
            "number": mark.number,
            "kind": mark.kind.code(),
            "address": mark.address,
            "status": mark.status,
            "outcome": match (mark.end, mark.failed) {
                (0, _) => "dropped",
                (_, None) => "ok",
                (_, Some(reason)) => reason.code(),
            },
            "opened": mark.opened,
            "bytes_out": mark.bytes_out,
            "bytes_in": mark.bytes_in,
        });
        let name = match mark.kind {
            Kind::First => "attempt",
            Kind::Retry => "retry",
            Kind::Hedge => "hedge",
        };
        let slice = Slice {
            name,
            kind: "attempt",
            from: mark.start,
            to: ended,
        };
        self.slice(track, slice, &about);
        let steps = [
            ("connect", mark.start, mark.connected),
            ("write", mark.connected, mark.dispatched),
            ("first byte", mark.dispatched, mark.first_byte),
            ("body", mark.first_byte, mark.end),
        ];
        for (name, from, to) in steps {
            if from == 0 {
                break;
            }
            let to = if to == 0 { ended } else { to };
            // An idle connection takes no time to get.
            if name != "connect" || mark.opened || mark.connected == 0 {
                self.wait(track, name, from, to);
            }
        }
    }

    /// A slice that is worth one.
    fn wait(&mut self, track: Track, name: &'static str, from: Nanos, to: Nanos) {
        if from > 0 && to > from {
            let slice = Slice {
                name,
                kind: "wait",
                from,
                to,
            };
            self.slice(track, slice, &Value::Null);
        }
    }

    fn slice(&mut self, track: Track, slice: Slice<'_>, about: &Value) {
        let from = slice.from.saturating_sub(self.began);
        let took = slice.to.saturating_sub(slice.from);
        let name = Value::from(slice.name);
        self.separate();
        // Writing to a vector does not fail.
        write!(
            self.out,
            "{{\"ph\":\"X\",\"pid\":{},\"tid\":{},\"ts\":{}.{:03},\"dur\":{}.{:03},\
             \"cat\":\"{}\",\"name\":{name}",
            track.worker + 1,
            track.track,
            from / 1_000,
            from % 1_000,
            took / 1_000,
            took % 1_000,
            slice.kind,
        )
        .ok();
        if !about.is_null() {
            write!(self.out, ",\"args\":{about}").ok();
        }
        self.out.push(b'}');
    }

    fn separate(&mut self) {
        let first = self.out.last() == Some(&b'[');
        self.out
            .extend_from_slice(if first { b"\n" } else { b",\n" });
    }

    /// Names the tracks that are used; what is left is the end of the document.
    pub fn finish(mut self, service: &str, workers: &[Lanes]) -> Vec<u8> {
        for (worker, lanes) in workers.iter().enumerate() {
            let name = format!("{service}: worker {worker}");
            self.name(worker, 0, "process_name", &json!({"name": name}));
            self.track(worker, 0, "thread: polls of requests");
            for lane in 0..lanes.len() {
                let first = 1 + lane * TRACKS;
                self.track(worker, first, &format!("requests {lane}"));
                for call in 0..lanes.calls[lane] {
                    self.track(
                        worker,
                        first + 1 + call,
                        &format!("requests {lane}, calls {call}"),
                    );
                }
            }
        }
        self.out
    }

    fn track(&mut self, worker: usize, track: usize, name: &str) {
        self.name(worker, track, "thread_name", &json!({"name": name}));
        self.name(
            worker,
            track,
            "thread_sort_index",
            &json!({"sort_index": track}),
        );
    }

    fn name(&mut self, worker: usize, track: usize, what: &str, about: &Value) {
        self.separate();
        write!(
            self.out,
            "{{\"ph\":\"M\",\"pid\":{},\"tid\":{track},\"name\":\"{what}\",\"args\":{about}}}",
            worker + 1,
        )
        .ok();
    }
}

/// When an attempt was over: one that was dropped, with its call at the latest.
fn end_of(mark: &Mark, bill: &CallBill) -> Nanos {
    if mark.end == 0 {
        bill.ended
    } else {
        mark.end
    }
}
