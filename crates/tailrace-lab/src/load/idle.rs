//! Idle connections: opens many, asks once on each, then holds them, so that the memory of an idle
//! connection can be read from the process that serves them.

use super::target::Target;
use crate::failure::{Failure, OK};
use crate::http::reply::ReplyReader;
use crate::output::Sink;
use crate::stop::Stop;
use serde_json::json;
use std::os::unix::fs::FileTypeExt;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

pub(crate) async fn run(
    target: &Target,
    count: usize,
    timeout: Duration,
    hold: Duration,
    out: &Sink,
    stop: &Stop,
) -> Result<i32, Failure> {
    let mut open_ones = Vec::with_capacity(count);
    let mut request = Vec::new();
    let mut replies = ReplyReader::new();
    for index in 0..count {
        target.request(index as u64 + 1, &mut request);
        let opened = open(target, &request, &mut replies, timeout);
        let opened = tokio::select! {
            opened = opened => opened,
            _ = stop.wait() => return Ok(OK),
        };
        open_ones.push(opened.map_err(|message| {
            Failure::environment(format!("connection {} of {count}: {message}", index + 1))
        })?);
    }
    out(json!({ "type": "held", "connections": open_ones.len() }));
    tokio::select! {
        () = tokio::time::sleep(hold) => {}
        () = stdin_closed() => {}
        _ = stop.wait() => {}
    }
    Ok(OK)
}

async fn open(
    target: &Target,
    request: &[u8],
    replies: &mut ReplyReader,
    timeout: Duration,
) -> Result<TcpStream, String> {
    let exchange = async {
        let mut stream = TcpStream::connect(target.address)
            .await
            .map_err(|e| e.to_string())?;
        stream.write_all(request).await.map_err(|e| e.to_string())?;
        replies.reset();
        let reply = replies
            .next(&mut stream, None)
            .await
            .map_err(|e| e.to_string())?;
        if reply.keep_alive {
            Ok(stream)
        } else {
            Err("the service does not keep connections open".to_owned())
        }
    };
    tokio::time::timeout(timeout, exchange)
        .await
        .map_err(|_| "no reply in time".to_owned())?
}

/// Ends with standard input, when that is a pipe; a terminal or a null device says nothing about
/// whether anybody still wants the connections.
async fn stdin_closed() {
    let piped = std::fs::metadata("/dev/stdin").is_ok_and(|m| m.file_type().is_fifo());
    if !piped {
        return std::future::pending().await;
    }
    let (closed, wait) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        drop(closed);
    });
    let _ = wait.await;
}
