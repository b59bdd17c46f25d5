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

/// Headers the plane writes itself.
const OWN: [&str; 3] = ["host", "content-length", "expect"];

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

/// A header sent to an upstream: a token that is nobody else's to write.
pub(super) fn check_sent(path: &str, name: &str, problems: &mut Problems) {
    if !check_token(path, name, problems) {
        return;
    }
    let among = |list: &[&str]| {
        list.iter()
            .any(|reserved| reserved.eq_ignore_ascii_case(name))
    };
    let why = if among(&HOP_BY_HOP) {
        "belongs to one connection"
    } else if among(&OWN) {
        "is written by the plane itself"
    } else {
        return;
    };
    let message = format!("header `{name}` {why} and cannot be passed on");
    problems.add(path.to_owned(), message, "remove it from the list");
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
