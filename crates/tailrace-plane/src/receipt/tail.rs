//! What the slowest requests of each view waited for (req 3.5, 9.1d).
//!
//! The failure prevented is an average that hides the tail: what decides the median request is
//! rarely what decides the slowest hundredth. A request slower than the running P99 of its view is
//! taken apart, and the time each part had on its critical path, with what it would have saved, is
//! added to counters that `why p99` ranks by.
//!
//! The running P99 is exact for the last [`WINDOW`] requests of the view on this worker, computed
//! anew every [`REFRESH`]. Before the first of these no request counts as slow.
//!
//! Limits: counters never fall; a reader of "the last minute" takes a difference.

use super::timeline::Timeline;
use super::{path, Receipt, Step};
use crate::metrics::Count;
use crate::program::{Program, View};
use std::cell::RefCell;
use tailrace_policy::Nanos;

/// Requests the running P99 is of.
pub const WINDOW: usize = 1_024;
/// Requests between two looks at it.
const REFRESH: u32 = 128;

/// Nanoseconds by step.
pub type Steps = [Count; Step::ALL.len()];

fn steps() -> Steps {
    std::array::from_fn(|_| Count::default())
}

/// One part in the tail of its view; for a handler, one upstream.
#[derive(Debug)]
pub struct PartTail {
    /// Slow requests on whose critical path it was.
    pub on_path: Count,
    /// How much earlier those had ended without it.
    pub saving: Count,
    /// Its time on the path.
    pub steps: Steps,
}

/// The tail of one view. One writer: the worker.
#[derive(Debug)]
#[repr(align(128))]
pub struct ViewTail {
    /// Requests that were compared with the running P99.
    pub counted: Count,
    /// Those above it, and their whole duration.
    pub slow: Count,
    pub slow_time: Count,
    /// The running P99; 0 while it is not known.
    pub p99: Count,
    /// Time on the path that is no part's.
    pub steps: Steps,
    pub parts: Vec<PartTail>,
}

impl ViewTail {
    pub fn new(program: &Program, view: &View) -> Self {
        let parts = match view.handler {
            Some(_) => program.upstreams.len(),
            None => view.parts.len(),
        };
        let part = |_| PartTail {
            on_path: Count::default(),
            saving: Count::default(),
            steps: steps(),
        };
        Self {
            counted: Count::default(),
            slow: Count::default(),
            slow_time: Count::default(),
            p99: Count::default(),
            steps: steps(),
            parts: (0..parts).map(part).collect(),
        }
    }

    /// Adds a request of the tail.
    fn add(&self, receipt: &Receipt, scratch: &mut Scratch) {
        self.slow.add(1);
        self.slow_time.add(receipt.duration());
        scratch.timeline.cut(receipt);
        let segments = scratch.timeline.segments();
        for (index, segment) in segments.iter().enumerate() {
            let at = segment.step as usize;
            let part = segment
                .part
                .and_then(|part| self.parts.get(usize::from(part)));
            let Some((part, own)) = segment.part.zip(part) else {
                self.steps[at].add(segment.took());
                continue;
            };
            own.steps[at].add(segment.took());
            let before = segments[..index].iter();
            if !before.map(|one| one.part).any(|one| one == Some(part)) {
                let saved = saving(receipt, part, &scratch.timeline, &mut scratch.nodes);
                own.on_path.add(1);
                own.saving.add(saved);
            }
        }
    }
}

/// How much earlier the request had ended, had the part taken no time. A handler's calls have no
/// graph: there it is the time on the path, the most it can be.
pub fn saving(
    receipt: &Receipt,
    part: u16,
    timeline: &Timeline,
    nodes: &mut Vec<path::Node>,
) -> Nanos {
    if receipt.handler {
        let own = timeline.segments().iter();
        let own = own.filter(|segment| segment.part == Some(part));
        return own.map(super::Segment::took).sum();
    }
    receipt.graph(nodes).saving(usize::from(part))
}

/// Working memory of `ViewTail::add`.
#[derive(Debug, Default)]
struct Scratch {
    timeline: Timeline,
    nodes: Vec<path::Node>,
}

/// The durations of the last requests of one view, in microseconds, and what 99 of 100 stay within.
#[derive(Debug, Default)]
struct Running {
    window: Vec<u32>,
    next: usize,
    until_refresh: u32,
    p99_us: Option<u32>,
}

impl Running {
    /// Adds a duration; what it is to be compared with is from before it.
    fn add(&mut self, us: u32, sorted: &mut Vec<u32>) -> Option<u32> {
        let known = self.p99_us;
        if self.window.len() < WINDOW {
            self.window.push(us);
        } else {
            self.window[self.next] = us;
            self.next = (self.next + 1) % WINDOW;
        }
        self.until_refresh += 1;
        if self.until_refresh >= REFRESH {
            self.until_refresh = 0;
            sorted.clear();
            sorted.extend_from_slice(&self.window);
            let rank = (sorted.len() * 99).div_ceil(100) - 1;
            let (_, p99, _) = sorted.select_nth_unstable(rank);
            self.p99_us = Some(*p99);
        }
        known
    }
}

/// What a worker decides by.
#[derive(Debug, Default)]
pub struct Judge(RefCell<(Vec<Running>, Vec<u32>, Scratch)>);

impl Judge {
    /// Compares a finished request with its view's P99, and takes it apart when it is above; true
    /// then.
    pub fn judge(&self, view: usize, tail: &ViewTail, receipt: &Receipt) -> bool {
        let (running, sorted, scratch) = &mut *self.0.borrow_mut();
        if running.len() <= view {
            running.resize_with(view + 1, Running::default);
        }
        let us = u32::try_from(receipt.duration() / 1_000).unwrap_or(u32::MAX);
        let Some(p99) = running[view].add(us, sorted) else {
            return false;
        };
        tail.counted.add(1);
        tail.p99.set(u64::from(p99) * 1_000);
        let slow = us > p99;
        if slow {
            tail.add(receipt, scratch);
        }
        slow
    }
}

#[cfg(test)]
mod tests {
    use super::{Running, REFRESH, WINDOW};
    use proptest::prelude::*;

    proptest! {
        // The running P99 is the 99th of 100 by rank of what the window holds.
        #[test]
        fn the_running_p99_is_exact_for_its_window(
            durations in proptest::collection::vec(0..1_000_000_u32, 1..3_000),
        ) {
            let (mut running, mut scratch) = (Running::default(), Vec::new());
            for (index, us) in durations.iter().enumerate() {
                let before = index / REFRESH as usize * REFRESH as usize;
                let known = running.add(*us, &mut scratch);
                let expected = (before > 0).then(|| {
                    let mut window = durations[before.saturating_sub(WINDOW)..before].to_vec();
                    window.sort_unstable();
                    window[(window.len() * 99).div_ceil(100) - 1]
                });
                prop_assert_eq!(known, expected, "request {}", index);
            }
            prop_assert!(running.window.len() <= WINDOW);
        }
    }
}
