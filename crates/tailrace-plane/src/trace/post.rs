//! One exchange with the collector: a connection, a request, an answer.
//!
//! The failures prevented: an answer that is believed because it came, and one that never ends. The
//! same strict codec as for upstreams reads it, at most [`ANSWER_MAX`] bytes are kept, and the
//! whole exchange, look-up of the name included, has one time limit. A connection is opened for
//! each: there are two a second at most, and none is then half-dead when it is needed.

use super::Target;
use crate::clock;
use crate::h1::{self, BodyDecoder, HeadLimits, Method, Parsed, ResponseHead};
use crate::net::{self, TcpSocket, TcpStream};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use tailrace_policy::{retry_after, Nanos};

/// Bytes of an answer's body; it says in a few words what was wrong.
const ANSWER_MAX: u64 = 64 * 1024;
const LIMITS: HeadLimits = HeadLimits {
    head_max_bytes: 16 * 1024,
    headers_max: 64,
    uri_max_bytes: 0,
};
/// Interim answers that are skipped.
const INTERIM_MAX: u32 = 4;

/// What the collector said.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<Nanos>,
    pub body: Vec<u8>,
}

/// Sends `body`, encoded as OTLP, and reads the answer; an error when there was none that can be
/// read in time.
pub async fn post(target: &Target, body: &[u8]) -> io::Result<Answer> {
    let exchange = exchange(target, body);
    match tokio::time::timeout(target.timeout, exchange).await {
        Ok(answered) => answered,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn exchange(target: &Target, body: &[u8]) -> io::Result<Answer> {
    let mut stream = connect(target).await?;
    let mut request = target.head.clone();
    request.extend_from_slice(b"content-length: ");
    request.extend_from_slice(itoa::Buffer::new().format(body.len()).as_bytes());
    request.extend_from_slice(b"\r\n\r\n");
    request.extend_from_slice(body);
    let mut written = 0;
    poll_fn(|cx| net::poll_write_all(&mut stream, cx, &request, &mut written)).await?;
    answer(&mut stream).await
}

/// The first address of the collector that takes a connection.
async fn connect(target: &Target) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses(target).await? {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        match socket.connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn addresses(target: &Target) -> io::Result<Vec<SocketAddr>> {
    let port = target.port;
    if let Ok(address) = target.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    // The system's own look-up, which blocks: in a thread of its own, as for upstreams.
    let host = target.host.clone();
    let found = tokio::task::spawn_blocking(move || (host.as_str(), port).to_socket_addrs());
    Ok(found.await.map_err(io::Error::other)??.collect())
}

async fn answer(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut buffer = Vec::with_capacity(1024);
    let mut head = ResponseHead::default();
    let mut interim = 0;
    loop {
        if !buffer.is_empty() {
            match h1::parse_response(&buffer, Method::Post, &LIMITS, &mut head).map_err(odd)? {
                Parsed::Complete if head.status >= 200 => break,
                Parsed::Complete => {
                    interim += 1;
                    if interim > INTERIM_MAX {
                        return Err(odd("interim answers without end"));
                    }
                    buffer.drain(..head.head_len);
                    continue;
                }
                Parsed::Partial => {}
            }
        }
        if read(stream, &mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let told = head.header(&buffer, "retry-after");
    let retry_after = told.and_then(|value| retry_after::parse(value, clock::epoch_ms() / 1000));
    let mut decoder = BodyDecoder::new(head.framing, ANSWER_MAX).map_err(odd)?;
    let mut body = Vec::new();
    buffer.drain(..head.head_len);
    loop {
        let step = decoder.decode(&buffer, &mut body).map_err(odd)?;
        buffer.drain(..step.consumed);
        if step.done {
            break;
        }
        if read(stream, &mut buffer).await? == 0 {
            decoder.finish().map_err(odd)?;
            break;
        }
    }
    Ok(Answer {
        status: head.status,
        retry_after,
        body,
    })
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<usize> {
    buffer.reserve(1024);
    poll_fn(|cx| net::poll_read(stream, cx, buffer)).await
}

fn odd(what: impl std::fmt::Debug) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what:?}"))
}
