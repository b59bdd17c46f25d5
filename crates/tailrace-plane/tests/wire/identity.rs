//! RELIABILITY S09: no user is given another one's answer, whatever is cached and shared.

use crate::client::Client;
use crate::service::{strong, with, Running, Service};
use crate::upstream::{Step, Upstream};
use serde_json::json;

const PAIRS: usize = 1_000;

/// Answers with whose `Authorization` it was asked, and tries to plant a cookie.
fn by_user() -> Upstream {
    Upstream::start(|seen| {
        let user = seen.header("authorization").unwrap_or_default();
        let body = format!(r#"{{"id":"{user}"}}"#);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nset-cookie: session={user}\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        vec![Step::Send(head.into_bytes())]
    })
}

fn service(upstream: &Upstream) -> Running {
    let cache = json!({"ttl_ms": 3_600_000.0, "per_identity": true});
    let part = with(strong("it", "/one/{id}"), json!({"cache": cache}));
    Service::new()
        .limit("cache_max_bytes", 2 << 20)
        .upstream_with(
            "up",
            upstream,
            json!({"forward_headers": ["authorization"]}),
        )
        .view("one", "/one/{id}", vec![part])
        .workers(2)
        .start()
}

fn ask(client: &mut Client, page: usize, user: &str) {
    let traced = format!("traceparent: 00-{page:032x}-{page:016x}-01");
    client.send(format!(
        "GET /one/{page} HTTP/1.1\r\nHost: shop.test\r\nAuthorization: {user}\r\n{traced}\r\n\r\n"
    ));
}

// S09: 1 000 pairs of users ask for the same URL at the same time, twice: the first time they race
// to fetch it, the second time it is cached.
#[test]
fn a_thousand_pairs_of_users_get_their_own_answers() {
    let upstream = by_user();
    let plane = service(&upstream);
    let mut clients = [plane.client(), plane.client()];
    let (mut foreign, mut cookies) = (0, 0);
    for page in 0..PAIRS {
        let users = [format!("ann-{page}"), format!("bob-{page}")];
        for _ in 0..2 {
            for (client, user) in clients.iter_mut().zip(&users) {
                ask(client, page, user);
            }
            for (client, user) in clients.iter_mut().zip(&users) {
                let reply = client.reply();
                assert_eq!(reply.status, 200);
                foreign += usize::from(reply.json()["it"] != json!({"id": user}));
                cookies += usize::from(reply.header("set-cookie").is_some());
            }
        }
    }
    let replies = PAIRS * 4;
    println!("S09: {PAIRS} pairs, {replies} replies, {foreign} foreign bodies, {cookies} cookies");
    assert_eq!((foreign, cookies), (0, 0));
    // Each user's first answer was fetched for that user, the second one was kept.
    assert_eq!(upstream.count(), PAIRS * 2);
}

// The same user is one key, from whatever connection: what tells requests apart is not in it.
#[test]
fn one_user_is_one_key() {
    let upstream = by_user();
    let plane = service(&upstream);
    for page in [1, 1, 1] {
        let mut client = plane.client();
        ask(&mut client, page, "ann");
        assert_eq!(client.reply().json()["it"], json!({"id": "ann"}));
    }
    assert_eq!(upstream.count(), 1);
}
