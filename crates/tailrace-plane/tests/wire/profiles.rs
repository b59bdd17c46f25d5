//! A look inside while requests run: who may look, what a trace, memory and processor time are told
//! as (req 12.2, RELIABILITY S24). What requests wait for: `task_dumps.rs`.

use crate::client::Client;
use crate::patience::eventually;
use crate::service::{strong, weak, Running, Service};
use crate::upstream::{echo, Seen, Step, Upstream};
use serde_json::{json, Value};
use std::collections::HashMap;
use std::net::SocketAddr;

const KINDS: [&str; 4] = ["tasks", "heap", "cpu?seconds=1", "trace?seconds=1"];

/// A POST to the admin port with more header lines; returns status and body.
fn post(admin: SocketAddr, target: &str, host: &str, lines: &str) -> (u16, Vec<u8>) {
    let mut client = Client::connect(admin);
    client.send(format!(
        "POST {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n"
    ));
    let reply = client.reply();
    (reply.status, reply.body)
}

pub(crate) fn profile(plane: &Running, target: &str) -> Value {
    let (status, body) = post(plane.admin_address(), target, "localhost", "");
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).expect("a profile is JSON")
}

/// Slices of one track lie inside one another or apart; returns how many there are of each kind.
fn kinds(trace: &Value) -> HashMap<String, usize> {
    let mut kinds = HashMap::new();
    let mut tracks: HashMap<String, Vec<(i64, i64)>> = HashMap::new();
    for event in trace["traceEvents"].as_array().expect("a list") {
        if event["ph"] != "X" {
            continue;
        }
        let kind = event["cat"].as_str().expect("a kind").to_owned();
        *kinds.entry(kind).or_default() += 1;
        let nanos = |name: &str| (event[name].as_f64().expect("a time") * 1e3).round() as i64;
        let track = format!("{}/{}", event["pid"], event["tid"]);
        let from = nanos("ts");
        tracks
            .entry(track)
            .or_default()
            .push((from, from + nanos("dur")));
    }
    for (track, mut slices) in tracks {
        slices.sort_by_key(|(from, to)| (*from, -to));
        let mut open: Vec<i64> = Vec::new();
        for (from, to) in slices {
            open.retain(|end| *end > from);
            assert!(
                open.iter().all(|end| to <= *end),
                "{track}: a slice cuts another"
            );
            open.push(to);
        }
    }
    kinds
}

#[test]
fn a_trace_shows_what_ended_while_it_was_on() {
    let upstream = Upstream::start(|seen: &Seen| vec![Step::Send(echo(seen))]);
    let parts = vec![strong("a", "/a/{id}"), weak("b", "/b/{a.id}")];
    let plane = Service::new()
        .upstream("up", &upstream)
        .view("two", "/two/{id}", parts)
        .workers(2)
        .start();
    assert_eq!(plane.get("/two/early").status, 200);
    let trace = std::thread::scope(|scope| {
        let tracing = scope.spawn(|| profile(&plane, "/profile/trace?seconds=1"));
        let mut number = 0;
        while !tracing.is_finished() {
            number += 1;
            assert_eq!(plane.get(&format!("/two/{number}")).status, 200);
        }
        tracing.join().expect("a trace")
    });
    let about = &trace["otherData"];
    let requests = about["requests"].as_u64().expect("a number") as usize;
    assert!(requests > 0, "{about}");
    let kinds = kinds(&trace);
    assert_eq!((kinds["request"], kinds["call"]), (requests, 2 * requests));
    assert!(
        kinds["poll"] >= 2 * requests && kinds["wait"] >= 2 * requests,
        "{kinds:?}"
    );
    // Afterwards nothing is kept of the polls.
    assert_eq!(plane.get("/two/late").status, 200);
}

#[test]
fn what_is_held_is_told_by_owner_with_its_bound() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).workers(2).start();
    let mut client = plane.client();
    for number in 0..50 {
        assert_eq!(client.get(&format!("/one/{number}")).status, 200);
    }
    let told = profile(&plane, "/profile/heap");
    let owners = told["owners"].as_array().expect("a list");
    let sum = |what: &str, field: &str| -> u64 {
        let own = owners.iter().filter(|one| one["owner"] == what);
        own.filter_map(|one| one[field].as_u64()).sum()
    };
    assert_eq!(sum("receipts", "count"), 50);
    assert_eq!(sum("client_connections", "count"), 1);
    assert_eq!(sum("idle_upstream_connections", "count"), 1);
    assert!(sum("buffer_pool", "bytes") > 0 && sum("documents", "bytes") > 0);
    for one in owners {
        let max = one["bytes_max"].as_u64();
        assert!(
            max.is_none_or(|max| one["bytes"].as_u64() <= Some(max)),
            "{one}"
        );
    }
    let bytes = |one: &Value| one["bytes"].as_u64().expect("a number");
    let all: u64 = owners.iter().map(bytes).sum();
    assert_eq!(told["accounted_bytes"], all);
    assert_eq!(told["workers_without_answer"], json!([]));
    assert!(told["tracking"]
        .as_str()
        .expect("words")
        .contains("not tracked"));
    assert_eq!(told["python"]["answered"], false, "no Python here: {told}");
    if cfg!(target_os = "linux") {
        assert!(
            told["process"]["resident_bytes"].as_u64() > Some(1 << 20),
            "{told}"
        );
    }
}

// req 12.2: where processor time goes, in three forms; native stacks of the threads that worked.
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
#[test]
fn processor_time_is_told_by_thread_and_function() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).start();
    let admin = plane.admin_address();
    let busy = |target: &str| {
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| post(admin, target, "localhost", ""));
            let mut client = plane.client();
            while !asked.is_finished() {
                assert_eq!(client.get("/one/7").status, 200);
            }
            let (status, body) = asked.join().expect("a profile");
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
            body
        })
    };
    let told = busy("/profile/cpu?seconds=1");
    let told: Value = serde_json::from_slice(&told).expect("JSON");
    let native = &told["native"];
    let threads = native["threads"].as_array().expect("a list");
    let names: Vec<_> = threads
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    assert!(
        names.contains(&"worker 0") && names.contains(&"control"),
        "{names:?}"
    );
    assert_eq!(told["python"]["answered"], false);
    let frames = native.to_string();
    assert!(frames.contains("tailrace_plane::server"), "{frames}");
    let lines = String::from_utf8(busy("/profile/cpu?seconds=1&format=collapsed")).expect("text");
    for line in lines.lines() {
        let (stack, weight) = line.rsplit_once(' ').expect("a weight");
        assert!(
            stack.starts_with("native;") && weight.parse::<u64>().is_ok(),
            "{line}"
        );
    }
    assert!(lines.contains("native;worker 0;"), "{lines}");
    let picture = String::from_utf8(busy("/profile/cpu?seconds=1&format=svg")).expect("text");
    assert!(
        picture.starts_with("<svg ") && picture.contains("worker 0"),
        "{picture}"
    );
}

// req 12.2: one at a time, and it ends with whoever asked for it.
#[test]
fn there_is_one_profile_at_a_time_and_it_ends_with_its_reader() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).start();
    let admin = plane.admin_address();
    let mut first = Client::connect(admin);
    first.send("POST /profile/trace?seconds=30 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    eventually("it runs", || {
        post(admin, "/profile/tasks", "localhost", "").0 == 409
    });
    assert_eq!(plane.admin("/livez").status, 200, "the admin port goes on");
    drop(first);
    eventually("it has ended", || {
        post(admin, "/profile/tasks", "localhost", "").0 == 200
    });
}

// RELIABILITY S24: nobody looks inside by a link, from another page, or under another name.
#[test]
fn who_may_not_look_is_refused() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).start();
    let admin = plane.admin_address();
    let mut refused = 0;
    for kind in KINDS {
        let target = format!("/profile/{kind}");
        let reply = plane.admin(&target);
        assert_eq!(
            (reply.status, reply.header("allow")),
            (405, Some("POST")),
            "{target}"
        );
        for host in [
            "evil.test",
            "127.0.0.1.evil.test",
            "10.0.0.1",
            "0.0.0.0:9900",
        ] {
            assert_eq!(post(admin, &target, host, "").0, 403, "{target} {host}");
            refused += 1;
        }
        for origin in [
            "http://evil.test",
            "null",
            "https://localhost",
            "http://localhost:1",
        ] {
            let line = format!("Origin: {origin}\r\n");
            assert_eq!(
                post(admin, &target, "localhost", &line).0,
                403,
                "{target} {origin}"
            );
            refused += 1;
        }
    }
    for (target, word) in [
        ("/profile/trace?seconds=0", "from 1 to 30"),
        ("/profile/trace?seconds=31", "from 1 to 30"),
        ("/profile/trace?seconds=1.5", "from 1 to 30"),
        ("/profile/trace?secnds=1", "known: seconds"),
        ("/profile/tasks?seconds=1", "there are none"),
        ("/profile/heap?python=0", "from 1 to 100"),
        ("/profile/heap?format=svg", "known: seconds, python"),
        ("/profile/cpu?format=png", "json, collapsed or svg"),
    ] {
        let (status, body) = post(admin, target, "localhost", "");
        let body = String::from_utf8_lossy(&body).into_owned();
        assert!(
            status == 400 && body.contains(word),
            "{target}: {status} {body}"
        );
    }
    println!("S24: {refused} looks from other names and origins, all 403");
}

/// Beyond loopback a name says nothing: the token is needed.
#[test]
fn beyond_loopback_a_look_needs_the_token() {
    const TOKEN: &str = "0123456789abcdef0123456789abcdef";
    let file = format!("tailrace-profiles-{}.token", std::process::id());
    let path = std::env::temp_dir().join(file);
    std::fs::write(&path, TOKEN).expect("a file for the token");
    let upstream = Upstream::echo();
    let open = json!({"port": 0, "admin_port": 0, "admin_host": "0.0.0.0", "workers": 1});
    let mut with_token = open.clone();
    with_token["admin_token_file"] = path.to_str().into();
    let right = format!("Authorization: Bearer {TOKEN}\r\n");
    for (listen, lines, status) in [
        (&open, "", 403),
        (&open, &*right, 403),
        (&with_token, "", 401),
        (
            &with_token,
            "Authorization: Bearer 0123456789abcdef\r\n",
            401,
        ),
        (&with_token, &*right, 200),
    ] {
        let plane = Service::one(&upstream).listen(listen.clone()).start();
        let port = plane.admin_address().port();
        let admin = SocketAddr::from(([127, 0, 0, 1], port));
        let (got, _) = post(admin, "/profile/tasks", "service.test", lines);
        assert_eq!(got, status, "{listen} {lines}");
    }
    std::fs::remove_file(&path).ok();
}
