//! Finished requests as a trace for Chrome's viewer or Perfetto: scheduling and network waits.
//!
//! Everything in it is from receipts, so a trace and `/receipts` never disagree. Each worker is a
//! process of the viewer: its first track is its thread, with every poll of every request; below it
//! requests lie in lanes, and under each lane the calls of its request with what they waited for.
//! Slices of one track lie inside one another or apart, as the viewers want it.
//!
//! While the trace is on a request keeps its first polls (`Receipt::turns`) and its receipt is
//! copied as for a tap (`crate::tap`): a worker waits for nobody, what finds no room is counted.
//!
//! *Bounds.* [`BYTES_MAX`] bytes of events, [`LANES_MAX`] requests of one worker side by side and
//! [`CALLS_MAX`] attempts of one request side by side; what is left out is counted. Requests that
//! were refused before their first call have no receipt and are not in it.

mod lanes;
mod write;

use crate::clock;
use crate::program::Program;
use crate::receipt::Receipt;
use lanes::Lanes;
use serde_json::json;
use tailrace_policy::Nanos;
use write::Events;

/// Bytes of events of one trace.
pub const BYTES_MAX: usize = 12 * 1024 * 1024;
/// Requests of one worker side by side.
pub const LANES_MAX: usize = 128;
/// Calls, hedges counted apart, of one request side by side.
pub const CALLS_MAX: usize = 32;

/// A trace that grows.
#[derive(Debug)]
pub struct Trace {
    began: Nanos,
    epoch_ms: u64,
    workers: Vec<Lanes>,
    events: Events,
    requests: u64,
    requests_left_out: u64,
    calls_left_out: u64,
}

impl Trace {
    pub fn new(workers: usize) -> Self {
        let began = clock::now();
        Self {
            began,
            epoch_ms: clock::epoch_ms(),
            workers: (0..workers).map(|_| Lanes::default()).collect(),
            events: Events::new(began),
            requests: 0,
            requests_left_out: 0,
            calls_left_out: 0,
        }
    }

    /// Adds a finished request; requests come in the order in which they ended.
    pub fn add(&mut self, program: &Program, receipt: &Receipt) {
        let worker = usize::from(receipt.worker);
        // One that began before the trace did would lie left of its beginning.
        let known = self
            .workers
            .get_mut(worker)
            .filter(|_| receipt.started >= self.began);
        let full = self.events.len() >= BYTES_MAX;
        let lane = known.filter(|_| !full);
        let lane = lane.and_then(|lanes| lanes.take(receipt.started, receipt.ended));
        let Some(lane) = lane else {
            self.requests_left_out += 1;
            return;
        };
        self.requests += 1;
        let written = self.events.request(program, receipt, lane);
        self.calls_left_out += written.left_out;
        let calls = &mut self.workers[worker].calls[lane];
        *calls = (*calls).max(written.tracks);
    }

    /// The whole document; `dropped` requests found no room on their way here.
    pub fn finish(self, service: &str, dropped: u64) -> Vec<u8> {
        let took = clock::now().saturating_sub(self.began);
        let mut out = self.events.finish(service, &self.workers);
        let about = json!({
            "format_version": 1,
            "profile": "trace",
            "service": service,
            "epoch_ms": self.epoch_ms,
            "seconds": took as f64 / 1e9,
            "requests": self.requests,
            "requests_left_out": self.requests_left_out + dropped,
            "calls_left_out": self.calls_left_out,
            "bytes_max": BYTES_MAX,
        });
        out.extend_from_slice(b"\n],\"displayTimeUnit\":\"ms\",\"otherData\":");
        out.extend_from_slice(about.to_string().as_bytes());
        out.extend_from_slice(b"}\n");
        out
    }
}

#[cfg(test)]
mod tests;
