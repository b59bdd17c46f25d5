//! Strict HTTP/1.1, both sides, without a socket.
//!
//! Prevents: two readers of one byte stream disagreeing on where a message ends (request smuggling
//! on the way in, RELIABILITY S01; response desynchronisation on the way out, S02), header
//! injection (S04), path traversal through parameters (S07), and heads or bodies without a limit
//! (S13).
//!
//! How: bytes come in as slices, verdicts go out as values; the caller owns buffers, time and
//! sockets. One pass over the head, no allocation once a `RequestHead` has been used, no lowercase
//! copies. Whatever the grammar of RFC 9112 does not allow is refused, also where general servers
//! are lenient. Each verdict depends only on the bytes, never on how reads cut them: a prefix gives
//! `Partial` or the final verdict.
//!
//! After any error the connection must be closed: the end of the message is not known any more.
//!
//! Incremental reading, O(n) whatever the size of the reads: parse once; on `Partial` remember
//! `buf.len()` and, after each read, parse again only when [`head_end`] finds something from there
//! on, or when `head_max_bytes` are buffered.
//!
//! Stricter than RFC 9112, on purpose: absolute-form targets (this is a server, not a proxy),
//! `[`-less odd hosts (sub-delims, percent, empty, empty port), leading zeros in Content-Length,
//! equal duplicates of Content-Length, whitespace around chunk sizes, blank lines before a request,
//! codings besides `chunked`.
//!
//! The whole list of leniencies, each harmless for framing:
//! 1. `[` and `]` stand raw in a target (browsers send them so; they delimit nothing in
//!    origin-form).
//! 2. A status line may lack the space before an empty reason.
//! 3. `Content-Length: 0` on a 204 or 1xx (common; it agrees with what the status says).
//! 4. Bytes 0x80-0xFF in header values and reasons (`obs-text` of the grammar) pass through as
//!    bytes.

mod body;
mod chunk;
mod encode;
mod facts;
mod head;
mod media;
mod refusal;
mod request;
mod response;
mod scan;
mod target;

pub use body::{BodyDecoder, BodyError, Decoded};
pub use encode::{is_header_value, reason};
pub use head::{Framing, HeadLimits, Method, Parsed, Span};
pub use media::{is_form, is_json};
pub use refusal::HeadError;
pub use request::{parse_request, RequestHead};
pub use response::{parse_response, ResponseHead};
pub use scan::head_end;
pub use target::{
    decode_query_value, decode_segment, encode_query, encode_segment, is_dot_segment, query_pairs,
    SegmentError,
};
