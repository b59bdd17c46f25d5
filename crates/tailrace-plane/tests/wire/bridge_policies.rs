//! Policies that reach into handlers: brownout of their weak calls, caches of their upstreams.

use crate::bridge::{
    ask, bridge, end, landed, landed_from, register, reply, service, started, text, wanted,
};
use crate::client::get;
use crate::patience::eventually;
use crate::service::Service;
use crate::upstream::{answer, echo, Step, Upstream};
use serde_json::{json, Value};
use std::sync::Arc;
use tailrace_plane::bridge::End;
use tailrace_plane::Reason;

// req 9.1c: as a view's weak parts, before any request is refused.
#[test]
fn under_pressure_the_weak_calls_of_a_handler_are_not_made() {
    let upstream = Upstream::start(|seen| {
        if seen.target().starts_with("/v/") {
            vec![Step::Hold]
        } else {
            vec![Step::Send(echo(seen))]
        }
    });
    let service = service(&upstream, json!({"fanout": 2})).admission(json!({
        "calls_max": 20, "brownout": {"start": 0.5, "full": 0.6, "band": 0.1, "dwell_ms": 100.0}
    }));
    let source = text(&service);
    let plane = service.start();
    let bridge = bridge(&plane);
    let number = register(&bridge, &source, "/things/{id}", &["id"]);
    let calls = || {
        vec![
            wanted(&bridge, number, "weak", false),
            wanted(&bridge, number, "strong", true),
        ]
    };
    let held: Vec<_> = (0..11).map(|_| plane.client()).collect();
    let held = held.into_iter().map(|mut client| {
        client.send(get("/v/1"));
        client
    });
    let held: Vec<_> = held.collect();
    let rung = || plane.metric("tailrace_brownout_rung", "view=\"h\"");
    eventually("the handler's rung is climbed", || rung() > 0.5);
    let mut client = plane.client();
    client.send(get("/h/1"));
    let start = started(&bridge);
    ask(&bridge, &start, 1, calls());
    let answers = landed(&bridge);
    let failed = answers[0].as_ref().unwrap_err();
    assert_eq!((failed.reason, failed.answered), (Reason::Brownout, 0));
    assert_eq!(answers[1], Ok(Some(br#"{"id":"strong"}"#.to_vec())));
    let degraded = vec![("up".to_owned(), Reason::Brownout)];
    let body = b"1".to_vec();
    end(&bridge, &start, End::Reply { body, degraded });
    let said = client.reply();
    assert_eq!(said.header("tailrace-degraded"), Some("up;reason=brownout"));
    assert!(upstream
        .seen()
        .iter()
        .all(|seen| seen.target() != "/things/weak"));
    // When the pressure is gone they are made again.
    drop(held);
    eventually("the rung is left", || rung() < 0.5);
    client.send(get("/h/2"));
    let start = started(&bridge);
    ask(&bridge, &start, 2, calls());
    assert_eq!(landed(&bridge)[0], Ok(Some(br#"{"id":"weak"}"#.to_vec())));
    end(&bridge, &start, reply("1"));
}

// Live configuration: nobody who is in the handler is put out.
#[test]
fn a_handlers_limit_follows() {
    let upstream = Upstream::echo();
    let with = |limit: u32| {
        Service::new().upstream("up", &upstream).view_with(
            "h",
            "/h/{id}",
            Vec::new(),
            json!({"handler": {"limit": limit}}),
        )
    };
    let plane = with(1).start();
    let bridge = bridge(&plane);
    let change = |limit: u32| {
        let changed = plane.reconfigure(with(limit).source(), b"{}".to_vec(), "test");
        assert_eq!(changed.map(|changes| changes.len()), Ok(1));
    };
    let enter = || {
        let mut client = plane.client();
        client.send(get("/h/1"));
        let start = started(&bridge);
        (client, start)
    };
    let (mut first, one) = enter();
    assert_eq!(plane.get("/h/2").code(), "handler_full");
    change(2);
    let (mut second, two) = enter();
    assert_eq!(plane.get("/h/2").code(), "handler_full");
    change(1);
    end(&bridge, &one, reply("1"));
    assert_eq!(first.reply().status, 200);
    assert_eq!(plane.get("/h/2").code(), "handler_full", "one is inside");
    end(&bridge, &two, reply("1"));
    assert_eq!(second.reply().status, 200, "let in under another limit");
    let (mut third, three) = enter();
    end(&bridge, &three, reply("1"));
    assert_eq!(third.reply().status, 200);
}

// req 16.5, 8.3: what an upstream's cache says holds for calls of Python code too.
#[test]
fn a_handlers_calls_are_cached_as_their_upstream_says() {
    let failing = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let fails = Arc::clone(&failing);
    let upstream = Upstream::start(move |seen| {
        let bad = fails.load(std::sync::atomic::Ordering::SeqCst);
        vec![Step::Send(if bad {
            answer("500 Oops", "text/plain", "")
        } else {
            echo(seen)
        })]
    });
    // Fresh for a millisecond, then good for whoever cannot get another.
    let cache = |ttl_ms: f64| {
        let stale = json!({"ttl_ms": ttl_ms, "stale_ms": 0.0, "stale_if_error_ms": 60_000.0});
        json!({"cache": stale})
    };
    let with = |cache: Value| {
        Service::new()
            .upstream_with("up", &upstream, cache)
            .view_with("h", "/h/{id}", Vec::new(), json!({"handler": {"limit": 2}}))
    };
    let service = with(cache(60_000.0));
    let source = text(&service);
    let plane = service.start();
    let bridge = bridge(&plane);
    let number = register(&bridge, &source, "/things/{id}", &["id"]);
    let mut client = plane.client();
    let mut ask_for = |id: &str| {
        client.send(get("/h/1"));
        let start = started(&bridge);
        ask(&bridge, &start, 1, vec![wanted(&bridge, number, id, true)]);
        let (answers, kept) = landed_from(&bridge);
        end(&bridge, &start, reply("1"));
        let from = kept.first().map(|one| (one.source.code(), one.failed));
        (answers, client.reply(), from)
    };
    let seven = Ok(Some(br#"{"id":"7"}"#.to_vec()));
    for from in [None, Some(("cached", None)), Some(("cached", None))] {
        let (answers, reply, found) = ask_for("7");
        assert_eq!(answers, std::slice::from_ref(&seven));
        assert_eq!(reply.header("tailrace-degraded"), None);
        assert_eq!(found, from, "whoever asks is told (req 8.3)");
    }
    assert_eq!(upstream.count(), 1, "the second and third from the cache");
    ask_for("8");
    assert_eq!(upstream.count(), 2, "another value is another answer");

    // A change of the upstream's cache reaches calls that are registered; what was kept for longer
    // is not given to who allows less.
    let changed = with(cache(1.0)).source();
    plane.reconfigure(changed, b"{}".to_vec(), "test").unwrap();
    ask_for("7");
    assert_eq!(upstream.count(), 3);
    failing.store(true, std::sync::atomic::Ordering::SeqCst);
    eventually("it is stale, and its upstream fails", || {
        let (answers, reply, from) = ask_for("7");
        assert_eq!(answers, std::slice::from_ref(&seven));
        let said = reply.header("tailrace-degraded").unwrap_or_default();
        let stale = said.starts_with("up;reason=server_error;served=stale;age=");
        assert_eq!(stale, reply.header("cache-control") == Some("no-store"));
        assert_eq!(stale, from == Some(("stale", Some(Reason::ServerError))));
        stale
    });
    // Without a cache the failure is a failure.
    let changed = with(json!({})).source();
    plane.reconfigure(changed, b"{}".to_vec(), "test").unwrap();
    let (answers, _, _) = ask_for("7");
    assert_eq!(answers[0].as_ref().unwrap_err().reason, Reason::ServerError);
}
