//! The head of a response, as a client of upstreams reads it.
//!
//! Prevents: bytes of one response becoming part of another one (RELIABILITY S02, hyper#4181). How: the
//! same header block and framing facts as for requests, then the rules of RFC 9112 6.3 in their order; any
//! doubt is an error, and an error closes the connection. Limits: bytes behind the body, and more than a few
//! interim responses, are the caller's to refuse; it owns the connection.

use super::facts::Facts;
use super::head::{Fields, Framing, HeadLimits, Method, Parsed};
use super::media::is_json;
use super::refusal::HeadError;
use super::request::version;
use super::scan::{header_block, line_end, text_len};

#[derive(Debug, Default)]
pub struct ResponseHead {
    /// 100 to 599; below 200 it is an interim response and the real one follows.
    pub status: u16,
    pub minor: u8,
    pub framing: Framing,
    /// False whenever the connection may not be used again, `UntilClose` included.
    pub keep_alive: bool,
    /// One Content-Type: `application/json` or `application/*+json`, charset absent or UTF-8.
    pub json: bool,
    /// Where the body starts.
    pub head_len: usize,
    fields: Fields,
}

impl ResponseHead {
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

/// Parses the head at the start of `buf`, the answer to a `request` of that method. A 1xx comes back as
/// `Complete` with `Framing::None`: drop `head_len` bytes and parse on. 101 is an error, because this
/// client never asks for it.
pub fn parse_response(
    buf: &[u8],
    request: Method,
    limits: &HeadLimits,
    head: &mut ResponseHead,
) -> Result<Parsed, HeadError> {
    // Nothing behind the limit is looked at, so the verdict does not depend on how much has arrived.
    let max = limits.head_max_bytes.min(u32::MAX as usize);
    let window = &buf[..buf.len().min(max)];
    match parse(window, request, limits, head)? {
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
    request: Method,
    limits: &HeadLimits,
    head: &mut ResponseHead,
) -> Result<Option<usize>, HeadError> {
    let Some(minor) = version(buf, 0)? else {
        return Ok(None);
    };
    let Some((status, at)) = status(buf)? else {
        return Ok(None);
    };
    head.minor = minor;
    head.status = status;
    let mut facts = Facts::default();
    let mut media: Option<bool> = None;
    let note = |name: &[u8], value: &[u8]| {
        if name.len() == 12 && name.eq_ignore_ascii_case(b"content-type") {
            // Two answers to "what is this" are none.
            media = Some(media.is_none() && is_json(value));
        }
        match name.len() {
            // Host and Expect mean nothing in a response.
            4 | 6 => Ok(()),
            _ => facts.note(name, value, minor),
        }
    };
    let Some(end) = header_block(buf, at, limits.headers_max, &mut head.fields, note)? else {
        return Ok(None);
    };
    head.json = media == Some(true);
    head.framing = framing(status, request, &facts)?;
    head.keep_alive = facts.keep_alive(minor) && head.framing != Framing::UntilClose;
    Ok(Some(end))
}

/// RFC 9112 6.3, without the parts that guess.
fn framing(status: u16, request: Method, facts: &Facts) -> Result<Framing, HeadError> {
    let declares = facts.chunked || facts.length.is_some_and(|length| length > 0);
    match status {
        101 => Err(HeadError::SwitchingProtocols),
        100..200 | 204 if declares => Err(HeadError::BodyForbidden),
        100..200 | 204 | 304 => Ok(Framing::None),
        _ if request == Method::Head => Ok(Framing::None),
        _ if facts.chunked => Ok(Framing::Chunked),
        _ => Ok(facts.length.map_or(Framing::UntilClose, Framing::Length)),
    }
}

/// `SP 3DIGIT [SP reason] CRLF` behind the version: the status, and where the headers start.
fn status(buf: &[u8]) -> Result<Option<(u16, usize)>, HeadError> {
    let have = &buf[8..];
    let shape = [b' ', b'd', b'd', b'd'];
    let fits = |(byte, want): (&u8, &u8)| match want {
        b'd' => byte.is_ascii_digit(),
        _ => byte == want,
    };
    if !have.iter().zip(&shape).all(fits) {
        return Err(HeadError::BadStatusLine);
    }
    let [_, hundreds, tens, ones, rest @ ..] = have else {
        return Ok(None);
    };
    let status = [hundreds, tens, ones]
        .iter()
        .fold(0, |sum, digit| sum * 10 + u16::from(**digit - b'0'));
    if !(100..600).contains(&status) {
        return Err(HeadError::BadStatusLine);
    }
    let (len, otherwise) = match rest.first() {
        Some(b' ') => (text_len(rest), HeadError::ControlByte),
        _ => (0, HeadError::BadStatusLine),
    };
    Ok(line_end(buf, 12 + len, otherwise)?.map(|at| (status, at)))
}
