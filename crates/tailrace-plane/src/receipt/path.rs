//! The critical path of a request, exact, from the graph of its parts (req 3.5).
//!
//! The failure prevented is a guess: of ten calls that overlap, the slowest need not be the one
//! that decided. A part becomes ready when the last of its needs is done, so the path of a part
//! goes through that need, and the path of a request through the part that ended it. What a part
//! would save had it taken no time is found by running the graph again without it, every other
//! duration as it was: what stands second in line is then seen too.
//!
//! A handler's calls have no declared graph. There the predecessor of a call is the last one that
//! had ended when it was asked for: code that did not wait for it could have asked earlier
//! (`timeline`).
//!
//! Limits: fan-out waits are part of a part's duration; a saving does not say what they had become.

use crate::program::PARTS_MAX;
use tailrace_policy::Nanos;

/// A part, as far as the graph goes. `done` is never before `ready`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Node {
    pub ready: Nanos,
    pub done: Nanos,
    /// Bit per part that had to be done first.
    pub needs: u64,
}

/// Parts of one request and what ended it.
#[derive(Debug, Clone, Copy)]
pub struct Graph<'a> {
    pub nodes: &'a [Node],
    /// When the first part could start.
    pub start: Nanos,
    /// The part whose failure ended the request; none when all had to be done.
    pub stop: Option<usize>,
}

/// Indices of parts, first to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    parts: [u8; PARTS_MAX],
    len: usize,
}

impl Path {
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = usize> + '_ {
        self.parts[..self.len].iter().map(|part| usize::from(*part))
    }
}

impl Graph<'_> {
    /// The parts that decided when the last was done. Of several that were done at the same time
    /// it is the first one.
    pub fn path(&self) -> Path {
        let mut path = Path {
            parts: [0; PARTS_MAX],
            len: 0,
        };
        let mut next = self.stop.or_else(|| self.last(u64::MAX));
        while let Some(part) = next {
            if path.len == PARTS_MAX {
                break;
            }
            path.parts[path.len] = part as u8;
            path.len += 1;
            next = self.last(self.nodes[part].needs);
        }
        path.parts[..path.len].reverse();
        path
    }

    /// The part among `these` that was done last; of several the first.
    fn last(&self, these: u64) -> Option<usize> {
        let mut last: Option<usize> = None;
        for (index, node) in self.nodes.iter().enumerate() {
            let later = last.is_none_or(|one| node.done > self.nodes[one].done);
            if these & bit(index) != 0 && later {
                last = Some(index);
            }
        }
        last
    }

    /// When the parts were over, had `part` taken no time.
    fn end_without(&self, part: Option<usize>) -> Nanos {
        let mut ends = [0; PARTS_MAX];
        let all = self.all();
        let mut known = 0_u64;
        // A part may stand before the one it needs: again, until nothing moves.
        loop {
            let before = known;
            for (index, node) in self.nodes.iter().enumerate() {
                if known & bit(index) != 0 || node.needs & all & !known != 0 {
                    continue;
                }
                known |= bit(index);
                let (mut was, mut is) = (self.start, self.start);
                for need in bits(node.needs & all) {
                    was = was.max(self.nodes[need].done);
                    is = is.max(ends[need]);
                }
                let gap = node.ready.saturating_sub(was);
                let took = match part {
                    Some(part) if part == index => 0,
                    _ => node.done.saturating_sub(node.ready),
                };
                ends[index] = is + gap + took;
            }
            if known == before {
                break;
            }
        }
        match self.stop {
            Some(stop) => ends[stop],
            None => ends.into_iter().max().unwrap_or(0).max(self.start),
        }
    }

    /// When the parts were over, by their needs and durations.
    #[cfg(test)]
    pub fn end(&self) -> Nanos {
        self.end_without(None)
    }

    /// How much earlier the request had ended, had this part taken no time.
    pub fn saving(&self, part: usize) -> Nanos {
        let without = self.end_without(Some(part));
        self.end_without(None).saturating_sub(without)
    }

    fn all(&self) -> u64 {
        match self.nodes.len() {
            PARTS_MAX => u64::MAX,
            count => bit(count) - 1,
        }
    }
}

fn bit(index: usize) -> u64 {
    1 << index
}

fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let index = set.trailing_zeros();
        set &= set.wrapping_sub(1);
        (index < u64::BITS).then_some(index as usize)
    })
}

#[cfg(test)]
mod tests {
    use super::{bit, bits, Graph, Node};
    use proptest::prelude::*;
    use tailrace_policy::Nanos;

    /// What the parts of a made-up view need, and take.
    #[derive(Debug, Clone)]
    struct Made {
        needs: Vec<u64>,
        gaps: Vec<Nanos>,
        took: Vec<Nanos>,
    }

    /// Graphs without a cycle, whose parts stand in any order.
    fn made() -> impl Strategy<Value = Made> {
        (1_usize..9).prop_flat_map(|count| {
            let each = || proptest::collection::vec(0..=6_u64, count);
            let chance = proptest::collection::vec(any::<u64>(), count);
            let order = Just((0..count).collect::<Vec<_>>()).prop_shuffle();
            (chance, order, each(), each()).prop_map(move |(chance, order, gaps, took)| {
                let mut needs = vec![0; count];
                for (place, part) in order.iter().enumerate() {
                    let earlier = order[..place].iter().map(|one| bit(*one));
                    needs[*part] = earlier.sum::<u64>() & chance[*part];
                }
                Made { needs, gaps, took }
            })
        })
    }

    impl Made {
        /// Runs it: when each part was ready and done.
        fn nodes(&self, start: Nanos) -> Vec<Node> {
            let count = self.needs.len();
            let mut nodes = vec![None; count];
            while nodes.iter().any(Option::is_none) {
                for part in 0..count {
                    let needs: Option<Vec<Node>> =
                        bits(self.needs[part]).map(|one| nodes[one]).collect();
                    if let Some(needs) = needs {
                        let after = needs.iter().map(|node| node.done).max().unwrap_or(start);
                        let ready = after + self.gaps[part];
                        let done = ready + self.took[part];
                        let needs = self.needs[part];
                        nodes[part] = Some(Node { ready, done, needs });
                    }
                }
            }
            nodes.into_iter().flatten().collect()
        }

        /// Brute force: the longest of all ways that end in `part`.
        fn longest(&self, part: usize) -> Nanos {
            let before = bits(self.needs[part]).map(|need| self.longest(need));
            before.max().unwrap_or(0) + self.gaps[part] + self.took[part]
        }

        fn longest_of_all(&self, stop: Option<usize>) -> Nanos {
            let all = (0..self.needs.len()).map(|part| self.longest(part));
            stop.map_or_else(|| all.max().unwrap_or(0), |part| self.longest(part))
        }

        fn ends_in(&self, stop: bool, chosen: prop::sample::Index) -> Option<usize> {
            stop.then(|| chosen.index(self.needs.len()))
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        // req 3.5: the path is as long as the longest way through the graph, and each of its parts
        // waited for the one before it.
        #[test]
        fn the_path_is_the_longest_way(
            made in made(),
            start in 0..100_u64,
            stop: bool,
            chosen: prop::sample::Index,
        ) {
            let nodes = made.nodes(start);
            let stop = made.ends_in(stop, chosen);
            let graph = Graph { nodes: &nodes, start, stop };
            let path: Vec<_> = graph.path().parts().collect();
            let length: Nanos = path.iter().map(|one| made.gaps[*one] + made.took[*one]).sum();
            prop_assert_eq!(length, made.longest_of_all(stop));
            prop_assert_eq!(nodes[path[0]].needs, 0);
            for pair in path.windows(2) {
                prop_assert!(made.needs[pair[1]] & bit(pair[0]) != 0);
                prop_assert_eq!(nodes[pair[1]].ready, nodes[pair[0]].done + made.gaps[pair[1]]);
            }
        }

        // A saving is what brute force finds when the part takes no time.
        #[test]
        fn a_saving_is_what_running_it_again_without_the_part_gives(
            made in made(),
            start in 0..100_u64,
            stop: bool,
            chosen: prop::sample::Index,
        ) {
            let nodes = made.nodes(start);
            let stop = made.ends_in(stop, chosen);
            let graph = Graph { nodes: &nodes, start, stop };
            let path: Vec<_> = graph.path().parts().collect();
            for part in 0..nodes.len() {
                let mut without = made.clone();
                without.took[part] = 0;
                let expected = made.longest_of_all(stop) - without.longest_of_all(stop);
                prop_assert_eq!(graph.saving(part), expected, "part {}", part);
                prop_assert!(expected <= made.took[part]);
                if !path.contains(&part) {
                    prop_assert_eq!(expected, 0, "only the path can shorten");
                }
            }
        }
    }

    fn node(ready: Nanos, done: Nanos, needs: u64) -> Node {
        Node { ready, done, needs }
    }

    // The order view: `user` waits for `order`, `stock` does not; `user` decides, yet without it
    // `stock` is next.
    #[test]
    fn the_second_in_line_limits_the_saving() {
        let nodes = [node(0, 30, 0), node(30, 50, 0b1), node(0, 45, 0)];
        let graph = Graph {
            nodes: &nodes,
            start: 0,
            stop: None,
        };
        assert_eq!(graph.path().parts().collect::<Vec<_>>(), [0, 1]);
        let savings: Vec<_> = (0..3).map(|part| graph.saving(part)).collect();
        assert_eq!(savings, [5, 5, 0]);
        // A strong part that failed at 10 ended it: only its own time counts.
        let failed = Graph {
            stop: Some(2),
            nodes: &[node(0, 10, 0), node(10, 10, 0b1), node(0, 10, 0)],
            start: 0,
        };
        assert_eq!(failed.path().parts().collect::<Vec<_>>(), [2]);
        assert_eq!((failed.saving(2), failed.saving(0)), (10, 0));
    }

    #[test]
    fn two_that_end_together_save_nothing_each() {
        let nodes = [node(0, 40, 0), node(0, 40, 0)];
        let graph = Graph {
            nodes: &nodes,
            start: 0,
            stop: None,
        };
        assert_eq!(graph.path().parts().collect::<Vec<_>>(), [0]);
        assert_eq!((graph.saving(0), graph.saving(1)), (0, 0));
    }

    #[test]
    fn sixty_four_parts_and_none_fit() {
        let nodes: Vec<_> = (0..64_u64)
            .map(|at| node(at, at + 1, if at == 0 { 0 } else { bit(at as usize - 1) }))
            .collect();
        let graph = Graph {
            nodes: &nodes,
            start: 0,
            stop: None,
        };
        assert_eq!(graph.path().parts().count(), 64);
        assert_eq!(graph.saving(63), 1);
        let none = Graph {
            nodes: &[],
            start: 7,
            stop: None,
        };
        assert_eq!(none.path().parts().count(), 0);
    }
}
