use super::{Trace, CALLS_MAX, LANES_MAX};
use crate::clock::MILLI;
use crate::h1::Method;
use crate::reason::Reason;
use crate::receipt::{Kind, Receipt, Tally, Whose};
use crate::shared::Shared;
use crate::source::Source;
use proptest::prelude::*;
use serde_json::Value;
use std::collections::HashMap;
use tailrace_policy::Nanos;

/// One call of a made-up request: when it could start, how long it took, how many attempts, and
/// whether a hedge ran beside the last.
type Made = (u64, u64, u16, bool);

fn receipt(start: Nanos, took: Nanos, number: u64, calls: &[Made]) -> Receipt {
    let mut receipt = Receipt::default();
    (receipt.number, receipt.view, receipt.status) = (number, Some(0), 200);
    (receipt.started, receipt.ended) = (start, start + took);
    receipt.deadline = start + 1_000 * MILLI;
    receipt.turns = vec![(start, start + 1), (start + took - 1, start + took)];
    for (at, (ready, lasts, attempts, hedged)) in calls.iter().enumerate() {
        let ready = start + ready % took;
        let end = (ready + lasts).min(start + took);
        let tally = Tally::default();
        tally.begin(ready, ready + (end - ready) / 8);
        let mut from = tally.started.get();
        let step = (end - from) / u64::from(attempts + 1).max(1);
        for number in 0..*attempts {
            let kind = if number == 0 {
                Kind::First
            } else {
                Kind::Retry
            };
            let noted = tally.attempt(kind, 0, from);
            noted.connected(true, from + step / 4);
            noted.dispatched(10, from + step / 2);
            if number + 1 == *attempts && *hedged {
                tally.attempt(Kind::Hedge, 1, from + step / 2);
            } else {
                noted.ended(0, Some(Reason::Reset), from + step);
            }
            from += step;
        }
        let whose = Whose {
            part: 0,
            item: at,
            upstream: 0,
            other: false,
            method: Method::Get,
        };
        let ended = Some((Source::Fresh, None));
        receipt.calls.add(whose, &tally, end, ended);
    }
    receipt
}

fn document(trace: Trace) -> Value {
    let bytes = trace.finish("a \"service\" </script>", 3);
    serde_json::from_slice(&bytes).unwrap()
}

/// Slices of one track lie inside one another or apart.
fn assert_nested(document: &Value) {
    let mut tracks: HashMap<(u64, u64), Vec<(i64, i64)>> = HashMap::new();
    for event in document["traceEvents"].as_array().unwrap() {
        if event["ph"] == "X" {
            let nanos = |name: &str| (event[name].as_f64().unwrap() * 1e3).round() as i64;
            let (from, took) = (nanos("ts"), nanos("dur"));
            let track = (
                event["pid"].as_u64().unwrap(),
                event["tid"].as_u64().unwrap(),
            );
            tracks.entry(track).or_default().push((from, from + took));
        }
    }
    for (track, slices) in &mut tracks {
        slices.sort_by_key(|(from, to)| (*from, -to));
        let mut open: Vec<i64> = Vec::new();
        for (from, to) in slices {
            open.retain(|end| *end > *from);
            assert!(
                open.iter().all(|end| *to <= *end),
                "{track:?}: a slice cuts another"
            );
            open.push(*to);
        }
    }
}

proptest! {
    // req 12.2: valid JSON that the viewers can draw, whatever overlaps.
    #[test]
    fn slices_of_a_track_do_not_cut_each_other(
        requests in proptest::collection::vec(
            (0..50_u64, 1..40_u64, proptest::collection::vec(
                (0..40_000_000_u64, 1..40_000_000_u64, 0..4_u16, any::<bool>()), 0..9)),
            1..40),
    ) {
        let shared = Shared::idle();
        let program = shared.program();
        let mut trace = Trace::new(1);
        let began = trace.began;
        let mut made: Vec<Receipt> = requests.iter().enumerate().map(|(number, one)| {
            receipt(began + one.0 * MILLI, one.1 * MILLI, number as u64, &one.2)
        }).collect();
        made.sort_by_key(|one| one.ended);
        // Polls of a thread do not overlap; here they are made up.
        for one in &mut made {
            one.turns.clear();
            trace.add(&program, one);
        }
        let document = document(trace);
        assert_nested(&document);
        let about = &document["otherData"];
        prop_assert_eq!(about["requests"].as_u64(), Some(made.len() as u64));
        prop_assert_eq!(about["requests_left_out"].as_u64(), Some(3));
    }
}

#[test]
fn what_finds_no_track_is_counted() {
    let shared = Shared::idle();
    let program = shared.program();
    let mut trace = Trace::new(1);
    let began = trace.began;
    for number in 0..LANES_MAX as u64 + 5 {
        trace.add(&program, &receipt(began, MILLI, number, &[]));
    }
    // It began before the trace, and this one on a worker that is not there.
    trace.add(&program, &receipt(began - 1, MILLI, 900, &[]));
    let mut other = receipt(began, MILLI, 901, &[]);
    other.worker = 7;
    trace.add(&program, &other);
    let wide = vec![(0, MILLI, 1, false); CALLS_MAX + 4];
    trace.add(&program, &receipt(began + MILLI, MILLI, 902, &wide));
    let about = &document(trace)["otherData"];
    assert_eq!(about["requests"], LANES_MAX + 1);
    assert_eq!(about["requests_left_out"], 5 + 2 + 3);
    assert_eq!(about["calls_left_out"], 4);
}

#[test]
fn a_call_shows_its_waits_in_order() {
    let shared = Shared::idle();
    let program = shared.program();
    let mut trace = Trace::new(1);
    let one = receipt(trace.began, 8 * MILLI, 1, &[(0, 8 * MILLI, 2, false)]);
    trace.add(&program, &one);
    let document = document(trace);
    let events = document["traceEvents"].as_array().unwrap();
    let slices = events.iter().filter(|event| event["ph"] == "X");
    let told: Vec<(&str, &str)> = slices
        .map(|event| {
            (
                event["cat"].as_str().unwrap(),
                event["name"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("poll", ""),
            ("poll", ""),
            ("request", ""),
            ("call", ""),
            ("wait", "fanout wait"),
            ("attempt", "attempt"),
            ("wait", "connect"),
            ("wait", "write"),
            ("wait", "first byte"),
            ("attempt", "retry"),
            ("wait", "connect"),
            ("wait", "write"),
            ("wait", "first byte"),
        ]
    );
    assert_eq!(document["displayTimeUnit"], "ms");
}
