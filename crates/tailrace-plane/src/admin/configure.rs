//! POST on the admin port: changes of the configuration, for whoever has the admin token.
//!
//! The failure prevented: a change by whoever reaches the port. Asked in this order, before a byte
//! of the body is read: is the name local, is there such a change, is the token right, can the body
//! be understood. The change itself is made by the owner of the plane (`live/asks.rs`), who answers
//! with what changed or why nothing did.
//!
//! Limits: a body has 256 KiB and five seconds; the answer comes within thirty seconds.

use super::token::Token;
use super::{forget, is_local_host, json, profile, text, Answer, HEAD_WAIT, NOT_LOCAL};
use crate::h1::{BodyDecoder, BodyError, Framing, RequestHead};
use crate::live::{Ask, Wanted};
use crate::shared::Shared;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

const BODY_MAX_BYTES: u64 = 256 * 1024;
/// Reading files and looking names up may take a while; an asker does not wait for ever.
const CHANGE_WAIT: Duration = Duration::from_secs(30);

/// What may be done with `path`, for a 405.
pub(super) fn allowed(path: &[u8]) -> &'static str {
    match path {
        b"/config" | b"/lab" => "GET, HEAD, POST",
        b"/config/reload" | b"/cache/invalidate" => "POST",
        _ if profile::is_one(path) => "POST",
        _ => "GET, HEAD",
    }
}

/// The answer to a POST whose head is complete. The connection closes after one with a body.
pub(super) async fn answer(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    head: &RequestHead,
    input: &mut Vec<u8>,
    shared: &Shared,
    local: bool,
) -> io::Result<Answer> {
    if local && !is_local_host(head.header(input, "host")) {
        return Ok(text(403, NOT_LOCAL));
    }
    if !is_own_origin(head.header(input, "origin"), head.header(input, "host")) {
        return Ok(text(403, "this Origin is not the admin port's\n"));
    }
    let path = head.path.of(input).to_vec();
    if !matches!(
        &*path,
        b"/config" | b"/config/reload" | b"/cache/invalidate" | b"/lab"
    ) {
        return Ok(text(405, "GET and HEAD only\n"));
    }
    if path == b"/lab" && shared.live.lab().is_empty() {
        return Ok(text(404, "this service runs in no lab\n"));
    }
    let authorization = head.header(input, "authorization");
    if let Err(refused) = Token::admit(shared.admin_token.as_ref(), authorization) {
        return Ok(text(refused.status, refused.words));
    }
    let format = format(head.header(input, "content-type"));
    let body = match timeout(HEAD_WAIT, read_body(stream, head, input)).await? {
        Ok(body) => body,
        Err(Unread::Refused(error)) => {
            return Ok(text(error.status(), &format!("{error}\n")));
        }
        Err(Unread::Gone(error)) => return Err(error),
    };
    let wanted = match (&*path, format) {
        (b"/cache/invalidate", _) => return Ok(forget::answer(head, input, shared)),
        (b"/config/reload", _) => Wanted::Reload,
        (b"/lab", Some(false)) => Wanted::Lab(body),
        (_, Some(toml)) => Wanted::Set { body, toml },
        (_, None) => {
            let words = "send `Content-Type: application/json` or `application/toml`\n";
            return Ok(text(415, words));
        }
    };
    Ok(made(shared, wanted, &path).await)
}

async fn made(shared: &Shared, wanted: Wanted, path: &[u8]) -> Answer {
    let source = format!("admin POST {}", String::from_utf8_lossy(path));
    let Some(reply) = shared.live.asks.ask(Ask { source, wanted }) else {
        return text(503, "no change can be made now; try again\n");
    };
    match timeout(CHANGE_WAIT, reply).await {
        Ok(Ok(reply)) => Answer {
            status: reply.status,
            ..json(reply.body)
        },
        Ok(Err(_)) => text(503, "the change was not made; see the service's log\n"),
        Err(_) => text(504, "the change is still being made; see GET /config\n"),
    }
}

/// A browser says which page a change comes from; only the console may, which is served here. What
/// is no browser says nothing.
pub(super) fn is_own_origin(origin: Option<&[u8]>, host: Option<&[u8]>) -> bool {
    let Some(origin) = origin else { return true };
    let own = origin.strip_prefix(b"http://".as_slice());
    own.is_some_and(|own| host.is_some_and(|host| own.eq_ignore_ascii_case(host)))
}

/// `Some(true)` for TOML, `Some(false)` for JSON.
fn format(content_type: Option<&[u8]>) -> Option<bool> {
    let essence = content_type?.split(|byte| *byte == b';').next()?;
    match essence.trim_ascii().to_ascii_lowercase().as_slice() {
        b"application/json" => Some(false),
        b"application/toml" => Some(true),
        _ => None,
    }
}

enum Unread {
    Refused(BodyError),
    Gone(io::Error),
}

async fn read_body(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    head: &RequestHead,
    input: &mut Vec<u8>,
) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::new();
    if head.framing == Framing::None {
        return Ok(body);
    }
    let mut decoder = BodyDecoder::new(head.framing, BODY_MAX_BYTES).map_err(Unread::Refused)?;
    let start = head.head_len;
    if head.expect_continue && input.len() == start {
        let invited = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await;
        invited.map_err(Unread::Gone)?;
    }
    loop {
        let step = decoder
            .decode(&input[start..], &mut body)
            .map_err(Unread::Refused)?;
        input.drain(start..start + step.consumed);
        if step.done {
            return Ok(body);
        }
        if stream.read_buf(input).await.map_err(Unread::Gone)? == 0 {
            return Err(Unread::Gone(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}
