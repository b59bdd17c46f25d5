//! A connection that lives: pipelining, methods, routes and bodies nobody asked for (DESIGN 4
//! *Methods*, RELIABILITY S13).

use crate::client::get;
use crate::service::{strong, Running, Service};
use crate::upstream::{echo, Step, Upstream};
use std::time::Duration;

fn start() -> (Upstream, Running) {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream)
        .view("latest", "/one/latest", vec![strong("it", "/static")])
        .view("list", "/list", vec![strong("it", "/list")])
        .start();
    (upstream, plane)
}

#[test]
fn pipelined_requests_are_answered_in_order_one_at_a_time() {
    // The second answer would be the first to be ready.
    let upstream = Upstream::start(|seen| match seen.target().as_str() {
        "/one/0" => vec![
            Step::Pause(Duration::from_millis(50)),
            Step::Send(echo(seen)),
        ],
        _ => vec![Step::Send(echo(seen))],
    });
    let plane = Service::one(&upstream).start();
    let mut client = plane.client();
    let requests: String = (0..50).map(|n| get(&format!("/one/{n}"))).collect();
    client.send(requests);
    for n in 0..50 {
        assert_eq!(client.reply().json()["it"]["id"], n.to_string());
    }
    assert_eq!(
        (
            upstream.count(),
            upstream.active_max(),
            upstream.connections()
        ),
        (50, 1, 1)
    );
}

/// Reading ahead has a limit; what is over it waits in the kernel and is not lost.
#[test]
fn a_long_pipeline_is_read_as_far_as_the_limit_and_finished() {
    let (_upstream, plane) = start();
    let client = plane.client();
    let mut writing = client.stream().try_clone().expect("an open socket");
    let writer = std::thread::spawn(move || {
        let filler = format!("X: {}\r\n", "y".repeat(1_000));
        for n in 0..300 {
            let head = format!("GET /one/{n} HTTP/1.1\r\nHost: a\r\n{filler}\r\n");
            std::io::Write::write_all(&mut writing, head.as_bytes()).expect("the plane reads");
        }
    });
    let mut client = client;
    for n in 0..300 {
        assert_eq!(client.reply().json()["it"]["id"], n.to_string());
    }
    writer.join().expect("a writer");
}

#[test]
fn a_request_after_close_is_not_read() {
    let (upstream, plane) = start();
    let mut client = plane.client();
    client.send("GET /one/7 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.send_lossy(get("/one/8"));
    let reply = client.reply();
    assert!(reply.status == 200 && reply.closes());
    assert!(client.rest().is_empty());
    assert_eq!(upstream.count(), 1);
}

#[test]
fn head_is_get_without_the_body() {
    let (upstream, plane) = start();
    let mut client = plane.client();
    for (target, status) in [("/one/7", 200), ("/none", 404), ("/one/", 400)] {
        let full = client.get(target);
        client.send(format!("HEAD {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let head = client.reply_without_body();
        assert_eq!((head.status, full.status), (status, status), "{target}");
        // Ids generated for requests and the time have the same length every time.
        assert_eq!(
            head.header("content-length"),
            full.header("content-length"),
            "{target}"
        );
        assert_eq!(
            head.header("content-type"),
            full.header("content-type"),
            "{target}"
        );
    }
    assert_eq!(upstream.count(), 2, "HEAD asks the upstream as GET does");
    assert_eq!(client.get("/one/8").json()["it"]["id"], "8");
}

#[test]
fn options_tells_what_is_allowed_and_other_methods_are_405() {
    let (upstream, plane) = start();
    let mut client = plane.client();
    client.send("OPTIONS /one/7 HTTP/1.1\r\nHost: a\r\n\r\n");
    let reply = client.reply();
    assert_eq!(
        (reply.status, reply.header("allow")),
        (204, Some("GET, HEAD, OPTIONS"))
    );
    assert_eq!(
        reply.header("content-length"),
        None,
        "a 204 has no length (RFC 9110 8.6)"
    );
    for method in ["POST", "PUT", "PATCH", "DELETE", "TRACE", "PURGE", "get"] {
        client.send(format!("{method} /one/7 HTTP/1.1\r\nHost: a\r\n\r\n"));
        let reply = client.reply();
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (405, "method_not_allowed"),
            "{method}"
        );
        assert_eq!(
            reply.header("allow"),
            Some("GET, HEAD, OPTIONS"),
            "{method}"
        );
    }
    client.send("POST /none HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.reply().status, 404);
    assert_eq!(upstream.count(), 0);
}

#[test]
fn routes_are_exact_and_static_segments_win() {
    let (_upstream, plane) = start();
    let mut client = plane.client();
    assert_eq!(client.get("/one/latest").json()["it"]["id"], "static");
    assert_eq!(client.get("/one/lates").json()["it"]["id"], "lates");
    assert_eq!(client.get("/one/latest2").json()["it"]["id"], "latest2");
    // An encoded static segment is not the static segment.
    assert_eq!(client.get("/one/%6catest").json()["it"]["id"], "latest");
    assert_eq!(client.get("/list?x=1").status, 200);
    let unknown = [
        "/",
        "/list/",
        "/List",
        "/one/7/",
        "/one/latest/",
        "/one",
        "//one/7",
        "/one/7/8",
    ];
    for target in unknown {
        let reply = client.get(target);
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (404, "no_route"),
            "{target}"
        );
    }
    let reply = client.get("/one/");
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (400, "missing_parameter"),
        "req 10.3"
    );
    assert_eq!(reply.json()["parameter"], "id");
}

#[test]
fn http_1_0_closes_unless_asked_not_to() {
    let (_upstream, plane) = start();
    let mut client = plane.client();
    client.send("GET /one/7 HTTP/1.0\r\n\r\n");
    let reply = client.reply();
    assert!(reply.status == 200 && reply.closes());
    assert!(client.rest().is_empty());
    let mut client = plane.client();
    for _ in 0..2 {
        client.send("GET /one/7 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let reply = client.reply();
        assert_eq!(reply.status, 200);
        // An HTTP/1.0 client takes a reply that does not say so for its connection's last.
        assert_eq!(
            reply.header("connection"),
            Some("keep-alive"),
            "RFC 9112 9.3"
        );
    }
}

/// Bodies are framed, counted and dropped; the request after them is itself.
#[test]
fn a_body_is_skipped_and_the_next_request_is_clean() {
    let (upstream, plane) = start();
    let mut client = plane.client();
    let hidden = get("/one/hidden");
    let length = hidden.len();
    let bodies = [
        format!("Content-Length: {length}\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{hidden}\r\n0\r\n\r\n"),
        format!(
            "Transfer-Encoding: chunked\r\n\r\n{length:x};a=b\r\n{hidden}\r\n0\r\nX: y\r\n\r\n"
        ),
        "Content-Length: 0\r\n\r\n".to_owned(),
        format!("Content-Length: 100000\r\n\r\n{}", "x".repeat(100_000)),
        format!(
            "Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
            "1\r\nx\r\n".repeat(3_000)
        ),
    ];
    for (index, body) in bodies.iter().enumerate() {
        let request = format!("GET /one/body HTTP/1.1\r\nHost: a\r\n{body}");
        let next = format!("/one/next-{index}");
        client.send(request + &get(&next));
        assert_eq!(client.reply().json()["it"]["id"], "body", "{index}");
        assert_eq!(client.reply().json()["it"]["id"], format!("next-{index}"));
        // The same, byte group by byte group.
        let request = format!("GET /one/body HTTP/1.1\r\nHost: a\r\n{body}{}", get(&next));
        for piece in request.as_bytes().chunks(request.len().div_ceil(20)) {
            client.send(piece);
        }
        assert_eq!(client.reply().json()["it"]["id"], "body", "{index}");
        assert_eq!(client.reply().json()["it"]["id"], format!("next-{index}"));
    }
    assert!(upstream
        .seen()
        .iter()
        .all(|seen| seen.target() != "/one/hidden"));
    assert_eq!(upstream.count(), bodies.len() * 4);
}

#[test]
fn a_client_that_waits_for_100_is_told_to_go_on_once() {
    let (_upstream, plane) = start();
    let mut client = plane.client();
    let head = "GET /one/7 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n";
    client.send(format!("{head}Content-Length: 5\r\n\r\n"));
    assert_eq!(client.reply().status, 100);
    client.send("hello");
    assert_eq!(client.reply().status, 200);
    // Too large is known before anything is sent: no 100, and the connection ends.
    client.send(format!("{head}Content-Length: 2000000\r\n\r\n"));
    let reply = client.reply();
    assert!(reply.status == 413 && reply.closes());
    assert!(client.rest().is_empty());
    let mut client = plane.client();
    client.send(format!("{head}Content-Length: 5\r\n\r\nhello"));
    assert_eq!(
        client.reply().status,
        200,
        "a body that is here needs no 100"
    );
    client.send("GET /one/7 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.reply().status, 200, "nobody waits to send nothing");
}
