//! What is counted, per worker.
//!
//! Each worker owns its numbers and is their only writer, so counting is a plain store: no shared
//! cache line, no lock (req 5.3). Readers add the workers up at scrape time. Label values are fixed
//! when the plane starts (views, parts, upstreams, statuses, reasons): no request can make a new
//! one (RELIABILITY S23). What the numbers are called stands in `events/`.

mod admission;
mod cache;
pub mod exemplars;
pub mod floors;
pub mod histogram;
mod process;
mod python;
mod requests;
pub mod split;
mod tail;
pub mod text;
mod tracing;
mod upstreams;
pub mod write;

use crate::cache::Stored;
use crate::program::Program;
use crate::reason::Reason;
use crate::receipt::Receipt;
use crate::source::Source;
use histogram::Histogram;
use split::{Ended, Replied, Split};
use std::sync::atomic::{AtomicU64, Ordering};
use tailrace_policy::freshness::Use;

/// Whether this build counts nothing, to measure what counting costs.
pub const MUTED: bool = cfg!(feature = "mute");

/// A number with one writer and any number of readers.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds; only the owning worker may call this.
    pub fn add(&self, amount: u64) {
        if MUTED {
            return;
        }
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(amount),
            Ordering::Relaxed,
        );
    }

    /// Takes back; only the owning worker may call this.
    pub fn sub(&self, amount: u64) {
        if MUTED {
            return;
        }
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_sub(amount),
            Ordering::Relaxed,
        );
    }

    /// Says how many there are now; only the owning worker may call this.
    pub fn set(&self, amount: u64) {
        self.0.store(amount, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ViewMetrics {
    pub durations: Split<Replied>,
    pub degraded: Count,
    /// Clients that left before their reply.
    pub cancelled: Count,
    /// Requests handed to Python: to a handler, or for computed fields.
    pub entries: Count,
    /// For a view with computed fields.
    pub computed: Option<Box<ComputedMetrics>>,
    /// What was measured of one request in so many.
    pub measured: Measured,
}

/// Sums over the requests that were measured closely.
#[derive(Debug, Default)]
pub struct Measured {
    pub requests: Count,
    pub cpu_ns: Count,
    pub allocations: Count,
    pub allocated_bytes: Count,
}

impl Measured {
    /// Adds a finished request, when it was measured.
    pub fn add(&self, receipt: &Receipt) {
        let Some(cpu) = receipt.cpu.thread else {
            return;
        };
        let allocated = receipt.memory.allocated.unwrap_or_default();
        self.requests.add(1);
        self.cpu_ns.add(cpu);
        self.allocations.add(allocated.count);
        self.allocated_bytes.add(allocated.bytes);
    }
}

/// What making the computed fields of a request took.
#[derive(Debug, Default)]
pub struct ComputedMetrics {
    /// In Python, all fields together.
    pub python: Histogram,
    /// The rest of the time from asking to having them.
    pub wait: Histogram,
}

#[derive(Debug)]
#[repr(align(128))]
pub struct PartMetrics {
    pub ok: Count,
    /// Its condition did not hold: no call was made, and nothing is missing.
    pub skipped: Count,
    pub failed: [Count; Reason::ALL.len()],
    /// By `Source`, those that are not fresh: what is fresh is the rest of `ok`.
    pub sources: [Count; Source::ALL.len()],
    /// Cached and stale values that stand in for a failed call; they are not among `ok`.
    pub stood_in: Count,
}

#[derive(Debug)]
#[repr(align(128))]
pub struct UpstreamMetrics {
    pub durations: Split<Ended>,
    pub calls: Count,
    /// Calls that ended without an answer, whatever was tried; what was dropped is not among them.
    pub calls_failed: Count,
    pub attempts: Count,
    pub retries: Count,
    pub hedges: Count,
    /// Hedges that answered before the attempt they were beside.
    pub hedge_wins: Count,
    /// Extra attempts that were refused, by `REFUSALS`.
    pub refusals: [Count; REFUSALS.len()],
    pub failures: Count,
    pub timeouts: Count,
    pub connects: Count,
    pub queue_wait: Histogram,
    pub bytes_in: Count,
    pub idle: Count,
    pub cache: CacheMetrics,
}

/// What calls to one upstream met in the cache.
#[derive(Debug, Default)]
pub struct CacheMetrics {
    /// Beside the worker.
    pub hot: Count,
    pub hits: Count,
    pub stale: Count,
    pub stale_on_error: Count,
    /// That a thing does not exist.
    pub negative: Count,
    /// Started a fetch.
    pub misses: Count,
    /// Waited for somebody else's.
    pub coalesced: Count,
    /// Fetched apart: too many fetches in the air.
    pub alone: Count,
    pub refreshes: Count,
    pub stored: Count,
    pub refused: Count,
    pub invalidated: Count,
}

impl CacheMetrics {
    pub fn found(&self, found: Use, negative: bool) {
        match found {
            _ if negative => &self.negative,
            Use::Revalidate => &self.stale,
            _ => &self.hits,
        }
        .add(1);
    }

    pub fn stored(&self, stored: Stored) {
        match stored {
            Stored::Kept => self.stored.add(1),
            Stored::Refused => self.refused.add(1),
            Stored::Invalidated => self.invalidated.add(1),
            Stored::Not => {}
        }
    }
}

/// Codes of refused extra attempts; anything else counts as the last.
pub const REFUSALS: [&str; 13] = [
    "attempts",
    "not_retriable",
    "not_idempotent",
    "retry_after",
    "no_time",
    "purse_empty",
    "retry_budget",
    "hedge_off",
    "hedge_budget",
    "bulkhead_full",
    "upstream_rate",
    "no_address",
    "other",
];

impl UpstreamMetrics {
    /// Counts a refused extra attempt.
    pub fn refuse(&self, code: &str) {
        let known = REFUSALS.iter().position(|one| *one == code);
        self.refusals[known.unwrap_or(REFUSALS.len() - 1)].add(1);
    }
}

/// One worker's numbers. Aligned, like what it holds, so that no line of it is also another
/// worker's.
#[derive(Debug)]
#[repr(align(128))]
pub struct WorkerMetrics {
    pub views: Vec<ViewMetrics>,
    pub parts: Vec<PartMetrics>,
    pub upstreams: Vec<UpstreamMetrics>,
    /// Requests that reached no view.
    pub unmatched: Split<Replied>,
    pub connections_accepted: Count,
    pub connections_refused: Count,
    pub in_flight: Count,
    pub access_log_dropped: Count,
    pub buffer_hits: Count,
    pub buffer_misses: Count,
    /// Keys of the cache kept beside this worker now.
    pub hot_keys: Count,
}

impl Default for PartMetrics {
    fn default() -> Self {
        Self {
            ok: Count::default(),
            skipped: Count::default(),
            failed: counts(),
            sources: counts(),
            stood_in: Count::default(),
        }
    }
}

fn counts<const N: usize>() -> [Count; N] {
    std::array::from_fn(|_| Count::default())
}

impl WorkerMetrics {
    pub fn new(program: &Program) -> Self {
        let view = |view: &crate::program::View| ViewMetrics {
            computed: view.computed.is_some().then(Box::default),
            ..ViewMetrics::default()
        };
        let upstream = |_: &_| UpstreamMetrics {
            durations: Split::default(),
            calls: Count::default(),
            calls_failed: Count::default(),
            attempts: Count::default(),
            retries: Count::default(),
            hedges: Count::default(),
            hedge_wins: Count::default(),
            refusals: counts(),
            failures: Count::default(),
            timeouts: Count::default(),
            connects: Count::default(),
            queue_wait: Histogram::default(),
            bytes_in: Count::default(),
            idle: Count::default(),
            cache: CacheMetrics::default(),
        };
        Self {
            views: program.views.iter().map(view).collect(),
            // By their `metric`: all parts, then all computed fields.
            parts: std::iter::repeat_with(PartMetrics::default)
                .take(program.parts().count() + program.computed().count())
                .collect(),
            upstreams: program.upstreams.iter().map(upstream).collect(),
            unmatched: Split::default(),
            connections_accepted: Count::default(),
            connections_refused: Count::default(),
            in_flight: Count::default(),
            access_log_dropped: Count::default(),
            buffer_hits: Count::default(),
            buffer_misses: Count::default(),
            hot_keys: Count::default(),
        }
    }
}
