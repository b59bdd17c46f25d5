//! What validation and projection cost, beside serde_json, on the order scenario's five bodies. Run
//! with `cargo run --release -p tailrace-plane --example splice_cost`; each figure is the best of
//! many short rounds over compact bodies, since noise on a shared machine only ever adds. `--
//! project 100000` only projects, that many times, for a profiler.

use std::hint::black_box;
use std::time::Duration;

use serde::de::IgnoredAny;
use serde_json::{json, Value};
use tailrace_blueprint::Shape;
use tailrace_plane::splice::Shapes;

const SCENARIO: &str = include_str!("../../tailrace-lab/src/orders.json");
/// Many short rounds, so that some of them run undisturbed on a shared machine.
const ROUNDS: usize = 1_500;
const CALLS: u32 = 200;

fn main() -> Result<(), Failure> {
    let declared: Vec<Shape> = serde_json::from_value(shapes())?;
    let shapes = Shapes::compile(&declared, 64)?;
    let scenario: Value = serde_json::from_str(SCENARIO)?;
    let roots = [
        ("orders", 3),
        ("users", 4),
        ("inventory", 6),
        ("coupons", 8),
        ("recommend", 9),
    ];
    let mut arguments = std::env::args().skip(1);
    let only = arguments.next();
    let repeat = arguments
        .next()
        .and_then(|count| count.parse().ok())
        .unwrap_or(1);
    if let Some(mode) = only {
        return profile(&shapes, &scenario, &roots, &mode, repeat);
    }
    println!(
        "{:<10} {:>5} {:>5}  {:>8} {:>8} {:>8} {:>8}  {:>8} {:>7}",
        "body", "bytes", "kept", "project", "any", "ignored", "value", "MB/s", "ratio"
    );
    let mut totals = (0usize, 0.0, 0.0, 0.0, 0.0);
    for (upstream, (name, root)) in upstreams(&scenario)?.into_iter().zip(roots) {
        let body = upstream.replace("{id}", "o-104729").into_bytes();
        let mut out = Vec::with_capacity(2 * body.len());
        shapes.project(root, &body, &mut out)?;
        let kept = out.len();
        let project = nanos(|| {
            out.clear();
            black_box(shapes.project(root, black_box(&body), &mut out)).is_ok()
        });
        let any = nanos(|| {
            out.clear();
            black_box(shapes.project(0, black_box(&body), &mut out)).is_ok()
        });
        let ignored =
            nanos(|| black_box(serde_json::from_slice::<IgnoredAny>(black_box(&body))).is_ok());
        let value = nanos(|| black_box(serde_json::from_slice::<Value>(black_box(&body))).is_ok());
        row(name, body.len(), kept, [project, any, ignored, value]);
        totals.0 += body.len();
        totals.1 += project;
        totals.2 += any;
        totals.3 += ignored;
        totals.4 += value;
    }
    row("all", totals.0, 0, [totals.1, totals.2, totals.3, totals.4]);
    Ok(())
}

type Failure = Box<dyn std::error::Error>;

/// Nothing but one kind of work, for `perf record` and callgrind.
fn profile(
    shapes: &Shapes,
    scenario: &Value,
    roots: &[(&str, u32)],
    mode: &str,
    repeat: u32,
) -> Result<(), Failure> {
    let mut out = Vec::with_capacity(4096);
    for (upstream, (_, root)) in upstreams(scenario)?.into_iter().zip(roots) {
        let body = upstream.replace("{id}", "o-104729").into_bytes();
        for _ in 0..repeat {
            out.clear();
            match mode {
                "project" => shapes.project(*root, black_box(&body), &mut out)?,
                "any" => shapes.project(0, black_box(&body), &mut out)?,
                "ignored" => {
                    black_box(serde_json::from_slice::<IgnoredAny>(black_box(&body))?);
                }
                other => return Err(format!("no work called {other}").into()),
            }
            black_box(&out);
        }
    }
    Ok(())
}

fn row(name: &str, bytes: usize, kept: usize, [project, any, ignored, value]: [f64; 4]) {
    println!(
        "{name:<10} {bytes:>5} {kept:>5}  {project:>6.0}ns {any:>6.0}ns {ignored:>6.0}ns \
         {value:>6.0}ns \
          {:>8.0} {:>7.2}",
        bytes as f64 * 1e3 / project,
        project / ignored
    );
}

fn upstreams(scenario: &Value) -> Result<Vec<String>, &'static str> {
    let list = scenario["upstreams"]
        .as_array()
        .ok_or("the scenario has no upstreams")?;
    Ok(list
        .iter()
        .map(|upstream| upstream["body"].to_string())
        .collect())
}

/// Best nanoseconds per call.
fn nanos(mut call: impl FnMut() -> bool) -> f64 {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        #[allow(clippy::disallowed_methods)]
        // A benchmark reads the clock; no policy depends on it.
        let start = std::time::Instant::now();
        for _ in 0..CALLS {
            assert!(call(), "the body must pass");
        }
        best = best.min(start.elapsed());
    }
    best.as_nanos() as f64 / f64::from(CALLS)
}

fn field(name: &str, shape: u32) -> Value {
    json!({"name": name, "shape": shape, "required": true})
}

fn object(fields: &[(&str, u32)]) -> Value {
    let fields: Vec<Value> = fields
        .iter()
        .map(|(name, shape)| field(name, *shape))
        .collect();
    json!({"kind": "object", "fields": fields, "extra": "drop"})
}

/// What a service would declare for the five upstreams: a subset of each body's fields.
fn shapes() -> Value {
    let text = 1;
    let integer = 2;
    json!([
        {"kind": "any"},
        {"kind": "string"},
        {"kind": "integer"},
        object(&[("id", text), ("user_id", text), ("status", 14), ("currency", text), ("total", 15),
            ("created_at", 16), ("items", 11), ("shipping", 5)]),
        object(&[("id", text), ("name", text), ("tier", text), ("locale", text), ("address", 5)]),
        object(&[("street", text), ("city", text), ("postal_code", text), ("country", text)]),
        object(&[("order_id", text), ("lines", 12)]),
        object(&[("sku", text), ("available", integer)]),
        object(&[("code", text), ("percent", integer), ("expires_at", 16)]),
        object(&[("items", 13)]),
        object(&[("sku", text), ("name", text), ("price", 15), ("quantity", 17)]),
        {"kind": "array", "items": 10},
        {"kind": "array", "items": 7},
        {"kind": "array", "items": 18},
        {"kind": "literal", "values": ["open", "paid", "shipped"]},
        {"kind": "string", "format": "decimal"},
        {"kind": "string", "format": "date_time"},
        {"kind": "integer", "limits": {"ge": 1.0}},
        object(&[("sku", text), ("name", text), ("price", 15)]),
    ])
}
