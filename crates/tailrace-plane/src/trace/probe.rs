//! One span on trial: whether the collector that is declared takes what is sent to it (req 16.6).
//!
//! The failure prevented is a trace store that stays empty, found out when somebody needs it. The
//! span goes the way of all others: the same address, headers, codec and time limit, once and with
//! no second try. Its name says whose it is. Blocks: it is for a verb, not for a service.

use super::post::post;
use super::{exporter, Target};
use crate::clock;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tailrace_blueprint::Blueprint;
use tokio::runtime::Builder;

/// What the span is called.
const NAME: &str = "tailrace doctor";

/// What became of the span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probed {
    Taken {
        trace: String,
    },
    /// The collector answered, and not that it has it.
    Refused {
        status: u16,
    },
    /// It took the request and left the span out.
    LeftOut,
    Silent(String),
}

/// Sends one span to the collector of `blueprint`; an error when it declares none that can be used.
pub fn probe(blueprint: &Blueprint) -> Result<Probed, String> {
    let target = Target::find(blueprint)?.ok_or("the blueprint declares no tracing")?;
    let built = Builder::new_current_thread().enable_all().build();
    let runtime = built.map_err(|error| format!("a runtime did not start: {error}"))?;
    let trace = u128::from(fastrand::u64(1..)) << 64 | u128::from(fastrand::u64(1..));
    let bytes = exporter::request(&target, vec![span(trace)]).encode_to_vec();
    let answer = runtime.block_on(post(&target, &bytes));
    // A look-up of a name may still block its helper thread.
    runtime.shutdown_background();
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Ok(Probed::Silent(error.to_string())),
    };
    if !(200..=299).contains(&answer.status) {
        return Ok(Probed::Refused {
            status: answer.status,
        });
    }
    let said = ExportTraceServiceResponse::decode(answer.body.as_slice());
    let partial = said.ok().and_then(|said| said.partial_success);
    Ok(match partial {
        Some(partial) if partial.rejected_spans > 0 => Probed::LeftOut,
        _ => Probed::Taken {
            trace: format!("{trace:032x}"),
        },
    })
}

fn span(trace: u128) -> Span {
    let now = clock::epoch_ms() * 1_000_000;
    Span {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: fastrand::u64(1..).to_be_bytes().to_vec(),
        name: NAME.to_owned(),
        kind: SpanKind::Internal as i32,
        start_time_unix_nano: now,
        end_time_unix_nano: now,
        ..Span::default()
    }
}
