//! RELIABILITY S02, S08, S14, S16: whatever an upstream says, a strong part's failure is a problem
//! with its reason, a weak part's a degraded reply that names it, and the next request is clean.

use crate::client::{Client, Reply};
use crate::hostile::{self, Hostile, FOREIGN};
use crate::service::{strong, weak, with, Running, Service, ANY};
use crate::upstream::{echo, json as json_answer, Step, Upstream};
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;

/// The scripts by index; every other path is answered honestly.
fn start() -> (Upstream, Running) {
    let scripts: Vec<_> = hostile::all().into_iter().map(|one| one.steps).collect();
    let upstream = Upstream::start(move |seen| {
        let target = seen.target();
        match target
            .strip_prefix("/hostile/")
            .and_then(|index| index.parse::<usize>().ok())
        {
            Some(index) => scripts[index].clone(),
            None => vec![Step::Send(echo(seen))],
        }
    });
    let timeout = json!({"timeout_ms": 300.0});
    let plane = Service::new()
        .limit("head_max_bytes", 2048)
        .limit("headers_max", 32)
        .limit("upstream_body_max_bytes", 4096)
        .upstream("up", &upstream)
        .view(
            "strong",
            "/strong/{n}",
            vec![with(strong("it", "/hostile/{n}"), timeout.clone())],
        )
        .view(
            "weak",
            "/weak/{n}",
            vec![with(weak("it", "/hostile/{n}"), timeout)],
        )
        .view("good", "/good/{n}", vec![strong("it", "/good/{n}")])
        .start();
    (upstream, plane)
}

fn no_foreign_byte(name: &str, reply: &Reply) {
    let foreign = reply
        .body
        .windows(7)
        .any(|bytes| bytes == b"foreign" || bytes == b"hello, ");
    assert!(!foreign, "{name}: {}", String::from_utf8_lossy(&reply.body));
}

/// A request with a word of its own: its answer holds that word and nothing else.
fn nonce(client: &mut Client, name: &str, index: usize) {
    let word = format!("nonce-{index}");
    let reply = client.get(&format!("/good/{word}"));
    assert_eq!(reply.status, 200, "after {name}: {reply:?}");
    assert_eq!(reply.json()["it"], json!({"id": word}), "after {name}");
}

/// Plays every script through `view`, each followed by a nonce on the same client connection.
fn play(view: &str, check: impl Fn(&Hostile, &Reply)) {
    let (upstream, plane) = start();
    let mut client = plane.client();
    let scripts = hostile::all();
    let mut closed = 0;
    for (index, hostile) in scripts.iter().enumerate() {
        let before = upstream.count();
        let reply = client.get(&format!("/{view}/{index}"));
        no_foreign_byte(&hostile.name, &reply);
        check(hostile, &reply);
        nonce(&mut client, &hostile.name, index);
        let seen = upstream.seen().split_off(before);
        assert_eq!(seen.len(), 2, "{}: a request was sent twice", hostile.name);
        if hostile.must_close {
            assert_ne!(
                seen[0].connection, seen[1].connection,
                "{} was reused",
                hostile.name
            );
            closed += 1;
        }
    }
    println!(
        "S02 {view}: {} scripts, {closed} open connections dropped, 0 foreign bytes, 0 retries",
        scripts.len()
    );
    assert!(scripts.len() >= 80 && closed >= 60);
    assert_eq!(plane.in_flight(), 0);
    assert!(plane.metric("tailrace_bulkhead_in_flight", "").abs() < f64::EPSILON);
}

#[test]
fn a_strong_part_fails_with_its_reason_and_the_next_request_is_clean() {
    play("strong", |hostile, reply| {
        let status = match hostile.reason {
            "timeout" => 504,
            "not_found" => 404,
            "gone" => 410,
            _ => 502,
        };
        let said = (reply.status, reply.code());
        assert_eq!(
            said,
            (status, hostile.reason.to_owned()),
            "{}",
            hostile.name
        );
        assert_eq!(reply.json()["part"], "it");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    });
}

#[test]
fn a_weak_part_degrades_with_its_reason_and_the_next_request_is_clean() {
    play("weak", |hostile, reply| {
        assert_eq!(reply.status, 200, "{}: {reply:?}", hostile.name);
        let body = reply.json();
        assert!(body["it"].is_null(), "{}: {body}", hostile.name);
        // An honest 204 is an empty part, not a failed one.
        if hostile.name.starts_with("no_content") && hostile.reason == "model_mismatch" {
            assert_eq!(reply.header("tailrace-degraded"), None);
            return;
        }
        let header = format!("it;reason={}", hostile.reason);
        assert_eq!(
            reply.header("tailrace-degraded"),
            Some(header.as_str()),
            "{}",
            hostile.name
        );
        assert_eq!(body["degraded"], json!(["it"]), "{}", hostile.name);
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    });
}

/// S14: the failing fan-out keeps its bound in memory and its healthy part.
#[test]
fn twelve_endless_answers_degrade_a_view_instead_of_failing_it() {
    let upstream = Upstream::start(|seen| match seen.target().as_str() {
        "/healthy" => vec![Step::Send(echo(seen))],
        _ => vec![
            Step::Send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n".to_vec()),
            Step::Endless(vec![b' '; 64 * 1024]),
        ],
    });
    let mut parts = vec![strong("healthy", "/healthy")];
    parts.extend((0..12).map(|index| weak(&format!("part{index}"), "/endless")));
    let plane = Service::new()
        .upstream("up", &upstream)
        .view_with("wide", "/wide", parts, json!({"fanout": 13}))
        .start();
    let reply = plane.get("/wide");
    assert_eq!(
        (reply.status, reply.json()["healthy"]["id"].as_str()),
        (200, Some("healthy"))
    );
    let degraded = reply
        .header("tailrace-degraded")
        .expect("a degraded reply")
        .to_owned();
    // 12 bodies of up to 4 MiB do not fit the request's 16 MiB: some meet the one bound, some the
    // other.
    let bounded = |end: &str| end.ends_with("=body_too_large") || end.ends_with("=memory");
    assert_eq!(
        degraded.split(", ").filter(|end| bounded(end)).count(),
        12,
        "{degraded}"
    );
    crate::patience::eventually("every endless connection is closed", || {
        upstream.open() <= 1
    });
}

/// S16: depth beyond any stack, in a used and in a skipped field, at the real body bound.
#[test]
fn a_hundred_thousand_levels_are_a_mismatch_and_not_a_crash() {
    let upstream = Upstream::start(|seen| {
        let deep = |open: &str| open.repeat(100_000);
        let body = match seen.target().as_str() {
            "/lists" => format!(r#"{{"id":"a","x":{}"#, deep("[")),
            "/objects" => format!(r#"{{"id":"a","x":{}"#, deep(r#"{"a":"#)),
            "/closed" => format!(r#"{{"id":"a","x":{}{}}}"#, deep("["), deep("]")),
            "/raw" => deep("["),
            _ => return vec![Step::Send(echo(seen))],
        };
        vec![Step::Send(json_answer(body))]
    });
    let raw = with(strong("it", "/{n}"), json!({"shape": ANY}));
    let plane = Service::new()
        .upstream("up", &upstream)
        .view("thing", "/thing/{n}", vec![strong("it", "/{n}")])
        .view("any", "/any/{n}", vec![raw])
        .start();
    let mut client = plane.client();
    for view in ["thing", "any"] {
        for body in ["lists", "objects", "closed", "raw"] {
            let reply = client.get(&format!("/{view}/{body}"));
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (502, "model_mismatch"),
                "{body}"
            );
        }
        nonce_on(&mut client, &format!("/{view}/fine"));
    }
}

fn nonce_on(client: &mut Client, target: &str) {
    assert_eq!(client.get(target).json()["it"]["id"], "fine");
}

/// Whether every open connection to `upstream` has bytes that were not read, as the kernel says.
fn has_arrived(upstream: SocketAddr) -> bool {
    const ESTABLISHED: &str = "01";
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the connections of this machine");
    let port = format!(":{:04X}", upstream.port());
    let lines = table.lines().skip(1).map(str::split_ascii_whitespace);
    let mut open = lines
        .map(Iterator::collect::<Vec<_>>)
        .filter(|words| words[2].ends_with(&port) && words[3] == ESTABLISHED);
    open.all(|words| !words[4].ends_with(":00000000"))
}

/// Bytes that follow an honest answer in a packet of their own must not become the next answer.
#[test]
fn an_answer_nobody_asked_for_is_never_given_to_the_next_request() {
    let upstream = Upstream::start(|seen| match seen.target().as_str() {
        "/late" => vec![Step::Send(echo(seen)), Step::Send(FOREIGN.to_vec())],
        "/later" => vec![
            Step::Send(echo(seen)),
            Step::Pause(Duration::from_millis(1)),
            Step::Send(FOREIGN.to_vec()),
        ],
        _ => vec![Step::Send(echo(seen))],
    });
    let plane = Service::new()
        .upstream("up", &upstream)
        .view("one", "/one/{n}", vec![strong("it", "/{n}")])
        .start();
    let mut client = plane.client();
    let mut dropped = 0;
    for round in 0..100 {
        let target = if round % 2 == 0 { "late" } else { "later" };
        let first = client.get(&format!("/one/{target}"));
        if first.status == 200 {
            assert_eq!(first.json()["it"]["id"], target);
            crate::patience::eventually("the script ends", || upstream.active() == 0);
            // Sent is not arrived: a busy kernel delivers later, and what is still under way when
            // the next request goes out nobody can tell from its answer.
            crate::patience::eventually("they have arrived", || has_arrived(upstream.address()));
        }
        let word = format!("nonce-{round}");
        let reply = client.get(&format!("/one/{word}"));
        assert_eq!(
            reply.json()["it"],
            json!({"id": word}),
            "round {round}: {reply:?}"
        );
        let seen = upstream.seen();
        let [.., before, after] = &seen[..] else {
            panic!("two requests")
        };
        dropped += usize::from(before.connection != after.connection);
    }
    println!("S02: 100 unasked answers, {dropped} connections dropped, 0 foreign bytes");
    assert_eq!(dropped, 100);
}

/// S08: a redirect is an answer; nobody connects to where it points.
#[test]
fn a_redirect_is_never_followed() {
    let trap = Upstream::echo();
    let location = trap.address();
    let upstream = Upstream::start(move |seen| {
        let target = seen.target();
        let status = target.trim_start_matches('/');
        let text = format!(
            "HTTP/1.1 {status} Moved\r\nlocation: http://{location}/trap\r\nrefresh: 0; \
             url=http://{location}/trap\r\nlink: <http://{location}/trap>; rel=preload\r\n\
             content-length: 0\r\n\r\n"
        );
        vec![Step::Send(text.into_bytes())]
    });
    let plane = Service::new()
        .upstream("up", &upstream)
        .view("one", "/one/{n}", vec![strong("it", "/{n}")])
        .start();
    let statuses = [300, 301, 302, 303, 304, 305, 307, 308, 399];
    for status in statuses {
        let reply = plane.get(&format!("/one/{status}"));
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (502, "redirect"),
            "{status}"
        );
        assert_eq!(reply.header("location"), None);
    }
    assert_eq!((trap.connections(), upstream.count()), (0, statuses.len()));
    println!(
        "S08: {} redirects, 0 connects outside the declared set",
        statuses.len()
    );
}

/// The same inside one request: the second call waits for another upstream, and by then the bytes
/// behind the first answer are there to be seen.
#[test]
fn an_answer_nobody_asked_for_is_never_given_to_a_dependent_part() {
    let upstream = Upstream::start(|seen| match seen.target().as_str() {
        "/first" => vec![Step::Send(echo(seen)), Step::Send(FOREIGN.to_vec())],
        _ => vec![Step::Send(echo(seen))],
    });
    let other = Upstream::start(|seen| {
        vec![
            Step::Pause(Duration::from_millis(20)),
            Step::Send(echo(seen)),
        ]
    });
    let parts = vec![
        weak("first", "/first"),
        with(strong("between", "/between"), json!({"upstream": "other"})),
        strong("second", "/{between.id}/{n}"),
    ];
    let plane = Service::new()
        .upstream("up", &upstream)
        .upstream("other", &other)
        .view("three", "/three/{n}", parts)
        .start();
    let mut client = plane.client();
    for round in 0..50 {
        let reply = client.get(&format!("/three/{round}"));
        assert_eq!(
            reply.json()["second"],
            json!({"id": round.to_string()}),
            "{reply:?}"
        );
    }
}
