//! The head of a request, as a server reads it.
//!
//! Prevents: request smuggling and everything that hides in a sloppy request line (RELIABILITY S01,
//! S07), heads without a limit (req 4.4). How: `METHOD SP target SP HTTP/1.x CRLF`, single spaces,
//! origin-form (`*` for OPTIONS only), then the header block, then the rules that need the whole
//! head. Limits: the path is checked, not decoded; decoding happens once, per segment, in `target`.

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

/// Parses the head at the start of `buf`. `Partial` leaves `head` unspecified; see the module doc
/// of `h1` for how to call it while bytes arrive.
pub fn parse_request(
    buf: &[u8],
    limits: &HeadLimits,
    head: &mut RequestHead,
) -> Result<Parsed, HeadError> {
    // Nothing behind the limit is looked at, so the verdict does not depend on how much has
    // arrived.
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
    if head.method == Method::Other && buf.starts_with(b"CONNECT ") {
        // Only an authority may follow it (RFC 9112 3.2.3), and what comes after it is a tunnel.
        return Err(HeadError::BadTarget);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits {
        head_max_bytes: 1024,
        headers_max: 8,
        uri_max_bytes: 64,
    };

    fn parsed(text: &str, head: &mut RequestHead) {
        assert_eq!(
            parse_request(text.as_bytes(), &LIMITS, head),
            Ok(Parsed::Complete),
            "{text}"
        );
    }

    #[test]
    fn connect_is_refused_whatever_follows_it() {
        for target in ["/", "a:443", "*"] {
            let text = format!("CONNECT {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            let found = parse_request(text.as_bytes(), &LIMITS, &mut RequestHead::default());
            assert_eq!(found, Err(HeadError::BadTarget), "{target}");
        }
    }

    #[test]
    fn a_head_tells_its_parts() {
        let text = "PUT /a/b?c=d HTTP/1.1\r\nHost: h:1\r\nX-One: 1\r\nx-one:\t2 \r\n\
                    Connection: X-One\r\nContent-Length: 7\r\n\r\nbody...";
        let (buf, mut head) = (text.as_bytes(), RequestHead::default());
        parsed(text, &mut head);
        assert_eq!((head.method, head.minor), (Method::Put, 1));
        assert_eq!(head.path.of(buf), b"/a/b");
        assert_eq!(head.query.map(|query| query.of(buf)), Some(&b"c=d"[..]));
        assert_eq!((head.framing, head.keep_alive), (Framing::Length(7), true));
        assert_eq!(&buf[head.head_len..], b"body...");
        assert_eq!(head.header(buf, "X-ONE"), Some(&b"1"[..]));
        assert_eq!(head.header(buf, "x-two"), None);
        assert_eq!(head.headers(buf).count(), 5);
        assert_eq!(head.headers(buf).nth(2), Some((&b"x-one"[..], &b"2"[..])));
        assert!(head.connection_names(buf, b"x-one"));
        assert!(!head.connection_names(buf, b"host"));
    }

    /// A table that is reused must not show headers, a query or an Expect of the request before.
    #[test]
    fn nothing_of_the_head_before_is_left() {
        let mut head = RequestHead::default();
        parsed(
            "POST /a?q HTTP/1.1\r\nHost: a\r\nX: y\r\nExpect: 100-continue\r\n\
             Connection: close\r\nContent-Length: 1\r\n\r\n",
            &mut head,
        );
        assert!(head.expect_continue && !head.keep_alive);
        let next = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        parsed(next, &mut head);
        assert_eq!(
            (head.method, head.query, head.framing),
            (Method::Get, None, Framing::None)
        );
        assert!(!head.expect_continue && head.keep_alive);
        assert_eq!(head.headers(next.as_bytes()).count(), 1);
        assert_eq!(head.header(next.as_bytes(), "x"), None);
    }

    #[test]
    fn nobody_waits_to_send_nothing_or_in_http10() {
        let mut head = RequestHead::default();
        parsed(
            "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
            &mut head,
        );
        assert!(!head.expect_continue);
        parsed(
            "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
            &mut head,
        );
        assert!(!head.expect_continue);
    }
}
