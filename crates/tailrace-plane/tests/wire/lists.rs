//! DESIGN 4, *Lists*: `each` keeps positions, has a bound, and fails as its strength says.

use crate::client::Client;
use crate::service::{strong, weak, with, Running, Service, LIST};
use crate::upstream::{answer, echo, json as json_answer, Step, Upstream};
use serde_json::{json, Value};

/// `/list/<bits>`: one item per bit, which fails when the bit is 1.
fn listed(each_strong: bool) -> (Upstream, Running) {
    let upstream = Upstream::start(|seen| {
        let target = seen.target();
        let word = target.rsplit('/').next().unwrap_or_default().to_owned();
        let bytes = if target.starts_with("/list/") {
            let items: Vec<Value> = word
                .bytes()
                .enumerate()
                .map(|(at, bit)| json!({"id": format!("{at}-{}", char::from(bit))}))
                .collect();
            json_answer(json!({"items": items}).to_string())
        } else if word.ends_with("-1") {
            answer("500 Oops", "text/plain", "")
        } else {
            echo(seen)
        };
        vec![Step::Send(bytes)]
    });
    let list = with(strong("list", "/list/{bits}"), json!({"shape": LIST}));
    let each = json!({"each": {"part": "list", "field": ["items"], "items_max": 8}});
    let item = if each_strong {
        strong("item", "/i/{item.id}")
    } else {
        weak("item", "/i/{item.id}")
    };
    let plane = Service::new()
        .upstream("up", &upstream)
        .view("x", "/x/{bits}", vec![list, with(item, each)])
        .start();
    (upstream, plane)
}

#[test]
fn a_failed_item_of_a_weak_list_is_null_in_its_place() {
    let (_upstream, plane) = listed(false);
    let mut client = plane.client();
    for mask in 0..32_usize {
        let bits: String = (0..5)
            .map(|at| if mask & (1 << at) == 0 { '0' } else { '1' })
            .collect();
        let reply = client.get(&format!("/x/{bits}"));
        let expected: Vec<Value> = bits
            .bytes()
            .enumerate()
            .map(|(at, bit)| match bit {
                b'1' => Value::Null,
                _ => json!({"id": format!("{at}-0")}),
            })
            .collect();
        let body = reply.json();
        assert_eq!(
            (reply.status, &body["item"]),
            (200, &json!(expected)),
            "{bits}"
        );
        let degraded = (mask != 0).then_some("item;reason=items");
        assert_eq!(reply.header("tailrace-degraded"), degraded, "{bits}");
    }
    println!("A03: 32 outcomes of 5 items keep their places");
}

fn problem(client: &mut Client, target: &str) -> (u16, String, Value) {
    let reply = client.get(target);
    (reply.status, reply.code(), reply.json()["part"].clone())
}

#[test]
fn one_failed_item_fails_a_strong_list() {
    let (_upstream, plane) = listed(true);
    let mut client = plane.client();
    assert_eq!(client.get("/x/00000").status, 200);
    for bits in ["10000", "00001", "11111"] {
        let expected = (502, "server_error".to_owned(), json!("item"));
        assert_eq!(
            problem(&mut client, &format!("/x/{bits}")),
            expected,
            "{bits}"
        );
    }
}

#[test]
fn a_list_longer_than_declared_fails_its_part() {
    let (upstream, plane) = listed(true);
    let mut client = plane.client();
    assert_eq!(
        client.get("/x/00000000").json()["item"]
            .as_array()
            .map(Vec::len),
        Some(8)
    );
    let before = upstream.count();
    let expected = (502, "too_many_items".to_owned(), json!("item"));
    assert_eq!(problem(&mut client, "/x/000000000"), expected);
    assert_eq!(
        upstream.count(),
        before + 1,
        "no item of a refused list is fetched"
    );
    let (_upstream, weak) = listed(false);
    let reply = weak.get("/x/000000000");
    assert_eq!(
        reply.header("tailrace-degraded"),
        Some("item;reason=too_many_items")
    );
    assert_eq!(reply.json()["item"], Value::Null);
}

/// Nothing to ask for is an answer; no list to go through is not.
#[test]
fn an_empty_list_is_an_empty_part_and_a_missing_one_a_failed_dependency() {
    let upstream = Upstream::start(|seen| match seen.target().as_str() {
        "/list/empty" => vec![Step::Send(json_answer(r#"{"items":[]}"#))],
        "/list/fails" => vec![Step::Send(answer("500 Oops", "text/plain", ""))],
        _ => vec![Step::Send(echo(seen))],
    });
    let default = json!({"shape": LIST, "default": {"items": []}});
    let without = json!({"shape": LIST, "default": {}});
    let each = json!({"each": {"part": "list", "field": ["items"], "items_max": 8}});
    let item = |with_each: &Value| with(weak("item", "/i/{item.id}"), with_each.clone());
    let view = |list: Value| vec![list, item(&each)];
    let plane = Service::new()
        .upstream("up", &upstream)
        .view(
            "x",
            "/x/{n}",
            view(with(weak("list", "/list/{n}"), default)),
        )
        .view(
            "y",
            "/y/{n}",
            view(with(weak("list", "/list/{n}"), without)),
        )
        .start();
    let reply = plane.get("/x/empty");
    assert_eq!(
        (reply.header("tailrace-degraded"), &reply.json()["item"]),
        (None, &json!([]))
    );
    // The default of a failed list is a list like any other.
    let reply = plane.get("/x/fails");
    assert_eq!(
        reply.header("tailrace-degraded"),
        Some("list;reason=server_error;served=default")
    );
    assert_eq!(reply.json()["item"], json!([]));
    let reply = plane.get("/y/fails");
    let degraded = "list;reason=server_error;served=default, item;reason=dependency";
    assert_eq!(reply.header("tailrace-degraded"), Some(degraded));
    assert_eq!((reply.status, &reply.json()["item"]), (200, &Value::Null));
}
