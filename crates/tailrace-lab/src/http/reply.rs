//! The asking side: reads one reply after another from a connection. A measured latency ends when
//! the last body byte is in, so framing is followed exactly (length, chunked, until close) and a
//! reply that breaks off is an error, never a short success.
//!
//! Limits: heads up to 16 KiB; a kept body up to 4 MiB; bodies that are not kept are counted only.

use std::fmt;
use tokio::io::{AsyncRead, AsyncReadExt};

const BUFFER: usize = 8 * 1024;
const HEAD_MAX: usize = 16 * 1024;
const KEEP_MAX: usize = 4 * 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) degraded: bool,
    pub(crate) keep_alive: bool,
    pub(crate) body_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyError {
    /// Closed before the first byte: an idle connection that ended, or a refusal.
    Closed,
    /// Ended inside a reply.
    Broken,
    /// Not HTTP, or framing that contradicts itself.
    Malformed,
    TooLarge,
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "connection closed before a reply",
            Self::Broken => "connection ended inside a reply",
            Self::Malformed => "reply is not valid HTTP",
            Self::TooLarge => "reply is too large",
        })
    }
}

pub(crate) struct ReplyReader {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl ReplyReader {
    pub(crate) fn new() -> Self {
        Self {
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
        }
    }

    /// Forgets buffered bytes: they belong to a connection that is gone.
    pub(crate) fn reset(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// Bytes that came without being asked for.
    pub(crate) fn leftover(&self) -> bool {
        self.start < self.end
    }

    pub(crate) async fn next(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        mut keep: Option<&mut Vec<u8>>,
    ) -> Result<Reply, ReplyError> {
        let (mut reply, mut body) = loop {
            if self.start < self.end {
                match parse(&self.buffer[self.start..self.end])? {
                    // 1xx announces a reply that is still to come.
                    Some((head_len, reply, _)) if reply.status < 200 => {
                        self.start += head_len;
                        continue;
                    }
                    Some((head_len, reply, body)) => {
                        self.start += head_len;
                        break (reply, body);
                    }
                    None if self.end - self.start >= HEAD_MAX => return Err(ReplyError::TooLarge),
                    None => {}
                }
            }
            let fresh = self.start == self.end;
            if self.fill(stream).await == 0 {
                return Err(if fresh {
                    ReplyError::Closed
                } else {
                    ReplyError::Broken
                });
            }
        };
        loop {
            let room = keep
                .as_ref()
                .map_or(0, |kept| KEEP_MAX.saturating_sub(kept.len()));
            let (used, done) = body.feed(&self.buffer[self.start..self.end], |data| {
                reply.body_bytes += data.len() as u64;
                if let Some(kept) = keep.as_deref_mut() {
                    kept.extend_from_slice(&data[..data.len().min(room)]);
                }
            })?;
            self.start += used;
            if keep.is_some() && reply.body_bytes > KEEP_MAX as u64 {
                return Err(ReplyError::TooLarge);
            }
            if done {
                break;
            }
            if self.fill(stream).await == 0 {
                return if body == Body::ToClose {
                    Ok(reply)
                } else {
                    Err(ReplyError::Broken)
                };
            }
        }
        Ok(reply)
    }

    /// Reads more; 0 at the end of the connection, however it ended.
    async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> usize {
        if self.start == self.end {
            self.reset();
        } else if self.end == self.buffer.len() {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            } else {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
        }
        let read = stream.read(&mut self.buffer[self.end..]).await.unwrap_or(0);
        self.end += read;
        read
    }
}

/// What is left to read of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Length(u64),
    ToClose,
    ChunkSize {
        size: u64,
        digits: u8,
        extension: bool,
    },
    ChunkData(u64),
    /// The line end after a chunk.
    ChunkEnd,
    /// Trailer lines until an empty one.
    Trailer {
        line: u32,
    },
}

impl Body {
    /// Consumes what it can; returns bytes used and whether the body is complete.
    fn feed(
        &mut self,
        bytes: &[u8],
        mut data: impl FnMut(&[u8]),
    ) -> Result<(usize, bool), ReplyError> {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            match self {
                Self::Length(0) => return Ok((at, true)),
                _ if rest.is_empty() => return Ok((at, false)),
                Self::Length(left) | Self::ChunkData(left) if *left > 0 => {
                    let take = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    data(&rest[..take]);
                    *left -= take as u64;
                    at += take;
                }
                Self::Length(_) => return Ok((at, true)),
                Self::ChunkData(_) => *self = Self::ChunkEnd,
                Self::ToClose => {
                    data(rest);
                    return Ok((bytes.len(), false));
                }
                _ => {
                    let byte = rest[0];
                    at += 1;
                    if self.control(byte)? {
                        return Ok((at, true));
                    }
                }
            }
        }
    }

    /// One byte of chunk framing; true when the body is complete.
    fn control(&mut self, byte: u8) -> Result<bool, ReplyError> {
        match self {
            Self::ChunkSize {
                size,
                digits,
                extension,
            } => match byte {
                b'\n' if *digits == 0 => return Err(ReplyError::Malformed),
                b'\n' if *size == 0 => *self = Self::Trailer { line: 0 },
                b'\n' => *self = Self::ChunkData(*size),
                b'\r' => {}
                b';' if *digits > 0 => *extension = true,
                _ if *extension => {}
                _ => {
                    let digit = (byte as char).to_digit(16).ok_or(ReplyError::Malformed)?;
                    if *digits >= 15 {
                        return Err(ReplyError::Malformed);
                    }
                    *size = *size * 16 + u64::from(digit);
                    *digits += 1;
                }
            },
            Self::ChunkEnd => match byte {
                b'\r' => {}
                b'\n' => {
                    *self = Self::ChunkSize {
                        size: 0,
                        digits: 0,
                        extension: false,
                    }
                }
                _ => return Err(ReplyError::Malformed),
            },
            Self::Trailer { line } => match byte {
                b'\n' if *line == 0 => return Ok(true),
                b'\n' => *line = 0,
                b'\r' => {}
                _ if *line as usize >= HEAD_MAX => return Err(ReplyError::TooLarge),
                _ => *line += 1,
            },
            Self::Length(_) | Self::ToClose | Self::ChunkData(_) => {}
        }
        Ok(false)
    }
}

fn parse(bytes: &[u8]) -> Result<Option<(usize, Reply, Body)>, ReplyError> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut response = httparse::Response::new(&mut headers);
    let head_len = match response.parse(bytes) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(ReplyError::Malformed),
    };
    let status = response.code.unwrap_or(0);
    let mut keep_alive = response.version == Some(1);
    let mut degraded = false;
    let mut length = None;
    let mut chunked = false;
    for header in response.headers.iter() {
        match header.name.len() {
            10 if header.name.eq_ignore_ascii_case("connection") => {
                keep_alive = keep_alive && !header.value.eq_ignore_ascii_case(b"close");
            }
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                let text = std::str::from_utf8(header.value).map_err(|_| ReplyError::Malformed)?;
                let value = text
                    .trim()
                    .parse::<u64>()
                    .map_err(|_| ReplyError::Malformed)?;
                if length.is_some_and(|other| other != value) {
                    return Err(ReplyError::Malformed);
                }
                length = Some(value);
            }
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                if !header.value.eq_ignore_ascii_case(b"chunked") {
                    return Err(ReplyError::Malformed);
                }
                chunked = true;
            }
            17 if header.name.eq_ignore_ascii_case("tailrace-degraded") => degraded = true,
            _ => {}
        }
    }
    let body = match (chunked, length) {
        _ if status < 200 || status == 204 || status == 304 => Body::Length(0),
        (true, Some(_)) => return Err(ReplyError::Malformed),
        (true, None) => Body::ChunkSize {
            size: 0,
            digits: 0,
            extension: false,
        },
        (false, Some(length)) => Body::Length(length),
        (false, None) => Body::ToClose,
    };
    keep_alive = keep_alive && body != Body::ToClose;
    Ok(Some((
        head_len,
        Reply {
            status,
            degraded,
            keep_alive,
            body_bytes: 0,
        },
        body,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads every reply of a byte stream that arrives in pieces of `step` bytes.
    async fn replies(bytes: &[u8], step: usize) -> Vec<Result<(u16, String), ReplyError>> {
        let (mut near, mut far) = tokio::io::duplex(step);
        let mut reader = ReplyReader::new();
        let sent = bytes.to_vec();
        let write = async move {
            use tokio::io::AsyncWriteExt;
            let _ = far.write_all(&sent).await;
        };
        let read = async {
            let mut all = Vec::new();
            loop {
                let mut body = Vec::new();
                match reader.next(&mut near, Some(&mut body)).await {
                    Ok(reply) => {
                        all.push(Ok((reply.status, String::from_utf8(body).unwrap())));
                        if !reply.keep_alive {
                            return all;
                        }
                    }
                    Err(error) => {
                        all.push(Err(error));
                        return all;
                    }
                }
            }
        };
        tokio::join!(write, read).1
    }

    #[tokio::test]
    async fn framing_is_followed_wherever_the_bytes_are_cut() {
        let stream = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcHTTP/1.1 100 Continue\r\n\r\n\
            HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\
            \r\n0\r\nt: v\r\n\r\nHTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 500 No\r\n\r\nrest";
        let expected = vec![
            Ok((200, "abc".to_owned())),
            Ok((201, "abc0123456789".to_owned())),
            Ok((204, String::new())),
            Ok((500, "rest".to_owned())),
        ];
        for step in [1, 2, 3, 7, 1000] {
            assert_eq!(replies(stream, step).await, expected, "pieces of {step}");
        }
    }

    #[tokio::test]
    async fn what_breaks_off_or_contradicts_itself_is_an_error() {
        for (bytes, error) in [
            (&b""[..], ReplyError::Closed),
            (b"HTTP/1.1 200 OK\r\ncontent-le", ReplyError::Broken),
            (
                b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc",
                ReplyError::Broken,
            ),
            (
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nab",
                ReplyError::Broken,
            ),
            (
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
                ReplyError::Malformed,
            ),
            (
                b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n",
                ReplyError::Malformed,
            ),
            (
                b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n",
                ReplyError::Malformed,
            ),
            (b"\x16\x03\x01", ReplyError::Malformed),
        ] {
            assert_eq!(replies(bytes, 64).await, vec![Err(error)], "{bytes:?}");
        }
    }
}
