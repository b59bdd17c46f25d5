//! Header names a declaration may use.
//!
//! The failure prevented is a header that reframes the connection it travels on: those of one hop
//! (RFC 9110, 7.6.1) and those the plane writes itself are refused, and so is whatever is no token.

use super::Problems;

/// Headers that belong to one connection.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers the plane writes itself, and those that say a deadline, of which only its own is true: a
/// second one beside it would leave the upstream to choose.
const OWN: [&str; 11] = [
    "accept",
    "connect-timeout-ms",
    "content-length",
    "content-type",
    "expect",
    "grpc-timeout",
    "host",
    "tailrace-priority",
    "user-agent",
    "x-envoy-expected-rq-timeout-ms",
    "x-request-id",
];

/// The trace of a request, of which each call has a line of its own.
const TRACE: [&str; 2] = ["traceparent", "tracestate"];

/// Whether `name` is a token; reports it otherwise.
pub(super) fn check_token(path: &str, name: &str, problems: &mut Problems) -> bool {
    let token = !name.is_empty() && name.bytes().all(is_token_byte);
    if !token {
        let message = format!("{name:?} is no header name");
        let help = "a header name is letters, digits and `-`, without colon or spaces";
        problems.add(path.to_owned(), message, help);
    }
    token
}

/// A header that a call writes itself.
pub(super) fn check_written(path: &str, name: &str, problems: &mut Problems) {
    if TRACE.iter().any(|own| own.eq_ignore_ascii_case(name)) {
        let message = format!("header `{name}` is written by the plane itself");
        let help = "remove it: each call carries the trace of its request";
        problems.add(path.to_owned(), message, help);
        return;
    }
    check_sent(path, name, problems);
}

/// A header sent to an upstream: a token that is nobody else's to write.
pub(super) fn check_sent(path: &str, name: &str, problems: &mut Problems) {
    if !check_token(path, name, problems) {
        return;
    }
    let among = |list: &[&str]| {
        list.iter()
            .any(|reserved| reserved.eq_ignore_ascii_case(name))
    };
    let (why, help) = if among(&HOP_BY_HOP) {
        ("belongs to one connection", "remove it from the list")
    } else if among(&OWN) {
        let help = "remove it: each call has the plane's own value or none";
        ("is written by the plane itself", help)
    } else {
        return;
    };
    let message = format!("header `{name}` {why} and cannot be passed on");
    problems.add(path.to_owned(), message, help);
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
