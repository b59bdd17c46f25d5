//! The reference: what a plan's reply must be, on one page (RELIABILITY A02, req 8.1).
//!
//! It knows what strong and weak mean, that a part starts when its needs are met, the fan-out cap,
//! timeouts and the deadline. It knows no socket, no bytes, no future and no slot.

use super::plan::{fallback, value, Outcome, Part, Plan, OTHER, OTHER_TIMEOUT};
use serde_json::Value;
use std::collections::VecDeque;

/// Kept back for writing the reply, and what is not worth sending.
const RESERVE: u64 = 2;
const BUDGET_MIN: u64 = 1;

type Landed = Result<Option<Value>, &'static str>;

#[derive(Debug, Default)]
pub struct Expected {
    pub at: u64,
    /// Empty for a reply; otherwise each strong part that may be named, with its reason.
    pub stops: Vec<(usize, &'static str)>,
    pub values: Vec<Option<Value>>,
    pub failed: Vec<Option<&'static str>>,
    /// The part's value is that of its stand-in (req 8.3).
    pub other: Vec<bool>,
    /// When each call of a part was sent.
    pub sent: Vec<Vec<u64>>,
    /// Two things happened in the same millisecond of which one was a timer: either may be first.
    pub tie: bool,
}

struct Running {
    end: u64,
    timer: bool,
    part: usize,
    item: usize,
    landed: Landed,
}

struct Reference<'a> {
    plan: &'a Plan,
    seen: Expected,
    started: Vec<bool>,
    /// The part's own call has failed, and its stand-in was asked.
    tried: Vec<bool>,
    items: Vec<Vec<Option<Landed>>>,
    ready: VecDeque<(usize, usize)>,
    running: Vec<Running>,
}

pub fn expect(plan: &Plan) -> Expected {
    let many = plan.parts.len();
    let seen = Expected {
        values: vec![None; many],
        failed: vec![None; many],
        other: vec![false; many],
        sent: vec![Vec::new(); many],
        ..Expected::default()
    };
    let mut state = Reference {
        plan,
        seen,
        started: vec![false; many],
        tried: vec![false; many],
        items: vec![Vec::new(); many],
        ready: VecDeque::new(),
        running: Vec::new(),
    };
    loop {
        while state.seen.stops.is_empty() && (state.unlock() | state.launch()) {}
        let done = state.seen.values.iter().all(Option::is_some);
        if done || !state.seen.stops.is_empty() {
            return state.end();
        }
        let next = state
            .running
            .iter()
            .map(|call| call.end)
            .min()
            .unwrap_or(u64::MAX);
        let over = |call: &mut Running| call.end == next;
        let over: Vec<Running> = state.running.extract_if(.., over).collect();
        state.seen.tie |= over.len() > 1 && over.iter().any(|call| call.timer);
        state.seen.at = next;
        for call in over {
            state.land(call.part, call.item, call.landed);
        }
    }
}

impl Reference<'_> {
    /// Whatever else fails in the moment that ends the request may be named instead.
    fn end(mut self) -> Expected {
        if !self.seen.stops.is_empty() {
            let (now, parts) = (self.seen.at, &self.plan.parts);
            let also = |call: &&Running| call.end == now && parts[call.part].strong;
            let stop = |call: &Running| Some((call.part, call.landed.clone().err()?));
            self.seen
                .stops
                .extend(self.running.iter().filter(also).filter_map(stop));
        }
        self.seen
    }

    /// Parts in declared order: those whose needs are met become calls, or fail without one.
    fn unlock(&mut self) -> bool {
        let mut changed = false;
        for (index, part) in self.plan.parts.iter().enumerate() {
            let needs = || {
                part.reads
                    .iter()
                    .copied()
                    .chain(part.each.map(|each| each.of))
            };
            if self.started[index] || needs().any(|need| self.seen.values[need].is_none()) {
                continue;
            }
            (self.started[index], changed) = (true, true);
            let dependency = needs().any(|need| self.seen.failed[need].is_some());
            let missing = if dependency {
                "dependency"
            } else {
                "bad_reference"
            };
            let value = |need: usize| self.seen.values[need].as_ref().unwrap_or(&Value::Null);
            let unread = part.reads.iter().any(|need| value(*need)["id"].is_null());
            let list = part.each.map(|each| match value(each.of) {
                list @ Value::Array(_) => list,
                value => &value["items"],
            });
            match list.map(|list| list.as_array()) {
                Some(None) => self.fail(index, missing),
                Some(Some(list)) if list.len() > part.each.map_or(0, |each| each.max) => {
                    self.fail(index, "too_many_items");
                }
                Some(Some(list)) if list.is_empty() => {
                    self.seen.values[index] = Some(Value::Array(vec![]));
                }
                Some(Some(list)) if unread || list.iter().any(|item| item["id"].is_null()) => {
                    self.fail(index, missing);
                }
                Some(Some(list)) => {
                    self.items[index] = vec![None; list.len()];
                    self.ready.extend((0..list.len()).map(|item| (index, item)));
                }
                None if unread => self.fail(index, missing),
                None => self.ready.push_back((index, 0)),
            }
            if !self.seen.stops.is_empty() {
                return changed;
            }
        }
        changed
    }

    /// First come, first sent, as far as the fan-out allows.
    fn launch(&mut self) -> bool {
        let mut changed = false;
        while self.running.len() < self.plan.fanout && self.seen.stops.is_empty() {
            let Some((index, item)) = self.ready.pop_front() else {
                break;
            };
            changed = true;
            let part = &self.plan.parts[index];
            let left = self.plan.deadline.saturating_sub(self.seen.at + RESERVE);
            let timeout = match item {
                OTHER => OTHER_TIMEOUT,
                _ => part.timeout,
            };
            let budget = left.min(timeout);
            if budget < BUDGET_MIN {
                self.land(index, item, Err("deadline"));
                continue;
            }
            let (latency, landed) = outcome(part, index, item);
            let timer = latency >= budget;
            let late = if left < timeout {
                "deadline"
            } else {
                "timeout"
            };
            let end = self.seen.at + latency.min(budget);
            // An answer in the very millisecond of its timeout may be either.
            self.seen.tie |= latency == budget;
            let landed = if timer { Err(late) } else { landed };
            self.running.push(Running {
                end,
                timer,
                part: index,
                item,
                landed,
            });
            if !part.dead || item == OTHER {
                self.seen.sent[index].push(self.seen.at);
            }
        }
        changed
    }

    fn land(&mut self, index: usize, item: usize, landed: Landed) {
        let part = &self.plan.parts[index];
        if self.seen.values[index].is_some() {
            return;
        }
        match landed {
            Err(reason) if part.strong || part.each.is_none() => self.fail(index, reason),
            Ok(value) if part.each.is_none() => {
                self.seen.other[index] = item == OTHER;
                self.seen.values[index] = Some(value.unwrap_or_else(|| fallback(part)));
            }
            landed => {
                self.items[index][item] = Some(landed);
                if let Some(all) = self.items[index]
                    .iter()
                    .cloned()
                    .collect::<Option<Vec<_>>>()
                {
                    self.seen.failed[index] = all.iter().any(Result::is_err).then_some("items");
                    let item = |one: Landed| one.ok().flatten().unwrap_or(Value::Null);
                    self.seen.values[index] = Some(all.into_iter().map(item).collect());
                }
            }
        }
    }

    fn fail(&mut self, index: usize, reason: &'static str) {
        let part = &self.plan.parts[index];
        if part.other.is_some() && !self.tried[index] {
            self.tried[index] = true;
            self.seen.failed[index] = Some(reason);
            self.ready.push_back((index, OTHER));
            return;
        }
        // What is said is why the part's own call failed.
        self.seen.failed[index].get_or_insert(reason);
        self.seen.values[index] = Some(fallback(part));
        self.ready.retain(|(part, _)| *part != index);
        if part.strong {
            self.seen.stops.push((index, reason));
        }
    }
}

/// How long a call takes and what it lands with, when nothing stops it.
fn outcome(part: &Part, index: usize, item: usize) -> (u64, Landed) {
    let call = match &part.other {
        Some(other) if item == OTHER => other,
        _ if part.dead => return (0, Err("connect")),
        _ => &part.calls[item],
    };
    let empty = part.nullable || (part.each.is_none() && part.default);
    let landed = match &call.outcome {
        Outcome::Value(list) => Ok(Some(value(index, item, list.as_deref()))),
        Outcome::Empty if empty => Ok(None),
        Outcome::Empty | Outcome::BadJson | Outcome::OtherModel => Err("model_mismatch"),
        Outcome::Status(404) => Err("not_found"),
        Outcome::Status(410) => Err("gone"),
        Outcome::Status(300..400) => Err("redirect"),
        Outcome::Status(400..500) => Err("client_error"),
        Outcome::Status(_) => Err("server_error"),
        Outcome::NotJson => Err("content_type"),
        Outcome::CutShort | Outcome::Closed => Err("reset"),
        Outcome::NoHttp => Err("protocol"),
        Outcome::TooLong => Err("body_too_large"),
        Outcome::Hang => return (u64::MAX, Err("timeout")),
    };
    (call.latency, landed)
}
