//! `tailrace-lab naive`: the order aggregation as it is usually first written, kept so that its
//! collapse can be watched beside the governed service under the same load (req 2.1). It passes
//! every functional test; each choice below is what breaks it.
//!
//! - One task spawned per downstream call, without a cap (`aggregate.rs`): at 1 000 requests/s and a
//!   downstream that takes 2 s there are 10 000 tasks, and nothing says stop (req 4.1, 4.2, 4.3).
//! - Nobody owns those tasks: when a strong part has failed, or the client has left, the others run
//!   on and use the connections that live requests need (req 4.5).
//! - Results come over an unbounded channel: order, count and lifetime of the messages are known
//!   beforehand, yet each request pays for a queue and its wake-ups (req 5.1, 5.3).
//! - One uniform timeout for every call, not carved from what the client still waits for: a slow
//!   weak part holds the whole reply (req 4.5, 8.1).
//! - Blind, immediate retries (`call.rs`): every failure is repeated at once, so a downstream in
//!   trouble gets three times its load exactly when it can carry least (req 2.2, 9.4).
//! - Bodies are untyped values: parsed into a tree, trusted, built into another tree, serialised
//!   again; a field with a wrong type goes straight to the client (req 6.1, 7.2).
//! - The pool never refuses: no free connection means one more connection (req 4.4).
//!
//! `GET /stats` shows the four curves of req 2.2: tasks, requests in flight, connections, retries.

mod aggregate;
mod call;

use crate::args::{self, Opt, Parsed};
use crate::failure::{Failure, OK};
use crate::http::inbound::{self, Inbound, Method, Next};
use crate::http::listen::{accept, bind};
use crate::output::{say, Sink};
use crate::stop::Stop;
use crate::suggest;
use call::{Stats, Upstream};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

const OPTIONS: &[Opt] = &[
    (
        "--listen",
        "HOST:PORT",
        "where to serve (default: 127.0.0.1:8090)",
    ),
    (
        "--upstreams",
        "NAME=ADDR,...",
        "all five (default: the ports from 9101 on)",
    ),
    (
        "--timeout-ms",
        "MS",
        "the one timeout of every attempt (default: 2000)",
    ),
    ("--retries", "N", "attempts after the first (default: 2)"),
];

/// Reply field, upstream, and whether the reply fails without it.
const PARTS: [(&str, &str, bool); 5] = [
    ("order", "orders", true),
    ("user", "users", true),
    ("inventory", "inventory", true),
    ("coupon", "coupons", false),
    ("recommend", "recommend", false),
];

const USUAL: &str = "orders=127.0.0.1:9101,users=127.0.0.1:9102,inventory=127.0.0.1:9103,\
    coupons=127.0.0.1:9104,recommend=127.0.0.1:9105";

struct Naive {
    /// In the order of `PARTS`.
    upstreams: Vec<Arc<Upstream>>,
    timeout: Duration,
    retries: u32,
    stats: Arc<Stats>,
    next_id: AtomicU64,
}

pub(crate) fn help() -> String {
    args::help(
        "The naive order aggregation, to be broken beside the governed one.",
        &[
            "tailrace-lab naive",
            "tailrace-lab naive --listen 127.0.0.1:8090 --timeout-ms 500 --retries 0",
            "curl 127.0.0.1:8090/stats",
        ],
        OPTIONS,
    )
}

pub(crate) async fn run(args: &[String], out: &Sink, stop: &Stop) -> Result<i32, Failure> {
    let args = match args::parse(args, OPTIONS)? {
        Parsed::Help => {
            say(&help());
            return Ok(OK);
        }
        Parsed::Args(args) => args,
    };
    let listen = args.text("--listen").unwrap_or("127.0.0.1:8090");
    let listen = listen.parse::<SocketAddr>().map_err(|_| {
        Failure::usage(format!("`--listen` is like 127.0.0.1:8090, not `{listen}`"))
    })?;
    let upstreams = read_upstreams(args.text("--upstreams").unwrap_or(USUAL))?;
    let naive = Arc::new(Naive {
        upstreams,
        timeout: Duration::from_millis(args.number("--timeout-ms", 2000, 1, 3_600_000)?),
        retries: args.number("--retries", 2, 0, 100)?,
        stats: Arc::default(),
        next_id: AtomicU64::new(1),
    });
    let listener = bind(listen, "--listen")?;
    out(json!({ "ready": true, "address": listener.local_addr()?.to_string() }));
    let serve = async {
        loop {
            let stream = accept(&listener).await;
            // req 2.1: a task per connection, however many there are.
            #[allow(clippy::disallowed_methods)]
            tokio::spawn(connection(stream, Arc::clone(&naive)));
        }
    };
    tokio::select! {
        () = serve => {}
        reason = stop.wait() => say(&format!("stopped ({reason:?})").to_lowercase()),
    }
    Ok(OK)
}

fn read_upstreams(text: &str) -> Result<Vec<Arc<Upstream>>, Failure> {
    let names = PARTS.map(|(_, upstream, _)| upstream);
    let mut given: Vec<(&str, SocketAddr)> = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let pair = part.split_once('=');
        let pair = pair.and_then(|(name, at)| Some((name.trim(), at.trim().parse().ok()?)));
        let Some((name, address)) = pair else {
            let message = format!("`--upstreams` is name=host:port,..., not `{part}`");
            return Err(Failure::usage(message));
        };
        if !names.contains(&name) {
            let hint = suggest::hint(name, &names);
            let message = format!(
                "no upstream `{name}`{hint}; there are: {}",
                names.join(", ")
            );
            return Err(Failure::usage(message));
        }
        given.push((name, address));
    }
    names
        .iter()
        .map(|name| match given.iter().find(|(n, _)| n == name) {
            Some((_, address)) => Ok(Arc::new(Upstream::new(name, *address))),
            None => Err(Failure::usage(format!("`--upstreams` lacks `{name}`"))),
        })
        .collect()
}

async fn connection(stream: TcpStream, naive: Arc<Naive>) {
    let mut inbound = Inbound::new(stream);
    let mut out = Vec::new();
    loop {
        let head = match inbound.next().await {
            Next::Request(head) => head,
            Next::Closed => return,
            Next::Refused(status) => {
                inbound::problem(&mut out, status, "the request cannot be read", true);
                let _ = inbound.write(&out).await;
                return;
            }
        };
        let path = inbound.path(&head).to_owned();
        if inbound.finish(&head).await.is_err() {
            return;
        }
        answer(&naive, head.method, &path, !head.keep_alive, &mut out).await;
        if inbound.write(&out).await.is_err() || !head.keep_alive {
            return;
        }
    }
}

async fn answer(naive: &Naive, method: Method, path: &str, close: bool, out: &mut Vec<u8>) {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let id = path
        .strip_prefix("/api/orders/")
        .filter(|id| !id.is_empty() && !id.contains('/'));
    match (method, path, id) {
        (Method::Get, "/stats", _) => {
            let body = naive.stats.to_json().to_string();
            inbound::answer(out, 200, "application/json", body.as_bytes(), close);
        }
        (Method::Get, _, Some(id)) => {
            naive.stats.in_flight.fetch_add(1, Ordering::Relaxed);
            aggregate::reply(naive, id, close, out).await;
            naive.stats.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
        (_, "/stats", _) | (_, _, Some(_)) => inbound::problem(out, 405, "use GET", close),
        _ => inbound::problem(out, 404, "there is /api/orders/{id} and /stats", close),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstreams_are_read_in_the_order_of_the_parts() {
        let text = "recommend=127.0.0.1:5,orders=127.0.0.1:1,users=127.0.0.1:2,\
            inventory=127.0.0.1:3,coupons=127.0.0.1:4";
        let ports: Vec<u16> = read_upstreams(text)
            .unwrap()
            .iter()
            .map(|u| u.address.port())
            .collect();
        assert_eq!(ports, [1, 2, 3, 4, 5]);
        assert_eq!(read_upstreams(USUAL).unwrap().len(), 5);
    }

    #[test]
    fn wrong_upstreams_are_refused() {
        let message = |text: &str| read_upstreams(text).err().unwrap().message;
        assert!(message("order=127.0.0.1:1").contains("did you mean `orders`?"));
        assert!(message("orders=127.0.0.1:1").contains("lacks `users`"));
        assert!(message("orders").contains("name=host:port"));
    }
}
