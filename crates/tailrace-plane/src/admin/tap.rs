//! `GET /tap`: finished requests as they end, one JSON line each, until the watcher leaves.
//!
//! The failure prevented: a stream that fills the memory of the service it watches. What waits is
//! bounded (`crate::tap`), a watcher that does not read is cut off, and there are few at a time. A
//! line that says how many requests were dropped comes at the start and once a second, so that a
//! silent service and a silent connection differ.

use super::receipts::Asked;
use super::{text, Answer, HEAD_WAIT};
use crate::h1::{self, RequestHead};
use crate::program::Program;
use crate::receipt::json::{ms, part_name};
use crate::receipt::tail::saving;
use crate::receipt::{Receipt, Timeline};
use crate::shared::{Phase, Shared};
use crate::source::Source;
use crate::tap::Wanted;
use serde_json::{json, Value};
use std::io::{self, Write};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};

/// Between two looks at what has ended.
const LOOK: Duration = Duration::from_millis(100);
/// Looks between two lines that say what was dropped.
const LOOKS_PER_SIGN: u32 = 10;

/// Streams until the watcher leaves or the service ends; an answer when it cannot begin.
pub(super) async fn stream(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    head: &RequestHead,
    input: &[u8],
    shared: &Shared,
) -> io::Result<Option<Answer>> {
    let asked = match Asked::read(head, input, shared, &["view", "slower_than", "troubled"]) {
        Ok(asked) => asked,
        Err(why) => return Ok(Some(text(400, &format!("{why}\n")))),
    };
    let program = shared.program();
    let named = |name: &str| program.views.iter().position(|view| view.name == name);
    let wanted = Wanted {
        view: asked.view.as_deref().and_then(named).map(|at| at as u16),
        slower_than: asked.slower_than,
        troubled: asked.troubled,
    };
    let Some(tap) = shared.taps.open(wanted, shared.metrics.len()) else {
        return Ok(Some(text(503, "as many watch as may; end another tap\n")));
    };
    let lead = format!(
        "HTTP/1.1 200 {}\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\
         x-content-type-options: nosniff\r\ncache-control: no-store\r\nconnection: close\r\n\r\n",
        h1::reason(200),
    );
    let mut out = lead.into_bytes();
    let mut looks = 0;
    while shared.phase() == Phase::Running {
        let mut lines = Vec::new();
        for receipt in tap.take() {
            // Writing to a vector does not fail.
            writeln!(lines, "{}", line(&shared.program(), &receipt)).ok();
        }
        if looks % LOOKS_PER_SIGN == 0 {
            let dropped = tap.dropped();
            let sign = json!({"format_version": 1, "type": "tap", "dropped": dropped});
            writeln!(lines, "{sign}").ok();
        }
        looks += 1;
        if !lines.is_empty() {
            write!(out, "{:x}\r\n", lines.len()).ok();
            out.append(&mut lines);
            out.extend_from_slice(b"\r\n");
            timeout(HEAD_WAIT, stream.write_all(&out)).await??;
            out.clear();
        }
        if has_left(stream).await? {
            return Ok(None);
        }
    }
    timeout(HEAD_WAIT, stream.write_all(b"0\r\n\r\n")).await??;
    Ok(None)
}

/// Waits for the next look, or until the watcher leaves. What it sends is not read as a request.
async fn has_left(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<bool> {
    let mut unread = [0; 64];
    tokio::select! {
        read = stream.read(&mut unread) => {
            let count = read?;
            // Whoever sends without end must not make this loop spin.
            sleep(LOOK).await;
            Ok(count == 0)
        }
        () = sleep(LOOK) => Ok(false),
    }
}

/// What one line says of a request: `/receipts` has the rest, under the same id.
fn line(program: &Program, receipt: &Receipt) -> Value {
    let view = receipt.view.map(usize::from);
    let view = view.and_then(|view| program.views.get(view));
    let missing = receipt
        .parts
        .iter()
        .enumerate()
        .filter_map(|(index, part)| {
            let away = !matches!(part.source, Source::Fresh | Source::Cached);
            let why = part.failed.map(crate::reason::Reason::code);
            let why = why.or_else(|| away.then(|| part.source.code()))?;
            Some(json!({"part": part_name(program, view, index as u16), "why": why}))
        });
    let missing: Vec<Value> = missing.collect();
    let mut timeline = Timeline::default();
    timeline.cut(receipt);
    let last = timeline.segments().iter().rev().find_map(|one| one.part);
    let held_up_by = last.map(|part| {
        let saved = saving(receipt, part, &timeline, &mut Vec::new());
        json!({"part": part_name(program, view, part), "saving_ms": ms(saved)})
    });
    json!({
        "type": "request",
        "id": format!("{}-{}", receipt.worker, receipt.number),
        "request_id": String::from_utf8_lossy(receipt.id()),
        "time_ms": receipt.epoch_ms,
        "view": view.map(|view| &view.name),
        "status": receipt.status,
        "code": receipt.code,
        "degraded": receipt.degraded,
        "duration_ms": ms(receipt.duration()),
        "deadline_ms": ms(receipt.deadline.saturating_sub(receipt.started)),
        "missing": missing,
        "held_up_by": held_up_by,
    })
}
