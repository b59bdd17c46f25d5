//! The receipt itself.

use super::calls::Calls;
use super::path::{Graph, Node};
use crate::h1::Method;
use crate::program::PARTS_MAX;
use crate::reason::Reason;
use crate::source::Source;
use crate::trace::Context;
use tailrace_policy::Nanos;

/// Polls kept of a request while somebody traces.
pub const TURNS_MAX: usize = 64;

/// Bytes kept of a request id.
const ID_MAX: usize = 64;

/// One part, or for a handler one upstream it called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartBill {
    /// Its needs were met; 0: it never came to that.
    pub ready: Nanos,
    /// It had its value, or its failure; 0: it was cancelled.
    pub done: Nanos,
    /// Bit per part it had to wait for.
    pub needs: u64,
    pub failed: Option<Reason>,
    pub source: Source,
}

/// Processor time (req 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cpu {
    /// Times the request was polled, and how long that took by the wall clock.
    pub polls: u32,
    pub poll: Nanos,
    /// By the clock of the thread; only of sampled requests.
    pub thread: Option<Nanos>,
}

/// What a request held and took (req 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// Most bytes of bodies held at the same time, and the limit.
    pub peak: u64,
    pub limit: u64,
    /// Buffers from the pool, and new ones: each of those is an allocation of 4 KiB.
    pub buffer_hits: u32,
    pub buffer_misses: u32,
    /// Only of sampled requests, in a process whose allocator counts.
    pub allocated: Option<Allocated>,
}

/// What was asked of the allocator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allocated {
    /// Memory that was grown counts once more, whole.
    pub count: u64,
    pub bytes: u64,
}

impl Allocated {
    fn since(self, before: Self) -> Self {
        Self {
            count: self.count.wrapping_sub(before.count),
            bytes: self.bytes.wrapping_sub(before.bytes),
        }
    }

    /// Adds what came between two readings.
    pub fn add(&mut self, before: Self, now: Self) {
        let one = now.since(before);
        self.count += one.count;
        self.bytes += one.bytes;
    }
}

/// From the wake-up of a request to its poll (req 3.3); only of sampled requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delay {
    pub total: Nanos,
    pub worst: Nanos,
}

/// Where the time of a handler or of computed fields went that no code of theirs ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Python {
    /// Until the event loop took what was there for it.
    pub loop_wait: Nanos,
    /// Until the event loop's thread had the interpreter lock.
    pub lock_wait: Nanos,
}

/// What one request cost. Its owner keeps it from request to request.
#[derive(Debug, Clone, Default)]
pub struct Receipt {
    /// Counted per worker; with the worker's number it names the receipt.
    pub number: u64,
    pub worker: u16,
    /// Index of the view.
    pub view: Option<u16>,
    /// Its calls are a handler's: their parts are upstreams.
    pub handler: bool,
    pub status: u16,
    /// The stable code of a refusal or failure; empty on success.
    pub code: &'static str,
    pub method: Method,
    pub degraded: bool,
    pub epoch_ms: u64,
    pub started: Nanos,
    /// The first part could start; 0: it was refused before that.
    pub fanned: Nanos,
    /// The last part was done, or the request ended without it.
    pub done: Nanos,
    /// Its computed fields were there, or given up; 0: it has none.
    pub computed: Nanos,
    pub ended: Nanos,
    /// When the reply had to be there.
    pub deadline: Nanos,
    /// The part whose failure ended the request.
    pub stop: Option<u16>,
    /// Measured with the clocks that cost a system call.
    pub sampled: bool,
    pub cpu: Cpu,
    pub memory: Memory,
    pub delay: Option<Delay>,
    pub python: Option<Python>,
    /// Where it belongs, when it is traced.
    pub trace: Context,
    /// Bytes of the reply's body.
    pub bytes: u64,
    pub parts: Vec<PartBill>,
    pub calls: Calls,
    /// Somebody traces: its polls are kept.
    pub traced: bool,
    /// Its first polls: when they began and ended.
    pub turns: Vec<(Nanos, Nanos)>,
    pub(super) id: IdText,
}

/// A request id, cut to a fixed size.
#[derive(Debug, Clone, Copy)]
pub(super) struct IdText {
    bytes: [u8; ID_MAX],
    len: u8,
}

impl Default for IdText {
    fn default() -> Self {
        Self {
            bytes: [0; ID_MAX],
            len: 0,
        }
    }
}

impl Receipt {
    /// The most bytes a receipt takes.
    pub const BYTES_MAX: usize = size_of::<Self>()
        + PARTS_MAX * size_of::<PartBill>()
        + super::calls::CALLS_MAX * size_of::<super::calls::CallBill>()
        + super::calls::MARKS_MAX * size_of::<super::tally::Mark>()
        + TURNS_MAX * size_of::<(Nanos, Nanos)>();

    /// Starts anew.
    pub fn begin(&mut self, number: u64, worker: usize, sampled: bool, now: Nanos) {
        self.turns.clear();
        let turns = std::mem::take(&mut self.turns);
        let mut parts = std::mem::take(&mut self.parts);
        let mut calls = std::mem::take(&mut self.calls);
        parts.clear();
        calls.clear();
        *self = Self {
            number,
            worker: worker as u16,
            sampled,
            started: now,
            cpu: Cpu {
                thread: sampled.then_some(0),
                ..Cpu::default()
            },
            delay: sampled.then(Delay::default),
            parts,
            calls,
            turns,
            ..Self::default()
        };
    }

    pub fn set_id(&mut self, id: &[u8]) {
        let len = id.len().min(ID_MAX);
        self.id.bytes[..len].copy_from_slice(&id[..len]);
        self.id.len = len as u8;
    }

    /// The request id; one that is longer than 64 bytes is cut.
    pub fn id(&self) -> &[u8] {
        &self.id.bytes[..usize::from(self.id.len)]
    }

    pub fn duration(&self) -> Nanos {
        self.ended.saturating_sub(self.started)
    }

    /// Worth keeping for what became of it.
    pub fn is_troubled(&self) -> bool {
        self.degraded || self.status >= 500
    }

    /// The graph of a view's parts, written into `nodes`.
    pub fn graph<'a>(&self, nodes: &'a mut Vec<Node>) -> Graph<'a> {
        nodes.clear();
        nodes.extend(self.parts.iter().map(|part| {
            // What was not ready or not done when the request ended waited until then.
            let ready = if part.ready == 0 {
                self.done
            } else {
                part.ready
            };
            let done = if part.done == 0 { self.done } else { part.done };
            Node {
                ready,
                done: done.max(ready),
                needs: part.needs,
            }
        }));
        Graph {
            nodes,
            start: self.fanned,
            stop: self.stop.map(usize::from),
        }
    }
}
