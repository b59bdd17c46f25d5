//! Headers on the way out.
//!
//! Prevents: header injection (RELIABILITY S04): a value from a view, a parameter, a claim or an upstream
//! that starts a line of its own; and hop-by-hop headers that travel further than one hop (S05). How:
//! nothing is written unless name and value are made of bytes that cannot end a line. Limits: which
//! headers may be forwarded at all is the allow-list's decision; framing headers are the caller's.

use std::fmt;

use super::scan::is_token;

/// A header that must not be written; nothing of it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadHeader {
    Name,
    Value,
}

impl BadHeader {
    pub fn code(self) -> &'static str {
        match self {
            Self::Name => "bad_header_name",
            Self::Value => "bad_header_value",
        }
    }
}

impl fmt::Display for BadHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "The header name holds a byte that no token may hold.",
            Self::Value => "The header value holds a control byte.",
        })
    }
}

impl std::error::Error for BadHeader {}

/// Appends `name: value CRLF`, or nothing at all when either could break out of its line.
pub fn push_header(out: &mut Vec<u8>, name: &str, value: &[u8]) -> Result<(), BadHeader> {
    if !is_token(name.as_bytes()) {
        return Err(BadHeader::Name);
    }
    if !is_header_value(value) {
        return Err(BadHeader::Value);
    }
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// No control byte at all: HTAB is legal in the grammar, but nothing here needs to send one.
#[inline]
pub fn is_header_value(value: &[u8]) -> bool {
    value.iter().all(|&byte| byte >= b' ' && byte != 0x7f)
}

/// Headers that concern one connection only: RFC 9110 7.6.1, and older ones that still are sent.
pub fn hop_by_hop(name: &[u8]) -> bool {
    let known: &[u8] = match name.len() {
        2 => b"te",
        7 => return is_one_of(name, [b"trailer", b"upgrade"]),
        10 => return is_one_of(name, [b"connection", b"keep-alive"]),
        14 => b"http2-settings",
        16 => b"proxy-connection",
        17 => b"transfer-encoding",
        18 => b"proxy-authenticate",
        19 => b"proxy-authorization",
        _ => return false,
    };
    name.eq_ignore_ascii_case(known)
}

fn is_one_of<const N: usize>(name: &[u8], known: [&[u8; N]; 2]) -> bool {
    known.iter().any(|known| name.eq_ignore_ascii_case(*known))
}

/// The reason phrase of a status; empty for one that has no name here.
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        499 => "Client Closed Request",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
