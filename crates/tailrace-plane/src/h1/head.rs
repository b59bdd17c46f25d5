//! The words that requests and responses share: limits, spans, methods, framing, the header table.
//!
//! Prevents: copies and lookups that cost more than the parse itself. How: a head never owns bytes;
//! it holds offsets into the caller's buffer, in one table that is reused from message to message.
//! Limits: a head is only meaningful together with the very buffer it was parsed from.

/// What a head may cost (req 4.4); the defaults live with the listener's configuration.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    pub head_max_bytes: usize,
    pub headers_max: usize,
    pub uri_max_bytes: usize,
}

/// A range of the caller's buffer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self {
            start: start as u32,
            end: end as u32,
        }
    }

    /// The bytes; empty when `buf` is not the buffer this span was made from and is too short.
    #[inline]
    pub fn of<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        buf.get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }

    #[inline]
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

/// The methods that routes are declared with; any other token is one value, so that metrics stay
/// bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Other,
}

impl Method {
    #[inline]
    pub(super) fn from_token(token: &[u8]) -> Self {
        match token {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"PATCH" => Self::Patch,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            _ => Self::Other,
        }
    }

    /// `_OTHER` for a method that has no name here (RELIABILITY S23).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Other => "_OTHER",
        }
    }
}

impl From<tailrace_blueprint::Method> for Method {
    fn from(declared: tailrace_blueprint::Method) -> Self {
        match declared {
            tailrace_blueprint::Method::Get => Self::Get,
            tailrace_blueprint::Method::Post => Self::Post,
            tailrace_blueprint::Method::Put => Self::Put,
            tailrace_blueprint::Method::Patch => Self::Patch,
            tailrace_blueprint::Method::Delete => Self::Delete,
        }
    }
}

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    #[default]
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    Complete,
    Partial,
}

/// The header table of one head: offsets only, reused.
#[derive(Debug, Default)]
pub(super) struct Fields {
    spans: Vec<(Span, Span)>,
}

impl Fields {
    #[inline]
    pub(super) fn clear(&mut self) {
        self.spans.clear();
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    #[inline]
    pub(super) fn push(&mut self, name: Span, value: Span) {
        self.spans.push((name, value));
    }

    #[inline]
    pub(super) fn get<'a>(&self, buf: &'a [u8], name: &str) -> Option<&'a [u8]> {
        let wanted = name.as_bytes();
        let hit = self.spans.iter().find(|(name, _)| {
            name.len() == wanted.len() && name.of(buf).eq_ignore_ascii_case(wanted)
        });
        hit.map(|(_, value)| value.of(buf))
    }

    pub(super) fn iter<'a>(&'a self, buf: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.spans
            .iter()
            .map(|(name, value)| (name.of(buf), value.of(buf)))
    }

    /// Whether any Connection header names `name`: such a header concerns this hop only (S05).
    pub(super) fn connection_names(&self, buf: &[u8], name: &[u8]) -> bool {
        self.iter(buf)
            .filter(|(field, _)| field.eq_ignore_ascii_case(b"connection"))
            .flat_map(|(_, value)| value.split(|&byte| byte == b','))
            .any(|token| token.trim_ascii().eq_ignore_ascii_case(name))
    }
}
