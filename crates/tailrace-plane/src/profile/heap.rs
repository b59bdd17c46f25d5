//! What the process holds, by owner (req 12.2).
//!
//! The failure prevented: a guess. Allocations of the plane are not tracked by place of code, which
//! would cost every request; what it keeps is in a few owners, each of which is bounded, and their
//! sums are told beside their bounds, what the allocators say and what the kernel says. What is
//! left over is said to be unknown. Python's own allocations can be traced by place for some
//! seconds when asked for (`python/tailrace/_profile.py`).

use super::look::Seen;
use super::threads;
use crate::buffers::{KEEP_MAX, KEEP_MAX_BYTES};
use crate::receipt::{Receipt, Shelf};
use crate::shared::Shared;
use serde_json::{json, Value};
use std::sync::OnceLock;

/// What an allocator says of itself: its name, and named bytes.
pub type Allocator = fn() -> (&'static str, Vec<(&'static str, u64)>);

static ALLOCATOR: OnceLock<Allocator> = OnceLock::new();

/// Names the allocator that Rust uses in this process; the first one stays.
pub fn set_allocator(allocator: Allocator) {
    ALLOCATOR.set(allocator).ok();
}

/// What one worker keeps for its next requests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kept {
    pub buffers: usize,
    pub buffer_bytes: usize,
    /// Working sets of requests.
    pub exchanges: usize,
    pub exchange_bytes: usize,
    pub exchanges_max: usize,
    /// What holds the calls of Python code.
    pub sets: usize,
    pub idle_connections: usize,
    pub hot_keys: usize,
}

struct Owner {
    what: &'static str,
    worker: Option<usize>,
    count: u64,
    bytes: u64,
    bytes_max: Option<u64>,
}

impl Owner {
    fn json(&self) -> Value {
        json!({
            "owner": self.what,
            "worker": self.worker,
            "count": self.count,
            "bytes": self.bytes,
            "bytes_max": self.bytes_max,
        })
    }
}

/// Everything; `seen` is what the workers answered.
pub fn render(shared: &Shared, seen: &[Option<Seen>]) -> Value {
    let owners = owners(shared, seen);
    let accounted: u64 = owners.iter().map(|owner| owner.bytes).sum();
    let process = process();
    let anonymous = process["anonymous_bytes"].as_u64();
    let silent = (0..seen.len()).filter(|index| seen[*index].is_none());
    json!({
        "format_version": 1,
        "profile": "heap",
        "service": shared.program().service,
        "epoch_ms": crate::clock::epoch_ms(),
        "tracking": "Rust allocations are not tracked by place of code: these are sums by owner",
        "process": process,
        "allocators": allocators(),
        "owners": owners.iter().map(Owner::json).collect::<Vec<_>>(),
        "accounted_bytes": accounted,
        "not_accounted_bytes": anonymous.map(|bytes| bytes.saturating_sub(accounted)),
        "workers_without_answer": silent.map(threads::worker).collect::<Vec<_>>(),
    })
}

fn owners(shared: &Shared, seen: &[Option<Seen>]) -> Vec<Owner> {
    let mut found = Vec::new();
    for (worker, seen) in seen.iter().enumerate() {
        let Some(seen) = seen else { continue };
        let kept = &seen.kept;
        let mut own = |what, count: usize, bytes: usize, max: Option<usize>| {
            found.push(Owner {
                what,
                worker: Some(worker),
                count: count as u64,
                bytes: bytes as u64,
                bytes_max: max.map(|max| max as u64),
            });
        };
        let buffers = KEEP_MAX * KEEP_MAX_BYTES;
        own(
            "buffer_pool",
            kept.buffers,
            kept.buffer_bytes,
            Some(buffers),
        );
        let max = kept.exchanges_max * 3 * KEEP_MAX_BYTES;
        own(
            "idle_requests",
            kept.exchanges,
            kept.exchange_bytes,
            Some(max),
        );
        own("idle_conversations", kept.sets, 0, None);
        own("idle_upstream_connections", kept.idle_connections, 0, None);
        own("client_connections", seen.connections, 0, None);
        own("hot_keys", kept.hot_keys, 0, None);
    }
    let views = shared.program().views.len();
    for (worker, shelf) in shared.shelves.iter().enumerate() {
        let (count, bytes) = shelf.held();
        found.push(Owner {
            what: "receipts",
            worker: Some(worker),
            count: count as u64,
            bytes: bytes as u64,
            bytes_max: Some(Shelf::bytes_max(views) as u64),
        });
    }
    found.extend(shared_owners(shared));
    found
}

fn shared_owners(shared: &Shared) -> Vec<Owner> {
    let whole = |what, count: u64, bytes: u64, bytes_max: Option<u64>| Owner {
        what,
        worker: None,
        count,
        bytes,
        bytes_max,
    };
    let current = shared.live.current();
    let pages = shared.live.pages();
    let documents = [
        current.blueprint.len(),
        current.origins.len(),
        pages.openapi.len(),
        pages.docs.len(),
    ];
    let documents = documents.map(|len| len as u64);
    let mut found = vec![whole(
        "documents",
        documents.len() as u64,
        documents.iter().sum(),
        None,
    )];
    if let Some(cache) = shared.cache_in_use() {
        let totals = cache.totals();
        let max = u64::from(shared.program().limits.cache_max_bytes);
        found.push(whole("cache", totals.entries, totals.bytes, Some(max)));
    }
    let log = &shared.program().declared.access_log;
    if log.format != tailrace_blueprint::LogFormat::Off {
        let record = size_of::<crate::access_log::Record>() as u64;
        let count = shared.metrics.len() as u64;
        let bytes = count * u64::from(log.ring) * record;
        found.push(whole("access_log_rings", count, bytes, Some(bytes)));
    }
    if let Some(bridge) = &shared.bridge {
        found.push(whole("waiting_for_python", bridge.queued() as u64, 0, None));
    }
    let taps = shared.taps.waiting() as u64;
    let bytes = taps * Receipt::BYTES_MAX as u64;
    found.push(whole("taps", taps, bytes, None));
    found
}

/// What the kernel says; null where it says nothing.
fn process() -> Value {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let number = line.trim().strip_suffix("kB")?.trim();
        Some(number.parse::<u64>().ok()? * 1024)
    };
    json!({
        "resident_bytes": kib("VmRSS:"),
        "resident_peak_bytes": kib("VmHWM:"),
        "anonymous_bytes": kib("RssAnon:"),
        "file_bytes": kib("RssFile:"),
        "swapped_bytes": kib("VmSwap:"),
        "stack_of_first_thread_bytes": kib("VmStk:"),
    })
}

/// What each allocator says of itself.
fn allocators() -> Vec<Value> {
    let own = ALLOCATOR.get().map(|allocator| allocator());
    let mut found = Vec::new();
    for (name, figures) in own.into_iter().chain(libc_allocator()) {
        let mut told = json!({"name": name});
        for (figure, bytes) in figures {
            told[figure] = bytes.into();
        }
        found.push(told);
    }
    found
}

pub(super) type Told = (&'static str, Vec<(&'static str, u64)>);

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn libc_allocator() -> Option<Told> {
    super::allocator::libc()
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn libc_allocator() -> Option<Told> {
    None
}
