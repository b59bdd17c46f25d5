//! Answers that are wrong on purpose, one function per fault. Each must look exactly like the real
//! thing on the wire, or the client under test is praised for surviving something else.

use super::serve::wait;
use super::state::Upstream;
use crate::alarm::Alarm;
use crate::fault::Kind;
use crate::http::inbound::{self, Inbound};
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// Whether the connection can be used again.
#[derive(PartialEq)]
pub(super) enum Then {
    Continue,
    Close,
}

const JSON: &str = "application/json";

/// `out` holds the usual answer.
pub(super) async fn misbehave(
    kind: Kind,
    id: &str,
    inbound: &mut Inbound,
    upstream: &Upstream,
    alarm: &Rc<Alarm>,
    out: &mut Vec<u8>,
) -> Then {
    let body_at = memchr::memmem::find(out, b"\r\n\r\n").map_or(out.len(), |at| at + 4);
    let result = match kind {
        Kind::Errors { status } => {
            inbound::problem(out, status, "injected fault", false);
            inbound.write(out).await
        }
        Kind::Hang => return hang(inbound, upstream, out).await,
        Kind::Reset => {
            // The socket is closed by the caller; zero linger turns that into a reset.
            let _ = inbound.stream.set_zero_linger();
            return Then::Close;
        }
        Kind::SlowBody {
            chunk_bytes,
            every_ms,
        } => {
            let step = Duration::from_millis(u64::from(every_ms));
            return trickle(inbound, alarm, out, body_at, chunk_bytes as usize, step).await;
        }
        Kind::ShortBody => {
            let half = body_at + (out.len() - body_at) / 2;
            let _ = inbound.write(&out[..half]).await;
            return Then::Close;
        }
        Kind::Garbage => {
            // Same length as the real body and a plausible start: only a full parse finds it.
            for byte in out.iter_mut().skip(body_at + 1) {
                if *byte == b':' {
                    *byte = b'=';
                }
            }
            inbound.write(out).await
        }
        Kind::WrongType => {
            let mut body = Vec::with_capacity(out.len());
            upstream.spec.wrong_body.render(id, &mut body);
            inbound::answer(out, 200, JSON, &body, false);
            inbound.write(out).await
        }
        Kind::WrongContentType => {
            let page = b"<!doctype html><title>Sign in</title><p>Please sign in.</p>";
            inbound::answer(out, 200, "text/html", page, false);
            inbound.write(out).await
        }
        Kind::Oversized { mib } => oversized(inbound, mib).await,
        Kind::ExtraBytes => {
            out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
            inbound.write(out).await
        }
        Kind::BothFramingHeaders => {
            let body = out.split_off(body_at);
            out.truncate(body_at - 2);
            out.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
            out.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
            out.extend_from_slice(&body);
            out.extend_from_slice(b"\r\n0\r\n\r\n");
            inbound.write(out).await
        }
        // These only delay, which has happened by now.
        Kind::Jitter { .. } | Kind::Delay { .. } => inbound.write(out).await,
    };
    match result {
        Ok(()) => Then::Continue,
        Err(_) => Then::Close,
    }
}

/// Silent until the fault is lifted, then the usual answer.
async fn hang(inbound: &mut Inbound, upstream: &Upstream, out: &[u8]) -> Then {
    let lifted = tokio::select! {
        () = upstream.hangs() => true,
        () = inbound.gone() => false,
    };
    if lifted && inbound.write(out).await.is_ok() {
        Then::Continue
    } else {
        Then::Close
    }
}

async fn trickle(
    inbound: &mut Inbound,
    alarm: &Rc<Alarm>,
    out: &[u8],
    body_at: usize,
    chunk: usize,
    every: Duration,
) -> Then {
    if inbound.write(&out[..body_at]).await.is_err() {
        return Then::Close;
    }
    for piece in out[body_at..].chunks(chunk) {
        if !wait(inbound, alarm, every).await || inbound.write(piece).await.is_err() {
            return Then::Close;
        }
    }
    Then::Continue
}

/// Valid JSON without an end in sight: an array of spaces in 64 KiB chunks.
async fn oversized(inbound: &mut Inbound, mib: u32) -> io::Result<()> {
    const CHUNK: usize = 64 * 1024;
    let mut head = Vec::with_capacity(128);
    inbound::head(&mut head, 200, JSON, false);
    head.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n1\r\n[\r\n");
    inbound.write(&head).await?;
    let mut chunk = format!("{CHUNK:x}\r\n").into_bytes();
    chunk.resize(chunk.len() + CHUNK, b' ');
    chunk.extend_from_slice(b"\r\n");
    for _ in 0..mib as usize * (1024 * 1024 / CHUNK) {
        inbound.write(&chunk).await?;
    }
    inbound.write(b"1\r\n]\r\n0\r\n\r\n").await
}
