//! DESIGN 9: every protective default is read back as the plane runs with it, and every limit is
//! met. Where waiting for the default would take seconds, the limit is met at a smaller configured
//! value.

use crate::client::Client;
use crate::patience::eventually;
use crate::service::{strong, with, Running, Service, ANY};
use crate::upstream::{json as json_answer, Step, Upstream};
use serde_json::json;
use std::time::Duration;

/// Short enough to wait for; the sweep that enforces waits looks four times a second.
const SHORT_MS: u32 = 200;

fn expect_closing(client: &mut Client, status: u16, code: &str) {
    let reply = client.reply();
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (status, code),
        "{reply:?}"
    );
    assert!(reply.closes(), "{reply:?}");
    assert!(client.rest().is_empty());
}

#[test]
fn the_defaults_are_what_the_plane_runs_with() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).start();
    let config = plane.config();
    let limits = &config["limits"];
    let defaults = [
        ("head_read_ms", 5_000),
        ("idle_ms", 30_000),
        ("body_read_ms", 10_000),
        ("write_ms", 10_000),
        ("head_max_bytes", 16 * 1024),
        ("headers_max", 100),
        ("uri_max_bytes", 8 * 1024),
        ("request_body_max_bytes", 1024 * 1024),
        ("upstream_body_max_bytes", 4 * 1024 * 1024),
        ("request_memory_max_bytes", 16 * 1024 * 1024),
        ("json_depth_max", 64),
        ("cache_max_bytes", 64 * 1024 * 1024),
        ("connections_max", 4096),
        ("pool_idle_ms", 4_000),
        ("dns_refresh_ms", 5_000),
        ("drain_ms", 15_000),
        ("reserve_ms", 2),
    ];
    let shown = limits.as_object().map_or(0, serde_json::Map::len);
    // Half of what the container allows (req 11.1): `container.rs` has the tests of what that is.
    let memory_max = limits["memory_max_bytes"].as_u64().expect("a number");
    assert!(memory_max > 0);
    assert_eq!(
        shown,
        defaults.len() + 1,
        "a limit without its default here"
    );
    for (name, value) in defaults {
        assert_eq!(limits[name], json!(value), "{name}");
    }
    assert_eq!(config["protections"], "on");
    assert_eq!(
        config["upstreams"]["up"]["body_max_bytes"],
        json!(4 * 1024 * 1024)
    );
    assert_eq!(config["upstreams"]["up"]["forward_headers"], json!([]));
    assert!(plane.address().ip().is_loopback() && plane.admin_address().ip().is_loopback());
    assert_ne!(plane.address().port(), plane.admin_address().port());
    println!("DESIGN 9: {} effective defaults", defaults.len());
}

/// A configured value is the one in force, and the admin port says so.
pub(crate) fn limited(upstream: &Upstream, name: &str, value: u32) -> Running {
    let plane = Service::one(upstream).limit(name, value).start();
    assert_eq!(plane.config()["limits"][name], json!(value));
    plane
}

#[test]
fn a_head_of_more_than_16_kib_is_431() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).start();
    let head = |bytes: usize| {
        let start = "GET /one/7 HTTP/1.1\r\nHost: a\r\nX: ";
        format!("{start}{}\r\n\r\n", "y".repeat(bytes - start.len() - 4))
    };
    let mut client = plane.client();
    client.send(head(16 * 1024));
    assert_eq!(client.reply().status, 200);
    client.send_lossy(head(16 * 1024 + 1));
    expect_closing(&mut client, 431, "head_too_large");
}

#[test]
fn more_than_100_headers_are_431() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).start();
    let head = |headers: usize| {
        format!(
            "GET /one/7 HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "X: y\r\n".repeat(headers - 1)
        )
    };
    let mut client = plane.client();
    client.send(head(100));
    assert_eq!(client.reply().status, 200);
    client.send(head(101));
    expect_closing(&mut client, 431, "too_many_headers");
}

#[test]
fn a_uri_of_more_than_8_kib_is_414() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).start();
    let mut client = plane.client();
    let target = |bytes: usize| format!("/one/7?{}", "q".repeat(bytes - 7));
    assert_eq!(client.get(&target(8 * 1024)).status, 200);
    client.send(crate::client::get(&target(8 * 1024 + 1)));
    expect_closing(&mut client, 414, "uri_too_long");
}

/// RELIABILITY S13: too large is known from the declared length, or when it gets there.
#[test]
fn a_request_body_of_more_than_1_mib_is_413() {
    const MIB: usize = 1024 * 1024;
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).start();
    let mut client = plane.client();
    let start = "GET /one/7 HTTP/1.1\r\nHost: a\r\n";
    client.send(format!("{start}Content-Length: {MIB}\r\n\r\n"));
    client.send(vec![b'x'; MIB]);
    assert_eq!(client.reply().status, 200);
    client.send(format!("{start}Content-Length: {}\r\n\r\n", MIB + 1));
    expect_closing(&mut client, 413, "body_too_large");

    let mut client = plane.client();
    client.send(format!("{start}Transfer-Encoding: chunked\r\n\r\n"));
    for _ in 0..16 {
        client.send("10000\r\n");
        client.send(vec![b'x'; 0x10000]);
        client.send("\r\n");
    }
    client.send_lossy("1\r\nx\r\n0\r\n\r\n");
    expect_closing(&mut client, 413, "body_too_large");
    assert_eq!(upstream.count(), 1);
}

/// A refused client is usually still sending. It must find the reply, not a reset of its own bytes.
#[test]
fn a_refused_client_may_finish_sending() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).start();
    for head in [
        "POST /one/7 HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n",
        "POST /one/7 HTTP/1.1\r\nHost: a\r\nContent-Length: +9\r\n\r\n",
    ] {
        let mut client = plane.client();
        client.send(head);
        let reply = client.reply();
        assert!([400, 413].contains(&reply.status) && reply.closes());
        for _ in 0..20 {
            client.send(vec![b'x'; 8 * 1024]);
        }
        assert!(client.rest().is_empty());
    }
}

#[test]
fn a_head_that_does_not_arrive_is_408() {
    let upstream = Upstream::echo();
    let plane = limited(&upstream, "head_read_ms", SHORT_MS);
    let mut client = plane.client();
    client.send("GET /one/7 HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    expect_closing(&mut client, 408, "head_timeout");
    // A connection that never says anything is closed without an answer.
    assert!(plane.client().rest().is_empty());
    // Bytes that keep coming do not extend the time: the limit is for the whole head.
    let mut client = plane.client();
    client.send("GET /one/7 HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    let mut trickled = 0;
    while client.is_silent(Duration::from_millis(25)) && trickled < 200 {
        client.send_lossy("y");
        trickled += 1;
    }
    expect_closing(&mut client, 408, "head_timeout");
    assert!(
        (1..100).contains(&trickled),
        "{trickled} bytes were waited for"
    );
}

#[test]
fn an_idle_connection_is_closed() {
    let upstream = Upstream::echo();
    let plane = limited(&upstream, "idle_ms", SHORT_MS);
    let mut client = plane.client();
    assert_eq!(client.get("/one/7").status, 200);
    assert!(client.rest().is_empty());
    eventually("no connection is left", || plane.connections() == 0);
}

#[test]
fn a_request_body_that_does_not_arrive_is_408() {
    let upstream = Upstream::echo();
    let plane = limited(&upstream, "body_read_ms", SHORT_MS);
    for head in [
        "Content-Length: 9\r\n\r\nhalf",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nha",
    ] {
        let mut client = plane.client();
        client.send(format!("POST /one/7 HTTP/1.1\r\nHost: a\r\n{head}"));
        expect_closing(&mut client, 408, "body_timeout");
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_reader_that_does_not_read_is_closed() {
    let body = crate::upstream_limits::list_of("4194304");
    let upstream = Upstream::start(move |_| vec![Step::Send(json_answer(&body))]);
    let parts = ["a", "b", "c"].map(|name| with(strong(name, "/big"), json!({"shape": ANY})));
    let plane = Service::new()
        .limit("write_ms", SHORT_MS)
        .upstream("up", &upstream)
        .view("big", "/big", parts.to_vec())
        .start();
    assert_eq!(plane.config()["limits"]["write_ms"], json!(SHORT_MS));
    let mut client = plane.client();
    let socket = socket2::SockRef::from(client.stream());
    socket
        .set_recv_buffer_size(4 * 1024)
        .expect("an open socket");
    client.send(crate::client::get("/big"));
    eventually("the reply is being written", || {
        upstream.count() == 3 && upstream.active() == 0 && plane.in_flight() == 0
    });
    // A reply that had been written whole would have left its connection open.
    eventually("the reader is given up", || plane.connections() == 0);
    assert_eq!(plane.in_flight(), 0);
}

#[test]
fn connections_over_the_limit_are_told_503_and_room_is_given_back() {
    let upstream = Upstream::echo();
    let plane = limited(&upstream, "connections_max", 2);
    let mut first = plane.client();
    let mut second = plane.client();
    assert_eq!(first.get("/one/7").status, 200);
    assert_eq!(second.get("/one/7").status, 200);
    for index in 0..20 {
        let mut third = plane.client();
        let reply = third.reply();
        assert_eq!(
            (reply.status, reply.header("retry-after")),
            (503, Some("1")),
            "{index}"
        );
        assert!(reply.closes() && third.rest().is_empty());
    }
    let refused = plane.metric("tailrace_connections_refused_total", "");
    assert!((refused - 20.0).abs() < f64::EPSILON, "{refused}");
    drop(first);
    eventually("room is given back", || plane.connections() == 1);
    assert_eq!(plane.get("/one/7").status, 200);
    assert_eq!(second.get("/one/7").status, 200);
}
