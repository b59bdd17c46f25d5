//! Profiles that take some seconds: what is recorded, and what ends it early.

use super::asked::{Asked, Format};
use super::{python, shown};
use crate::admin::{json, text, Answer};
use crate::profile::cpu::{self, Recorded, Stack};
use crate::profile::trace::Trace;
use crate::profile::{heap, tasks};
use crate::shared::{Phase, Shared};
use crate::tap;
use serde_json::{json, Value};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{sleep, Instant};

/// Between two looks at what has ended, so short that a busy worker's queue does not fill.
const LOOK: Duration = Duration::from_millis(5);
/// Between two looks at a reader that only waits.
const READER_LOOK: Duration = Duration::from_millis(100);
/// What a reader may send meanwhile; more is left in the socket.
const AHEAD_MAX_BYTES: usize = 16 * 1024;
/// Samples per second of Python's frames: each takes the interpreter lock.
const PYTHON_HZ: u64 = 50;

/// Records finished requests for so many seconds.
pub(super) async fn trace(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut Vec<u8>,
    shared: &Shared,
    asked: &Asked,
) -> io::Result<Option<Answer>> {
    let workers = shared.metrics.len();
    let Some(tap) = shared.taps.open(tap::Wanted::default(), workers) else {
        return Ok(Some(text(503, "as many watch as may; end a tap\n")));
    };
    let _traced = Traced::begin(shared);
    let mut trace = Trace::new(workers);
    let end = Instant::now() + Duration::from_secs(asked.seconds);
    while Instant::now() < end && shared.phase() == Phase::Running {
        if has_left(stream, input, LOOK).await? {
            return Ok(None);
        }
        let program = shared.program();
        for receipt in tap.take() {
            trace.add(&program, &receipt);
        }
    }
    let body = trace.finish(&shared.program().service, tap.dropped());
    Ok(Some(json(body)))
}

/// Requests keep their polls while it lives.
struct Traced<'a>(&'a Shared);

impl<'a> Traced<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.taps.trace(true);
        Self(shared)
    }
}

impl Drop for Traced<'_> {
    fn drop(&mut self) {
        self.0.taps.trace(false);
    }
}

/// Sums by owner; with `python=N` the places of Python code that allocated most meanwhile.
pub(super) async fn heap(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut Vec<u8>,
    shared: &Shared,
    asked: &Asked,
) -> io::Result<Option<Answer>> {
    let python = match asked.python {
        None => python::ask(shared, &json!({"do": "heap"}), python::WAIT).await,
        Some(places) => {
            let seconds = asked.seconds;
            let begin = json!({"do": "heap_begin", "seconds": seconds});
            let cancel = json!({"do": "heap_cancel"});
            match python::begin(shared, &begin, cancel).await {
                Ok(begun) => {
                    if !passes(stream, input, shared, seconds).await? {
                        return Ok(None);
                    }
                    let end = json!({"do": "heap_end", "places": places});
                    begun.end(&end, python::COUNT_WAIT).await
                }
                Err(silence) => silence,
            }
        }
    };
    let seen = shared.profiler.lookouts.answers(tasks::PATIENCE).await;
    let mut told = heap::render(shared, &seen);
    told["python"] = python;
    Ok(Some(shown(&told)))
}

/// Ends a recording when its reader leaves or the service ends.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Samples our threads, and Python's frames where Python runs for requests.
pub(super) async fn cpu(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut Vec<u8>,
    shared: &Shared,
    asked: &Asked,
) -> io::Result<Option<Answer>> {
    let seconds = asked.seconds;
    let begin = json!({"do": "cpu_begin", "seconds": seconds, "hz": PYTHON_HZ});
    let there = if shared.bridge.is_some() {
        python::begin(shared, &begin, json!({"do": "cpu_cancel"})).await
    } else {
        Err(json!({"answered": false, "why": "nothing of this service runs in Python"}))
    };
    let stop = Stop(Arc::default());
    let (threads, told) = (shared.profiler.threads.all(), Arc::clone(&stop.0));
    let lasts = Duration::from_secs(seconds);
    let native = tokio::task::spawn_blocking(move || cpu::record(&threads, lasts, &told));
    if !passes(stream, input, shared, seconds).await? {
        return Ok(None);
    }
    drop(stop);
    let native = native.await.unwrap_or_else(|error| Err(error.to_string()));
    let python = match there {
        Ok(there) => there.end(&json!({"do": "cpu_end"}), python::WAIT).await,
        Err(silence) => silence,
    };
    Ok(Some(written(shared, asked.format, &native, &python)))
}

fn written(
    shared: &Shared,
    format: Format,
    native: &Result<Recorded, String>,
    python: &Value,
) -> Answer {
    let mut stacks = native
        .as_ref()
        .map_or_else(|_| Vec::new(), |one| one.stacks.clone());
    stacks.extend(python_stacks(python));
    let service = &shared.program().service;
    let seconds = native.as_ref().map_or(0.0, |one| one.seconds);
    match (format, native) {
        (Format::Json, _) => shown(&json!({
            "format_version": 1,
            "profile": "cpu",
            "service": service,
            "epoch_ms": crate::clock::epoch_ms(),
            "native": match native {
                Ok(recorded) => recorded.json(),
                Err(why) => json!({"answered": false, "why": why}),
            },
            "python": python,
        })),
        (_, Err(why)) if stacks.is_empty() => text(501, &format!("{why}\n")),
        (Format::Collapsed, _) => text(200, &cpu::collapsed(&stacks)),
        (Format::Svg, _) => Answer {
            status: 200,
            content_type: "image/svg+xml",
            body: cpu::svg(&format!("{service}: CPU, {seconds:.1} s"), &stacks).into_bytes(),
        },
    }
}

/// Python's stacks, beside the native ones: the same time may be in both.
fn python_stacks(python: &Value) -> Vec<Stack> {
    let told = python["stacks"].as_array();
    let told = told.map_or(&[][..], Vec::as_slice).iter();
    let stacks = told.filter_map(|one| {
        let frames = one["frames"].as_array()?.iter();
        let frames = frames.filter_map(|frame| frame.as_str().map(str::to_owned));
        let frames = std::iter::once("python".to_owned()).chain(frames);
        Some(Stack {
            frames: frames.collect(),
            us: one["us"].as_u64()?,
        })
    });
    stacks.collect()
}

/// Waits so many seconds; false when the reader has left.
async fn passes(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut Vec<u8>,
    shared: &Shared,
    seconds: u64,
) -> io::Result<bool> {
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end && shared.phase() == Phase::Running {
        let left = end.saturating_duration_since(Instant::now());
        if has_left(stream, input, READER_LOOK.min(left)).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Waits, or until the reader leaves. What it sends is kept: it may be its next request.
async fn has_left(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut Vec<u8>,
    wait: Duration,
) -> io::Result<bool> {
    if input.len() >= AHEAD_MAX_BYTES {
        sleep(wait).await;
        return Ok(false);
    }
    tokio::select! {
        read = stream.read_buf(input) => {
            let count = read?;
            // Whoever sends without end must not make this loop spin.
            sleep(wait).await;
            Ok(count == 0)
        }
        () = sleep(wait) => Ok(false),
    }
}
