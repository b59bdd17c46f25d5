//! The bytes of one attempt's request: what we say ourselves, then the call's own lines and body.
//!
//! The failure prevented is a peer that works on for somebody who has left: every request says how
//! much time is left for it.

use crate::h1::Method;
use crate::program::{Body, Part};
use crate::template::Rendered;
use crate::trace::context;
use tailrace_policy::deadline::millis_floor;
use tailrace_policy::Nanos;

/// Writes the request: what we say ourselves, then the call's own header lines, of which the last
/// is the trace's when it has a `span` (0: none).
pub fn push_request(
    part: &Part,
    rendered: &Rendered,
    base: &str,
    authority: &str,
    left: Nanos,
    span: u64,
    out: &mut Vec<u8>,
) {
    let (target, lines) = rendered.bytes.split_at(rendered.target);
    let accept: &[u8] = if rendered.any_type {
        b"*/*"
    } else {
        b"application/json"
    };
    for bytes in [
        part.method.as_str().as_bytes(),
        b" ",
        base.as_bytes(),
        target,
        b" HTTP/1.1\r\nhost: ",
        authority.as_bytes(),
        b"\r\naccept: ",
        accept,
        b"\r\nuser-agent: tailrace\r\nx-envoy-expected-rq-timeout-ms: ",
        itoa::Buffer::new()
            .format(millis_floor(left).max(1))
            .as_bytes(),
        b"\r\n",
        lines,
    ] {
        out.extend_from_slice(bytes);
    }
    if span != 0 {
        context::fill(out, span);
    }
    push_body(part, &rendered.body, out);
}

/// The rest of the head, and the body. A method that may have one says its length even when there
/// is none (RFC 9110 8.6).
fn push_body(part: &Part, body: &[u8], out: &mut Vec<u8>) {
    if matches!(part.method, Method::Post | Method::Put | Method::Patch) {
        let kind: &[u8] = match part.body {
            None => b"",
            Some(Body::Json(_)) => b"content-type: application/json\r\n",
            Some(Body::Form(_)) => b"content-type: application/x-www-form-urlencoded\r\n",
        };
        out.extend_from_slice(kind);
        out.extend_from_slice(b"content-length: ");
        out.extend_from_slice(itoa::Buffer::new().format(body.len()).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}
