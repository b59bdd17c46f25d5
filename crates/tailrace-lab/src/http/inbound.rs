//! The serving side of one connection: one read for a request that fits, one write for its answer,
//! buffers kept from request to request. Heads above 16 KiB, bodies above 1 MiB and chunked request
//! bodies are answered with an error and closed; nothing here grows with what a client sends.

use std::io;
use std::ops::Range;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const FIRST_BUFFER: usize = 2 * 1024;
const HEAD_MAX: usize = 16 * 1024;
const BODY_MAX: usize = 1024 * 1024;
const HEADERS_MAX: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
    Post,
    Other,
}

#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) keep_alive: bool,
    path: Range<usize>,
    length: usize,
    body_len: usize,
}

#[derive(Debug)]
pub(crate) enum Next {
    Request(Head),
    /// The client closed, or the connection broke.
    Closed,
    /// Not answerable: send this status and close.
    Refused(u16),
}

pub(crate) struct Inbound {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Inbound {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: vec![0; FIRST_BUFFER],
            start: 0,
            end: 0,
        }
    }

    /// The next request head; its bytes stay readable until `finish`.
    pub(crate) async fn next(&mut self) -> Next {
        loop {
            if self.start < self.end {
                match parse(&self.buffer[self.start..self.end]) {
                    Ok(Some(head)) => return Next::Request(head),
                    Ok(None) if self.end - self.start >= HEAD_MAX => return Next::Refused(431),
                    Ok(None) => {}
                    Err(status) => return Next::Refused(status),
                }
            }
            match self.fill(HEAD_MAX).await {
                Ok(0) | Err(_) => return Next::Closed,
                Ok(_) => {}
            }
        }
    }

    pub(crate) fn path(&self, head: &Head) -> &str {
        let bytes = &self.buffer[self.start..][head.path.clone()];
        // httparse admits ASCII only in a request target.
        std::str::from_utf8(bytes).unwrap_or("")
    }

    /// The request's body, read to its end.
    pub(crate) async fn body(&mut self, head: &Head) -> io::Result<&[u8]> {
        let whole = head.length + head.body_len;
        while self.end - self.start < whole {
            if self.fill(whole).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(&self.buffer[self.start + head.length..self.start + whole])
    }

    /// Forgets the request; what a client sent ahead of its turn stays.
    pub(crate) async fn finish(&mut self, head: &Head) -> io::Result<()> {
        if head.body_len > 0 {
            self.body(head).await?;
        }
        self.start += head.length + head.body_len;
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
        Ok(())
    }

    /// Waits while the client stays; returns when it closed. Bytes sent ahead are kept.
    pub(crate) async fn gone(&mut self) {
        while self.end - self.start < HEAD_MAX {
            match self.fill(HEAD_MAX).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        // A client that floods instead of waiting is not watched any longer.
        std::future::pending::<()>().await;
    }

    async fn fill(&mut self, most: usize) -> io::Result<usize> {
        if self.end == self.buffer.len() {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            } else {
                let larger = (self.buffer.len() * 2).clamp(FIRST_BUFFER, most.max(FIRST_BUFFER));
                self.buffer.resize(larger.max(self.end + 1), 0);
            }
        }
        let read = self.stream.read(&mut self.buffer[self.end..]).await?;
        self.end += read;
        Ok(read)
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }
}

fn parse(bytes: &[u8]) -> Result<Option<Head>, u16> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(431),
        Err(_) => return Err(400),
    };
    let mut keep_alive = request.version == Some(1);
    let mut body_len = 0;
    for header in request.headers.iter() {
        // Lengths first: nearly every header fails on one comparison.
        match header.name.len() {
            10 if header.name.eq_ignore_ascii_case("connection") => {
                if header.value.eq_ignore_ascii_case(b"close") {
                    keep_alive = false;
                } else if header.value.eq_ignore_ascii_case(b"keep-alive") {
                    keep_alive = true;
                }
            }
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                let text = std::str::from_utf8(header.value).map_err(|_| 400_u16)?;
                body_len = text.trim().parse::<usize>().map_err(|_| 400_u16)?;
            }
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => return Err(411),
            _ => {}
        }
    }
    if body_len > BODY_MAX {
        return Err(413);
    }
    let path = request.path.unwrap_or("/");
    let path_start = path.as_ptr() as usize - bytes.as_ptr() as usize;
    Ok(Some(Head {
        method: match request.method {
            Some("GET") => Method::Get,
            Some("HEAD") => Method::Head,
            Some("POST") => Method::Post,
            _ => Method::Other,
        },
        keep_alive,
        path: path_start..path_start + path.len(),
        length,
        body_len,
    }))
}

/// Writes a whole answer into `out`, which is cleared first.
pub(crate) fn answer(out: &mut Vec<u8>, status: u16, kind: &str, body: &[u8], close: bool) {
    out.clear();
    head(out, status, kind, close);
    out.extend_from_slice(b"content-length: ");
    out.extend_from_slice(itoa::Buffer::new().format(body.len()).as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body);
}

/// Status line and the headers every answer has; framing is left to the caller.
pub(crate) fn head(out: &mut Vec<u8>, status: u16, kind: &str, close: bool) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.push(b' ');
    out.extend_from_slice(title(status).as_bytes());
    out.extend_from_slice(b"\r\ncontent-type: ");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\r\n");
    if close {
        out.extend_from_slice(b"connection: close\r\n");
    }
}

/// A problem document (RFC 9457).
pub(crate) fn problem(out: &mut Vec<u8>, status: u16, detail: &str, close: bool) {
    let body = serde_json::json!({
        "type": "about:blank",
        "title": title(status),
        "status": status,
        "detail": detail,
    });
    answer(
        out,
        status,
        "application/problem+json",
        body.to_string().as_bytes(),
        close,
    );
}

pub(crate) fn title(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_with_its_body_length_and_persistence() {
        let bytes = b"POST /a/1 HTTP/1.1\r\nhost: x\r\nContent-Length: 3\r\n\r\nabcGET";
        let head = parse(bytes).unwrap().unwrap();
        assert_eq!(&bytes[head.path.clone()], b"/a/1");
        assert_eq!(
            (head.method, head.body_len, head.keep_alive),
            (Method::Post, 3, true)
        );
        assert_eq!(&bytes[head.length..head.length + 3], b"abc");
        let close = parse(b"GET / HTTP/1.1\r\nconnection: Close\r\n\r\n")
            .unwrap()
            .unwrap();
        assert!(!close.keep_alive);
        assert!(
            !parse(b"GET / HTTP/1.0\r\n\r\n")
                .unwrap()
                .unwrap()
                .keep_alive
        );
        assert!(parse(b"GET / HT").unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_answered_is_refused() {
        assert_eq!(parse(b"\x00\x01\r\n\r\n").unwrap_err(), 400);
        let chunked = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(parse(chunked).unwrap_err(), 411);
        let large = b"POST / HTTP/1.1\r\ncontent-length: 9999999\r\n\r\n";
        assert_eq!(parse(large).unwrap_err(), 413);
    }
}
