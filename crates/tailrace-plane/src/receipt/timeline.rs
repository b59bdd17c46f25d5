//! A request's duration, cut into the steps of its critical path.
//!
//! The failure prevented is a breakdown that does not add up. The cutting goes forward along the
//! path with one mark; every step ends at or after the one before it and at or before the end, so
//! whatever the notes say, the steps follow one another without gap or overlap and their sum is the
//! duration, to the nanosecond (req 3.6).

use super::bill::Receipt;
use super::calls::CallBill;
use super::path::Node;
use super::step::Step;
use crate::program::PARTS_MAX;
use tailrace_policy::Nanos;

/// One step of the critical path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    pub step: Step,
    /// The part it is of; for a handler's call, the upstream.
    pub part: Option<u16>,
    pub from: Nanos,
    pub to: Nanos,
}

impl Segment {
    pub fn took(&self) -> Nanos {
        self.to - self.from
    }
}

/// The steps of one request, in order. Its owner may use it again.
#[derive(Debug, Default)]
pub struct Timeline {
    segments: Vec<Segment>,
    nodes: Vec<Node>,
    at: Nanos,
    end: Nanos,
}

impl Timeline {
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Cuts up a finished receipt.
    pub fn cut(&mut self, receipt: &Receipt) {
        self.segments.clear();
        self.at = receipt.started;
        self.end = receipt.ended.max(receipt.started);
        if receipt.fanned == 0 {
            // Refused without a call.
            self.to(Step::Admission, None, self.end);
            return;
        }
        self.to(Step::Admission, None, receipt.fanned);
        if receipt.handler {
            self.handler(receipt);
        } else {
            self.view(receipt);
        }
        self.to(Step::Reply, None, self.end);
    }

    /// Moves the mark; nothing is added for no time.
    fn to(&mut self, step: Step, part: Option<u16>, to: Nanos) {
        let to = to.clamp(self.at, self.end);
        if to > self.at {
            self.segments.push(Segment {
                step,
                part,
                from: self.at,
                to,
            });
            self.at = to;
        }
    }

    /// The parts of the path, one after the other.
    fn view(&mut self, receipt: &Receipt) {
        let mut nodes = std::mem::take(&mut self.nodes);
        let graph = receipt.graph(&mut nodes);
        for part in graph.path().parts() {
            let node = graph.nodes[part];
            self.to(Step::Engine, None, node.ready);
            self.part(receipt, part as u16, node);
        }
        self.nodes = nodes;
        self.to(Step::Engine, None, receipt.done);
        self.to(Step::Python, None, receipt.computed);
    }

    /// One part: the call that was last to land, and before it, where one had failed, the call it
    /// stands in for.
    fn part(&mut self, receipt: &Receipt, part: u16, node: Node) {
        let mut chain: [Option<&CallBill>; 2] = [None; 2];
        let mut end = node.done;
        for place in &mut chain {
            let own = receipt.calls.bills().iter();
            let own = own.filter(|bill| bill.part == part && bill.ended <= end);
            let Some(last) = own.max_by_key(|bill| bill.ended) else {
                break;
            };
            *place = Some(last);
            end = last.ready;
            if !last.other {
                break;
            }
        }
        for bill in chain.iter().rev().flatten() {
            self.call(receipt, bill);
        }
        // Never called, or failed and its stand-in never called: the cap was reached until there
        // was no time left.
        let bill = receipt.parts.get(usize::from(part));
        let failed = bill.is_some_and(|bill| bill.failed.is_some());
        let waited = failed || chain[0].is_none();
        let rest = if waited { Step::Fanout } else { Step::Engine };
        self.to(rest, Some(part), node.done);
    }

    /// The calls that a handler's code waited for, and the code between them.
    fn handler(&mut self, receipt: &Receipt) {
        let mut path: [Option<&CallBill>; PARTS_MAX] = [None; PARTS_MAX];
        let mut end = receipt.done;
        for place in &mut path {
            let before = receipt.calls.bills().iter();
            // A call of no time would be found for ever.
            let before = before.filter(|bill| bill.ended <= end && bill.ready < bill.ended);
            let Some(last) = before.max_by_key(|bill| (bill.ended, std::cmp::Reverse(bill.ready)))
            else {
                break;
            };
            *place = Some(last);
            end = last.ready;
        }
        for bill in path.into_iter().rev().flatten() {
            self.to(Step::Python, None, bill.ready);
            self.call(receipt, bill);
        }
        self.to(Step::Python, None, receipt.done);
    }

    fn call(&mut self, receipt: &Receipt, bill: &CallBill) {
        let part = Some(bill.part);
        self.to(Step::Fanout, part, bill.started);
        // A time that was not reached ends the step that was under way.
        let reached = |at: Nanos| if at == 0 { bill.ended } else { at };
        let mark = receipt.calls.decided(bill);
        if bill.queued > 0 {
            self.to(Step::Bulkhead, part, reached(bill.permitted));
        }
        let Some(mark) = mark else {
            // From the cache, through a fetch that is another's, or refused before an attempt.
            let step = if bill.permitted > 0 {
                Step::Attempts
            } else {
                Step::Cache
            };
            return self.to(step, part, bill.ended);
        };
        // Its own fetch runs in a task apart, whose first poll comes a little later.
        let before = if bill.shared {
            Step::Cache
        } else {
            Step::Attempts
        };
        self.to(before, part, mark.start);
        self.to(Step::Connect, part, reached(mark.connected));
        self.to(Step::Send, part, reached(mark.dispatched));
        self.to(Step::Upstream, part, reached(mark.first_byte));
        self.to(Step::Body, part, reached(mark.end));
        // What another attempt might still have taken: the pause before one that was refused.
        self.to(Step::Attempts, part, bill.ended);
    }
}

#[cfg(test)]
mod tests {
    use super::Timeline;
    use crate::receipt::tally::{Kind, Tally};
    use crate::receipt::{Calls, PartBill, Receipt, Step, Whose};
    use crate::source::Source;
    use proptest::prelude::*;
    use tailrace_policy::Nanos;

    fn whose(part: usize, other: bool) -> Whose {
        Whose {
            part,
            item: 0,
            method: crate::h1::Method::Get,
            upstream: part,
            other,
        }
    }

    /// Adds a call of one attempt: ready, started, queued, permitted, then the attempt's times.
    fn add(calls: &mut Calls, whose: Whose, times: [Nanos; 9]) {
        let [ready, started, queued, permitted, start, connected, sent, byte, end] = times;
        let tally = Tally::default();
        tally.begin(ready, started);
        tally.queued.set(queued);
        tally.permitted.set(permitted);
        let noted = tally.attempt(Kind::First, 0, start);
        if connected > 0 {
            noted.connected(true, connected);
        }
        if sent > 0 {
            noted.dispatched(1, sent);
        }
        if byte > 0 {
            noted.read(1, byte);
        }
        if byte > 0 && end > 0 {
            noted.ended(200, None, end);
        }
        calls.add(whose, &tally, end, Some((Source::Fresh, None)));
    }

    fn steps(receipt: &Receipt) -> Vec<(Step, Option<u16>, Nanos)> {
        let mut timeline = Timeline::default();
        timeline.cut(receipt);
        let segments = timeline.segments().iter();
        segments
            .map(|one| (one.step, one.part, one.took()))
            .collect()
    }

    fn part(ready: Nanos, done: Nanos, needs: u64) -> PartBill {
        PartBill {
            ready,
            done,
            needs,
            ..PartBill::default()
        }
    }

    // `user` needs `order`; both are on the path, and every step has its own time.
    #[test]
    fn the_steps_of_a_view_follow_its_path() {
        let mut receipt = Receipt {
            started: 1_000,
            fanned: 1_010,
            done: 1_300,
            ended: 1_320,
            parts: vec![
                part(1_010, 1_100, 0),
                part(1_100, 1_300, 0b1),
                part(1_010, 1_250, 0),
            ],
            ..Receipt::default()
        };
        let calls = &mut receipt.calls;
        let order = [1_010, 1_010, 0, 1_010, 1_010, 1_020, 1_020, 1_090, 1_100];
        add(calls, whose(0, false), order);
        let stock = [1_010, 1_010, 0, 1_010, 1_010, 1_010, 1_010, 1_240, 1_250];
        add(calls, whose(2, false), stock);
        let user = [
            1_100, 1_105, 1_105, 1_145, 1_145, 1_145, 1_146, 1_300, 1_300,
        ];
        add(calls, whose(1, false), user);
        let expected = [
            (Step::Admission, None, 10),
            (Step::Connect, Some(0), 10),
            (Step::Upstream, Some(0), 70),
            (Step::Body, Some(0), 10),
            (Step::Fanout, Some(1), 5),
            (Step::Bulkhead, Some(1), 40),
            (Step::Send, Some(1), 1),
            (Step::Upstream, Some(1), 154),
            (Step::Reply, None, 20),
        ];
        assert_eq!(steps(&receipt), expected);
    }

    // A failed call and the one that stands in for it both count to the part.
    #[test]
    fn a_part_with_another_call_is_both() {
        let mut receipt = Receipt {
            started: 100,
            fanned: 100,
            done: 190,
            ended: 190,
            parts: vec![part(100, 190, 0)],
            ..Receipt::default()
        };
        let calls = &mut receipt.calls;
        add(
            calls,
            whose(0, false),
            [100, 100, 0, 100, 100, 100, 100, 0, 150],
        );
        add(
            calls,
            whose(0, true),
            [150, 150, 0, 150, 150, 150, 150, 185, 190],
        );
        let expected = [
            (Step::Upstream, Some(0), 50),
            (Step::Upstream, Some(0), 35),
            (Step::Body, Some(0), 5),
        ];
        assert_eq!(steps(&receipt), expected);
    }

    // Between a handler's calls is Python; of two at the same time the later end decides.
    #[test]
    fn what_a_handler_does_between_its_calls_is_python() {
        let mut receipt = Receipt {
            handler: true,
            started: 0,
            fanned: 5,
            done: 100,
            ended: 101,
            ..Receipt::default()
        };
        let calls = &mut receipt.calls;
        add(calls, whose(3, false), [10, 10, 0, 10, 10, 10, 10, 38, 40]);
        add(calls, whose(4, false), [10, 10, 0, 10, 10, 10, 10, 20, 20]);
        add(calls, whose(1, false), [55, 55, 0, 55, 55, 55, 55, 90, 90]);
        let expected = [
            (Step::Admission, None, 5),
            (Step::Python, None, 5),
            (Step::Upstream, Some(3), 28),
            (Step::Body, Some(3), 2),
            (Step::Python, None, 15),
            (Step::Upstream, Some(1), 35),
            (Step::Python, None, 10),
            (Step::Reply, None, 1),
        ];
        assert_eq!(steps(&receipt), expected);
    }

    prop_compose! {
        /// Times as no run could note them: what is cut must add up all the same.
        fn receipts()(
            times in proptest::collection::vec(0..2_000_u64, 5),
            handler: bool,
            parts in proptest::collection::vec((0..2_000_u64, 0..2_000_u64, any::<u64>()), 0..7),
            calls in proptest::collection::vec(
                (0..7_usize, any::<bool>(), proptest::array::uniform9(0..2_000_u64)), 0..12),
            stop in proptest::option::of(0..7_u16),
        ) -> Receipt {
            let mut receipt = Receipt {
                handler,
                started: times[0],
                fanned: times[1],
                done: times[2],
                ended: times[0].max(times[3]),
                ..Receipt::default()
            };
            for (index, (ready, done, needs)) in parts.iter().enumerate() {
                // Needs point back: a blueprint has no cycles.
                let earlier = (1_u64 << index) - 1;
                receipt.parts.push(part(*ready, *done, needs & earlier));
            }
            receipt.stop = stop.filter(|part| usize::from(*part) < receipt.parts.len());
            for (part, other, times) in calls {
                add(&mut receipt.calls, whose(part, other), times);
            }
            receipt
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        // req 3.6: the steps are the duration, to the nanosecond, one after the other.
        #[test]
        fn the_steps_add_up_to_the_duration_exactly(receipt in receipts()) {
            let mut timeline = Timeline::default();
            timeline.cut(&receipt);
            let mut at = receipt.started;
            for segment in timeline.segments() {
                prop_assert_eq!(segment.from, at, "no gap, no overlap");
                prop_assert!(segment.to > segment.from);
                at = segment.to;
            }
            let sum: Nanos = timeline.segments().iter().map(super::Segment::took).sum();
            prop_assert_eq!(sum, receipt.duration());
        }
    }
}
