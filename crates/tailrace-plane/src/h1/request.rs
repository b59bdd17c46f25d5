//! The head of a request, as a server reads it.
//!
//! Prevents: request smuggling and everything that hides in a sloppy request line (RELIABILITY S01, S07),
//! heads without a limit (req 4.4). How: `METHOD SP target SP HTTP/1.x CRLF`, single spaces, origin-form
//! (`*` for OPTIONS only), then the header block, then the rules that need the whole head. Limits: the path
//! is checked, not decoded; decoding happens once, per segment, in `target`.

use super::facts::Facts;
use super::head::{Fields, Framing, HeadLimits, Method, Parsed, Span};
use super::refusal::HeadError;
use super::scan::{header_block, line_end, token_len, uri_len};

/// Longer than every registered method (the longest has 17 bytes).
const METHOD_MAX: usize = 24;

#[derive(Debug, Default)]
pub struct RequestHead {
    pub method: Method,
    /// Starts with `/`, or is `*` (OPTIONS only); percent-encoding checked, not decoded.
    pub path: Span,
    /// What follows the first `?`, without it.
    pub query: Option<Span>,
    pub minor: u8,
    pub framing: Framing,
    pub keep_alive: bool,
    /// The client waits for a 100 before it sends the body that `framing` announces.
    pub expect_continue: bool,
    /// Where the body starts.
    pub head_len: usize,
    fields: Fields,
}

impl RequestHead {
    /// The first header of that name, ASCII case-insensitive.
    #[inline]
    pub fn header<'a>(&self, buf: &'a [u8], name: &str) -> Option<&'a [u8]> {
        self.fields.get(buf, name)
    }

    pub fn headers<'a>(&'a self, buf: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.fields.iter(buf)
    }

    /// Whether a Connection header names `name`: such a header is never forwarded (S05).
    pub fn connection_names(&self, buf: &[u8], name: &[u8]) -> bool {
        self.fields.connection_names(buf, name)
    }
}

/// Parses the head at the start of `buf`. `Partial` leaves `head` unspecified; see the module doc of
/// `h1` for how to call it while bytes arrive.
pub fn parse_request(
    buf: &[u8],
    limits: &HeadLimits,
    head: &mut RequestHead,
) -> Result<Parsed, HeadError> {
    // Nothing behind the limit is looked at, so the verdict does not depend on how much has arrived.
    let max = limits.head_max_bytes.min(u32::MAX as usize);
    let window = &buf[..buf.len().min(max)];
    match parse(window, limits, head)? {
        Some(head_len) => {
            head.head_len = head_len;
            Ok(Parsed::Complete)
        }
        None if buf.len() >= max => Err(HeadError::HeadTooLarge),
        None => Ok(Parsed::Partial),
    }
}

fn parse(
    buf: &[u8],
    limits: &HeadLimits,
    head: &mut RequestHead,
) -> Result<Option<usize>, HeadError> {
    let Some(at) = method(buf, head)? else {
        return Ok(None);
    };
    let Some(at) = target(buf, at, limits.uri_max_bytes, head)? else {
        return Ok(None);
    };
    let Some(minor) = version(buf, at)? else {
        return Ok(None);
    };
    let Some(at) = line_end(buf, at + 8, HeadError::BadVersion)? else {
        return Ok(None);
    };
    head.minor = minor;
    let mut facts = Facts::default();
    let note = |name: &[u8], value: &[u8]| facts.note(name, value, minor);
    let Some(end) = header_block(buf, at, limits.headers_max, &mut head.fields, note)? else {
        return Ok(None);
    };
    if !facts.host && minor == 1 {
        return Err(HeadError::MissingHost);
    }
    head.framing = match facts.length {
        Some(length) => Framing::Length(length),
        None if facts.chunked => Framing::Chunked,
        None => Framing::None,
    };
    head.keep_alive = facts.keep_alive(minor);
    let has_body = !matches!(head.framing, Framing::None | Framing::Length(0));
    // An HTTP/1.0 client does not wait (RFC 9110 10.1.1), and nobody waits to send nothing.
    head.expect_continue = facts.expect_continue && minor == 1 && has_body;
    Ok(Some(end))
}

fn method(buf: &[u8], head: &mut RequestHead) -> Result<Option<usize>, HeadError> {
    let len = token_len(&buf[..buf.len().min(METHOD_MAX + 1)]);
    if len > METHOD_MAX {
        return Err(HeadError::MethodTooLong);
    }
    match buf.get(len) {
        None => Ok(None),
        Some(b' ') if len > 0 => {
            head.method = Method::from_token(&buf[..len]);
            Ok(Some(len + 1))
        }
        Some(_) => Err(HeadError::BadRequestLine),
    }
}

fn target(
    buf: &[u8],
    start: usize,
    uri_max: usize,
    head: &mut RequestHead,
) -> Result<Option<usize>, HeadError> {
    match buf.get(start) {
        None => return Ok(None),
        Some(b'/') => {}
        Some(b'*') if head.method == Method::Options => {}
        Some(_) => return Err(HeadError::BadTarget),
    }
    let len = uri_len(&buf[start..]);
    if len > uri_max {
        return Err(HeadError::UriTooLong);
    }
    let end = start + len;
    match buf.get(end) {
        None => return Ok(None),
        Some(b' ') => {}
        Some(_) => return Err(HeadError::BadTarget),
    }
    let bytes = &buf[start..end];
    if (bytes[0] == b'*' && len > 1) || !percents_are_whole(bytes) {
        return Err(HeadError::BadTarget);
    }
    let mark = memchr::memchr(b'?', bytes);
    head.path = Span::new(start, mark.map_or(end, |mark| start + mark));
    head.query = mark.map(|mark| Span::new(start + mark + 1, end));
    Ok(Some(end + 1))
}

#[inline]
fn percents_are_whole(bytes: &[u8]) -> bool {
    memchr::memchr_iter(b'%', bytes).all(|at| {
        matches!(bytes.get(at + 1..at + 3), Some(hex) if hex.iter().all(u8::is_ascii_hexdigit))
    })
}

/// `HTTP/1.0` or `HTTP/1.1` at `at`: its minor digit, `None` while it may still become one.
#[inline]
pub(super) fn version(buf: &[u8], at: usize) -> Result<Option<u8>, HeadError> {
    let have = &buf[at.min(buf.len())..];
    match have.first_chunk::<8>() {
        Some(b"HTTP/1.1") => Ok(Some(1)),
        Some(b"HTTP/1.0") => Ok(Some(0)),
        _ => odd_version(have),
    }
}

#[cold]
fn odd_version(have: &[u8]) -> Result<Option<u8>, HeadError> {
    let pattern = b"HTTP/d.d";
    let fits = |(byte, want): (&u8, &u8)| match want {
        b'd' => byte.is_ascii_digit(),
        _ => byte == want,
    };
    if !have.iter().zip(pattern).all(fits) {
        return Err(HeadError::BadVersion);
    }
    if have.len() < pattern.len() {
        return Ok(None);
    }
    Err(HeadError::UnsupportedVersion)
}
