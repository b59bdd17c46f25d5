//! The thread that sends what was kept: batches, retries, and the last look before the end.
//!
//! The failure prevented is a collector that matters. It may be slow, gone or hang: this thread
//! waits for it and nobody waits for this thread. Meanwhile the workers' queues fill, and what
//! finds no room is dropped and counted where it happens. What was taken from them is tried
//! [`TRIES`] times and then dropped and counted here; so a collector that comes back gets what is
//! new rather than what is old.
//!
//! *Bounds.* One batch at a time, of at most [`BATCH`] traces; its bytes are made once. After the
//! plane was told to stop there is [`LAST`] for what still waits.

use super::post::{post, Answer};
use super::spans::{self, text};
use super::{Finished, Lost, Sent, Target, Traces};
use crate::clock::MILLI;
use crate::program::Program;
use crate::shared::{Phase, Shared};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;
use tailrace_policy::backoff::Backoff;
use tailrace_policy::Nanos;
use tokio::runtime::Builder;

/// How often it looks for what waits.
const EVERY: Duration = Duration::from_millis(500);
/// Traces of one request to the collector.
const BATCH: usize = 64;
/// Exchanges for one batch.
const TRIES: u32 = 4;
const BACKOFF: Backoff = Backoff {
    base: 500 * MILLI,
    cap: 4_000 * MILLI,
};
/// A collector that says when to come back is believed up to this.
const RETRY_AFTER_MAX: Nanos = 30_000 * MILLI;
/// From the order to stop to the end of the thread, at most.
const LAST: Duration = Duration::from_millis(500);
/// The version of the conventions that attribute names follow.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.37.0";

/// Sends traces until the plane stops. Blocks: it is a thread of its own.
pub fn export(target: &Target, shared: &Arc<Shared>) {
    let Some(traces) = &shared.traces else {
        return;
    };
    let built = Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = built else {
        eprintln!("error: the runtime of the trace exporter did not start");
        return;
    };
    runtime.block_on(async {
        let exporter = Exporter {
            target,
            traces,
            shared,
        };
        let mut phase = shared.watch();
        let end = async {
            phase.wait_for(|phase| *phase >= Phase::Stopping).await.ok();
            tokio::time::sleep(LAST).await;
        };
        tokio::select! {
            () = exporter.run() => {}
            () = end => {}
        }
    });
    for _ in traces.take(usize::MAX) {
        traces.sent.unreachable.add(1, 0);
    }
    // A look-up of a name may still block its helper thread; it must not hold the exit.
    runtime.shutdown_background();
}

struct Exporter<'a> {
    target: &'a Target,
    traces: &'a Traces,
    shared: &'a Shared,
}

impl Exporter<'_> {
    async fn run(&self) {
        loop {
            self.pause(EVERY).await;
            let stopping = self.is_stopping();
            loop {
                let batch = self.traces.take(BATCH);
                if batch.is_empty() {
                    break;
                }
                self.deliver(&batch).await;
            }
            if stopping {
                return;
            }
        }
    }

    /// Waits, unless the plane stops.
    async fn pause(&self, time: Duration) {
        let mut phase = self.shared.watch();
        let stopped = phase.wait_for(|phase| *phase >= Phase::Stopping);
        tokio::time::timeout(time, stopped).await.ok();
    }

    fn is_stopping(&self) -> bool {
        self.shared.phase() >= Phase::Stopping
    }

    /// Sends one batch, as often as it takes or may take.
    async fn deliver(&self, finished: &[Finished]) {
        let program = self.shared.program();
        let (bytes, spans) = encode(self.target, &program, finished);
        let sent = &self.traces.sent;
        let mut batch = Batch {
            sent,
            traces: finished.len() as u64,
            spans,
            lost: Some(&sent.unreachable),
        };
        for number in 1..=TRIES {
            let answer = post(self.target, &bytes).await.ok();
            let wait = match answer.as_ref().map(|answer| (answer.status, answer)) {
                Some((200..=299, answer)) => {
                    // Its spans are counted before it: who has seen it counted has seen them.
                    batch.arrived(answer);
                    add(&sent.ok, 1);
                    return;
                }
                // The same may be taken later (OTLP/HTTP, "Retryable Response Codes").
                Some((429 | 502..=504, answer)) => answer.retry_after,
                None => None,
                Some(_) => {
                    add(&sent.failed, 1);
                    batch.lost = Some(&sent.refused);
                    return;
                }
            };
            if number == TRIES || self.is_stopping() {
                break;
            }
            add(&sent.retried, 1);
            let own = BACKOFF.wait(number, fastrand::u64(..));
            let wait = wait.unwrap_or(0).min(RETRY_AFTER_MAX).max(own);
            self.pause(Duration::from_nanos(wait)).await;
        }
        add(&sent.failed, 1);
    }
}

/// What is under way; dropped before it arrived, it is lost.
struct Batch<'a> {
    sent: &'a Sent,
    traces: u64,
    spans: u64,
    lost: Option<&'a Lost>,
}

impl Batch<'_> {
    /// The collector has it, or has it but for some spans that it did not like.
    fn arrived(&mut self, answer: &Answer) {
        self.lost = None;
        let said = ExportTraceServiceResponse::decode(answer.body.as_slice());
        let partial = said.ok().and_then(|said| said.partial_success);
        let rejected = partial.map_or(0, |partial| partial.rejected_spans);
        let rejected = u64::try_from(rejected).unwrap_or(0).min(self.spans);
        add(&self.sent.spans, self.spans - rejected);
        self.sent.refused.add(0, rejected);
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if let Some(lost) = self.lost {
            lost.add(self.traces, self.spans);
        }
    }
}

impl Lost {
    fn add(&self, traces: u64, spans: u64) {
        add(&self.spans, spans);
        add(&self.traces, traces);
    }
}

fn add(count: &AtomicU64, amount: u64) {
    count.fetch_add(amount, Ordering::Relaxed);
}

/// The request's bytes, and how many spans are in them.
fn encode(target: &Target, program: &Program, finished: &[Finished]) -> (Vec<u8>, u64) {
    let mut spans = Vec::new();
    for one in finished {
        spans::push(program, one, &mut spans);
    }
    let count = spans.len() as u64;
    (request(target, spans).encode_to_vec(), count)
}

/// What the collector is sent, with the names of the process.
pub(super) fn request(target: &Target, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let resource = target.resource.iter();
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: resource.map(|(name, value)| text(name, value)).collect(),
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "tailrace".to_owned(),
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans,
                schema_url: SCHEMA.to_owned(),
            }],
            schema_url: SCHEMA.to_owned(),
        }],
    }
}
