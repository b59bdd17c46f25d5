//! Putting a reply together: parts spliced in declared order, or a problem (RFC 9457).
//!
//! Bytes of the parts are copied once into the reply, which leaves in one write (req 10.4). A reply
//! says in its body, in `Tailrace-Degraded` and in the log which part is missing and why, in the
//! same words.

mod sources;

use crate::fanout::FanOut;
use crate::h1;
use crate::program::{Layout, List, Placed, Program, View};
use crate::reason::Reason;
use crate::splice::escape_into;
use crate::worker::Worker;
pub use sources::Said;
use sources::{is_kept, push_degraded_header, push_said, push_sources_header};
use std::sync::atomic::{AtomicU32, Ordering};

/// A reply that is not a view's: status, code and words of a problem.
#[derive(Debug, Clone, Default)]
pub struct Problem {
    pub status: u16,
    pub code: &'static str,
    pub detail: String,
    /// Part or parameter the problem is about.
    pub part: Option<String>,
    pub parameter: Option<String>,
    pub retry_after_s: Option<u32>,
    pub allow: Option<Box<str>>,
}

impl Problem {
    /// The problem of a request that fails for `reason`.
    pub fn of(reason: Reason) -> Self {
        Self {
            status: reason.status(),
            code: reason.code(),
            detail: reason.detail().to_owned(),
            retry_after_s: (reason.status() == 503).then(retry_after_s),
            ..Self::default()
        }
    }
}

/// Retry-After of a refusal: one or two seconds in turn, so that refused callers do not return
/// together.
pub fn retry_after_s() -> u32 {
    static TURN: AtomicU32 = AtomicU32::new(0);
    1 + TURN.fetch_add(1, Ordering::Relaxed) % 2
}

/// What every reply needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    pub request_id: &'a [u8],
    pub keep_alive: bool,
    /// HTTP/1.0, where keeping the connection has to be said.
    pub old: bool,
    /// HEAD: same head, no body.
    pub head_only: bool,
    pub epoch_ms: u64,
    /// Further header lines.
    pub lines: &'a [u8],
}

/// Assembles an aggregated reply into `out`; returns the number of body bytes.
pub fn aggregate(worker: &Worker, fan: &FanOut, frame: Frame<'_>, out: &mut Vec<u8>) -> usize {
    let program = &worker.program;
    let view = &program.views[fan.view];
    if let Some(layout) = &view.layout {
        return laid_out(worker, view, layout, fan, frame, out);
    }
    let mut tail = worker.buffers.take();
    push_envelope(program, view, fan, frame, &mut tail);
    let parts = view.parts.iter().zip(&fan.values);
    let values: usize = parts
        .map(|(part, value)| part.key.len() + value.as_deref().map_or(4, <[u8]>::len))
        .sum();
    let length = values + tail.len();
    push_ok(worker, view, fan, length, frame, out);
    if !frame.head_only {
        out.reserve(length);
        for (part, value) in view.parts.iter().zip(&fan.values) {
            out.extend_from_slice(&part.key);
            out.extend_from_slice(value.as_deref().unwrap_or(b"null"));
        }
        out.extend_from_slice(&tail);
    }
    worker.buffers.give(tail);
    length
}

/// The whole head of an aggregated reply.
fn push_ok(
    worker: &Worker,
    view: &View,
    fan: &FanOut,
    length: usize,
    frame: Frame<'_>,
    out: &mut Vec<u8>,
) {
    push_head(worker, 200, "application/json", length, frame, out);
    if fan.ends.iter().any(|end| end.failed.is_some()) {
        push_degraded_header(view, fan, out);
        out.extend_from_slice(b"cache-control: no-store\r\n");
    }
    if fan.ends.iter().any(is_kept) {
        push_sources_header(view, fan, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// A reply with merged objects, appended lists, or without an envelope.
fn laid_out(
    worker: &Worker,
    view: &View,
    layout: &Layout,
    fan: &FanOut,
    frame: Frame<'_>,
    out: &mut Vec<u8>,
) -> usize {
    let mut body = worker.buffers.take();
    match layout {
        Layout::Collection(list) => {
            push_list(list, fan, &mut body);
            // A part whose type allows null: a collection is a list all the same.
            if body == b"null" {
                body.clear();
                body.extend_from_slice(b"[]");
            }
        }
        Layout::Fields(placed) => {
            for one in placed {
                let mark = body.len();
                body.push(if mark == 0 { b'{' } else { b',' });
                match one {
                    Placed::Named(key, list) => {
                        body.extend_from_slice(key);
                        push_list(list, fan, &mut body);
                    }
                    Placed::Merged(part) => match inside(fan, *part, b'{', b'}') {
                        Some(fields) => body.extend_from_slice(fields),
                        None => body.truncate(mark),
                    },
                }
            }
            let mark = body.len();
            push_envelope(&worker.program, view, fan, frame, &mut body);
            if mark == 0 {
                // Everything merged was empty: the envelope's comma begins the object.
                body[0] = b'{';
            }
        }
    }
    let length = body.len();
    push_ok(worker, view, fan, length, frame, out);
    if !frame.head_only {
        out.extend_from_slice(&body);
    }
    worker.buffers.give(body);
    length
}

/// A part's value; a list with those that continue it.
fn push_list(list: &List, fan: &FanOut, out: &mut Vec<u8>) {
    let own = fan.values[list.part].as_deref().unwrap_or(b"null");
    let followed = list
        .more
        .iter()
        .any(|part| inside(fan, *part, b'[', b']').is_some());
    if !followed {
        out.extend_from_slice(own);
        return;
    }
    out.push(b'[');
    let start = out.len();
    for part in std::iter::once(&list.part).chain(&list.more) {
        if let Some(items) = inside(fan, *part, b'[', b']') {
            if out.len() > start {
                out.push(b',');
            }
            out.extend_from_slice(items);
        }
    }
    out.push(b']');
}

/// What stands between the brackets of a part's value, when that is something.
fn inside(fan: &FanOut, part: usize, open: u8, close: u8) -> Option<&[u8]> {
    let value = fan.values[part].as_deref()?.trim_ascii();
    let inner = value
        .strip_prefix(&[open])?
        .strip_suffix(&[close])?
        .trim_ascii();
    (!inner.is_empty()).then_some(inner)
}

/// `,"degraded":[…],"request_id":"…","served_at_ms":…}` (req 10.2).
fn push_envelope(
    program: &Program,
    view: &View,
    fan: &FanOut,
    frame: Frame<'_>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(&program.envelope.degraded);
    out.push(b'[');
    let mut first = true;
    for (name, end) in view.names().zip(&fan.ends) {
        if end.failed.is_some() {
            if !first {
                out.push(b',');
            }
            first = false;
            escape_into(name, out);
        }
    }
    out.push(b']');
    out.extend_from_slice(&program.envelope.request_id);
    out.push(b'"');
    // Request ids are admitted only in characters that need no escaping.
    out.extend_from_slice(frame.request_id);
    out.push(b'"');
    out.extend_from_slice(&program.envelope.served_at_ms);
    out.extend_from_slice(itoa::Buffer::new().format(frame.epoch_ms).as_bytes());
    out.push(b'}');
}

/// Puts what a handler returned into a reply: its own JSON, and in a header what is missing.
pub fn handled(
    worker: &Worker,
    body: &[u8],
    degraded: &[Said<'_>],
    frame: Frame<'_>,
    out: &mut Vec<u8>,
) {
    push_head(worker, 200, "application/json", body.len(), frame, out);
    if !degraded.is_empty() {
        push_said(degraded, out);
        out.extend_from_slice(b"\r\ncache-control: no-store\r\n");
    }
    out.extend_from_slice(b"\r\n");
    if !frame.head_only {
        out.extend_from_slice(body);
    }
}

/// Status line and the headers every reply has; the caller ends the head.
fn push_head(
    worker: &Worker,
    status: u16,
    content_type: &str,
    length: usize,
    frame: Frame<'_>,
    out: &mut Vec<u8>,
) {
    let mut number = itoa::Buffer::new();
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(number.format(status).as_bytes());
    out.push(b' ');
    out.extend_from_slice(h1::reason(status).as_bytes());
    out.extend_from_slice(b"\r\ncontent-type: ");
    out.extend_from_slice(content_type.as_bytes());
    out.extend_from_slice(b"\r\ncontent-length: ");
    out.extend_from_slice(number.format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
    push_common(worker, frame, out);
}

/// The headers that every reply has and only the request decides.
pub fn push_common(worker: &Worker, frame: Frame<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"x-request-id: ");
    out.extend_from_slice(frame.request_id);
    out.extend_from_slice(b"\r\n");
    worker.push_date(frame.epoch_ms, out);
    push_connection(frame, out);
    out.extend_from_slice(frame.lines);
}

fn push_connection(frame: Frame<'_>, out: &mut Vec<u8>) {
    if !frame.keep_alive {
        out.extend_from_slice(b"connection: close\r\n");
    } else if frame.old {
        out.extend_from_slice(b"connection: keep-alive\r\n");
    }
}

/// Assembles a problem into `out`; returns the number of body bytes.
pub fn problem(worker: &Worker, problem: &Problem, frame: Frame<'_>, out: &mut Vec<u8>) -> usize {
    let mut body = worker.buffers.take();
    problem_body(problem, &mut body);
    body.extend_from_slice(frame.request_id);
    body.extend_from_slice(b"\"}");
    push_head(
        worker,
        problem.status,
        "application/problem+json",
        body.len(),
        frame,
        out,
    );
    if let Some(seconds) = problem.retry_after_s {
        out.extend_from_slice(format!("retry-after: {seconds}\r\n").as_bytes());
    }
    if let Some(allow) = &problem.allow {
        out.extend_from_slice(format!("allow: {allow}\r\n").as_bytes());
    }
    out.extend_from_slice(b"cache-control: no-store\r\n\r\n");
    let length = body.len();
    if !frame.head_only {
        out.extend_from_slice(&body);
    }
    worker.buffers.give(body);
    length
}

/// A problem's body up to its request id.
pub fn problem_body(problem: &Problem, body: &mut Vec<u8>) {
    body.extend_from_slice(b"{\"type\":\"urn:tailrace:problem:");
    body.extend_from_slice(problem.code.as_bytes());
    body.extend_from_slice(b"\",\"title\":");
    escape_into(h1::reason(problem.status), body);
    body.extend_from_slice(b",\"status\":");
    body.extend_from_slice(itoa::Buffer::new().format(problem.status).as_bytes());
    let fields = [
        (&b",\"code\":"[..], Some(problem.code)),
        (b",\"detail\":", Some(problem.detail.as_str())),
        (b",\"part\":", problem.part.as_deref()),
        (b",\"parameter\":", problem.parameter.as_deref()),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            body.extend_from_slice(name);
            escape_into(value, body);
        }
    }
    body.extend_from_slice(b",\"request_id\":\"");
}

/// A reply without a body, for OPTIONS.
pub fn empty(worker: &Worker, allow: &str, frame: Frame<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 204 No Content\r\nallow: ");
    out.extend_from_slice(allow.as_bytes());
    out.extend_from_slice(b"\r\nx-request-id: ");
    out.extend_from_slice(frame.request_id);
    out.extend_from_slice(b"\r\n");
    worker.push_date(frame.epoch_ms, out);
    push_connection(frame, out);
    out.extend_from_slice(b"\r\n");
}

/// `date: Tue, 24 Nov 2026 15:08:45 GMT` for a second since the epoch (RFC 9110 5.6.7).
pub fn date_line(second: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (days, rest) = (second / 86_400, second % 86_400);
    // Civil date from days since 1970-01-01, by eras of 400 years that start in March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = year_of_era + era * 400 + u64::from(month < 2);
    format!(
        "date: {}, {day:02} {} {year} {:02}:{:02}:{:02} GMT\r\n",
        DAYS[(days % 7) as usize],
        MONTHS[month as usize],
        rest / 3_600,
        rest / 60 % 60,
        rest % 60,
    )
}

#[cfg(test)]
mod tests {
    use super::date_line;

    #[test]
    fn dates_follow_the_calendar() {
        assert_eq!(date_line(0), "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n");
        assert_eq!(
            date_line(784_111_777),
            "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        );
        assert_eq!(
            date_line(1_709_210_096),
            "date: Thu, 29 Feb 2024 12:34:56 GMT\r\n"
        );
        assert_eq!(
            date_line(1_795_532_925),
            "date: Tue, 24 Nov 2026 15:08:45 GMT\r\n"
        );
    }
}
