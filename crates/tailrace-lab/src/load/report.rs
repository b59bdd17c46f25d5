//! The lines a run prints: one per interval while it runs, one summary at its end. Percentiles of
//! an interval come from that interval's own histogram; the summary's from all measured requests,
//! never from other percentiles.

use super::replies::Replies;
use super::run::Run;
use super::schedule::Arrivals;
use super::tally::Tally;
use super::validity::{Effort, LATE_SHARE_NOTE};
use super::Settings;
use crate::output::say;
use serde_json::{json, Map, Value};
use std::time::Duration;

pub(crate) fn interval(run: &Run, at: Duration, length: Duration, warmup: bool) -> Value {
    let mut tally = run.interval.borrow_mut();
    let mut line = Map::new();
    line.insert("type".to_owned(), json!("interval"));
    line.insert(
        "at_s".to_owned(),
        json!((at.as_secs_f64() * 1000.0).round() / 1000.0),
    );
    line.insert("warmup".to_owned(), json!(warmup));
    line.append(&mut tally.fields(length, run.in_flight()));
    tally.clear();
    Value::Object(line)
}

/// The summary and whether the generator was the limit.
pub(crate) fn summary(
    run: &Run,
    settings: &Settings,
    effort: Effort,
    interrupted: bool,
) -> (Value, bool) {
    let tally = run.total.borrow();
    let limits = effort.limits();
    let limited = !limits.is_empty();
    for reason in &limits {
        say(&format!("warning: this run is not valid: {reason}"));
    }
    if !limited && effort.late_share() > LATE_SHARE_NOTE {
        say(
            "note: more than 1 % of the requests left late; p99 includes the generator's own delay",
        );
    }
    let waited = tally.counts.late - tally.counts.late_own;
    if waited * 20 > tally.counts.sent {
        say(&format!(
            "note: {waited} of {} requests waited for a free connection, and the wait is part of \
             their latency; if the service is meant to take more, raise --connections",
            tally.counts.sent
        ));
    }
    let mut line = Map::new();
    line.insert("type".to_owned(), json!("summary"));
    line.insert("format_version".to_owned(), json!(1));
    line.append(&mut tally.fields(effort.wall, 0));
    let extra = json!({
        "p90_ms": tally.quantile_ms(0.90),
        "p999_ms": tally.p999_ms(),
        "mean_ms": (tally.latency.mean()).round() / 1000.0,
        "statuses": statuses(&tally),
        "replies": tally.replies.as_ref().map(Replies::to_json),
        "connect_errors": run.connect_errors.get(),
        "seconds": effort.wall.as_secs_f64(),
        "warmup_seconds": settings.warmup.as_secs_f64(),
        "connections": run.slots.len(),
        "arrivals": match settings.arrivals {
            Arrivals::Poisson => "poisson",
            Arrivals::Constant => "constant",
        },
        "stages": settings.stages.iter().map(|s| json!([s.rate, s.seconds])).collect::<Vec<_>>(),
        "generator_cpu_share": (effort.cpu_share() * 1000.0).round() / 1000.0,
        "generator_cpu_us_per_request": per_request(effort),
        "generator_limited": limited,
        "generator_limits": limits,
        "interrupted": interrupted,
        "seed": settings.seed,
        "command": settings.command,
    });
    if let Value::Object(mut extra) = extra {
        line.append(&mut extra);
    }
    if !run.stages.is_empty() {
        line.insert("by_stage".to_owned(), by_stage(run, settings));
    }
    if settings.histogram {
        line.insert("histogram_ms".to_owned(), tally.buckets());
    }
    (Value::Object(line), limited)
}

fn statuses(tally: &Tally) -> Map<String, Value> {
    let counts = tally.counts.statuses.iter();
    counts
        .map(|(code, n)| (code.to_string(), json!(n)))
        .collect()
}

/// A request belongs to the stage it was meant to start in, whenever it ended.
fn by_stage(run: &Run, settings: &Settings) -> Value {
    let stages = run.stages.iter().zip(&settings.stages);
    stages
        .map(|(tally, stage)| {
            let tally = tally.borrow();
            let mut line = tally.fields(Duration::from_secs_f64(stage.seconds), 0);
            line.insert("offered".to_owned(), json!(stage.rate));
            line.insert("seconds".to_owned(), json!(stage.seconds));
            line.insert("statuses".to_owned(), json!(statuses(&tally)));
            let replies = tally.replies.as_ref().map(Replies::to_json);
            line.insert("replies".to_owned(), json!(replies));
            Value::Object(line)
        })
        .collect()
}

fn per_request(effort: Effort) -> Option<f64> {
    let us = effort.cpu.as_secs_f64() * 1e6 / effort.sent as f64;
    us.is_finite().then(|| (us * 100.0).round() / 100.0)
}
