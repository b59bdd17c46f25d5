//! The tail type-check: what a view may take at worst against what it promises (req 4.2, 4.3).
//!
//! The failure prevented is a timeout that can never fire, because the deadline ends the request
//! first, and a request that fills a bulkhead by itself. The strong parts that wait for one another
//! must fit the deadline with their first attempts, one after the other, a list once per round of
//! the fan-out, and where a weak part stands between them, its stand-in after its own call, and
//! beside them what is kept for computed fields; the calls that one request may have in flight must
//! leave a place in every bulkhead.
//! `allow_overcommit` records why a view is right all the same. Python says the same with the lines
//! of the user's code (`_tail.py`); this is the wall that no override or other producer passes.
//!
//! Waits in a bulkhead, retries and hedges happen within the timeout of their call. Without
//! protections there is nothing to check: no deadline is kept and no bulkhead is asked.

use super::{graph, Problems};
use crate::{Blueprint, Part, Protections, Strength, View};

/// Sums of scaled times are not exact; a nanosecond decides nothing.
const ROUNDING_MS: f64 = 1e-6;
const REASON_MAX: usize = 200;
/// The plane runs no view with more; sums of one are not worth the time they take.
const PARTS_MAX: usize = 64;

/// Checks a blueprint in which everything else is sound.
pub(super) fn check_tail(blueprint: &Blueprint, problems: &mut Problems) {
    for (index, view) in blueprint.views.iter().enumerate() {
        let path = format!("views[{index}]");
        if let Some(reason) = &view.allow_overcommit {
            check_reason(&path, reason, problems);
        } else if blueprint.protections == Protections::On && view.parts.len() <= PARTS_MAX {
            let needs = graph::needs_of(view);
            check_time(&path, view, &needs, blueprint, problems);
            check_places(&path, view, &needs, blueprint, problems);
        }
    }
}

fn check_reason(path: &str, reason: &str, problems: &mut Problems) {
    let length = reason.chars().count();
    let plain = !reason.trim().is_empty() && !reason.contains(char::is_control);
    if !plain || length > REASON_MAX {
        let help = format!("one line of at most {REASON_MAX} characters that says why it is right");
        problems.add(format!("{path}.allow_overcommit"), "it is no reason", help);
    }
}

/// A chain of parts that wait for one another, with what its timeouts add up to.
#[derive(Debug, Clone, Default)]
struct Chain {
    ms: f64,
    parts: Vec<usize>,
}

fn check_time(
    path: &str,
    view: &View,
    needs: &[Vec<usize>],
    blueprint: &Blueprint,
    problems: &mut Problems,
) {
    let chains = chains(view, needs, blueprint);
    let strong = view.parts.iter().zip(chains);
    let strong = strong.filter(|(part, _)| part.strength == Strength::Strong);
    let Some((_, longest)) = strong.max_by(|(_, a), (_, b)| a.ms.total_cmp(&b.ms)) else {
        return;
    };
    let kept = view.computed.as_ref().map_or(0.0, |one| one.time_ms);
    if longest.ms + kept <= view.deadline_ms + ROUNDING_MS {
        return;
    }
    let terms = longest.parts.iter().map(|index| {
        let part = &view.parts[*index];
        let (timeout, rounds) = (timeout(part, blueprint), rounds(part, view));
        let times = if rounds > 1 {
            format!(" x {rounds} rounds")
        } else {
            String::new()
        };
        let other = stand_in(part, blueprint);
        let other = if other > 0.0 {
            format!(" + its stand-in {other} ms")
        } else {
            String::new()
        };
        format!("{} {timeout} ms{times}{other}", part.name)
    });
    let computed = if kept > 0.0 {
        format!(" + computed fields {kept} ms")
    } else {
        String::new()
    };
    let message = format!(
        "the strong parts need {}{computed}, in all {} ms; the deadline is {} ms",
        terms.collect::<Vec<_>>().join(" + "),
        longest.ms + kept,
        view.deadline_ms
    );
    let help = "shorten a timeout, cap a list, raise the deadline or set allow_overcommit";
    problems.add(format!("{path}.deadline_ms"), message, help);
}

/// By part, the longest chain of timeouts that ends in it.
fn chains(view: &View, needs: &[Vec<usize>], blueprint: &Blueprint) -> Vec<Chain> {
    let mut found: Vec<Chain> = vec![Chain::default(); view.parts.len()];
    for index in graph::in_order(needs) {
        let before = needs[index].iter().map(|other| &found[*other]);
        let before = before.max_by(|a, b| a.ms.total_cmp(&b.ms));
        let mut chain = before.cloned().unwrap_or_default();
        let part = &view.parts[index];
        chain.ms += timeout(part, blueprint) * f64::from(rounds(part, view));
        chain.ms += stand_in(part, blueprint);
        chain.parts.push(index);
        found[index] = chain;
    }
    found
}

fn timeout(part: &Part, blueprint: &Blueprint) -> f64 {
    let upstream = blueprint.upstream(&part.upstream);
    let own = part.timeout_ms;
    own.unwrap_or_else(|| upstream.map_or(0.0, |upstream| upstream.timeout_ms))
}

/// What the call that stands in may take, after the part's own has taken all its time.
fn stand_in(part: &Part, blueprint: &Blueprint) -> f64 {
    let other = part.otherwise.as_ref();
    let upstream = other.and_then(|other| blueprint.upstream(&other.upstream));
    upstream.map_or(0.0, |upstream| upstream.timeout_ms)
}

/// How many calls of `part` follow one another: a list longer than the fan-out takes turns.
fn rounds(part: &Part, view: &View) -> u16 {
    let each = part.each.as_ref();
    each.map_or(1, |each| each.items_max.div_ceil(view.fanout.max(1)))
}

/// One request must leave a place in every bulkhead it uses. A bulkhead of one is let be where a
/// request has one call at a time: nobody could leave a place of it.
fn check_places(
    path: &str,
    view: &View,
    needs: &[Vec<usize>],
    blueprint: &Blueprint,
    problems: &mut Problems,
) {
    let before = graph::all_before(needs);
    for upstream in &blueprint.upstreams {
        let mine = calls_of(view, &upstream.name);
        let most = in_flight(view, &mine, &before);
        if most > 1 && most >= upstream.bulkhead.limit {
            let message = format!(
                "one request may take {most} places of upstream `{}`, which has {}",
                upstream.name, upstream.bulkhead.limit
            );
            let help = "raise the bulkhead, lower the fan-out or a list's items_max, or set \
                        allow_overcommit";
            problems.add(format!("{path}.fanout"), message, help);
        }
    }
}

/// The parts that call this upstream, and with how many calls. A stand-in is one call in the place
/// of its part, whose own goes to another upstream.
fn calls_of(view: &View, upstream: &str) -> Vec<(usize, u32)> {
    let calls = |part: &Part| {
        if part.upstream == upstream {
            let each = part.each.as_ref();
            return Some(each.map_or(1, |each| u32::from(each.items_max)));
        }
        let other = part.otherwise.as_ref();
        other.filter(|other| other.upstream == upstream).map(|_| 1)
    };
    let parts = view.parts.iter().enumerate();
    parts
        .filter_map(|(index, part)| Some((index, calls(part)?)))
        .collect()
}

/// The most of the calls `mine` that one request has in flight at once.
///
/// Parts of which one waits for the other never run together, so the calls that do are the heaviest
/// set of parts that do not wait for one another. By Dilworth's theorem it weighs as much as the
/// fewest chains that cover every call: all calls, less those that can follow another one.
fn in_flight(view: &View, mine: &[(usize, u32)], before: &[u64]) -> u32 {
    let weights: Vec<u32> = mine.iter().map(|(_, calls)| *calls).collect();
    let mut flow = Followers {
        follows: mine
            .iter()
            .map(|(one, _)| {
                let after = |other: &usize| before[mine[*other].0] & graph::bit(*one) != 0;
                (0..mine.len()).filter(after).collect()
            })
            .collect(),
        open: weights.clone(),
        sent: vec![vec![0; mine.len()]; mine.len()],
    };
    let mut followers = 0;
    for (index, weight) in weights.iter().enumerate() {
        let mut free = *weight;
        while free > 0 {
            let amount = flow.augment(index, free, &mut vec![false; mine.len()]);
            if amount == 0 {
                break;
            }
            free -= amount;
            followers += amount;
        }
    }
    let most: u32 = weights.iter().sum();
    (most - followers).min(u32::from(view.fanout))
}

/// A maximum flow from calls to those that may follow them.
struct Followers {
    follows: Vec<Vec<usize>>,
    /// Calls of each part that follow nothing yet.
    open: Vec<u32>,
    sent: Vec<Vec<u32>>,
}

impl Followers {
    /// Sends up to `amount` from `from`, moving what others sent where they have another way. It
    /// goes no deeper than there are parts of one view.
    fn augment(&mut self, from: usize, amount: u32, seen: &mut Vec<bool>) -> u32 {
        for other in self.follows[from].clone() {
            if std::mem::replace(&mut seen[other], true) {
                continue;
            }
            let mut moved = amount.min(self.open[other]);
            self.open[other] -= moved;
            for rival in 0..self.follows.len() {
                let held = self.sent[rival][other];
                if moved == 0 && rival != from && held > 0 {
                    moved = self.augment(rival, amount.min(held), seen);
                    self.sent[rival][other] -= moved;
                }
            }
            if moved > 0 {
                self.sent[from][other] += moved;
                return moved;
            }
        }
        0
    }
}
