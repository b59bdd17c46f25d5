//! Receipts of simulated runs: what they say is what happened (req 3.5, 3.6).
//!
//! A simulation spends no time of its own, so a request's whole duration is waiting that its
//! receipt must name. Whatever the story: the steps are the duration, the times of each call and
//! attempt are in order, the graph run again ends when the request did, and nothing is left that no
//! part and no limit explains.

use crate::receipt::{Receipt, Segment, Step, Timeline};
use crate::shared::Shared;
use tailrace_policy::Nanos;

/// Checks all receipts that the workers keep; returns how many there were.
pub fn check(shared: &Shared) -> usize {
    let mut timeline = Timeline::default();
    let mut count = 0;
    for shelf in &shared.shelves {
        for receipt in shelf.find(usize::MAX, false, |_| true) {
            count += 1;
            steps(&receipt, &mut timeline);
            ends(&receipt);
            calls(&receipt);
        }
    }
    count
}

/// The duration of each kept receipt whose request id is `id`.
pub fn durations(shared: &Shared, id: &str) -> Vec<Nanos> {
    let shelves = shared.shelves.iter();
    let found = shelves.flat_map(|shelf| shelf.find(9, false, |one| one.id() == id.as_bytes()));
    found.map(|one| one.duration()).collect()
}

fn steps(receipt: &Receipt, timeline: &mut Timeline) {
    timeline.cut(receipt);
    let segments = timeline.segments();
    let sum: Nanos = segments.iter().map(Segment::took).sum();
    assert_eq!(sum, receipt.duration(), "{receipt:?}");
    let idle = [Step::Engine, Step::Reply, Step::Admission, Step::Python];
    let unexplained = segments.iter().find(|one| idle.contains(&one.step));
    assert_eq!(unexplained, None, "{receipt:?}");
}

/// What needs, durations and the part that stopped it say is when it was done.
fn ends(receipt: &Receipt) {
    let mut nodes = Vec::new();
    let graph = receipt.graph(&mut nodes);
    if receipt.status != 499 && !graph.nodes.is_empty() {
        assert_eq!(graph.end(), receipt.done, "{receipt:?}");
    }
}

fn calls(receipt: &Receipt) {
    let begun = (receipt.started, receipt.fanned);
    assert!(begun.0 <= begun.1 && begun.1 <= receipt.done && receipt.done <= receipt.ended);
    for bill in receipt.calls.bills() {
        let permitted = if bill.permitted == 0 {
            bill.started
        } else {
            bill.permitted
        };
        let times = [
            receipt.fanned,
            bill.ready,
            bill.started,
            permitted,
            bill.ended,
        ];
        assert!(times.is_sorted(), "{times:?} {receipt:?}");
        for mark in receipt.calls.marks(bill) {
            let reached = [
                mark.start,
                mark.connected,
                mark.dispatched,
                mark.first_byte,
                mark.end,
            ];
            let reached = reached.into_iter().filter(|at| *at > 0);
            let times: Vec<_> = std::iter::once(bill.started)
                .chain(reached)
                .chain([bill.ended])
                .collect();
            assert!(times.is_sorted(), "{times:?} {receipt:?}");
        }
    }
}
