//! Traces: the context of a request passed on, and its spans sent where somebody reads them
//! (req 16.6).
//!
//! The failures prevented: a trace that ends at this service; a trace store that has everything
//! but the request that was slow; an exporter that slows what it watches. A request copies its
//! context and writes one header line per attempt, whose span is one number counted on from its
//! call's. Nothing else happens while it runs. When its receipt is finished it is known whether it
//! was worth a trace (`tailrace_policy::trace_sample`); of the few that are, the worker puts a copy
//! of the receipt into a bounded queue and goes on. A thread apart makes spans of it and sends
//! them.
//!
//! ```text
//! context   traceparent and tracestate, in and out
//! mod       what is kept: the decision, the queues, the counts       on the worker
//! spans     a finished receipt as spans of OpenTelemetry             on the exporter's thread
//! target    where they are sent, and what with                       at the start
//! post      one HTTP exchange with the collector                     on the exporter's thread
//! exporter  batches, retries, the last look before the end           on the exporter's thread
//! probe     one span on trial                                        in a verb, without a plane
//! ```
//!
//! *Without tracing* a request's context is passed on as it came, `tracestate` with it: this
//! process then adds no span, so it must not put itself between two others. That costs a look at
//! the names of the request's headers.
//!
//! *Bounds.* [`WAITING_MAX`] receipts per worker wait, of at most `Receipt::BYTES_MAX` each; a
//! worker that finds no room, or finds the exporter's hand in the queue, drops the trace and counts
//! it. What the collector does is the exporter's business alone.
//!
//! Limits: requests refused before their first call have no trace, since a flood of them must cost
//! next to nothing; they are counted and logged.

pub mod context;
mod exporter;
mod post;
mod probe;
mod spans;
mod target;

pub use context::{Carried, Context};
pub use exporter::export;
pub use probe::{probe, Probed};
pub use target::Target;

use crate::metrics::Count;
use crate::program::Program;
use crate::receipt::Receipt;
use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use tailrace_policy::trace_sample::{Facts, Kept, Params, Passed, TraceSample};

/// Traces of one worker that wait for the exporter.
pub const WAITING_MAX: usize = 128;

/// A finished request that is worth a trace, and why.
#[derive(Debug, Clone)]
pub struct Finished {
    pub receipt: Receipt,
    pub kept: Kept,
    /// Above the running P99 of its view.
    pub slow: bool,
}

/// What one worker leaves for the exporter. Its counts have one writer, the worker.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Lane {
    waiting: Mutex<VecDeque<Finished>>,
    /// By `Kept`.
    pub kept: [Count; Kept::ALL.len()],
    /// More than the declared rate.
    pub rate_limited: Count,
    /// There was no room in the queue.
    pub queue_full: Count,
}

/// What became of what was kept. One writer, the exporter.
#[derive(Debug, Default)]
pub struct Sent {
    pub spans: AtomicU64,
    /// Traces and spans that never arrived: the collector did not answer, or not in time.
    pub unreachable: Lost,
    /// The collector said no, and would again.
    pub refused: Lost,
    /// Exchanges by how they ended.
    pub ok: AtomicU64,
    pub retried: AtomicU64,
    pub failed: AtomicU64,
}

/// What was kept and is lost.
#[derive(Debug, Default)]
pub struct Lost {
    pub traces: AtomicU64,
    pub spans: AtomicU64,
}

/// The traces of a plane.
#[derive(Debug)]
pub struct Traces {
    sample: TraceSample,
    pub lanes: Vec<Lane>,
    pub sent: Sent,
}

impl Traces {
    /// Those of a plane with so many workers; none when its blueprint asks for none.
    pub fn new(program: &Program, workers: usize) -> Option<Self> {
        let declared = program.declared.tracing.as_ref()?;
        Some(Self {
            sample: TraceSample::new(Params {
                share: declared.share,
                per_second: declared.per_second,
            }),
            lanes: (0..workers).map(|_| Lane::default()).collect(),
            sent: Sent::default(),
        })
    }

    /// The context of a request or a client's calls that begin now.
    pub fn open(&self, carried: &Carried<'_>, draw: impl FnMut() -> u64) -> Context {
        Context::open(carried.parent, draw, |trace| self.sample.is_in_share(trace))
    }

    /// Looks at a finished request; one that is worth a trace waits for the exporter.
    pub fn offer(&self, receipt: &Receipt, slow: bool) {
        let Some(lane) = self.lanes.get(usize::from(receipt.worker)) else {
            return;
        };
        match self.sample.decide(facts(receipt, slow), receipt.ended) {
            Ok(kept) => lane.put(receipt, kept, slow),
            Err(Passed::RateLimited) => lane.rate_limited.add(1),
            Err(Passed::Ordinary) => {}
        }
    }

    /// Takes what waits, at most `limit` of all workers.
    fn take(&self, limit: usize) -> Vec<Finished> {
        let mut found = Vec::new();
        for lane in &self.lanes {
            let mut waiting = lane.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let count = waiting.len().min(limit - found.len());
            found.extend(waiting.drain(..count));
        }
        found
    }

    /// Traces that wait.
    pub fn waiting(&self) -> usize {
        let lanes = self.lanes.iter().map(|lane| &lane.waiting);
        let len = |waiting: &Mutex<VecDeque<Finished>>| {
            waiting.lock().unwrap_or_else(PoisonError::into_inner).len()
        };
        lanes.map(len).sum()
    }
}

impl Lane {
    fn put(&self, receipt: &Receipt, kept: Kept, slow: bool) {
        // The exporter holds it for a moment while it takes what is there.
        let waiting = self.waiting.try_lock();
        match waiting {
            Ok(mut waiting) if waiting.len() < WAITING_MAX => {
                waiting.push_back(Finished {
                    receipt: receipt.clone(),
                    kept,
                    slow,
                });
                self.kept[kept as usize].add(1);
            }
            _ => self.queue_full.add(1),
        }
    }
}

/// What the decision is made of.
fn facts(receipt: &Receipt, slow: bool) -> Facts {
    Facts {
        failed: receipt.status >= 500,
        degraded: receipt.degraded,
        retried: receipt.calls.io.retries > 0,
        hedged: receipt.calls.io.hedges > 0,
        slow,
        took: receipt.duration(),
        deadline: receipt.deadline.saturating_sub(receipt.started),
        sampled: receipt.trace.is_sampled(),
    }
}

#[cfg(test)]
mod tests;
