//! The admin port: health, metrics, effective limits, the blueprint, and changes by POST with the
//! admin token (`configure.rs`, `forget.rs`).
//!
//! It runs on the control thread, so a busy worker cannot starve a probe, and on a loopback address
//! unless told otherwise. Requests pass the same strict head parser as the service port. A `Host`
//! that is not local is refused, so that a web page cannot read it by rebinding a name (RELIABILITY
//! S24).

mod config;
mod configure;
mod console;
mod forget;
mod profile;
mod receipts;
mod sample;
mod tap;
pub mod token;

use crate::h1::{self, HeadLimits, Method, Parsed, RequestHead};
use crate::metrics::text;
use crate::metrics::write::Format;
use crate::net::TcpListener;
use crate::shared::{Phase, Shared};
use std::io;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Admin connections served at the same time. Each has its place for one head's time at most before
/// it must have asked for something.
const CONNECTIONS_MAX: usize = 64;
/// For one whole head, not for each of its bytes: few slow senders would hold every place for ever.
const HEAD_WAIT: Duration = Duration::from_secs(5);
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

const NOT_LOCAL: &str = "this Host is not local\n";
const INDEX: &str = "tailrace admin\n\n\
    GET /console    this service live, for a browser
    GET /live       every number that moves, JSON
    GET /livez      200 while the process runs, 503 when a worker thread has ended\n\
    GET /readyz     200 when it takes requests, 503 while it drains\n\
    GET /metrics    Prometheus text of all workers\n\
    GET /stats      percentiles of views and upstreams since start, JSON\n\
    GET /receipts   what single requests cost, and their critical path, JSON\n\
    GET /tap        finished requests as they end, JSON lines
    GET /why        which parts cause the tail of each view, JSON\n\
    GET /config     effective limits and where each came from\n\
    GET /blueprint  the compiled declaration\n\
    POST /config         limits to set, JSON or TOML; needs the admin token\n\
    POST /config/reload  read the config file again; needs the admin token\n\
    POST /cache/invalidate?upstream=NAME&prefix=/PATH  forget answers; needs the admin token\n\
    POST /profile/tasks  what each request in flight waits for, JSON\n\
    POST /profile/cpu?seconds=N&format=json|collapsed|svg  where processor time goes\n\
    POST /profile/heap?seconds=N&python=N  what is held, by owner, JSON\n\
    POST /profile/trace?seconds=N  requests and their waits, for Perfetto\n";
const INDEX_OF_PAGES: &str = "\
    GET /docs       the service for its callers, HTML\n\
    GET /openapi.json  the same for programs, OpenAPI 3.1\n";

/// For `/docs`, which allows its own script and style by their hashes in a policy of its own.
const PAGE_POLICY: &str = "default-src 'self' 'unsafe-inline'; img-src data:; \
    connect-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

struct Answer {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
}

fn text(status: u16, body: &str) -> Answer {
    Answer {
        status,
        content_type: "text/plain; charset=utf-8",
        body: body.into(),
    }
}

fn json(body: Vec<u8>) -> Answer {
    Answer {
        status: 200,
        content_type: "application/json",
        body,
    }
}

/// Accepts admin connections until the runtime ends.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let local = listener
        .local_addr()
        .is_ok_and(|address| address.ip().is_loopback());
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = Arc::clone(&shared);
                tokio::task::spawn_local(async move {
                    connection(stream, &shared, local).await.ok();
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn connection(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    shared: &Shared,
    local: bool,
) -> io::Result<()> {
    let limits = shared.program().head_limits;
    let mut input = Vec::with_capacity(1024);
    let mut head = RequestHead::default();
    loop {
        let complete = read_head(&mut stream, &mut input, &limits, &mut head);
        if !timeout(HEAD_WAIT, complete).await?? {
            return Ok(());
        }
        let answer = match head.method {
            Method::Post if profile::is_one(head.path.of(&input)) => {
                match profile::answer(&mut stream, &head, &mut input, shared, local).await? {
                    Some(answer) => answer,
                    None => return Ok(()),
                }
            }
            Method::Post => {
                configure::answer(&mut stream, &head, &mut input, shared, local).await?
            }
            Method::Get if head.path.of(&input) == b"/tap" && is_for_us(&head, &input, local) => {
                match tap::stream(&mut stream, &head, &input, shared).await? {
                    Some(answer) => answer,
                    None => return Ok(()),
                }
            }
            _ => answer(&head, &input, shared, local),
        };
        let keep = head.keep_alive && head.framing == h1::Framing::None;
        let connection = if keep { "" } else { "connection: close\r\n" };
        let more = match answer.status {
            // What `/` is depends on who asks.
            200 if head.path.of(&input) == b"/" => "vary: accept\r\n".to_owned(),
            401 => "www-authenticate: Bearer\r\n".to_owned(),
            405 => format!("allow: {}\r\n", configure::allowed(head.path.of(&input))),
            _ => String::new(),
        };
        let policy = match head.path.of(&input) {
            b"/docs" => PAGE_POLICY,
            _ => console::POLICY,
        };
        let mut out = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: {}\r\ncontent-length: {}\r\n\
             x-content-type-options: nosniff\r\ncache-control: no-store\r\n\
             cross-origin-resource-policy: same-origin\r\nreferrer-policy: no-referrer\r\n\
             content-security-policy: {policy}\r\n{more}{connection}\r\n",
            answer.status,
            h1::reason(answer.status),
            answer.content_type,
            answer.body.len(),
        )
        .into_bytes();
        if head.method != Method::Head {
            out.extend_from_slice(&answer.body);
        }
        timeout(HEAD_WAIT, stream.write_all(&out)).await??;
        if !keep {
            return Ok(());
        }
        input.drain(..head.head_len);
    }
}

/// `false` when the client is done or what it sent is not HTTP.
async fn read_head(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    input: &mut Vec<u8>,
    limits: &HeadLimits,
    head: &mut RequestHead,
) -> io::Result<bool> {
    loop {
        if !input.is_empty() {
            match h1::parse_request(input, limits, head) {
                Ok(Parsed::Complete) => return Ok(true),
                Ok(Parsed::Partial) => {}
                Err(error) => {
                    let line = format!(
                        "HTTP/1.1 {} {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                        error.status(),
                        h1::reason(error.status())
                    );
                    stream.write_all(line.as_bytes()).await?;
                    return Ok(false);
                }
            }
        }
        input.reserve(1024);
        if stream.read_buf(input).await? == 0 {
            return Ok(false);
        }
    }
}

fn answer(head: &RequestHead, input: &[u8], shared: &Shared, local: bool) -> Answer {
    if !is_for_us(head, input, local) {
        return text(403, NOT_LOCAL);
    }
    if !matches!(head.method, Method::Get | Method::Head) {
        return text(405, "not with this method; GET / lists what there is\n");
    }
    let pages = shared.live.pages();
    let path = head.path.of(input);
    match path {
        b"/" if console::is_wanted(head.header(input, "accept")) => console::page(),
        b"/" if pages.docs.is_empty() => text(200, INDEX),
        b"/" => text(200, &[INDEX, INDEX_OF_PAGES].concat()),
        b"/livez" if is_live(shared) => text(200, "live\n"),
        b"/livez" => text(503, "a worker thread has ended; restart the process\n"),
        b"/readyz" if shared.phase() == Phase::Running => text(200, "ready\n"),
        b"/readyz" => text(503, "draining\n"),
        b"/live" => json(sample::render(shared)),
        b"/lab" if !shared.live.lab().is_empty() => json(shared.live.lab().to_vec()),
        b"/metrics" => {
            let format = Format::asked(head.header(input, "accept"));
            Answer {
                status: 200,
                content_type: format.content_type(),
                body: text::render(shared, format),
            }
        }
        b"/stats" => json(text::stats(shared)),
        b"/receipts" => receipts::receipts(head, input, shared),
        // HEAD; what GET does is `tap.rs`.
        b"/tap" => text(200, ""),
        b"/why" => receipts::why(head, input, shared),
        b"/config" => json(config::render(shared)),
        b"/blueprint" => json(shared.live.current().blueprint.clone()),
        b"/openapi.json" if !pages.openapi.is_empty() => json(pages.openapi.clone()),
        b"/docs" if !pages.docs.is_empty() => Answer {
            status: 200,
            content_type: "text/html; charset=utf-8",
            body: pages.docs.clone(),
        },
        b"/config/reload" | b"/cache/invalidate" => text(405, "POST only\n"),
        _ if profile::is_one(path) => text(405, "POST only\n"),
        _ => {
            console::file(path).unwrap_or_else(|| text(404, "unknown; GET / lists what there is\n"))
        }
    }
}

/// A worker that ended on its own has left its port and its connections: only a restart helps. One
/// that ends in a drain has done what it was told.
fn is_live(shared: &Shared) -> bool {
    shared.workers_lost.load(Ordering::Acquire) == 0
}

/// On a loopback address only local names are answered.
fn is_for_us(head: &RequestHead, input: &[u8], local: bool) -> bool {
    !local || is_local_host(head.header(input, "host"))
}

fn is_local_host(host: Option<&[u8]>) -> bool {
    let Some(host) = host.and_then(|host| std::str::from_utf8(host).ok()) else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
