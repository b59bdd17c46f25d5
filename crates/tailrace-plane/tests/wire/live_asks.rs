//! Changes over the admin port: who may ask, what is understood, and what the owner of the plane
//! answers (RELIABILITY S24).

use crate::client::Client;
use crate::service::{Running, Service};
use crate::upstream::Upstream;
use serde_json::json;
use tailrace_plane::{Next, Reply, Wanted};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const JSON: &str = "Content-Type: application/json\r\n";

/// A plane whose token is set, and the blueprint of another idle limit for it.
fn start(name: &str, upstream: &Upstream) -> (Running, String) {
    let file = format!("tailrace-{name}-{}.token", std::process::id());
    let path = std::env::temp_dir().join(file);
    std::fs::write(&path, format!("{TOKEN}\n")).expect("a file for the token");
    let listen = json!({
        "port": 0, "admin_port": 0, "workers": 1, "admin_token_file": path.to_str(),
    });
    let service = Service::one(upstream).listen(listen);
    let plane = service.clone().start();
    std::fs::remove_file(&path).ok();
    let source = service.limit("idle_ms", 7).source();
    (plane, String::from_utf8(source).expect("text"))
}

/// Makes changes whose body is a whole blueprint, until the plane takes no more.
fn own(plane: &Running) {
    while let Next::Ask(ask) = plane.next_ask(None) {
        let made = match ask.wanted {
            Wanted::Set { body, toml: false } => {
                plane.reconfigure(body, b"{}".to_vec(), &ask.source)
            }
            other => Err(format!("{other:?}")),
        };
        let status = if made.is_ok() { 200 } else { 422 };
        let body = format!("{made:?}").into_bytes();
        plane.reply(Reply { status, body });
    }
}

fn ask(plane: &Running, target: &str, headers: &str) -> Client {
    let mut client = Client::connect(plane.admin_address());
    client.send(format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"
    ));
    client
}

/// A POST to the admin port; returns status and body.
fn post(plane: &Running, target: &str, headers: &str, body: &str) -> (u16, String) {
    let headers = format!("{headers}Content-Length: {}\r\n", body.len());
    let mut client = ask(plane, target, &headers);
    client.send(body);
    let reply = client.reply();
    let body = String::from_utf8_lossy(&reply.body).into_owned();
    (reply.status, body)
}

#[test]
fn a_post_with_the_token_asks_the_owner_for_a_change() {
    let upstream = Upstream::echo();
    let (plane, source) = start("asks", &upstream);
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    let both = format!("{JSON}{bearer}");
    let early = post(&plane, "/config", &both, &source);
    assert_eq!(early.0, 503, "nobody takes asks yet: {}", early.1);
    plane.take_asks();
    std::thread::scope(|scope| {
        scope.spawn(|| own(&plane));
        let wrong = format!("{JSON}Authorization: Bearer {}0\r\n", &TOKEN[1..]);
        for (target, headers, body, status) in [
            ("/config", JSON, &*source, 401),
            ("/config", &*wrong, &*source, 401),
            ("/config/reload", "", "", 401),
            ("/config", &*bearer, &*source, 415),
            ("/config", &*both, "{", 422),
            ("/config/reload", &*bearer, "", 422),
            ("/config", &*both, &*source, 200),
        ] {
            let (found, text) = post(&plane, target, headers, body);
            assert_eq!(found, status, "{target} {headers:?}: {text}");
        }
        plane.close_asks();
    });
    let config = plane.config();
    assert_eq!(config["limits"]["idle_ms"], 7);
    let change = &config["changes"]["limits.idle_ms"];
    assert_eq!(change["source"], "admin POST /config");
    let late = post(&plane, "/config", &both, &source);
    assert_eq!(late.0, 503, "the owner has left: {}", late.1);
    let shown = String::from_utf8(plane.admin("/blueprint").body).expect("text");
    assert!(!shown.contains(TOKEN));
}

#[test]
fn a_body_is_bounded_invited_and_may_come_in_chunks() {
    let upstream = Upstream::echo();
    let (plane, source) = start("bodies", &upstream);
    let both = format!("{JSON}Authorization: Bearer {TOKEN}\r\n");
    plane.take_asks();
    std::thread::scope(|scope| {
        scope.spawn(|| own(&plane));
        let large = format!("{both}Content-Length: 999999\r\n");
        assert_eq!(ask(&plane, "/config", &large).reply().status, 413);
        let chunked = format!("{both}Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n");
        let mut client = ask(&plane, "/config", &chunked);
        assert_eq!(client.reply_without_body().status, 100);
        client.send(format!("{:x}\r\n{source}\r\n0\r\n\r\n", source.len()));
        assert_eq!(client.reply().status, 200);
        // Without the token nobody is invited to send a body.
        let expecting = format!("{JSON}Expect: 100-continue\r\nContent-Length: 9\r\n");
        let refused = ask(&plane, "/config", &expecting).reply();
        assert_eq!(refused.status, 401);
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        plane.close_asks();
    });
    assert_eq!(plane.revision(), 2);
}
