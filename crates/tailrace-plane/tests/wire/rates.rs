//! Rates on real sockets: exact counts, headers a client can go by, and nobody who talks his way
//! around them (req 9.1a, RELIABILITY S27).
//!
//! A burst that takes minutes to come back makes the counts exact, however slow the machine is.

use crate::client::{get, Client, Reply};
use crate::patience::eventually;
use crate::service::{strong, weak, Running, Service};
use crate::upstream::{answer, Step, Upstream};
use serde_json::{json, Value};

/// This many at once; the next one after a thousand seconds.
fn burst(burst: u32) -> Value {
    json!({"per_second": 0.001, "burst": burst})
}

fn count(replies: &[Reply], status: u16) -> usize {
    replies
        .iter()
        .filter(|reply| reply.status == status)
        .count()
}

/// A GET with these header lines.
fn asking(client: &mut Client, lines: &str) -> Reply {
    let request = get("/one/7").replace("\r\n\r\n", &format!("\r\n{lines}\r\n"));
    client.send(request);
    client.reply()
}

// req 9.1a
#[test]
fn a_client_gets_its_burst_and_not_one_request_more() {
    let upstream = Upstream::echo();
    let declared = json!({"rate": burst(5)});
    let plane = Service::one(&upstream)
        .admission(declared)
        .workers(2)
        .start();
    let replies: Vec<_> = (0..40).map(|_| plane.get("/one/7")).collect();
    assert_eq!((count(&replies, 200), count(&replies, 429)), (5, 35));
    assert_eq!(upstream.count(), 5, "what was refused was not called for");
    let decided = |result| {
        let label = format!("limit=\"client_rate\" result=\"{result}\"");
        plane.counter(
            "tailrace_admission_decisions_total",
            &label.replace(' ', ","),
        )
    };
    assert_eq!((decided("accepted"), decided("refused")), (5, 35));
    assert_eq!(
        plane.counter("tailrace_requests_total", "status=\"429\""),
        35
    );
}

#[test]
fn a_reply_says_what_is_left_and_a_refusal_when_to_come_back() {
    let upstream = Upstream::echo();
    let part = strong("it", "/one/{id}");
    let rate = json!({"rate": {"per_second": 0.1, "burst": 3}});
    let plane = Service::new()
        .upstream("up", &upstream)
        .view_with("one", "/one/{id}", vec![part], rate)
        .admission(json!({"rate": {"per_second": 0.01, "burst": 2}}))
        .start();
    let first = plane.get("/one/7");
    assert_eq!(first.status, 200);
    let policy = r#""client";q=2;w=200, "view/one";q=3;w=30"#;
    assert_eq!(first.header("ratelimit-policy"), Some(policy));
    let left = r#""client";r=1;t=100, "view/one";r=2;t=10"#;
    assert_eq!(first.header("ratelimit"), Some(left));
    plane.get("/one/7");
    let refused = plane.get("/one/7");
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (429, "client_rate")
    );
    assert_eq!(refused.header("ratelimit-policy"), Some(policy));
    let said = refused.header("ratelimit").unwrap_or_default();
    let after = said.strip_prefix(r#""client";r=0;t="#).unwrap_or_default();
    let after: u64 = after.parse().unwrap_or_else(|_| panic!("{said}"));
    assert!((1..=100).contains(&after), "{said}");
    // Never shorter than computed, at most a fifth longer.
    let wait = refused.header("retry-after").unwrap_or_default();
    let wait: u64 = wait.parse().unwrap_or_else(|_| panic!("{wait}"));
    assert!(
        (after..=after + after / 5 + 1).contains(&wait),
        "{wait} {after}"
    );
    assert_eq!(
        refused.json()["request_id"].as_str(),
        refused.header("x-request-id")
    );
    assert!(!refused.closes(), "a refusal is no reason to connect again");
}

#[test]
fn without_a_rate_no_reply_speaks_of_one() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).start();
    let reply = plane.get("/one/7");
    assert_eq!(reply.header("ratelimit"), None);
    assert_eq!(reply.header("ratelimit-policy"), None);
}

#[test]
fn a_view_has_a_rate_of_its_own_over_all_clients() {
    let upstream = Upstream::echo();
    let limited = json!({"rate": burst(4)});
    let plane = Service::new()
        .upstream("up", &upstream)
        .view_with("one", "/one/{id}", vec![strong("it", "/one/{id}")], limited)
        .view("two", "/two/{id}", vec![strong("it", "/two/{id}")])
        .admission(json!({"trusted": ["127.0.0.0/8"]}))
        .start();
    let mut client = plane.client();
    let replies: Vec<_> = (0..10)
        .map(|who| asking(&mut client, &format!("x-forwarded-for: 192.0.2.{who}\r\n")))
        .collect();
    assert_eq!((count(&replies, 200), count(&replies, 429)), (4, 6));
    assert_eq!(replies[9].code(), "route_rate");
    assert_eq!(plane.get("/two/7").status, 200);
}

/// Ten requests that name ten clients.
fn ten_names(plane: &Running, header: &str) -> usize {
    let mut client = plane.client();
    let replies: Vec<_> = (0..10)
        .map(|who| asking(&mut client, &format!("{header}: 192.0.2.{who}\r\n")))
        .collect();
    count(&replies, 200)
}

// RELIABILITY S27: clamped 100 %; trusted only from listed nets.
#[test]
fn who_is_not_trusted_cannot_name_another_client() {
    let upstream = Upstream::echo();
    for (declared, header, passed) in [
        (json!({"rate": burst(3)}), "x-forwarded-for", 3),
        (
            json!({"rate": burst(3), "trusted": ["10.0.0.0/8"]}),
            "x-forwarded-for",
            3,
        ),
        (
            json!({"rate": burst(3), "trusted": ["127.0.0.1"]}),
            "x-forwarded-for",
            10,
        ),
        (
            json!({"rate": burst(3), "client": "header:x-tenant", "trusted": ["10.0.0.0/8"]}),
            "x-tenant",
            3,
        ),
        (
            json!({"rate": burst(3), "client": "header:x-tenant", "trusted": ["127.0.0.1"]}),
            "x-tenant",
            10,
        ),
    ] {
        let shown = declared.to_string();
        let plane = Service::one(&upstream).admission(declared).start();
        assert_eq!(ten_names(&plane, header), passed, "{shown}");
    }
}

#[test]
fn clients_with_a_name_each_have_their_own_burst() {
    let upstream = Upstream::echo();
    let declared =
        json!({"rate": burst(2), "client": "header:x-tenant", "trusted": ["127.0.0.0/8"]});
    let plane = Service::one(&upstream).admission(declared).start();
    let mut client = plane.client();
    let mut passed = |tenant: &str, requests: usize| {
        let lines = format!("x-tenant: {tenant}\r\n");
        let replies: Vec<_> = (0..requests).map(|_| asking(&mut client, &lines)).collect();
        count(&replies, 200)
    };
    assert_eq!(passed("a", 5), 2);
    assert_eq!(passed("b", 1), 1);
    assert_eq!(passed("a", 5), 0);
    assert_eq!(passed("b", 5), 1);
    assert!((plane.metric("tailrace_rate_clients", "") - 2.0).abs() < 0.1);
}

// req 9.1a: the rate protects each downstream; attempts count, not requests.
#[test]
fn an_upstream_gets_no_more_attempts_than_its_rate() {
    let upstream = Upstream::echo();
    let rate = json!({"rate": burst(6)});
    let parts = vec![strong("it", "/one/{id}"), weak("more", "/more/{id}")];
    let plane = Service::new()
        .upstream_with("up", &upstream, rate)
        .view("one", "/one/{id}", parts)
        .start();
    let replies: Vec<_> = (0..5).map(|_| plane.get("/one/7")).collect();
    assert_eq!((count(&replies, 200), count(&replies, 503)), (3, 2));
    assert_eq!(upstream.count(), 6);
    assert_eq!(replies[4].code(), "upstream_rate");
    assert!(replies[4].header("retry-after").is_some());
}

// req 9.4: an extra attempt is an attempt.
#[test]
fn a_retry_needs_its_share_of_the_upstreams_rate() {
    let upstream = Upstream::start(|_| {
        vec![Step::Send(answer(
            "503 Service Unavailable",
            "text/plain",
            "",
        ))]
    });
    let declared = json!({"rate": burst(1), "retry": {"attempts": 3, "budget_min": 10}});
    let plane = Service::new()
        .upstream_with("up", &upstream, declared)
        .view("one", "/one/{id}", vec![strong("it", "/one/{id}")])
        .start();
    let reply = plane.get("/one/7");
    assert_eq!((reply.status, reply.code().as_str()), (502, "server_error"));
    eventually("the refusal is counted", || {
        plane.counter("tailrace_attempt_refusals_total", "code=\"upstream_rate\"") == 1
    });
    assert_eq!(upstream.count(), 1);
}
