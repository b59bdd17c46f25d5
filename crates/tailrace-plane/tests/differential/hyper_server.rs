//! hyper's side of a connection that a client filled and then closed.

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::cell::RefCell;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::message::Message;

/// More than any input holds, so that neither side ever waits for room.
const ROOM_BYTES: usize = 256 * 1024;
const NAMED: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The requests that were whole.
pub(crate) async fn requests(bytes: &[u8]) -> Vec<Message> {
    assert!(bytes.len() < ROOM_BYTES);
    let seen = RefCell::new(Vec::new());
    let (mut client, server) = tokio::io::duplex(ROOM_BYTES);
    client.write_all(bytes).await.expect("there is room");
    client.shutdown().await.expect("a client may close");
    let service = service_fn(|request| answer(request, &seen));
    let connection = http1::Builder::new()
        .half_close(true)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(server), service);
    let mut replies = Vec::new();
    // How it ends is of no interest: what counts are the requests before.
    let (_, read) = tokio::join!(connection, client.read_to_end(&mut replies));
    read.expect("a pipe in memory");
    seen.into_inner()
}

async fn answer(
    request: Request<Incoming>,
    seen: &RefCell<Vec<Message>>,
) -> Result<Response<Empty<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes().to_vec();
    let method = head.method.as_str();
    let method = if NAMED.contains(&method) {
        method
    } else {
        "_OTHER"
    };
    let start = format!("{method} {}", head.uri);
    let fields = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    let message = Message::new(start, fields, body);
    seen.borrow_mut().push(message);
    let mut response = Response::new(Empty::new());
    // As a plane does. It matters for CONNECT: after a 2xx the rest would be a tunnel.
    if !matches!(method, "GET" | "HEAD") {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    }
    Ok(response)
}

/// A reader that sees nothing would agree with every refusal.
#[test]
fn it_reads_what_is_plain() {
    let runtime = super::requests::runtime();
    let bytes = b"POST /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\
                  CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n\
                  GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let seen = runtime.block_on(requests(bytes));
    let starts: Vec<_> = seen.iter().map(|one| one.start.as_str()).collect();
    assert_eq!(starts, ["POST /a?b", "_OTHER /", "GET /"]);
}
