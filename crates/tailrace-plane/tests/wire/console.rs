//! The console as a browser gets it, the sample it reads, and the lab that only a demo has.

use crate::client::{Client, Reply};
use crate::service::{strong, weak, Running, Service};
use crate::upstream::{answer, echo, Step, Upstream};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use tailrace_plane::{Next, Reply as Answer, Wanted};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn ask(plane: &Running, method: &str, target: &str, headers: &str, body: &str) -> Reply {
    let mut client = Client::connect(plane.admin_address());
    client.send(format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost:9900\r\n{headers}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    client.reply()
}

/// Every address of this origin that a file names.
fn named(body: &str) -> Vec<String> {
    let words = body.split(['"', '\'']);
    words
        .filter(|word| word.starts_with("/console/"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_browser_gets_a_page_whose_files_are_all_here_and_whose_policy_is_strict() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).start();
    let html = "Accept: text/html,*/*;q=0.8\r\n";
    let page = ask(&plane, "GET", "/", html, "");
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(page.header("vary"), Some("accept"));
    assert_eq!(plane.admin("/console").body, page.body);
    let index = plane.admin("/");
    assert_eq!(
        index.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    let mut known = BTreeMap::from([("/".to_owned(), page)]);
    let wanted = named(&String::from_utf8_lossy(&known["/"].body));
    assert!(wanted.len() >= 5, "{wanted:?}");
    for target in wanted {
        let reply = plane.admin(&target);
        assert_eq!(reply.status, 200, "{target}");
        known.insert(target, reply);
    }
    for (target, reply) in &known {
        let policy = reply.header("content-security-policy").expect(target);
        assert!(policy.starts_with("default-src 'self';"), "{policy}");
        assert!(policy.contains("require-trusted-types-for 'script'"));
        assert!(!policy.contains("unsafe"), "{target}: {policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
        let text = String::from_utf8_lossy(&reply.body);
        let elsewhere = text.matches("://").count() - text.matches("http://www.w3.org/").count();
        assert_eq!(elsewhere, 0, "{target} names another place");
    }
}

/// A view with a strong part that is answered and a weak one that is not.
fn half(upstream: &Upstream) -> Service {
    let parts = vec![strong("it", "/one/{id}"), weak("more", "/two/{id}")];
    Service::new()
        .upstream("up", upstream)
        .view("half", "/half/{id}", parts)
}

fn count(pairs: &Value) -> u64 {
    let pairs = pairs.as_array().expect("pairs").iter();
    pairs.map(|pair| pair[1].as_u64().expect("a count")).sum()
}

#[test]
fn a_sample_is_what_the_workers_counted() {
    let upstream = Upstream::start(|seen| {
        let good = seen.target().starts_with("/one/");
        let bad = || answer("404 Not Found", "text/plain", "");
        vec![Step::Send(if good { echo(seen) } else { bad() })]
    });
    let plane = half(&upstream).start();
    let before = plane.admin("/live").json();
    assert_eq!(before["views"][0]["statuses"], json!({}));
    for id in 0..3 {
        assert_eq!(plane.get(&format!("/half/{id}")).status, 200);
    }
    let sample = plane.admin("/live").json();
    assert!(sample["at_ms"].as_f64() > before["at_ms"].as_f64());
    assert_eq!(sample["lab"], false);
    let view = &sample["views"][0];
    assert_eq!(view["statuses"], json!({"200": 3}));
    assert_eq!(
        (&view["degraded"], count(&view["duration_us"])),
        (&json!(3), 3)
    );
    let (it, more) = (&view["parts"][0], &view["parts"][1]);
    assert_eq!((&it["ok"], &it["strength"]), (&json!(3), &json!("strong")));
    assert_eq!(more["failed"], json!({"not_found": 3}));
    let up = &sample["upstreams"][0];
    assert_eq!(up["calls"], 6);
    assert_eq!(up["calls_failed"], 3);
    assert_eq!(count(&up["duration_us"]), 6);
    assert_eq!(
        (&up["limit"], &up["limit_live"]),
        (&json!(256), &json!(256))
    );
    assert_eq!(
        up["addresses"][0]["breaker"],
        Value::Null,
        "an only address has none"
    );
}

/// A plane whose token is set.
fn guarded(name: &str, upstream: &Upstream) -> Running {
    let file = format!("tailrace-{name}-{}.token", std::process::id());
    let path = std::env::temp_dir().join(file);
    std::fs::write(&path, TOKEN).expect("a file for the token");
    let listen = json!({
        "port": 0, "admin_port": 0, "workers": 1, "admin_token_file": path.to_str(),
    });
    let plane = Service::one(upstream).listen(listen).start();
    std::fs::remove_file(&path).ok();
    plane
}

// RELIABILITY S24, S30: a page of another origin changes nothing, whatever it knows.
#[test]
fn a_wish_for_the_lab_needs_a_lab_the_token_and_the_consoles_own_origin() {
    let upstream = Upstream::echo();
    let plane = guarded("lab", &upstream);
    let json = "Content-Type: application/json\r\n";
    let bearer = format!("{json}Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(plane.admin("/lab").status, 404);
    assert_eq!(ask(&plane, "POST", "/lab", &bearer, "{}").status, 404);
    plane.show_lab(br#"{"upstreams":[]}"#.to_vec());
    assert_eq!(plane.admin("/lab").json(), json!({"upstreams": []}));
    assert_eq!(plane.admin("/live").json()["lab"], true);
    plane.take_asks();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while let Next::Ask(asked) = plane.next_ask(None) {
                let Wanted::Lab(body) = asked.wanted else {
                    panic!("{:?} is no wish", asked.wanted);
                };
                plane.reply(Answer { status: 200, body });
            }
        });
        let mut refused = 0;
        for origin in [
            "http://evil.test",
            "http://localhost:9901",
            "https://localhost:9900",
            "http://localhost:9900.evil.test",
            "null",
            "file://",
        ] {
            let headers = format!("{bearer}Origin: {origin}\r\n");
            for target in ["/lab", "/config", "/config/reload", "/cache/invalidate"] {
                let reply = ask(&plane, "POST", target, &headers, "{}");
                assert_eq!(reply.status, 403, "{origin} {target}");
                refused += 1;
            }
        }
        println!("S30: {refused} changes by pages of other origins, all refused");
        assert_eq!(ask(&plane, "POST", "/lab", json, "{}").status, 401);
        let plain = format!("Authorization: Bearer {TOKEN}\r\n");
        assert_eq!(ask(&plane, "POST", "/lab", &plain, "{}").status, 415);
        let own = format!("{bearer}Origin: http://localhost:9900\r\n");
        let wish = r#"{"unprotected":true}"#;
        let reply = ask(&plane, "POST", "/lab", &own, wish);
        assert_eq!((reply.status, reply.body), (200, wish.into()));
        plane.close_asks();
    });
}
