//! req 10.2: one id per request: the caller's when it is harmless, else a new one nobody else has.

use crate::service::Service;
use crate::upstream::Upstream;
use std::collections::HashSet;

#[test]
fn a_harmless_request_id_is_echoed_and_sent_on_and_others_are_replaced() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).start();
    let mut client = plane.client();
    let longest = "x".repeat(128);
    for given in ["abc", "0192-4.f_a:b/c+d=e@f", longest.as_str()] {
        let before = upstream.count();
        let head = format!("GET /one/7 HTTP/1.1\r\nHost: a\r\nX-Request-Id: {given}\r\n\r\n");
        client.send(head);
        let reply = client.reply();
        assert_eq!(reply.header("x-request-id"), Some(given));
        assert_eq!(reply.json()["request_id"], given);
        assert_eq!(
            upstream.seen()[before].header("x-request-id").as_deref(),
            Some(given)
        );
    }
    let too_long = "x".repeat(129);
    for given in [
        "",
        "a b",
        "a\"b",
        "a\\b",
        "<a>",
        "a,b",
        "caf\u{e9}",
        too_long.as_str(),
    ] {
        let head = format!("GET /one/7 HTTP/1.1\r\nHost: a\r\nX-Request-Id: {given}\r\n\r\n");
        client.send(head);
        let reply = client.reply();
        let own = reply
            .header("x-request-id")
            .expect("every reply has one")
            .to_owned();
        assert!(own != given && !own.is_empty(), "{given:?} was kept");
        assert_eq!(reply.json()["request_id"], own.as_str());
    }
}

#[test]
fn generated_request_ids_are_unique_over_workers_and_kinds_of_reply() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).workers(2).start();
    let mut ids = HashSet::new();
    for index in 0..40 {
        let mut client = plane.client();
        for target in ["/one/7", "/none", "/one/", "/one/%00", "/one/8"] {
            let reply = client.get(target);
            let id = reply
                .header("x-request-id")
                .expect("every reply has one")
                .to_owned();
            assert!(ids.insert(id), "connection {index}: an id twice");
        }
    }
    println!("req 10.2: {} generated ids, 0 twice", ids.len());
}
