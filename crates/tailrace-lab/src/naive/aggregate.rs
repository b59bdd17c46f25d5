//! One naive reply: a task per part, results over a channel, trees in and a tree out (req 2.1).

use super::call;
use super::{Naive, PARTS};
use crate::clock;
use crate::http::inbound;
use serde_json::{json, Map, Value};
use std::sync::atomic::Ordering;
use std::sync::Arc;

pub(super) async fn reply(naive: &Naive, id: &str, close: bool, out: &mut Vec<u8>) {
    let request_id = format!("n-{}", naive.next_id.fetch_add(1, Ordering::Relaxed));
    let mut results = gather(naive, id).await;
    let mut body = Map::new();
    let mut degraded = Vec::new();
    for (index, (field, _, strong)) in PARTS.into_iter().enumerate() {
        match results[index].take() {
            Some(Ok(value)) => {
                body.insert(field.to_owned(), value);
            }
            failed if strong => {
                let why = failed
                    .and_then(Result::err)
                    .unwrap_or_else(|| "lost".to_owned());
                naive.stats.failures.fetch_add(1, Ordering::Relaxed);
                return inbound::problem(out, 502, &format!("{field}: {why}"), close);
            }
            _ => {
                body.insert(field.to_owned(), Value::Null);
                degraded.push(field);
            }
        }
    }
    body.insert("degraded".to_owned(), json!(degraded));
    body.insert("request_id".to_owned(), json!(request_id));
    body.insert("served_at_ms".to_owned(), json!(clock::wall_ms()));
    let body = Value::Object(body).to_string();
    out.clear();
    inbound::head(out, 200, "application/json", close);
    if !degraded.is_empty() {
        // Only so that the load generator counts both services by the same rule.
        out.extend_from_slice(format!("tailrace-degraded: {}\r\n", degraded.join(", ")).as_bytes());
    }
    out.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    out.extend_from_slice(body.as_bytes());
}

type Results = [Option<Result<Value, String>>; PARTS.len()];

/// Waits for all parts, also when the first failure has already decided the reply.
async fn gather(naive: &Naive, id: &str) -> Results {
    // req 2.1: the channel as a universal bus, without a limit.
    #[allow(clippy::disallowed_methods)]
    let (results, mut arriving) = tokio::sync::mpsc::unbounded_channel();
    for (index, (_, name, _)) in PARTS.into_iter().enumerate() {
        let upstream = Arc::clone(&naive.upstreams[index]);
        let stats = Arc::clone(&naive.stats);
        let (timeout, retries) = (naive.timeout, naive.retries);
        let results = results.clone();
        let path = format!("/{name}/{id}");
        let alive = call::Alive::task(&stats);
        // req 2.1: a task per downstream; nobody keeps its handle, so nobody can stop it.
        #[allow(clippy::disallowed_methods)]
        tokio::spawn(async move {
            let _alive = alive;
            let result = call::with_retries(&upstream, &stats, &path, timeout, retries).await;
            let _ = results.send((index, result));
        });
    }
    drop(results);
    let mut all = Results::default();
    while let Some((index, result)) = arriving.recv().await {
        all[index] = Some(result);
    }
    all
}
