//! Simulated clients: each request on a connection of its own or one that is kept, each reply read
//! to its last byte and timed on the simulation's own clock (RELIABILITY A01).

use super::network::{TcpSocket, TcpStream};
use crate::clock;
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tailrace_policy::Nanos;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

/// A reply as it came.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    /// Lower-case header lines, without the status line.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Part and reason of each entry of `Tailrace-Degraded`, in order.
    pub fn degraded(&self) -> Vec<(&str, &str)> {
        let header = self.header("tailrace-degraded").unwrap_or_default();
        let entries = header.split(", ");
        entries
            .filter_map(|entry| entry.split_once(";reason="))
            .collect()
    }
}

/// How a request ended for its client.
#[derive(Debug)]
pub enum End {
    Answered(Reply),
    /// The client did not wait for it.
    Left,
    /// Anything that is not exactly one whole reply.
    Broken(String),
}

/// One request and its end.
#[derive(Debug)]
pub struct Record {
    pub id: u64,
    pub at: Nanos,
    pub took: Nanos,
    pub end: End,
}

/// Connections to the service, kept as a browser or a gateway keeps them.
#[derive(Debug, Clone)]
pub struct Clients {
    service: SocketAddr,
    idle: Rc<RefCell<Vec<TcpStream>>>,
}

impl Clients {
    pub fn new(service: SocketAddr) -> Self {
        Self {
            service,
            idle: Rc::default(),
        }
    }

    /// Closes all connections that no request uses.
    pub fn hang_up(&self) {
        self.idle.borrow_mut().clear();
    }

    /// A GET; `patience`, when given, ends before any deadline of the service.
    pub async fn get(&self, id: u64, target: &str, patience: Option<Duration>) -> Record {
        let at = clock::now();
        let leave = async {
            match patience {
                Some(patience) => sleep(patience).await,
                None => std::future::pending().await,
            }
        };
        let end = tokio::select! {
            biased;
            end = self.exchange(id, target) => match end {
                Ok(reply) => End::Answered(reply),
                Err(error) => End::Broken(error.to_string()),
            },
            () = leave => End::Left,
        };
        let took = clock::now() - at;
        Record { id, at, took, end }
    }

    async fn exchange(&self, id: u64, target: &str) -> io::Result<Reply> {
        let kept = self.idle.borrow_mut().pop();
        let mut stream = match kept {
            Some(stream) => stream,
            None => TcpSocket::new_v4()?.connect(self.service).await?,
        };
        let request =
            format!("GET {target} HTTP/1.1\r\nhost: service\r\nx-request-id: r{id}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        let reply = loop {
            if let Some((reply, length)) = parse(&bytes)? {
                if bytes.len() > length {
                    return Err(io::Error::other("bytes after the reply"));
                }
                break reply;
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Err(io::Error::other("the connection ended before the reply"));
            }
        };
        if reply.header("x-request-id") != Some(&format!("r{id}")) {
            return Err(io::Error::other("the reply to another request"));
        }
        if reply.header("connection") != Some("close") {
            self.idle.borrow_mut().push(stream);
        }
        Ok(reply)
    }
}

/// The reply at the start of `bytes` and its length, once it is whole.
fn parse(bytes: &[u8]) -> io::Result<Option<(Reply, usize)>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let odd = |what: &str| io::Error::other(format!("{what} in the reply's head"));
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| odd("no text"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status = status.and_then(|status| status.parse().ok());
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(": ").ok_or_else(|| odd(line))?;
        Ok((name.to_owned(), value.to_owned()))
    });
    let mut reply = Reply {
        status: status.ok_or_else(|| odd("no status"))?,
        headers: headers.collect::<io::Result<_>>()?,
        body: String::new(),
    };
    let length = reply
        .header("content-length")
        .and_then(|value| value.parse::<usize>().ok());
    let length = length.ok_or_else(|| odd("no length"))?;
    let whole = end + 4 + length;
    if bytes.len() < whole {
        return Ok(None);
    }
    reply.body = String::from_utf8_lossy(&bytes[end + 4..whole]).into_owned();
    Ok(Some((reply, whole)))
}
