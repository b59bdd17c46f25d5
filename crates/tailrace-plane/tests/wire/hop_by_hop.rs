//! RELIABILITY S05: headers of one hop (RFC 9110 7.6.1), and those a `Connection` header declares
//! to be so, stay on that hop, in both directions; what the plane says itself is not to be taken
//! away by anybody.

use crate::client::Reply;
use crate::headers::{forwarding, relay, value, OWN};
use crate::service::Service;
use crate::upstream::{Step, Upstream};

/// Beside `X-Tenant`, which is declared and arrives.
const ASIDE: [&str; 20] = [
    "Keep-Alive: timeout=5, max=1000",
    "Proxy-Connection: keep-alive",
    "TE: trailers",
    "TE: trailers, deflate;q=0.5",
    "Trailer: X-Tenant",
    "Trailer: Authorization, Content-Length",
    "Upgrade: websocket",
    "Upgrade: h2c",
    "Proxy-Authorization: Basic x",
    "Proxy-Authenticate: Basic",
    "Proxy-Authentication-Info: x",
    "Proxy-Status: cache; error=timeout",
    "HTTP2-Settings: AAMAAABkAAQAAP__",
    "Via: 1.1 before",
    "Max-Forwards: 0",
    "Connection: keep-alive",
    "Connection: TE",
    "Connection: Upgrade, HTTP2-Settings",
    "Connection: proxy-authorization, x-other",
    "Connection:",
];
/// `Connection` names `X-Tenant`, in ways that a reader of one of several lines, of one case or of
/// one side of a comma overlooks (Go's CVE-2021-33197: only the first line, and it was empty).
const NAMED: [&str; 10] = [
    "Connection: X-Tenant\r\nX-Tenant: blue\r\n",
    "X-Tenant: blue\r\nConnection: x-tenant\r\n",
    "X-Tenant: blue\r\nConnection: keep-alive, X-TENANT\r\n",
    "X-Tenant: blue\r\nConnection: X-TENANT,keep-alive\r\n",
    "X-Tenant: blue\r\nConnection:\r\nConnection: x-tenant\r\n",
    "X-Tenant: blue\r\nConnection: keep-alive\r\nConnection: x-tenant\r\n",
    "X-Tenant: blue\r\nConnection: ,, x-tenant ,\r\n",
    "X-Tenant: blue\r\nConnection: \t x-tenant\t,\r\n",
    "X-Tenant: blue\r\nX-Tenant: red\r\nConnection: x-tenant\r\n",
    "Connection: x-tenant\r\nX-Tenant: blue\r\nConnection: keep-alive\r\n",
];
/// What a client would take away if it could: the id, the time left, who asks.
const STRIPPING: [&str; 3] = [
    "Connection: x-request-id, x-envoy-expected-rq-timeout-ms, user-agent\r\n",
    "Connection: accept\r\nConnection: X-Request-Id\r\n",
    "X-Request-Id: mine\r\nConnection: x-request-id\r\n",
];

#[test]
fn a_clients_headers_of_one_hop_end_here() {
    let upstream = Upstream::echo();
    let plane = forwarding(&upstream);
    let mut client = plane.client();
    for line in ASIDE {
        let lines = format!("{line}\r\nX-Tenant: blue\r\n");
        let seen = relay(&mut client, &upstream, &lines);
        assert_eq!(value(&seen, "x-tenant"), Some("blue"), "{line}");
        assert_eq!(seen.len(), OWN.len() + 1, "{line}: {seen:?}");
    }
    for lines in NAMED {
        let seen = relay(&mut client, &upstream, lines);
        assert_eq!(value(&seen, "x-tenant"), None, "{lines:?}");
        assert_eq!(seen.len(), OWN.len(), "{lines:?}: {seen:?}");
    }
    for lines in STRIPPING {
        let seen = relay(&mut client, &upstream, lines);
        for name in OWN {
            assert!(value(&seen, name).is_some(), "{lines:?} took {name}");
        }
        assert_eq!(seen.len(), OWN.len(), "{lines:?}: {seen:?}");
    }
    // A client that closes says so about its own connection only.
    for line in ["Connection: close", "Connection: close, x-other"] {
        let seen = relay(&mut plane.client(), &upstream, &format!("{line}\r\n"));
        assert_eq!(seen.len(), OWN.len(), "{line}: {seen:?}");
    }
    assert_eq!(
        upstream.connections(),
        1,
        "the upstream's connection lives on"
    );
    println!(
        "S05: {} cases of a client, 0 forwarded",
        ASIDE.len() + NAMED.len() + STRIPPING.len() + 2
    );
}

/// Headers of an upstream's answer. None is passed on, whatever it is for.
const ANSWERED: [&str; 30] = [
    "Connection: keep-alive",
    "Connection: close",
    "Connection: date",
    "Connection: x-request-id, content-type",
    "Connection: Upgrade",
    "Keep-Alive: timeout=1",
    "Proxy-Connection: close",
    "TE: trailers",
    "Trailer: X-Sum",
    "Upgrade: h2c",
    "Proxy-Authenticate: Basic realm=x",
    "Proxy-Authorization: Basic x",
    "Proxy-Authentication-Info: x",
    "Proxy-Status: up; error=timeout",
    "HTTP2-Settings: AAMAAABkAAQAAP__",
    "Via: 1.1 behind",
    "Set-Cookie: session=1",
    "Set-Cookie: a=1\r\nSet-Cookie: b=2",
    "WWW-Authenticate: Basic",
    "Authorization: Bearer x",
    "Server: behind",
    "X-Powered-By: behind",
    "Location: http://evil.test/",
    "Alt-Svc: h2=\":443\"",
    "Strict-Transport-Security: max-age=1",
    "Access-Control-Allow-Origin: *",
    "X-Request-Id: theirs",
    "Tailrace-Degraded: it;reason=timeout",
    "Cache-Control: public, max-age=60",
    "Date: Thu, 01 Jan 1970 00:00:00 GMT",
];

/// A whole reply's own headers, and no others.
fn assert_own(line: &str, reply: &Reply) {
    let names: Vec<_> = reply.headers.iter().map(|(name, _)| name).collect();
    let own = ["content-type", "content-length", "x-request-id", "date"];
    assert_eq!(names, own, "{line}");
    assert_eq!(reply.header("x-request-id"), Some("mine"), "{line}");
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert!(!reply.header("date").unwrap_or_default().contains("1970"));
}

#[test]
fn an_upstreams_headers_end_here() {
    let upstream = Upstream::start(|seen| {
        let index = seen.target().rsplit('/').next().map(str::parse::<usize>);
        let line = index.and_then(Result::ok).and_then(|at| ANSWERED.get(at));
        let line = line.expect("an index of the list");
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10";
        vec![Step::Send(
            format!("{head}\r\n{line}\r\n\r\n{{\"id\":\"x\"}}").into_bytes(),
        )]
    });
    let plane = Service::one(&upstream).start();
    let mut client = plane.client();
    for (index, line) in ANSWERED.iter().enumerate() {
        client.send(format!(
            "GET /one/{index} HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine\r\n\r\n"
        ));
        let reply = client.reply();
        assert_eq!(reply.status, 200, "{line}: {reply:?}");
        assert_own(line, &reply);
    }
    println!("S05: {} cases of an upstream, 0 passed on", ANSWERED.len());
}
