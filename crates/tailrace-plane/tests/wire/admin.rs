//! RELIABILITY S24: the admin port is a port of its own, read only, and for local names; the
//! service port knows none of its paths.

use crate::client::Client;
use crate::service::{Running, Service};
use crate::upstream::Upstream;

const PATHS: &str = include_str!("admin_paths.txt");

fn start() -> (Upstream, Running) {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).start();
    (upstream, plane)
}

/// Sends one request to the admin port; returns status and body.
fn ask(plane: &Running, method: &str, target: &str, host: &str) -> (u16, Vec<u8>) {
    let mut client = Client::connect(plane.admin_address());
    client.send(format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"
    ));
    let reply = if method == "HEAD" {
        client.reply_without_body()
    } else {
        client.reply()
    };
    (reply.status, reply.body)
}

#[test]
fn a_host_that_is_not_local_is_refused() {
    let (_upstream, plane) = start();
    let hosts = [
        "evil.test",
        "127.0.0.1.evil.test",
        "localhost.evil.test",
        "evil.test:9900",
        "10.0.0.1",
        "169.254.169.254",
        "192.168.1.1:9900",
        "0.0.0.0",
        "[::2]",
        "1.1.1.1:80",
    ];
    for host in hosts {
        for target in ["/", "/config", "/metrics", "/blueprint", "/livez", "/none"] {
            assert_eq!(ask(&plane, "GET", target, host).0, 403, "{host} {target}");
        }
    }
    let port = plane.admin_address().port();
    for host in [
        "localhost",
        "127.0.0.1",
        &format!("127.0.0.1:{port}"),
        "[::1]:1",
        "LocalHost:1",
    ] {
        assert_eq!(ask(&plane, "GET", "/livez", host).0, 200, "{host}");
    }
    println!(
        "S24: {} foreign hosts, {} refused",
        hosts.len(),
        hosts.len()
    );
}

#[test]
fn nothing_changes_by_a_request() {
    let (_upstream, plane) = start();
    for method in [
        "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY",
    ] {
        for target in [
            "/",
            "/config",
            "/config/reload",
            "/readyz",
            "/drain",
            "/stop",
        ] {
            // Without a token nothing can be changed, and nothing else can be posted.
            let change = method == "POST" && target.starts_with("/config");
            assert_eq!(
                ask(&plane, method, target, "localhost").0,
                if change { 403 } else { 405 },
                "{method} {target}"
            );
        }
    }
    assert_eq!(
        ask(&plane, "GET", "/readyz", "localhost"),
        (200, b"ready\n".to_vec())
    );
}

/// RFC 9110 15.5.6: a 405 names what is allowed.
#[test]
fn a_refused_method_is_told_what_is_allowed() {
    let (_upstream, plane) = start();
    for (method, target, allowed) in [
        ("POST", "/metrics", "GET, HEAD"),
        ("PUT", "/config", "GET, HEAD, POST"),
        ("DELETE", "/config/reload", "POST"),
    ] {
        let mut client = Client::connect(plane.admin_address());
        client.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        ));
        let reply = client.reply();
        assert_eq!(
            (reply.status, reply.header("allow")),
            (405, Some(allowed)),
            "{method} {target}"
        );
    }
}

#[test]
fn every_listed_path_answers_and_head_has_no_body() {
    let (_upstream, plane) = start();
    let (_, index) = ask(&plane, "GET", "/", "localhost");
    let index = String::from_utf8(index).expect("text");
    let listed: Vec<_> = index
        .lines()
        .filter_map(|line| line.strip_prefix("GET ")?.split(' ').next())
        .collect();
    assert!(listed.len() >= 6, "{index}");
    // `/tap` never ends: tests/e2e/test_tap.py has its tests.
    for target in listed.into_iter().filter(|target| *target != "/tap") {
        assert_eq!(ask(&plane, "GET", target, "localhost").0, 200, "{target}");
        assert_eq!(
            ask(&plane, "HEAD", target, "localhost"),
            (200, vec![]),
            "{target}"
        );
    }
    assert_eq!(ask(&plane, "GET", "/livez/", "localhost").0, 404);
    assert_eq!(ask(&plane, "GET", "/none", "localhost").0, 404);
}

/// The admin port reads heads with the same strictness.
#[test]
fn a_bad_head_is_refused_and_closed() {
    let (_upstream, plane) = start();
    for (head, status) in [
        ("GET /livez HTTP/1.1\nHost: localhost\n\n", 400),
        ("GET /livez HTTP/1.1\r\n\r\n", 400),
        ("GET /livez HTTP/3.0\r\nHost: localhost\r\n\r\n", 505),
        (
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\
          Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
    ] {
        let mut client = Client::connect(plane.admin_address());
        client.send(head);
        let reply = client.reply();
        assert!(
            reply.status == status && reply.closes(),
            "{head:?}: {reply:?}"
        );
        assert!(client.rest().is_empty());
    }
    // A body is not read, so nothing behind it may be taken for a request.
    let mut client = Client::connect(plane.admin_address());
    client.send("GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n");
    client.send("GET /canary HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(client.reply().closes());
    assert!(client.rest().is_empty());
}

#[test]
fn the_service_port_has_no_admin_path() {
    let (upstream, plane) = start();
    let paths = PATHS.lines().filter(|line| line.starts_with('/'));
    let mut asked = 0;
    let mut client = plane.client();
    for path in paths {
        let reply = client.get(path);
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (404, "no_route"),
            "{path}"
        );
        asked += 1;
    }
    assert_eq!((upstream.count(), asked >= 60), (0, true));
    println!("S24: {asked} admin paths on the service port, all 404");
}
