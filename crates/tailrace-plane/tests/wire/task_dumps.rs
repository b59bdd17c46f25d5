//! The task dump: a part that hangs at each of its stages is said to wait for that (req 12.2).

use crate::bridge;
use crate::client::Client;
use crate::patience::eventually;
use crate::profiles::profile;
use crate::service::{strong, with, Running, Service, ANY};
use crate::upstream::{answer, echo, json as json_answer, Gate, Seen, Step, Upstream};
use serde_json::{json, Value};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// Calls after which a percentile is known, once it is read.
const USUAL: usize = 150;

/// All requests of a dump.
fn requests(plane: &Running) -> Vec<Value> {
    let dump = profile(plane, "/profile/tasks");
    assert_eq!(
        (&dump["format_version"], &dump["profile"]),
        (&json!(1), &json!("tasks"))
    );
    let workers = dump["workers"].as_array().expect("a list");
    let told = workers.iter().flat_map(|worker| {
        assert_eq!(worker["answered"], true, "{worker}");
        worker["requests"].as_array().expect("a list").clone()
    });
    told.collect()
}

/// Waits until the one request in flight waits for `expected`, part by part in their order.
fn waits_for(plane: &Running, expected: &[(&str, &str)]) -> Value {
    let mut found = Value::Null;
    eventually(&format!("waits for {expected:?}"), || {
        let mut told = requests(plane);
        if told.len() != 1 {
            return false;
        }
        found = told.remove(0);
        let waits = found["waits"].as_array().expect("a list");
        let waits = waits.iter().map(|wait| {
            let part = wait["part"].as_str().unwrap_or("");
            (part, wait["waits_for"].as_str().expect("a word"))
        });
        let waits: Vec<_> = waits.collect();
        // Shown when it never comes true.
        println!("{waits:?}");
        waits == expected
    });
    found
}

fn codes_of(request: &Value) -> Vec<String> {
    let waits = request["waits"].as_array().expect("a list").iter();
    let codes = waits.map(|wait| wait["waits_for"].as_str().expect("a word").to_owned());
    codes.collect()
}

/// A client that has sent a GET and waits.
pub(crate) fn asking(plane: &Running, target: &str) -> Client {
    let mut client = plane.client();
    client.send(format!(
        "GET {target} HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine-1\r\n\r\n"
    ));
    client
}

pub(crate) fn hold() -> Upstream {
    Upstream::start(|_| vec![Step::Hold])
}

#[test]
fn a_part_whose_upstream_is_silent_waits_for_its_first_byte() {
    let upstream = hold();
    let plane = Service::one(&upstream).start();
    assert!(requests(&plane).is_empty(), "nothing runs yet");
    let _client = asking(&plane, "/one/7");
    let told = waits_for(&plane, &[("it", "first_byte")]);
    assert_eq!(
        (&told["view"], &told["request_id"], &told["parts"]),
        (&json!("one"), &json!("mine-1"), &json!(1))
    );
    let wait = &told["waits"][0];
    assert_eq!(
        (&wait["upstream"], &wait["attempt"], &wait["kind"]),
        (&json!("up"), &json!(1), &json!("first"))
    );
    let (age, left) = (told["age_ms"].as_f64(), told["deadline_left_ms"].as_f64());
    let sum = age.unwrap_or_default() + left.unwrap_or_default();
    assert!(
        (sum - 10_000.0).abs() < 1e-6,
        "age and rest are the deadline: {told}"
    );
    assert!(wait["for_ms"].as_f64() <= age && wait["left_ms"].as_f64() <= Some(5_000.0));
}

#[test]
fn an_answer_that_stops_half_way_waits_for_its_body() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    let upstream = Upstream::start(|_| vec![Step::Send(head.to_vec()), Step::Hold]);
    let plane = Service::one(&upstream).start();
    let _client = asking(&plane, "/one/7");
    waits_for(&plane, &[("it", "body")]);
}

/// A port whose accept queue is full: whoever connects waits.
fn full_port() -> (TcpListener, Vec<TcpStream>) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    socket.bind(&any.into()).expect("a free port");
    socket.listen(0).expect("a listening socket");
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().expect("a bound port");
    let mut inside = Vec::new();
    // The queue takes one more than it says on some kernels; then nobody gets in any more.
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        inside.push(stream);
        assert!(inside.len() < 16, "the queue has no end");
    }
    (listener, inside)
}

/// A service whose upstream `up` is behind this port.
fn at(listener: &TcpListener) -> Service {
    let address = listener.local_addr().expect("a bound port");
    let declared = json!({"addresses": [format!("http://{address}")]});
    Service::new().upstream_with("up", &Upstream::echo(), declared)
}

#[test]
fn a_port_that_takes_nobody_in_is_waited_for_by_connect() {
    let (listener, _inside) = full_port();
    let plane = at(&listener)
        .view("one", "/one/{id}", vec![strong("it", "/one/{id}")])
        .start();
    let _client = asking(&plane, "/one/7");
    waits_for(&plane, &[("it", "connect")]);
}

#[test]
fn a_peer_that_does_not_read_is_waited_for_by_write() {
    // Taken in by the kernel, and nobody ever reads.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let body = json!({"json": [{"value": {"part": {"name": "draft", "field": []}}}]});
    let part = with(
        strong("it", "/one/{id}"),
        json!({"method": "POST", "body": body}),
    );
    let large = 12 << 20;
    let plane = at(&listener)
        .limit("request_body_max_bytes", 2 * large)
        .limit("request_memory_max_bytes", 8 * large)
        .limit("body_read_ms", 60_000)
        .view_with(
            "one",
            "/one/{id}",
            vec![part],
            json!({"method": "POST", "body": {"name": "draft", "shape": ANY}}),
        )
        .start();
    let mut client = plane.client();
    let list = format!("[{}7]", "7777,".repeat(large as usize / 5));
    client.send(format!(
        "POST /one/7 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{list}",
        list.len()
    ));
    waits_for(&plane, &[("it", "write")]);
}

#[test]
fn places_caps_and_other_parts_are_waited_for_by_their_names() {
    let upstream = hold();
    let parts = vec![
        strong("a", "/a/{id}"),
        strong("b", "/b/{id}"),
        strong("c", "/c/{id}"),
        strong("d", "/d/{a.id}"),
    ];
    let plane = Service::new()
        .upstream_with(
            "up",
            &upstream,
            json!({"bulkhead": {"limit": 1, "queue": 8}}),
        )
        .view_with(
            "four",
            "/four/{id}",
            parts,
            json!({"fanout": 2, "allow_overcommit": "a full bulkhead is what is tested"}),
        )
        .start();
    let _client = asking(&plane, "/four/7");
    let told = waits_for(
        &plane,
        &[
            ("d", "parts"),
            ("c", "fanout"),
            ("a", "first_byte"),
            ("b", "bulkhead"),
        ],
    );
    assert_eq!(told["waits"][0]["needs"], json!(["a"]));
    assert_eq!(
        (&told["parts"], &told["parts_done"]),
        (&json!(4), &json!(0))
    );
}

#[test]
fn a_pause_before_a_retry_is_one() {
    let failing = || {
        vec![Step::Send(answer(
            "503 Service Unavailable",
            "text/plain",
            "",
        ))]
    };
    let upstream = Upstream::start(move |_| failing());
    let retry = json!({"attempts": 3, "backoff_ms": 60_000.0, "backoff_max_ms": 60_000.0});
    let view = json!({"deadline_ms": 300_000.0});
    let plane = Service::new()
        .upstream_with(
            "up",
            &upstream,
            json!({"retry": retry, "timeout_ms": 290_000.0}),
        )
        .view_with("one", "/one/{id}", vec![strong("it", "/one/{id}")], view)
        .start();
    let _client = asking(&plane, "/one/7");
    let told = waits_for(&plane, &[("it", "retry_pause")]);
    assert!(
        told["waits"][0]["left_ms"].as_f64() <= Some(60_000.0),
        "{told}"
    );
}

#[test]
fn a_hedge_is_waited_for_beside_the_attempt_and_then_runs_beside_it() {
    let upstream = Upstream::start(|seen: &Seen| {
        let hangs = seen.target().ends_with("/hang");
        vec![if hangs {
            Step::Hold
        } else {
            Step::Send(echo(seen))
        }]
    });
    let hedge = json!({"after": 0.95, "extra": 0.5, "delay_min_ms": 1_900.0});
    let declared = json!({"hedge": hedge, "timeout_ms": 9_000.0});
    let plane = Service::new()
        .upstream_with("up", &upstream, declared)
        .view("one", "/one/{id}", vec![strong("it", "/one/{id}")])
        .start();
    let mut usual = plane.client();
    let mut hanging = Vec::new();
    let both = ["first_byte", "hedge_timer"];
    // The percentile is known some calls after it is first asked for.
    eventually("a hedge is waited for", || {
        for number in 0..USUAL {
            assert_eq!(usual.get(&format!("/one/{number}")).status, 200);
        }
        hanging.clear();
        eventually("the one before has gone", || requests(&plane).is_empty());
        hanging.push(asking(&plane, "/one/hang"));
        let mut codes = Vec::new();
        eventually("it waits", || {
            let told = requests(&plane);
            codes = told.first().map_or(Vec::new(), codes_of);
            codes.first().is_some_and(|code| code == "first_byte")
        });
        codes == both
    });
    let told = waits_for(&plane, &[("it", "first_byte"), ("it", "first_byte")]);
    let kinds: Vec<&Value> = [0, 1]
        .iter()
        .map(|at| &told["waits"][*at]["kind"])
        .collect();
    assert_eq!(kinds, [&json!("first"), &json!("hedge")]);
}

// req 16.5: of two that miss the same, one fetches; both say so, and one knows what it waits for.
#[test]
fn a_shared_fetch_is_waited_for_by_all_who_share_it() {
    let upstream = hold();
    let part = with(
        strong("it", "/one/{id}"),
        json!({"cache": {"ttl_ms": 1_000.0}}),
    );
    let plane = Service::new()
        .limit("cache_max_bytes", 1 << 20)
        .upstream("up", &upstream)
        .view("one", "/one/{id}", vec![part])
        .start();
    let _first = asking(&plane, "/one/7");
    waits_for(&plane, &[("it", "shared_fetch"), ("it", "first_byte")]);
    let _second = asking(&plane, "/one/7");
    eventually("the second one waits too", || {
        let told = requests(&plane);
        told.len() == 2
            && told[1]["waits"]
                .as_array()
                .is_some_and(|waits| waits.len() == 1)
    });
    let told = requests(&plane);
    assert_eq!(told[1]["waits"][0]["waits_for"], "shared_fetch");
    // Sent is not read yet.
    eventually("the upstream has it", || upstream.count() > 0);
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_handler_waits_for_python_and_then_for_its_call() {
    let upstream = hold();
    let service = bridge::service(&upstream, json!({}));
    let text = bridge::text(&service);
    let plane = service.start();
    let bridge = Arc::clone(plane.bridge().expect("a service with a handler"));
    let number = bridge::register(&bridge, &text, "/t/{id}", &["id"]);
    let _client = asking(&plane, "/h/7");
    waits_for(&plane, &[("", "python_handler")]);
    let start = bridge::started(&bridge);
    let call = bridge::wanted(&bridge, number, "7", true);
    bridge::ask(&bridge, &start, 1, vec![call]);
    let told = waits_for(&plane, &[("up", "first_byte")]);
    assert_eq!(told["view"], "h");
}

#[test]
fn computed_fields_are_waited_for() {
    let upstream = Upstream::echo();
    let computed = json!({"limit": 2, "time_ms": 5_000.0, "fields": [
        {"name": "total", "strength": "strong", "after": 1},
    ]});
    let plane = Service::new()
        .upstream("up", &upstream)
        .view_with(
            "c",
            "/c/{id}",
            vec![strong("it", "/it/{id}")],
            json!({"computed": computed}),
        )
        .start();
    let _client = asking(&plane, "/c/7");
    let told = waits_for(&plane, &[("", "computed_fields")]);
    assert_eq!(
        (&told["parts"], &told["parts_done"]),
        (&json!(1), &json!(1))
    );
}

// A request that was looked at ends as if nobody had looked.
#[test]
fn a_gate_that_opens_ends_the_waits() {
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    let upstream = Upstream::start(move |_| {
        let send = Step::Send(json_answer(r#"{"id":"1"}"#));
        vec![Step::Wait(Arc::clone(&held)), send]
    });
    let plane = Service::one(&upstream).start();
    let mut client = asking(&plane, "/one/7");
    waits_for(&plane, &[("it", "first_byte")]);
    gate.open();
    assert_eq!(
        client.reply().status,
        200,
        "being looked at changed nothing"
    );
    assert!(requests(&plane).is_empty());
}
