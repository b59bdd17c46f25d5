//! `GET /receipts` and `GET /why`: what requests cost, and which parts cause the tail.
//!
//! The failure prevented: a question that is answered with something else. A parameter that is not
//! known, or a view that does not exist, is refused, not ignored. Limits: at most [`LIMIT_MAX`]
//! receipts and [`BYTES_MAX`] bytes an answer; one that had to be cut says so.

use super::{json, text, Answer};
use crate::clock;
use crate::h1::{self, RequestHead};
use crate::receipt::shelf::{RECENT, SLOW, TROUBLED};
use crate::receipt::{json as shown, why, Receipt, Shelf};
use crate::shared::Shared;
use serde_json::Value;
use std::cmp::Reverse;
use std::io::Write;
use tailrace_policy::Nanos;

/// Receipts in one answer, when it does not say how many.
const LIMIT_USUAL: usize = 20;
/// More is refused.
const LIMIT_MAX: usize = 200;
/// An answer ends with the receipt that reaches this.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// What was asked for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub view: Option<String>,
    pub slower_than: Nanos,
    /// Milliseconds since the epoch: only what ended at or after it.
    since_ms: u64,
    /// The slowest first, instead of the newest.
    slowest: bool,
    /// Only degraded and failed ones.
    pub troubled: bool,
    limit: usize,
}

pub(super) fn receipts(head: &RequestHead, input: &[u8], shared: &Shared) -> Answer {
    let names = [
        "view",
        "slower_than",
        "since_ms",
        "sort",
        "troubled",
        "limit",
    ];
    match Asked::read(head, input, shared, &names) {
        Ok(asked) => json(list(shared, &asked)),
        Err(why) => text(400, &format!("{why}\n")),
    }
}

pub(super) fn why(head: &RequestHead, input: &[u8], shared: &Shared) -> Answer {
    match Asked::read(head, input, shared, &["view"]) {
        Ok(asked) => {
            let ranking = why::ranking(shared, asked.view.as_deref());
            json(ranking.to_string().into_bytes())
        }
        Err(why) => text(400, &format!("{why}\n")),
    }
}

impl Asked {
    pub fn read(
        head: &RequestHead,
        input: &[u8],
        shared: &Shared,
        known: &[&str],
    ) -> Result<Self, String> {
        let query = head.query.as_ref().map_or(&[][..], |query| query.of(input));
        let mut asked = Self {
            limit: LIMIT_USUAL,
            ..Self::default()
        };
        for (name, value) in h1::query_pairs(query).filter(|(name, _)| !name.is_empty()) {
            let mut decoded = Vec::with_capacity(value.len());
            h1::decode_query_value(value, &mut decoded)
                .map_err(|_| "the query is not well encoded".to_owned())?;
            let value =
                String::from_utf8(decoded).map_err(|_| "the query is no text".to_owned())?;
            let name = String::from_utf8_lossy(name);
            if !known.contains(&name.as_ref()) {
                return Err(format!(
                    "unknown parameter {name:?}; known: {}",
                    known.join(", ")
                ));
            }
            asked.set(&name, value, shared)?;
        }
        Ok(asked)
    }

    fn set(&mut self, name: &str, value: String, shared: &Shared) -> Result<(), String> {
        let bad = |wanted: &str| format!("{name}={value}: {wanted}");
        match name {
            "view" => {
                let program = shared.program();
                if !program.views.iter().any(|view| view.name == value) {
                    let names: Vec<_> = program.views.iter().map(|v| v.name.as_str()).collect();
                    return Err(bad(&format!(
                        "no such view; there are: {}",
                        names.join(", ")
                    )));
                }
                self.view = Some(value);
            }
            "slower_than" => {
                let nanos = duration(&value);
                self.slower_than = nanos.ok_or_else(|| bad("a duration like 200ms or 1.5s"))?;
            }
            "since_ms" => {
                let since = value.parse().ok();
                self.since_ms = since.ok_or_else(|| bad("milliseconds since the epoch"))?;
            }
            "sort" => match value.as_str() {
                "newest" => self.slowest = false,
                "slowest" => self.slowest = true,
                _ => return Err(bad("newest or slowest")),
            },
            "troubled" => match value.as_str() {
                "1" => self.troubled = true,
                "0" => self.troubled = false,
                _ => return Err(bad("1 or 0")),
            },
            _ => {
                let limit = value
                    .parse()
                    .ok()
                    .filter(|one| (1..=LIMIT_MAX).contains(one));
                self.limit =
                    limit.ok_or_else(|| bad(&format!("a number from 1 to {LIMIT_MAX}")))?;
            }
        }
        Ok(())
    }
}

/// A duration with its unit.
fn duration(text: &str) -> Option<Nanos> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1.0),
        None => (text.strip_suffix('s')?, 1_000.0),
    };
    let number: f64 = number.parse().ok()?;
    (number.is_finite() && (0.0..=1e9).contains(&number)).then(|| clock::from_ms(number * unit))
}

fn list(shared: &Shared, asked: &Asked) -> Vec<u8> {
    let program = shared.program();
    let view = asked.view.as_ref();
    let view = view.map(|name| program.views.iter().position(|view| view.name == *name));
    let wanted = |one: &Receipt| {
        one.duration() >= asked.slower_than
            && one.epoch_ms >= asked.since_ms
            && view.is_none_or(|view| view == one.view.map(usize::from))
            && (!asked.troubled || one.is_troubled())
    };
    let shelves = shared.shelves.iter();
    let mut found: Vec<Receipt> = shelves
        .flat_map(|shelf| shelf.find(asked.limit, asked.slowest, wanted))
        .collect();
    if asked.slowest {
        found.sort_by_key(|one| Reverse((one.duration(), one.ended)));
    } else {
        found.sort_by_key(|one| Reverse(one.ended));
    }
    found.truncate(asked.limit);
    let mut out = header(shared, program.views.len());
    let mut cut = false;
    for (index, one) in found.iter().enumerate() {
        if out.len() > BYTES_MAX {
            cut = true;
            break;
        }
        out.extend_from_slice(if index == 0 { b"\n" } else { b",\n" });
        // Writing to a vector does not fail.
        write!(out, "{}", shown::receipt(&program, one)).ok();
    }
    write!(out, "\n],\"cut\":{cut}}}\n").ok();
    out
}

/// Everything before the receipts: the limits, and what was lost.
fn header(shared: &Shared, views: usize) -> Vec<u8> {
    let lost: u64 = shared.shelves.iter().map(|shelf| shelf.lost.get()).sum();
    let workers = shared.shelves.len();
    let limits: Value = serde_json::json!({
        "workers": workers,
        "recent_per_worker": RECENT,
        "slow_per_view_and_worker": SLOW,
        "troubled_per_view_and_worker": TROUBLED,
        "receipt_bytes_max": Receipt::BYTES_MAX,
        "bytes_max": workers * Shelf::bytes_max(views),
    });
    format!("{{\"format_version\":1,\"limits\":{limits},\"lost\":{lost},\"receipts\":[")
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn a_duration_has_a_unit() {
        let cases = [
            ("200ms", Some(200_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("0ms", Some(0)),
            ("200", None),
            ("-1ms", None),
            ("nanms", None),
            ("infs", None),
            ("ms", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(duration(text), expected, "{text}");
        }
    }
}
