//! The cache on sockets: what is not asked twice, who waits for whom, and what is forgotten
//! (req 9.2, 16.5, ALGORITHMS 8).

use crate::client::{get, Client};
use crate::patience::eventually;
use crate::service::{strong, with, Running, Service};
use crate::upstream::{answer, echo, json as json_answer, Gate, Step, Upstream};
use serde_json::{json, Value};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::Arc;

/// Expires at once: every request finds the entry past its time to live.
const AT_ONCE_MS: f64 = 0.001;
const HOUR_MS: f64 = 3_600_000.0;

fn service(upstream: &Upstream, cache: &Value) -> Service {
    let part = with(strong("it", "/one/{id}"), json!({"cache": cache}));
    Service::new()
        .limit("cache_max_bytes", 1 << 20)
        .upstream("up", upstream)
        .view("one", "/one/{id}", vec![part])
}

fn cached(upstream: &Upstream) -> Service {
    service(upstream, &json!({"ttl_ms": HOUR_MS}))
}

fn lookups(plane: &Running, result: &str) -> u64 {
    plane.counter(
        "tailrace_cache_lookups_total",
        &format!("result=\"{result}\""),
    )
}

/// An upstream that counts its answers in `id` and waits for the gate before the ones from `from`.
fn counting(gate: &Arc<Gate>, from: usize) -> Upstream {
    let (gate, asked) = (Arc::clone(gate), AtomicUsize::new(0));
    Upstream::start(move |_| {
        let number = asked.fetch_add(1, SeqCst) + 1;
        let send = Step::Send(json_answer(format!(r#"{{"id":"{number}"}}"#)));
        if number >= from {
            vec![Step::Wait(Arc::clone(&gate)), send]
        } else {
            vec![send]
        }
    })
}

#[test]
fn a_hit_asks_nobody_and_says_how_old_it_is() {
    let upstream = Upstream::echo();
    let plane = cached(&upstream).start();
    let first = plane.get("/one/a");
    assert_eq!(
        (first.status, first.header("tailrace-sources")),
        (200, None)
    );
    for _ in 0..5 {
        let again = plane.get("/one/a");
        assert_eq!(again.json()["it"], first.json()["it"]);
        assert_eq!(again.json()["degraded"], json!([]));
        assert_eq!(
            again.header("tailrace-sources"),
            Some("it;source=cached;age=0")
        );
        assert_eq!(again.header("tailrace-degraded"), None);
    }
    assert_eq!(upstream.count(), 1);
    assert_eq!((lookups(&plane, "miss"), lookups(&plane, "hit")), (1, 5));
    assert_eq!(plane.counter("tailrace_upstream_calls_total", ""), 1);
    let source =
        |word: &str| plane.counter("tailrace_part_source_total", &format!("source=\"{word}\""));
    assert_eq!(
        (source("fresh"), source("cached"), source("stale")),
        (1, 5, 0)
    );
    plane.get("/one/b");
    assert_eq!(upstream.count(), 2, "another target is another answer");
}

#[test]
fn without_a_cache_every_request_asks() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).start();
    (0..3).for_each(|_| drop(plane.get("/one/a")));
    assert_eq!(upstream.count(), 3);
    assert_eq!(plane.counter("tailrace_cache_max_bytes", ""), 0);
}

/// `count` clients that ask for the same thing and have not been answered.
fn asking(plane: &Running, count: usize) -> Vec<Client> {
    let ask = |_| {
        let mut client = plane.client();
        client.send(get("/one/hot"));
        client
    };
    (0..count).map(ask).collect()
}

// ALGORITHMS 8: 100 concurrent misses -> 1 upstream call, whichever workers they reach.
#[test]
fn a_hundred_misses_at_once_are_one_call() {
    let gate = Arc::new(Gate::default());
    let upstream = counting(&gate, 1);
    let plane = cached(&upstream).workers(2).start();
    let mut clients = asking(&plane, 100);
    eventually("99 wait for one", || lookups(&plane, "coalesced") == 99);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.reply().json()["it"], json!({"id": "1"}));
    }
    assert_eq!((upstream.count(), lookups(&plane, "miss")), (1, 1));
}

// ALGORITHMS 8: cancelling the leader -> still 1 call, 99 answers.
#[test]
fn the_first_caller_goes_and_ninety_nine_are_answered() {
    let gate = Arc::new(Gate::default());
    let upstream = counting(&gate, 1);
    let plane = cached(&upstream).workers(2).start();
    let leader = asking(&plane, 1);
    eventually("the leader's call is under way", || upstream.count() == 1);
    let mut followers = asking(&plane, 99);
    eventually("99 wait", || lookups(&plane, "coalesced") == 99);
    drop(leader);
    eventually("the leader has left", || {
        plane.counter("tailrace_cancelled_requests_total", "") == 1
    });
    gate.open();
    for client in &mut followers {
        assert_eq!(client.reply().json()["it"], json!({"id": "1"}));
    }
    assert_eq!((upstream.count(), upstream.abandoned()), (1, 0));
}

#[test]
fn the_last_who_leaves_ends_the_call_and_the_next_starts_anew() {
    let upstream = Upstream::start(|_| vec![Step::Hold]);
    let plane = cached(&upstream).workers(2).start();
    let waiting = asking(&plane, 3);
    eventually("two wait for one", || lookups(&plane, "coalesced") == 2);
    eventually("the call is under way", || upstream.count() == 1);
    drop(waiting);
    eventually("nobody waits", || upstream.abandoned() == 1);
    eventually("nothing is in the air", || {
        plane.counter("tailrace_cache_flights", "") == 0
            && plane.counter("tailrace_bulkhead_in_flight", "") == 0
    });
    let _next = asking(&plane, 1);
    eventually("another call", || upstream.count() == 2);
}

// ALGORITHMS 8: stale + 1 refresh; a second reader starts none.
#[test]
fn a_stale_answer_is_served_while_one_refresh_runs() {
    let gate = Arc::new(Gate::default());
    let upstream = counting(&gate, 2);
    let plane = service(
        &upstream,
        &json!({"ttl_ms": AT_ONCE_MS, "stale_ms": HOUR_MS}),
    )
    .start();
    assert_eq!(plane.get("/one/a").json()["it"], json!({"id": "1"}));
    for _ in 0..10 {
        let stale = plane.get("/one/a");
        assert_eq!(stale.json()["it"], json!({"id": "1"}));
        assert_eq!(
            stale.header("tailrace-sources"),
            Some("it;source=stale;age=0")
        );
        assert_eq!(
            stale.json()["degraded"],
            json!([]),
            "it is being refreshed: nothing failed"
        );
    }
    eventually("one refresh", || upstream.count() == 2);
    assert_eq!(plane.counter("tailrace_cache_refreshes_total", ""), 1);
    gate.open();
    eventually("its answer is kept", || {
        plane.counter("tailrace_cache_stores_total", "result=\"stored\"") == 2
    });
    assert_eq!(plane.get("/one/a").json()["it"], json!({"id": "2"}));
}

// Only that a thing does not exist is kept, of what is no success (404 and 410).
#[test]
fn absence_is_kept_and_errors_are_not() {
    let upstream = Upstream::start(|seen| {
        let target = seen.target();
        let status = target.rsplit('/').next().unwrap_or_default();
        vec![Step::Send(answer(
            &format!("{status} X"),
            "application/json",
            "{}",
        ))]
    });
    let plane = cached(&upstream).start();
    for (status, reply, calls) in [(404, 404, 1), (410, 410, 1), (400, 502, 3), (500, 502, 3)] {
        let before = upstream.count();
        for _ in 0..3 {
            assert_eq!(
                plane.get(&format!("/one/{status}")).status,
                reply,
                "{status}"
            );
        }
        assert_eq!(upstream.count() - before, calls, "{status}");
    }
    assert_eq!(lookups(&plane, "negative"), 4);
}

// req 16.5: a value that was read before an invalidation is not stored after it.
#[test]
fn what_was_fetched_before_an_invalidation_is_not_kept_after_it() {
    let gate = Arc::new(Gate::default());
    let upstream = counting(&gate, 1);
    let plane = cached(&upstream).start();
    let mut waiting = asking(&plane, 1);
    eventually("the call is under way", || upstream.count() == 1);
    assert_eq!(plane.invalidate(Some("up"), "/one/h"), Ok(0));
    gate.open();
    assert_eq!(waiting[0].reply().json()["it"], json!({"id": "1"}));
    eventually("it is not kept", || {
        plane.counter("tailrace_cache_stores_total", "result=\"invalidated\"") == 1
    });
    assert_eq!(plane.get("/one/hot").json()["it"], json!({"id": "2"}));
    assert_eq!(plane.get("/one/hot").json()["it"], json!({"id": "2"}));
}

#[test]
fn an_invalidation_forgets_what_is_meant() {
    let upstream = Upstream::echo();
    let plane = cached(&upstream).start();
    let ask = |name: &str| {
        let before = upstream.count();
        plane.get(&format!("/one/{name}"));
        upstream.count() - before
    };
    let all = ["a1", "a2", "b1"];
    let asked = |names: &[&str]| names.iter().map(|name| ask(name)).sum::<usize>();
    assert_eq!((asked(&all), asked(&all)), (3, 0));
    assert_eq!(
        (plane.invalidate(Some("up"), "/one/a"), asked(&all)),
        (Ok(2), 2)
    );
    assert_eq!((plane.invalidate(Some("up"), ""), asked(&all)), (Ok(3), 3));
    assert_eq!((plane.invalidate(None, ""), asked(&all)), (Ok(3), 3));
    assert!(plane
        .invalidate(Some("upp"), "")
        .is_err_and(|why| why.ends_with("there are: up")));
    assert!(plane.invalidate(Some("up"), "one").is_err());
    assert!(plane.invalidate(None, "/one").is_err());
    assert_eq!(plane.counter("tailrace_cache_invalidations_total", ""), 3);
}

// A key that one worker is asked for all the time is answered beside it, until it is invalidated.
#[test]
fn a_hot_key_is_answered_beside_the_worker_and_never_after_an_invalidation() {
    let gate = Arc::new(Gate::default());
    gate.open();
    let upstream = counting(&gate, 1);
    let plane = cached(&upstream).start();
    let mut client = plane.client();
    for round in 1..=20 {
        for _ in 0..100 {
            assert_eq!(
                client.get("/one/hot").json()["it"],
                json!({"id": round.to_string()})
            );
        }
        assert_eq!(plane.invalidate(None, ""), Ok(1));
    }
    assert_eq!(upstream.count(), 20);
    let hot = lookups(&plane, "hot");
    println!("S-hot: {hot} of 2000 questions answered beside the worker, 0 after an invalidation");
    assert!(hot > 1_000, "{hot}");
}

// req 16.5: memory has a bound that can be read, whatever is asked for.
#[test]
fn the_cache_never_holds_more_than_its_bound() {
    let upstream = Upstream::echo();
    let plane = cached(&upstream)
        .limit("cache_max_bytes", 64 * 1024)
        .start();
    let mut client = plane.client();
    for number in 0..1_000 {
        assert_eq!(client.get(&format!("/one/{number}")).status, 200);
        let bytes = plane.counter("tailrace_cache_bytes", "");
        assert!(bytes <= 64 * 1024, "{bytes}");
    }
    assert!(plane.counter("tailrace_cache_evictions_total", "") > 500);
    assert_eq!(plane.config()["limits"]["cache_max_bytes"], 64 * 1024);
}

const TOKEN: &str = "a-token-of-the-tests";

/// A POST to the admin port.
fn post(plane: &Running, target: &str, authorization: &str) -> (u16, String) {
    let mut client = Client::connect(plane.admin_address());
    let authorization = if authorization.is_empty() {
        String::new()
    } else {
        format!("Authorization: {authorization}\r\n")
    };
    client.send(format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\n{authorization}Content-Length: 0\r\n\r\n"
    ));
    let reply = client.reply();
    (
        reply.status,
        String::from_utf8_lossy(&reply.body).into_owned(),
    )
}

// RELIABILITY S24: a change over the admin port needs the token.
#[test]
fn the_admin_port_forgets_for_who_has_the_token() {
    let path = std::env::temp_dir().join(format!("tailrace-token-{}", std::process::id()));
    std::fs::write(&path, format!("{TOKEN}\n")).expect("a temporary file");
    let upstream = Upstream::start(|seen| vec![Step::Send(echo(seen))]);
    let file = path.to_str().expect("a path of text");
    let listen = json!({"port": 0, "admin_port": 0, "workers": 1, "admin_token_file": file});
    let plane = cached(&upstream).listen(listen).start();
    std::fs::remove_file(&path).expect("it was written");
    plane.get("/one/a");
    let target = "/cache/invalidate?upstream=up&prefix=%2Fone%2Fa";
    for wrong in ["", "Bearer wrong-wrong-wrong", TOKEN] {
        assert_eq!(post(&plane, target, wrong).0, 401, "{wrong:?}");
    }
    plane.get("/one/a");
    assert_eq!(upstream.count(), 1, "nothing was forgotten");
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(
        post(&plane, target, &bearer),
        (200, "{\"forgotten\":1}\n".to_owned())
    );
    plane.get("/one/a");
    assert_eq!(upstream.count(), 2);
    for bad in [
        "?upstream=none",
        "?prefix=/a",
        "?upstream=up&prefix=a",
        "?up=up",
        "?upstream=%zz",
    ] {
        assert_eq!(
            post(&plane, &format!("/cache/invalidate{bad}"), &bearer).0,
            400,
            "{bad}"
        );
    }
    assert_eq!(plane.admin("/cache/invalidate").status, 405);
    assert!(!String::from_utf8_lossy(&plane.admin("/config").body).contains(TOKEN));
    assert!(!String::from_utf8_lossy(&plane.admin("/blueprint").body).contains(TOKEN));
}

#[test]
fn without_a_token_nothing_can_be_changed() {
    let upstream = Upstream::echo();
    let plane = cached(&upstream).start();
    let (status, words) = post(&plane, "/cache/invalidate", &format!("Bearer {TOKEN}"));
    assert_eq!(status, 403);
    assert!(words.contains("listen.admin_token_file"), "{words}");
}
