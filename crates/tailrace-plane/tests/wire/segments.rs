//! RELIABILITY S07: a value stays inside the one segment, query value or header its template puts
//! it in, whoever sent it: the client or an upstream. The oracle is what the upstream saw.

use crate::corpus::{bytes, rows};
use crate::service::{strong, template, with, Running, Service, ANY, TEXT};
use crate::upstream::{echo, json as json_answer, Seen, Step, Upstream};
use serde_json::json;

const CORPUS: &str = include_str!("segments.txt");

fn text(escaped: &str) -> String {
    String::from_utf8(bytes(escaped)).expect("expectations are ASCII")
}

/// `%XX` undone, by hand and without any rule but that.
fn decoded(raw: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let hex: String = bytes.by_ref().take(2).map(char::from).collect();
            out.push(u8::from_str_radix(&hex, 16).expect("a valid expectation"));
        } else {
            out.push(byte);
        }
    }
    out
}

/// The only call of a request went where it was declared to go, with `segment` in its place.
fn check(seen: &[Seen], upstream: &Upstream, segment: &str) {
    assert_eq!(seen.len(), 1, "{segment}: {seen:?}");
    assert_eq!(seen[0].target(), format!("/one/{segment}/tail"));
    let hosts: Vec<_> = seen[0]
        .headers()
        .into_iter()
        .filter(|(name, _)| name == "host")
        .collect();
    assert_eq!(
        hosts,
        [("host".to_owned(), upstream.address().to_string())],
        "{segment}"
    );
}

#[test]
fn every_value_of_a_client_lands_in_one_segment_or_is_refused() {
    let upstream = Upstream::start(|seen| vec![Step::Send(echo(seen))]);
    let plane = Service::new()
        .upstream("up", &upstream)
        .view("one", "/one/{id}", vec![strong("it", "/one/{id}/tail")])
        .start();
    let corpus = rows(CORPUS, 2);
    let mut landed = 0;
    for row in &corpus {
        let mut client = plane.client();
        let before = upstream.count();
        client.send(b"GET /one/");
        client.send(bytes(row[1]));
        client.send(b" HTTP/1.1\r\nHost: evil.test\r\n\r\n");
        let reply = client.reply();
        let seen = upstream.seen().split_off(before);
        match row[0] {
            "400" | "404" | "414" => {
                assert_eq!(reply.status.to_string(), row[0], "{}", row[1]);
                assert!(seen.is_empty(), "{}: {seen:?}", row[1]);
            }
            segment => {
                assert_eq!(reply.status, 200, "{}", row[1]);
                check(&seen, &upstream, &text(segment));
                landed += 1;
            }
        }
    }
    println!(
        "S07: {} values, {landed} in one segment, {} refused, 0 host changes",
        corpus.len(),
        corpus.len() - landed
    );
    assert!(corpus.len() >= 200 && landed >= 100);
}

/// The same values out of an upstream's answer: they pass no check of a client's URL first.
#[test]
fn every_value_of_an_upstream_lands_in_one_segment_or_fails_its_part() {
    let upstream = Upstream::start(|seen| {
        let target = seen.target();
        let Some(index) = target.strip_prefix("/first/") else {
            return vec![Step::Send(echo(seen))];
        };
        let row = &rows(CORPUS, 2)[index.parse::<usize>().expect("a row")];
        let value = match row[0] {
            "400" | "404" | "414" => "../\r\nHost: evil.test\r\n\r\n\0".to_owned(),
            segment => String::from_utf8(decoded(&text(segment))).expect("UTF-8 values"),
        };
        vec![Step::Send(json_answer(json!({"id": value}).to_string()))]
    });
    let plane = Service::new()
        .upstream("up", &upstream)
        .view(
            "two",
            "/two/{row}",
            vec![
                strong("first", "/first/{row}"),
                strong("second", "/one/{first.id}/tail"),
            ],
        )
        .start();
    let mut client = plane.client();
    let corpus = rows(CORPUS, 2);
    for (index, row) in corpus.iter().enumerate() {
        let before = upstream.count();
        let reply = client.get(&format!("/two/{index}"));
        assert_eq!(reply.status, 200, "{}: {reply:?}", row[1]);
        let seen = upstream.seen().split_off(before + 1);
        let segment = match row[0] {
            "400" | "404" | "414" => "..%2F%0D%0AHost%3A%20evil.test%0D%0A%0D%0A%00".to_owned(),
            segment => text(segment),
        };
        check(&seen, &upstream, &segment);
    }
    println!("S07: {} values of an upstream in one segment", corpus.len());
}

/// An upstream's dot segment, empty text or object cannot be a segment at all.
#[test]
fn what_cannot_be_a_segment_fails_the_part_that_needs_it() {
    let upstream = Upstream::start(|seen| {
        let target = seen.target();
        let Some(index) = target.strip_prefix("/first/") else {
            return vec![Step::Send(echo(seen))];
        };
        let values = [
            "\"\"",
            "\".\"",
            "\"..\"",
            "{}",
            "[]",
            "null",
            "\"\\u002e\\u002e\"",
        ];
        let value = values[index.parse::<usize>().expect("an index")];
        vec![Step::Send(json_answer(format!(r#"{{"id":{value}}}"#)))]
    });
    let first = with(strong("first", "/first/{row}"), json!({"shape": ANY}));
    let plane = Service::new()
        .upstream("up", &upstream)
        .view(
            "two",
            "/two/{row}",
            vec![first, strong("second", "/one/{first.id}/tail")],
        )
        .start();
    for index in 0..7 {
        let reply = plane.get(&format!("/two/{index}"));
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (502, "bad_reference"),
            "{index}"
        );
        assert_eq!(reply.json()["part"], "second");
    }
    assert!(upstream
        .seen()
        .iter()
        .all(|seen| seen.target().starts_with("/first/")));
}

fn query_service(upstream: &Upstream) -> Running {
    let part = with(
        strong("it", "/search"),
        json!({
            "query": [
                {"name": "fixed", "value": template("1")},
                {"name": "q", "value": template("{q}")},
            ],
            "headers": [{"name": "x-q", "value": template("{q}")}],
        }),
    );
    let q = json!({"name": "q", "in": "query", "shape": TEXT, "required": true});
    Service::new()
        .upstream("up", upstream)
        .view_with("search", "/search", vec![part], json!({"parameters": [q]}))
        .start()
}

/// A query value ends neither its pair nor its header line.
#[test]
fn a_query_value_stays_a_query_value() {
    let upstream = Upstream::echo();
    let plane = query_service(&upstream);
    let mut client = plane.client();
    for (raw, encoded, header) in [
        ("a", "a", "a"),
        ("a+b", "a%20b", "a b"),
        ("a%26admin=1", "a%26admin%3D1", "a&admin=1"),
        ("a;b", "a%3Bb", "a;b"),
        ("a%23b", "a%23b", "a#b"),
        ("a?b/../c", "a%3Fb%2F..%2Fc", "a?b/../c"),
        ("%2526", "%2526", "%26"),
        ("first&q=second", "first", "first"),
    ] {
        let before = upstream.count();
        assert_eq!(client.get(&format!("/search?q={raw}")).status, 200, "{raw}");
        let seen = upstream.seen().split_off(before);
        assert_eq!(
            seen[0].target(),
            format!("/search?fixed=1&q={encoded}"),
            "{raw}"
        );
        assert_eq!(seen[0].header("x-q").as_deref(), Some(header), "{raw}");
    }
    let before = upstream.count();
    for raw in ["a%0d%0aX: y", "%00", "%0a", "%ff", "%c0%ae", "%7f"] {
        let raw = raw.replace(' ', "%20");
        let reply = client.get(&format!("/search?q={raw}"));
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (400, "bad_parameter"),
            "{raw}"
        );
    }
    assert_eq!(
        upstream.count(),
        before,
        "a refused value reached the upstream"
    );
}
