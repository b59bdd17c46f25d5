//! Idle connections: opens many, asks once on each, then holds them, so that the memory of an idle
//! connection can be read from the process that serves them.

use super::target::Target;
use crate::failure::{Failure, OK};
use crate::http::reply::ReplyReader;
use crate::output::Sink;
use crate::stop::Stop;
use serde_json::json;
use std::os::unix::fs::FileTypeExt;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Connections being opened at the same time: quick against a slow service, gentle on its backlog.
const OPENING_MAX: usize = 64;

pub(crate) async fn run(
    target: Target,
    count: usize,
    timeout: Duration,
    hold: Duration,
    out: &Sink,
    stop: &Stop,
) -> Result<i32, Failure> {
    let open_ones = tokio::select! {
        opened = open_all(Rc::new(target), count, timeout) => opened?,
        _ = stop.wait() => return Ok(OK),
    };
    out(json!({ "type": "held", "connections": open_ones.len() }));
    tokio::select! {
        () = tokio::time::sleep(hold) => {}
        () = stdin_closed() => {}
        _ = stop.wait() => {}
    }
    Ok(OK)
}

async fn open_all(
    target: Rc<Target>,
    count: usize,
    timeout: Duration,
) -> Result<Vec<TcpStream>, Failure> {
    let mut opened = Vec::with_capacity(count);
    let mut opening = JoinSet::new();
    for index in 0..count {
        if opening.len() >= OPENING_MAX {
            opened.extend(finished(&mut opening, opened.len()).await?);
        }
        opening.spawn_local(open(Rc::clone(&target), index as u64 + 1, timeout));
    }
    while !opening.is_empty() {
        opened.extend(finished(&mut opening, opened.len()).await?);
    }
    Ok(opened)
}

async fn finished(
    opening: &mut JoinSet<Result<TcpStream, String>>,
    so_far: usize,
) -> Result<Option<TcpStream>, Failure> {
    match opening.join_next().await {
        None => Ok(None),
        Some(Ok(Ok(stream))) => Ok(Some(stream)),
        Some(Ok(Err(message))) => Err(Failure::environment(format!(
            "a connection could not be opened after {so_far} of them: {message}"
        ))),
        Some(Err(error)) => Err(Failure::environment(error.to_string())),
    }
}

async fn open(target: Rc<Target>, id: u64, timeout: Duration) -> Result<TcpStream, String> {
    let mut request = Vec::new();
    target.request(id, &mut request);
    let exchange = async {
        let mut stream = TcpStream::connect(target.address)
            .await
            .map_err(|e| e.to_string())?;
        stream
            .write_all(&request)
            .await
            .map_err(|e| e.to_string())?;
        let reply = ReplyReader::new()
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
