//! What bounds concurrency, counted where it arrives: calls of one request (req 4.3), calls to one
//! upstream over all workers (req 4.4), and what a dead upstream may take (RELIABILITY A05).

use crate::client::{get, Client};
use crate::counts::count;
use crate::patience::{eventually, now};
use crate::service::{strong, weak, with, Running, Service, LIST};
use crate::upstream::{echo, json as json_answer, Step, Upstream};
use serde_json::{json, Value};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

// req 4.3
#[test]
fn one_request_never_has_more_calls_than_its_fanout() {
    let upstream = Upstream::start(|seen| match seen.target().as_str() {
        "/list" => {
            let items: Vec<Value> = (0..20).map(|n| json!({"id": n.to_string()})).collect();
            vec![Step::Send(json_answer(json!({"items": items}).to_string()))]
        }
        _ => vec![
            Step::Pause(Duration::from_millis(5)),
            Step::Send(echo(seen)),
        ],
    });
    let parts = (0..12)
        .map(|n| strong(&format!("p{n}"), &format!("/{n}")))
        .collect();
    let list = with(strong("list", "/list"), json!({"shape": LIST}));
    let each = json!({"each": {"part": "list", "field": ["items"], "items_max": 64}});
    let items = vec![list, with(strong("items", "/item/{item.id}"), each)];
    let plane = Service::new()
        .upstream("up", &upstream)
        .view_with("wide", "/wide", parts, json!({"fanout": 3}))
        .view_with(
            "each",
            "/each",
            items,
            json!({"fanout": 4, "deadline_ms": 100_000.0}),
        )
        .start();
    for _ in 0..5 {
        assert_eq!(plane.get("/wide").status, 200);
    }
    assert_eq!((upstream.count(), upstream.active_max()), (60, 3));
    let reply = plane.get("/each");
    assert_eq!(reply.json()["items"].as_array().map(Vec::len), Some(20));
    assert_eq!((upstream.count(), upstream.active_max()), (81, 4));
    println!("req 4.3: 60 calls at fanout 3, 20 at fanout 4, never more at once");
}

// req 4.4
#[test]
fn two_workers_share_one_bulkhead() {
    let upstream = Upstream::start(|seen| {
        vec![
            Step::Pause(Duration::from_millis(2)),
            Step::Send(echo(seen)),
        ]
    });
    let bulkhead = json!({"bulkhead": {"limit": 5, "queue": 64}});
    let plane = Service::new()
        .workers(2)
        .upstream_with("up", &upstream, bulkhead)
        .view("one", "/one/{id}", vec![strong("it", "/one/{id}")])
        .start();
    let address = plane.address();
    let served: usize = std::thread::scope(|scope| {
        let client = |_| {
            scope.spawn(move || {
                let mut client = Client::connect(address);
                (0..10)
                    .filter(|n| client.get(&format!("/one/{n}")).status == 200)
                    .count()
            })
        };
        let clients: Vec<_> = (0..32).map(client).collect();
        clients
            .into_iter()
            .map(|client| client.join().expect("a client"))
            .sum()
    });
    println!(
        "req 4.4: {served} of 320 served, at most {} at once",
        upstream.active_max()
    );
    assert_eq!(upstream.active_max(), 5);
    // A queue whose delay stays high sheds, so how many were served depends on the machine.
    assert!(served >= 32, "{served}");
    assert_eq!(upstream.count(), served);
    eventually("every place is given back", || {
        plane.metric("tailrace_bulkhead_in_flight", "").abs() < f64::EPSILON
    });
}

/// RELIABILITY A05: one dead upstream takes its own places and nobody else's.
#[test]
fn a_dead_upstream_takes_its_places_and_no_more() {
    let dead = Upstream::start(|_| vec![Step::Hold]);
    let healthy = Upstream::echo();
    let on_dead = with(weak("it", "/x"), json!({"upstream": "dead"}));
    let plane = Service::new()
        .upstream("up", &healthy)
        .upstream_with("dead", &dead, json!({"bulkhead": {"limit": 3, "queue": 0}}))
        .view("dead", "/dead", vec![on_dead])
        .view("fine", "/fine/{n}", vec![strong("it", "/{n}")])
        .start();
    let mut stuck: Vec<_> = (0..3).map(|_| plane.client()).collect();
    for client in &mut stuck {
        client.send(get("/dead"));
    }
    eventually("the dead upstream holds its places", || dead.active() == 3);
    let mut client = plane.client();
    for n in 0..100 {
        let refused = client.get("/dead");
        assert_eq!(
            refused.header("tailrace-degraded"),
            Some("it;reason=bulkhead_full")
        );
        assert_eq!(client.get(&format!("/fine/{n}")).status, 200);
    }
    assert_eq!((dead.count(), healthy.count()), (3, 100));
}

const HEALTHY: usize = 7;
const PLACES: usize = 4;
const TIMEOUT: Duration = Duration::from_millis(200);

/// One view per upstream: `/dead`, and `/v0/{n}` to `/v6/{n}`.
fn eight(dead: &Upstream, healthy: &[Upstream]) -> Running {
    let to = |name: &str| json!({"upstream": name});
    let bulkhead = json!({"limit": PLACES, "queue": PLACES});
    let few = json!({"bulkhead": bulkhead, "timeout_ms": TIMEOUT.as_millis() as f64});
    let on_dead = with(weak("dead", "/x"), to("dead"));
    let mut service = Service::new()
        .workers(2)
        .upstream_with("dead", dead, few)
        .view("dead", "/dead", vec![on_dead]);
    for (index, upstream) in healthy.iter().enumerate() {
        let name = format!("up{index}");
        let part = with(strong("it", "/{n}"), to(&name));
        let (view, path) = (format!("v{index}"), format!("/v{index}/{{n}}"));
        service = service
            .upstream(&name, upstream)
            .view(&view, &path, vec![part]);
    }
    service.start()
}

/// The same beside seven healthy ones, under three times what the dead one has places for.
#[test]
fn one_of_eight_hangs_and_seven_serve_every_request() {
    let dead = Upstream::start(|_| vec![Step::Hold]);
    let healthy: Vec<_> = (0..HEALTHY).map(|_| Upstream::echo()).collect();
    let plane = eight(&dead, &healthy);
    let address = plane.address();
    let in_flight = || plane.counter("tailrace_bulkhead_in_flight", r#"upstream="dead""#);
    let started = now();
    let (each, done) = (count(300, 20_000), AtomicBool::new(false));
    let asked_dead = std::thread::scope(|scope| {
        let flood = || {
            let mut client = Client::connect(address);
            let mut asked = 0;
            while !done.load(Relaxed) {
                if asked % 100 == 0 {
                    assert!(in_flight() <= PLACES as u64, "more calls than places");
                }
                assert_eq!(client.get("/dead").json()["degraded"], json!(["dead"]));
                asked += 1;
            }
            asked
        };
        let floods: Vec<_> = (0..3 * PLACES).map(|_| scope.spawn(flood)).collect();
        let serve = |index: usize| {
            move || {
                let mut client = Client::connect(address);
                let whole = |n: &usize| client.get(&format!("/v{index}/{n}")).status == 200;
                assert_eq!((0..each).filter(whole).count(), each, "upstream {index}");
            }
        };
        let serving = (0..HEALTHY).map(|index| scope.spawn(serve(index)));
        let serving: Vec<_> = serving.collect();
        let served: Vec<_> = serving.into_iter().map(ScopedJoinHandle::join).collect();
        done.store(true, Relaxed);
        assert!(served.iter().all(Result::is_ok), "{served:?}");
        let asked = floods.into_iter().map(|one| one.join().expect("a client"));
        asked.sum::<usize>()
    });
    // A place is used once per timeout: more calls than that were never let through, whatever the
    // moment at which the upstream noticed their end.
    let turns = started.elapsed().as_millis() as usize / TIMEOUT.as_millis() as usize + 2;
    println!(
        "A05: 1 of 8 hangs: {asked_dead} replies without it, {} calls to it in {turns} turns of \
         {PLACES} places; {} of {} replies of the others whole",
        dead.count(),
        HEALTHY * each,
        HEALTHY * each
    );
    assert!(dead.count() <= PLACES * turns, "{} calls", dead.count());
    assert!(healthy.iter().all(|upstream| upstream.count() == each));
}
