//! A worker's pool of byte buffers (req 7.3).
//!
//! Buffers of heads and bodies are large and used by every call, so they are kept; a buffer that
//! grew past the cap is freed instead, and the pool itself is bounded, so one burst cannot pin
//! memory.

use crate::metrics::WorkerMetrics;
use std::cell::RefCell;
use std::sync::Arc;

/// A buffer larger than this is not kept.
pub const KEEP_MAX_BYTES: usize = 64 * 1024;
/// Buffers kept per worker.
pub const KEEP_MAX: usize = 256;
/// Capacity of a fresh buffer: most heads and bodies fit, one read fills it.
pub const FRESH_BYTES: usize = 4 * 1024;

#[derive(Debug)]
pub struct Buffers {
    kept: RefCell<Vec<Vec<u8>>>,
    metrics: Arc<WorkerMetrics>,
}

impl Buffers {
    pub fn new(metrics: Arc<WorkerMetrics>) -> Self {
        Self {
            kept: RefCell::default(),
            metrics,
        }
    }

    /// An empty buffer with at least `FRESH_BYTES` of capacity.
    pub fn take(&self) -> Vec<u8> {
        if let Some(buffer) = self.kept.borrow_mut().pop() {
            self.metrics.buffer_hits.add(1);
            return buffer;
        }
        self.metrics.buffer_misses.add(1);
        Vec::with_capacity(FRESH_BYTES)
    }

    /// How many are kept, and their bytes.
    pub fn held(&self) -> (usize, usize) {
        let kept = self.kept.borrow();
        (kept.len(), kept.iter().map(Vec::capacity).sum())
    }

    pub fn give(&self, mut buffer: Vec<u8>) {
        let mut kept = self.kept.borrow_mut();
        if (FRESH_BYTES..=KEEP_MAX_BYTES).contains(&buffer.capacity()) && kept.len() < KEEP_MAX {
            buffer.clear();
            kept.push(buffer);
        }
    }
}
