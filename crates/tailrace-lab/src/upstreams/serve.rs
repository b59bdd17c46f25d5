//! One connection to a simulated upstream: read a head, wait as the law says, answer. The usual
//! answer is one read and one write; the state of a connection is reused for every request on it.

use super::misbehave::{misbehave, Then};
use super::state::Upstream;
use crate::alarm::Alarm;
use crate::http::inbound::{self, Head, Inbound, Method, Next};
use crate::scenario::json_id;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;

/// Above this a client that gives up is noticed while the answer is being waited for, so that
/// `in_flight` and `connections` show what the client still holds. Below it, watching costs more.
const WATCHED: Duration = Duration::from_millis(20);

pub(super) async fn connection(stream: TcpStream, upstream: Rc<Upstream>, alarm: Rc<Alarm>) {
    let _connected = upstream.connected();
    let mut inbound = Inbound::new(stream);
    let mut out = Vec::with_capacity(2048);
    loop {
        let head = match inbound.next().await {
            Next::Request(head) => head,
            Next::Closed => return,
            Next::Refused(status) => {
                inbound::problem(&mut out, status, "the request cannot be read", true);
                let _ = inbound.write(&out).await;
                return;
            }
        };
        match exchange(&mut inbound, &head, &upstream, &alarm, &mut out).await {
            Then::Continue if head.keep_alive => {}
            _ => return,
        }
    }
}

async fn exchange(
    inbound: &mut Inbound,
    head: &Head,
    upstream: &Upstream,
    alarm: &Rc<Alarm>,
    out: &mut Vec<u8>,
) -> Then {
    let _started = upstream.started();
    let (delay, fault) = upstream.draw();
    let answer = prepare(inbound.path(head), upstream, !head.keep_alive, out);
    if inbound.finish(head).await.is_err() {
        return Then::Close;
    }
    if answer != Answer::NoRoute && !wait(inbound, alarm, delay).await {
        return Then::Close;
    }
    if let (Some(kind), Answer::Body(id)) = (fault, &answer) {
        return misbehave(kind, id, inbound, upstream, alarm, out).await;
    }
    if head.method == Method::Head {
        let end = memchr::memmem::find(out, b"\r\n\r\n").map_or(out.len(), |at| at + 4);
        out.truncate(end);
    }
    match inbound.write(out).await {
        Ok(()) => Then::Continue,
        Err(_) => Then::Close,
    }
}

#[derive(PartialEq)]
enum Answer {
    /// The usual body; carries the escaped id for the faults that rebuild it.
    Body(String),
    NotFound,
    NoRoute,
}

/// Writes the usual answer into `out` before the wait: what is due at a moment is ready by then.
fn prepare(path: &str, upstream: &Upstream, close: bool, out: &mut Vec<u8>) -> Answer {
    let Some(segment) = upstream.spec.id_in(path) else {
        inbound::problem(out, 404, "no such path on this upstream", close);
        return Answer::NoRoute;
    };
    let Some(id) = json_id(segment) else {
        inbound::problem(out, 400, "the id is not valid UTF-8", close);
        return Answer::NoRoute;
    };
    let missing = upstream.spec.not_found_ids.as_deref();
    if missing.is_some_and(|prefix| id.starts_with(prefix)) {
        inbound::problem(out, 404, "no such id", close);
        return Answer::NotFound;
    }
    out.clear();
    inbound::head(out, 200, "application/json", close);
    out.extend_from_slice(b"content-length: ");
    out.extend_from_slice(
        itoa::Buffer::new()
            .format(upstream.spec.body.len(&id))
            .as_bytes(),
    );
    out.extend_from_slice(b"\r\n\r\n");
    upstream.spec.body.render(&id, out);
    Answer::Body(id.into_owned())
}

/// False when the client left before the time was over.
pub(super) async fn wait(inbound: &mut Inbound, alarm: &Rc<Alarm>, delay: Duration) -> bool {
    if delay < WATCHED {
        alarm.after(delay).await;
        return true;
    }
    tokio::select! {
        () = alarm.after(delay) => true,
        () = inbound.gone() => false,
    }
}
