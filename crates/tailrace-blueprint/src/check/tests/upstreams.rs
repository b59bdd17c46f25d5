//! Tables of broken upstreams: each names exactly its place.

use super::{assert_each_names, paths_with, read, sample};
use crate::check::check;
use serde_json::json;

// req 4.4
#[test]
fn upstreams_are_checked() {
    for name in ["orders", ""] {
        let mut document = sample();
        let mut third = document["upstreams"][0].clone();
        third["name"] = json!(name);
        document["upstreams"].as_array_mut().unwrap().push(third);
        let problems = check(&read(document));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].path, "upstreams[2].name");
    }
    assert_each_names([
        (
            "/upstreams/0/addresses",
            json!([]),
            "upstreams[0].addresses",
        ),
        (
            "/upstreams/0/timeout_ms",
            json!(0.0),
            "upstreams[0].timeout_ms",
        ),
        (
            "/upstreams/0/timeout_ms",
            json!(-1.0),
            "upstreams[0].timeout_ms",
        ),
        (
            "/upstreams/0/bulkhead/limit",
            json!(0),
            "upstreams[0].bulkhead.limit",
        ),
        (
            "/upstreams/1/body_max_bytes",
            json!(0),
            "upstreams[1].body_max_bytes",
        ),
    ]);
    for name in [
        "",
        "x y",
        "a:b",
        "Connection",
        "transfer-encoding",
        "te",
        "host",
        "Content-Length",
        "expect",
        "accept",
        "User-Agent",
        "x-request-id",
        "X-Envoy-Expected-Rq-Timeout-Ms",
        "grpc-timeout",
        "connect-timeout-ms",
        "x\r\ny",
    ] {
        let found = paths_with("/upstreams/0/forward_headers/0", json!(name));
        assert_eq!(found, ["upstreams[0].forward_headers[0]"], "{name:?}");
    }
}

#[test]
fn an_address_is_http_host_port_and_base() {
    let sound = [
        "http://a",
        "http://a/",
        "http://a:80",
        "http://a-b.c_d:65535/base/path",
        "http://[::1]",
        "http://[fe80::1]:8080/x",
    ];
    for address in sound {
        assert_eq!(
            paths_with("/upstreams/1/addresses/0", json!(address)),
            [""; 0],
            "{address}"
        );
    }
    let broken = [
        "",
        "a:80",
        "https://a",
        "http://",
        "http:///x",
        "http://:80",
        "http://a:",
        "http://a:0",
        "http://a:65536",
        "http://a:+80",
        "http://a:80:81",
        "http://a:x",
        "http://u:p@a",
        "http://a/?q",
        "http://a/#f",
        "http://a b",
        "http://a/{x}",
        "http://a/../b",
        "http://[::1",
        "http://[::1]80",
        "http://[x]:80",
        "http://::1",
        "http://a\r\n",
        "http://\u{e4}",
    ];
    for address in broken {
        let found = paths_with("/upstreams/1/addresses/0", json!(address));
        assert_eq!(found, ["upstreams[1].addresses[0]"], "{address:?}");
    }
}

#[test]
fn a_password_in_an_address_is_not_shown() {
    let mut document = sample();
    document["upstreams"][0]["addresses"] = json!(["http://user:secret@host:80/x@y"]);
    let problems = check(&read(document));
    assert!(!problems[0].message.contains("secret"), "{problems:?}");
    assert!(
        problems[0].message.contains("***@host:80/x@y"),
        "{problems:?}"
    );
}

#[test]
fn times_that_are_no_numbers_are_refused() {
    for time in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut blueprint = read(sample());
        blueprint.upstreams[0].timeout_ms = time;
        blueprint.views[1].deadline_ms = time;
        let paths: Vec<String> = check(&blueprint).into_iter().map(|one| one.path).collect();
        assert_eq!(paths, ["upstreams[0].timeout_ms", "views[1].deadline_ms"]);
    }
}
