//! RELIABILITY S04, S06: what reaches an upstream is what was declared, one hop at a time, on lines
//! of its own.

use crate::client::Client;
use crate::service::{strong, template, weak, with, Running, Service, TEXT};
use crate::upstream::{echo, Step, Upstream};
use serde_json::json;
use std::collections::HashSet;

/// What the plane says itself on every call.
pub(crate) const OWN: [&str; 5] = [
    "host",
    "accept",
    "user-agent",
    "x-envoy-expected-rq-timeout-ms",
    "x-request-id",
];
const FORWARDED: [&str; 3] = ["authorization", "x-tenant", "accept-language"];

pub(crate) fn forwarding(upstream: &Upstream) -> Running {
    let with = json!({"forward_headers": FORWARDED});
    Service::new()
        .upstream_with("up", upstream, with)
        .view("one", "/one/{id}", vec![strong("it", "/one/{id}")])
        .start()
}

/// Sends a GET with these header lines and returns the header lines the upstream saw.
pub(crate) fn relay(
    client: &mut Client,
    upstream: &Upstream,
    lines: &str,
) -> Vec<(String, String)> {
    let before = upstream.count();
    client.send(format!(
        "GET /one/7 HTTP/1.1\r\nHost: shop.test\r\n{lines}\r\n"
    ));
    assert_eq!(client.reply().status, 200, "{lines}");
    let seen = upstream.seen().split_off(before);
    assert_eq!(seen.len(), 1, "{lines}");
    seen[0].headers()
}

pub(crate) fn value<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

#[test]
fn declared_headers_arrive_in_any_case_and_nothing_else_does() {
    let upstream = Upstream::echo();
    let plane = forwarding(&upstream);
    let seen = relay(
        &mut plane.client(),
        &upstream,
        "AUTHORIZATION: Bearer a.b\r\nx-Tenant: blue\r\nAccept-Language: de\r\nCookie: c=1\r\n\
         X-Other: 1\r\nUser-Agent: browser\r\nAccept: text/html\r\nForwarded: for=1.2.3.4\r\n\
         X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Host: evil.test\r\nX-Real-Ip: 1.2.3.4\r\n",
    );
    assert_eq!(value(&seen, "authorization"), Some("Bearer a.b"));
    assert_eq!(value(&seen, "x-tenant"), Some("blue"));
    assert_eq!(value(&seen, "accept-language"), Some("de"));
    assert_eq!(value(&seen, "user-agent"), Some("tailrace"));
    assert_eq!(value(&seen, "accept"), Some("application/json"));
    assert_eq!(
        value(&seen, "host"),
        Some(upstream.address().to_string().as_str())
    );
    assert_eq!(seen.len(), OWN.len() + FORWARDED.len(), "{seen:?}");
}

/// Each upstream names its own headers; one's secret is not another's.
#[test]
fn a_header_goes_only_to_the_upstream_that_names_it() {
    let (named, other) = (Upstream::echo(), Upstream::echo());
    let part = with(strong("b", "/two/{id}"), json!({"upstream": "other"}));
    let plane = Service::new()
        .upstream_with("up", &named, json!({"forward_headers": ["authorization"]}))
        .upstream("other", &other)
        .view("one", "/one/{id}", vec![strong("a", "/one/{id}"), part])
        .start();
    let mut client = plane.client();
    client.send("GET /one/7 HTTP/1.1\r\nHost: a\r\nAuthorization: secret\r\n\r\n");
    assert_eq!(client.reply().status, 200);
    assert_eq!(
        named.seen()[0].header("authorization").as_deref(),
        Some("secret")
    );
    assert_eq!(other.seen()[0].header("authorization"), None);
    assert!(!other.seen()[0].text().contains("secret"));
}

/// Up to eleven header lines, about half of them with names somebody knows; and the names.
fn random_lines(random: &mut fastrand::Rng) -> (String, HashSet<String>) {
    const KNOWN: [&str; 6] = [
        "x-tenant",
        "authorization",
        "accept-language",
        "cookie",
        "range",
        "dnt",
    ];
    let (mut lines, mut sent) = (String::new(), HashSet::new());
    for _ in 0..random.usize(..12) {
        let (long, length) = (random.usize(1..20), random.usize(1..30));
        let name = if random.bool() {
            KNOWN[random.usize(..KNOWN.len())].to_owned()
        } else {
            (0..long).map(|_| random.alphanumeric()).collect()
        };
        let value: String = (0..length).map(|_| random.char(' '..='~')).collect();
        lines.push_str(&name);
        lines.push_str(": ");
        lines.push_str(value.trim());
        lines.push_str("\r\n");
        sent.insert(name);
    }
    (lines, sent)
}

/// S06: whatever a client makes up, the upstream sees declared names and the plane's own.
#[test]
fn a_thousand_random_requests_bring_no_unknown_header() {
    const SEED: u64 = 0x7a11_2ace;
    let upstream = Upstream::echo();
    let plane = forwarding(&upstream);
    let mut client = plane.client();
    let mut random = fastrand::Rng::with_seed(SEED);
    let (mut asked, mut forwarded) = (0, 0);
    while asked < 1_000 {
        let (lines, sent) = random_lines(&mut random);
        // A random name may happen to be one that means something.
        if sent
            .iter()
            .any(|name| ["host", "te", "via"].contains(&name.to_lowercase().as_str()))
        {
            continue;
        }
        asked += 1;
        for (name, _) in relay(&mut client, &upstream, &lines) {
            let declared = FORWARDED.contains(&name.as_str());
            assert!(
                declared || OWN.contains(&name.as_str()),
                "seed {SEED}: {name} in {lines:?}"
            );
            assert!(!declared || sent.contains(&name));
            forwarded += usize::from(declared);
        }
    }
    println!("S06: seed {SEED}: {asked} requests, {forwarded} forwarded headers, 0 unknown");
    assert!(forwarded > 500);
}

/// S04: no byte of a parameter, header, body field or request id starts a line on any wire.
#[test]
fn no_value_starts_a_line_of_its_own() {
    let upstream = Upstream::start(|seen| {
        vec![Step::Send(match seen.target().as_str() {
            "/first" => crate::upstream::json(r#"{"id":"x\r\nEvil: 1"}"#),
            _ => echo(seen),
        })]
    });
    let second = with(
        weak("second", "/second"),
        json!({"headers": [{"name": "x-id", "value": template("{first.id}")}]}),
    );
    let q =
        json!({"name": "q", "in": "header", "wire_name": "x-q", "shape": TEXT, "required": true});
    let named = with(
        strong("it", "/named"),
        json!({"headers": [{"name": "x-q", "value": template("{q}")}]}),
    );
    let plane = Service::new()
        .upstream_with("up", &upstream, json!({"forward_headers": FORWARDED}))
        .view("two", "/two", vec![strong("first", "/first"), second])
        .view_with("named", "/named", vec![named], json!({"parameters": [q]}))
        .start();
    let reply = plane.get("/two");
    assert_eq!(
        reply.header("tailrace-degraded"),
        Some("second;reason=bad_reference")
    );
    assert_eq!(
        upstream.count(),
        1,
        "the call with the broken header was sent"
    );

    let mut tried = 0;
    for byte in (0..0x20).chain([0x7f]).filter(|byte| *byte != b'\t') {
        for name in ["X-Q", "X-Tenant", "X-Request-Id"] {
            let mut client = plane.client();
            let before = upstream.count();
            client.send(format!(
                "GET /named HTTP/1.1\r\nHost: a\r\nX-Q: q\r\n{name}: a"
            ));
            client.send([byte]);
            client.send_lossy("Evil: 1\r\n\r\n");
            let reply = client.reply();
            assert_eq!(
                (reply.status, reply.closes()),
                (400, true),
                "{name} {byte:#x}"
            );
            assert!(client.rest().is_empty());
            assert_eq!(
                upstream.count(),
                before,
                "{name} {byte:#x} reached the upstream"
            );
            tried += 1;
        }
    }
    println!("S04: {tried} control bytes in 3 headers, 0 on any wire");
    for seen in upstream.seen() {
        assert_eq!(seen.header("evil"), None);
    }
}

/// A tab is legal inside a value; it must not make the header vanish in silence.
#[test]
fn a_header_with_a_tab_is_forwarded_or_refused() {
    let upstream = Upstream::echo();
    let plane = forwarding(&upstream);
    let mut client = plane.client();
    client.send("GET /one/7 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer\tabc\r\n\r\n");
    let reply = client.reply();
    if reply.status == 200 {
        let seen = upstream.seen();
        let given = seen[0]
            .header("authorization")
            .map(|value| value.replace('\t', " "));
        assert_eq!(
            given.as_deref(),
            Some("Bearer abc"),
            "the call went out without its identity"
        );
    } else {
        assert_eq!(reply.status, 400, "{reply:?}");
    }
}

/// Two values for one declared header: whichever the upstream sees, it sees all of them or a
/// refusal.
#[test]
fn a_repeated_header_arrives_at_most_once_per_line_sent() {
    let upstream = Upstream::echo();
    let plane = forwarding(&upstream);
    let seen = relay(
        &mut plane.client(),
        &upstream,
        "X-Tenant: blue\r\nX-Tenant: red\r\n",
    );
    let tenants: Vec<_> = seen.iter().filter(|(name, _)| name == "x-tenant").collect();
    assert!(!tenants.is_empty() && tenants.len() <= 2, "{tenants:?}");
    assert_eq!(
        tenants[0].1, "blue",
        "the first line is the one that counts"
    );
}
