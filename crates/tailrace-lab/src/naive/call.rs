//! One naive call: any connection or a new one, the same timeout for all, and again at once when it
//! fails, whatever the reason (req 2.1, 2.2).

use crate::http::reply::ReplyReader;
use serde_json::{json, Value};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// The curves of req 2.2.
#[derive(Default)]
pub(super) struct Stats {
    pub(super) in_flight: AtomicU64,
    pub(super) failures: AtomicU64,
    tasks: AtomicU64,
    connections: AtomicU64,
    calls: AtomicU64,
    attempts: AtomicU64,
    retries: AtomicU64,
}

impl Stats {
    pub(super) fn to_json(&self) -> Value {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        json!({
            "tasks": read(&self.tasks),
            "in_flight": read(&self.in_flight),
            "connections": read(&self.connections),
            "calls": read(&self.calls),
            "attempts": read(&self.attempts),
            "retries": read(&self.retries),
            "failures": read(&self.failures),
        })
    }
}

/// Counts a task or a connection while it lives.
pub(super) struct Alive {
    stats: Arc<Stats>,
    counter: fn(&Stats) -> &AtomicU64,
}

impl Alive {
    pub(super) fn task(stats: &Arc<Stats>) -> Self {
        Self::new(stats, |stats| &stats.tasks)
    }

    fn new(stats: &Arc<Stats>, counter: fn(&Stats) -> &AtomicU64) -> Self {
        counter(stats).fetch_add(1, Ordering::Relaxed);
        Self {
            stats: Arc::clone(stats),
            counter,
        }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        (self.counter)(&self.stats).fetch_sub(1, Ordering::Relaxed);
    }
}

struct Connection {
    stream: TcpStream,
    replies: ReplyReader,
    _alive: Alive,
}

pub(super) struct Upstream {
    name: &'static str,
    pub(super) address: SocketAddr,
    /// Grows to the highest number of calls that ever overlapped, and stays there.
    pool: Mutex<Vec<Connection>>,
}

impl Upstream {
    pub(super) fn new(name: &'static str, address: SocketAddr) -> Self {
        Self {
            name,
            address,
            pool: Mutex::default(),
        }
    }

    fn pooled(&self) -> Option<Connection> {
        self.pool
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }

    fn give_back(&self, connection: Connection) {
        self.pool
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(connection);
    }
}

pub(super) async fn with_retries(
    upstream: &Upstream,
    stats: &Arc<Stats>,
    path: &str,
    timeout: Duration,
    retries: u32,
) -> Result<Value, String> {
    stats.calls.fetch_add(1, Ordering::Relaxed);
    let mut last = String::new();
    for attempt in 0..=retries {
        stats.attempts.fetch_add(1, Ordering::Relaxed);
        if attempt > 0 {
            // No pause, no budget, no question whether repeating can help.
            stats.retries.fetch_add(1, Ordering::Relaxed);
        }
        let exchange = tokio::time::timeout(timeout, exchange(upstream, stats, path));
        match exchange.await.unwrap_or_else(|_| Err("timeout".to_owned())) {
            Ok(value) => return Ok(value),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn exchange(upstream: &Upstream, stats: &Arc<Stats>, path: &str) -> Result<Value, String> {
    let mut connection = match upstream.pooled() {
        Some(connection) => connection,
        None => connect(upstream, stats).await?,
    };
    let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", upstream.name);
    connection
        .stream
        .write_all(request.as_bytes())
        .await
        .map_err(|e| e.to_string())?;
    let mut body = Vec::new();
    let reply = connection
        .replies
        .next(&mut connection.stream, Some(&mut body))
        .await
        .map_err(|error| error.to_string())?;
    if reply.keep_alive {
        upstream.give_back(connection);
    }
    if !(200..300).contains(&reply.status) {
        return Err(format!("status {}", reply.status));
    }
    serde_json::from_slice(&body).map_err(|_| "not JSON".to_owned())
}

async fn connect(upstream: &Upstream, stats: &Arc<Stats>) -> Result<Connection, String> {
    let stream = TcpStream::connect(upstream.address)
        .await
        .map_err(|e| e.to_string())?;
    stream.set_nodelay(true).map_err(|e| e.to_string())?;
    let alive = Alive::new(stats, |stats| &stats.connections);
    Ok(Connection {
        stream,
        replies: ReplyReader::new(),
        _alive: alive,
    })
}
