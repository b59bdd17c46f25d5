//! The bytes of one attempt's request: what we say ourselves, then the call's own lines and body.
//!
//! The failure prevented is a peer that works on for somebody who has left: every request says how
//! much time is left for it.

use crate::addresses::Address;
use crate::h1::Method;
use crate::program::{Body, Part};
use crate::template::Rendered;
use crate::trace::context;
use tailrace_policy::deadline::millis_floor;
use tailrace_policy::Nanos;

/// What every request to `authority` has behind its target, up to the time that is left for it.
/// Put together once: a request is few copies.
pub fn common_lines(authority: &str) -> String {
    format!(
        " HTTP/1.1\r\nhost: {authority}\r\nuser-agent: tailrace\r\n\
         x-envoy-expected-rq-timeout-ms: "
    )
}

/// Writes the request: what we say ourselves, then the call's own header lines, of which the last
/// is the trace's when it has a `span` (0: none).
pub fn push_request(
    part: &Part,
    rendered: &Rendered,
    address: &Address,
    left: Nanos,
    span: u64,
    out: &mut Vec<u8>,
) {
    let (target, lines) = rendered.bytes.split_at(rendered.target);
    let accept: &[u8] = if rendered.any_type {
        b"\r\naccept: */*\r\n"
    } else {
        b"\r\naccept: application/json\r\n"
    };
    out.extend_from_slice(part.method.as_str().as_bytes());
    out.push(b' ');
    if !address.base.is_empty() {
        out.extend_from_slice(address.base.as_bytes());
    }
    out.extend_from_slice(target);
    out.extend_from_slice(address.lines.as_bytes());
    let mut digits = itoa::Buffer::new();
    out.extend_from_slice(digits.format(millis_floor(left).max(1)).as_bytes());
    out.extend_from_slice(accept);
    out.extend_from_slice(lines);
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
