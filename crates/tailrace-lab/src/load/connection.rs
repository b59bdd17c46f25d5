//! One connection of the generator: reads replies, hands the connection back, reconnects when the
//! peer closes. Sending happens in `run.rs`, at the moment the request is due.

use super::run::Run;
use super::tally::Lost;
use crate::http::reply::{Reply, ReplyReader};
use serde_json::json;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::TcpStream;

/// Between attempts to reconnect to a service that refuses: short beside any outage worth seeing.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);

pub(crate) async fn connect(run: &Run) -> io::Result<(OwnedReadHalf, OwnedWriteHalf)> {
    let stream = tokio::time::timeout(run.timeout, TcpStream::connect(run.target.address))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    Ok(stream.into_split())
}

/// Serves place `slot` for the whole run, starting with an open connection.
pub(crate) async fn keep(run: Rc<Run>, slot: usize, first: (OwnedReadHalf, OwnedWriteHalf)) {
    let mut open = Some(first);
    let mut replies = ReplyReader::new();
    loop {
        let (mut reader, writer) = match open.take() {
            Some(halves) => halves,
            None => {
                if let Ok(halves) = connect(&run).await {
                    halves
                } else {
                    run.connect_errors.set(run.connect_errors.get() + 1);
                    tokio::time::sleep(RECONNECT_PAUSE).await;
                    continue;
                }
            }
        };
        replies.reset();
        *run.slots[slot].writer.borrow_mut() = Some(writer);
        run.free(slot);
        read_all(&run, slot, &mut reader, &mut replies).await;
        *run.slots[slot].writer.borrow_mut() = None;
        if let Some(due) = run.slots[slot].outstanding.take() {
            run.lost(due, Lost::Failed);
        }
    }
}

/// Until the connection cannot be used any more.
async fn read_all(run: &Run, slot: usize, reader: &mut OwnedReadHalf, replies: &mut ReplyReader) {
    let place = &run.slots[slot];
    loop {
        let mut body = Vec::new();
        let keep = (run.fetch_left.get() > 0).then_some(&mut body);
        let fetching = keep.is_some();
        let Ok(reply) = replies.next(reader, keep).await else {
            return;
        };
        // A reply nobody waits for: too late, or never asked for. The connection is spoilt.
        let Some(due) = place.outstanding.take() else {
            return;
        };
        run.done(due, reply.status, reply.degraded, reply.body_bytes);
        if fetching {
            show(run, due.id, &reply, &body);
        }
        if !reply.keep_alive || replies.leftover() {
            return;
        }
        run.free(slot);
    }
}

fn show(run: &Run, id: u64, reply: &Reply, body: &[u8]) {
    let left = run.fetch_left.get();
    if left > 0 {
        run.fetch_left.set(left - 1);
        run.fetched.borrow_mut().push(json!({
            "type": "body",
            "id": run.target.id_text(id),
            "status": reply.status,
            "body": String::from_utf8_lossy(body),
        }));
    }
}
