//! hyper's side of a connection whose upstream answers one request with given bytes and closes.

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::Request;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::message::Message;

const ROOM_BYTES: usize = 256 * 1024;

/// The answer, when all of it was whole.
pub(crate) async fn answer(bytes: &[u8], method: &str) -> Vec<Message> {
    assert!(bytes.len() < ROOM_BYTES);
    let (client, upstream) = tokio::io::duplex(ROOM_BYTES);
    let (sender, connection) = http1::handshake(TokioIo::new(client))
        .await
        .expect("a handshake without I/O");
    let asking = ask(sender, method);
    // How the connection ends is of no interest: what counts is the answer.
    let (message, _, ()) = tokio::join!(asking, connection, speak(upstream, bytes));
    message.into_iter().collect()
}

async fn ask(
    mut sender: http1::SendRequest<Empty<Bytes>>,
    method: &str,
) -> Result<Message, hyper::Error> {
    let request = Request::builder()
        .method(method)
        .uri("/")
        .header("host", "a")
        .body(Empty::new())
        .expect("a plain request");
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes().to_vec();
    let start = head.status.as_str().to_owned();
    let fields = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    Ok(Message::new(start, fields, body))
}

/// Waits for the request, as hyper refuses bytes that come before it.
async fn speak(mut upstream: DuplexStream, bytes: &[u8]) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let got = upstream.read_buf(&mut request).await;
        assert_ne!(got.expect("a pipe in memory"), 0, "hyper sent no request");
    }
    upstream.write_all(bytes).await.expect("there is room");
    upstream.shutdown().await.expect("an upstream may close");
    let rest = upstream.read_to_end(&mut request).await;
    rest.expect("a pipe in memory");
}
