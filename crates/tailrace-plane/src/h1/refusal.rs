//! Why a head was refused: one code per reason, so that a log line, a metric and a test say the
//! same word.
//!
//! Prevents: a refusal nobody can act on. How: a closed enum with the status to answer, a stable
//! code and one sentence. Limits: it carries no bytes of the message, so it can be logged as it is
//! (S21).

use std::fmt;

/// The verdict on a head that is not HTTP/1.1 as this crate accepts it. The connection must close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadError {
    BadRequestLine,
    MethodTooLong,
    BadTarget,
    UriTooLong,
    BadVersion,
    UnsupportedVersion,
    BadStatusLine,
    BareCr,
    BareLf,
    ControlByte,
    FoldedHeader,
    EmptyHeaderName,
    BadHeaderName,
    TooManyHeaders,
    HeadTooLarge,
    MissingHost,
    DuplicateHost,
    BadHost,
    BadContentLength,
    DuplicateContentLength,
    LengthAndTransferEncoding,
    BadTransferEncoding,
    DuplicateTransferEncoding,
    UnknownTransferCoding,
    TransferEncodingInHttp10,
    FramingTwin,
    BadConnection,
    BadExpect,
    BodyForbidden,
    SwitchingProtocols,
}

impl HeadError {
    /// Those that a request can have; the others are about answers of upstreams.
    pub const OF_REQUESTS: [Self; 27] = [
        Self::BadRequestLine,
        Self::MethodTooLong,
        Self::BadTarget,
        Self::UriTooLong,
        Self::BadVersion,
        Self::UnsupportedVersion,
        Self::BareCr,
        Self::BareLf,
        Self::ControlByte,
        Self::FoldedHeader,
        Self::EmptyHeaderName,
        Self::BadHeaderName,
        Self::TooManyHeaders,
        Self::HeadTooLarge,
        Self::MissingHost,
        Self::DuplicateHost,
        Self::BadHost,
        Self::BadContentLength,
        Self::DuplicateContentLength,
        Self::LengthAndTransferEncoding,
        Self::BadTransferEncoding,
        Self::DuplicateTransferEncoding,
        Self::UnknownTransferCoding,
        Self::TransferEncodingInHttp10,
        Self::FramingTwin,
        Self::BadConnection,
        Self::BadExpect,
    ];

    /// The status a server answers with before it closes; a client reports 502 whatever this says.
    pub fn status(self) -> u16 {
        match self {
            Self::UriTooLong => 414,
            Self::BadExpect => 417,
            Self::TooManyHeaders | Self::HeadTooLarge => 431,
            Self::MethodTooLong | Self::UnknownTransferCoding => 501,
            Self::UnsupportedVersion => 505,
            _ => 400,
        }
    }

    pub fn code(self) -> &'static str {
        self.words().0
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::BadRequestLine => (
                "bad_request_line",
                "The request line is not `METHOD SP target SP HTTP/1.x CRLF`.",
            ),
            Self::MethodTooLong => (
                "method_too_long",
                "The method is longer than any known one.",
            ),
            Self::BadTarget => (
                "bad_target",
                "The target is not a path of legal URI bytes that starts with `/`.",
            ),
            Self::UriTooLong => ("uri_too_long", "The target is longer than the limit."),
            Self::BadVersion => (
                "bad_version",
                "The version is not written `HTTP/1.0` or `HTTP/1.1`.",
            ),
            Self::UnsupportedVersion => (
                "unsupported_version",
                "Only HTTP/1.0 and HTTP/1.1 are spoken here.",
            ),
            Self::BadStatusLine => (
                "bad_status_line",
                "The status line is not `HTTP/1.x SP 3DIGIT SP reason CRLF`.",
            ),
            Self::BareCr => (
                "bare_cr",
                "A carriage return is not followed by a line feed.",
            ),
            Self::BareLf => ("bare_lf", "A line ends with a line feed alone."),
            Self::ControlByte => (
                "control_byte",
                "A header value or reason holds a control byte.",
            ),
            Self::FoldedHeader => ("folded_header", "A header line starts with whitespace."),
            Self::EmptyHeaderName => ("empty_header_name", "A header has no name."),
            Self::BadHeaderName => (
                "bad_header_name",
                "A header name holds a byte that no token may hold.",
            ),
            Self::TooManyHeaders => ("too_many_headers", "There are more headers than the limit."),
            Self::HeadTooLarge => ("head_too_large", "The head is larger than the limit."),
            Self::MissingHost => ("missing_host", "An HTTP/1.1 request has no Host header."),
            Self::DuplicateHost => ("duplicate_host", "There is more than one Host header."),
            Self::BadHost => (
                "bad_host",
                "The Host header is not a host name or address with an optional port.",
            ),
            _ => self.framing_words(),
        }
    }

    /// Framing, connection and what only a response can get wrong.
    fn framing_words(self) -> (&'static str, &'static str) {
        match self {
            Self::BadContentLength => (
                "bad_content_length",
                "Content-Length is not one plain decimal number.",
            ),
            Self::DuplicateContentLength => (
                "duplicate_content_length",
                "There is more than one Content-Length header.",
            ),
            Self::LengthAndTransferEncoding => (
                "length_and_transfer_encoding",
                "Content-Length and Transfer-Encoding stand in one message.",
            ),
            Self::BadTransferEncoding => (
                "bad_transfer_encoding",
                "Transfer-Encoding is not `chunked` alone.",
            ),
            Self::DuplicateTransferEncoding => (
                "duplicate_transfer_encoding",
                "There is more than one Transfer-Encoding header.",
            ),
            Self::UnknownTransferCoding => (
                "unknown_transfer_coding",
                "The only transfer coding spoken here is `chunked`.",
            ),
            Self::TransferEncodingInHttp10 => (
                "transfer_encoding_in_http10",
                "HTTP/1.0 has no Transfer-Encoding.",
            ),
            Self::FramingTwin => (
                "framing_twin",
                "A header imitates a framing header with an underscore.",
            ),
            Self::BadConnection => (
                "bad_connection",
                "Connection is not a list of tokens, or it names a framing or routing header.",
            ),
            Self::BadExpect => (
                "bad_expect",
                "Expect asks for something other than `100-continue`.",
            ),
            Self::BodyForbidden => (
                "body_forbidden",
                "A response whose status has no body declares one.",
            ),
            Self::SwitchingProtocols => (
                "switching_protocols",
                "The upstream switched protocols unasked.",
            ),
            // `words` has answered every other one.
            _ => ("bad_head", "The head is not HTTP/1.1."),
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words().1)
    }
}

impl std::error::Error for HeadError {}
