//! Answers no upstream should give, with the reason each must be reported as (RELIABILITY S02, S14, S16).

use crate::corpus::{bytes, rows};
use crate::upstream::{answer, json, Step};
use std::time::Duration;

const CORPUS: &str = include_str!("../h1/corpus/responses.txt");
/// A whole answer that belongs to nobody.
pub(crate) const FOREIGN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
    content-length: 16\r\n\r\n{\"id\":\"foreign\"}";

/// A script, the reason its part must fail with, and what becomes of its connection.
#[derive(Debug)]
pub(crate) struct Hostile {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
    pub(crate) reason: &'static str,
    /// The script leaves the connection open, and the plane must not use it again.
    pub(crate) must_close: bool,
}

fn hostile(name: &str, reason: &'static str, steps: Vec<Step>) -> Hostile {
    let open = !matches!(steps.last(), Some(Step::Close | Step::Reset));
    let framing_broke = !matches!(
        reason,
        "content_type"
            | "model_mismatch"
            | "redirect"
            | "server_error"
            | "client_error"
            | "not_found"
    );
    Hostile {
        name: name.to_owned(),
        steps,
        reason,
        must_close: open && framing_broke,
    }
}

pub(crate) fn all() -> Vec<Hostile> {
    [
        corpus(),
        connections(),
        heads(),
        floods(),
        statuses(),
        bodies(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The response corpus of the codec, as an upstream would send it.
fn corpus() -> Vec<Hostile> {
    let one = |row: Vec<&'static str>| {
        let words: Vec<_> = row[2].split(' ').collect();
        let surplus = words.contains(&"surplus");
        let reason = match words[..] {
            ["partial"] | [_, "body_truncated"] => "reset",
            [_, "body_too_large"] => "body_too_large",
            ["head" | "body", _] => "protocol",
            ["ok", ..] if surplus => "protocol",
            ["ok", "304", ..] => "redirect",
            ["ok", "404", ..] => "not_found",
            ["ok", "503" | "599", ..] => "server_error",
            ["ok", "204", ..] => "model_mismatch",
            ["ok", .., "json", _] => "model_mismatch",
            ["ok", ..] => "content_type",
            _ => panic!("{}: an unknown expectation", row[0]),
        };
        // What ends only with the connection needs its end; everything else is known before.
        let closes =
            reason == "reset" || words.contains(&"close") || words.contains(&"until_close");
        let mut steps = vec![Step::Send(bytes(row[3]))];
        if closes {
            steps.push(Step::Close);
        }
        hostile(row[0], reason, steps)
    };
    let get = |row: &Vec<&str>| row[1] == "GET";
    rows(CORPUS, 4).into_iter().filter(get).map(one).collect()
}

/// Connections that break or stand still.
fn connections() -> Vec<Hostile> {
    let send = |text: &str| Step::Send(text.as_bytes().to_vec());
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n";
    let chunked =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let slow = Duration::from_millis(20);
    vec![
        hostile("close_at_once", "reset", vec![Step::Close]),
        hostile("reset_at_once", "reset", vec![Step::Reset]),
        hostile(
            "reset_in_head",
            "reset",
            vec![send("HTTP/1.1 200 OK\r\ncont"), Step::Reset],
        ),
        hostile("reset_after_head", "reset", vec![send(head), Step::Reset]),
        hostile(
            "reset_in_body",
            "reset",
            vec![send(head), send("{\"id\":"), Step::Reset],
        ),
        hostile(
            "reset_in_chunk",
            "reset",
            vec![send(chunked), send("5\r\n{\"i"), Step::Reset],
        ),
        hostile(
            "close_in_chunk",
            "reset",
            vec![send(chunked), send("5\r\n{\"i"), Step::Close],
        ),
        hostile(
            "close_between_chunks",
            "reset",
            vec![send(chunked), send("1\r\n{\r\n"), Step::Close],
        ),
        hostile("silence", "timeout", vec![Step::Hold]),
        hostile(
            "silence_in_head",
            "timeout",
            vec![send("HTTP/1.1 200 OK\r\n"), Step::Hold],
        ),
        hostile(
            "silence_after_head",
            "timeout",
            vec![send(head), Step::Hold],
        ),
        hostile(
            "silence_in_body",
            "timeout",
            vec![send(head), send("{\"id"), Step::Hold],
        ),
        hostile(
            "silence_in_chunk",
            "timeout",
            vec![send(chunked), send("9\r\n{\"i"), Step::Hold],
        ),
        hostile(
            "interim_then_silence",
            "timeout",
            vec![send("HTTP/1.1 100 Continue\r\n\r\n"), Step::Hold],
        ),
        hostile(
            "trickled_head",
            "timeout",
            vec![Step::Trickle(json("{}"), slow)],
        ),
        hostile(
            "trickled_body",
            "timeout",
            vec![send(head), Step::Trickle(vec![b' '; 50], slow)],
        ),
    ]
}

/// Heads that claim what is not so, and a second answer in the same packet.
fn heads() -> Vec<Hostile> {
    let body = r#"{"id":"foreign"}"#;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let with =
        |lines: &str, body: &str| vec![Step::Send(format!("{head}{lines}\r\n{body}").into_bytes())];
    let two = [json(r#"{"id":"a"}"#), FOREIGN.to_vec()].concat();
    let chunked = "transfer-encoding: chunked\r\n";
    vec![
        hostile(
            "cl_and_te",
            "protocol",
            with(
                "content-length: 16\r\ntransfer-encoding: chunked\r\n",
                "10\r\n{\"id\":\"foreign\"}\r\n0\r\n\r\n",
            ),
        ),
        hostile(
            "two_lengths",
            "protocol",
            with("content-length: 16\r\ncontent-length: 2\r\n", body),
        ),
        hostile("two_answers", "protocol", vec![Step::Send(two)]),
        hostile(
            "answer_and_line_end",
            "protocol",
            vec![Step::Send(
                [&json(r#"{"id":"foreign"}"#)[..], b"\r\n"].concat(),
            )],
        ),
        hostile(
            "no_content_then_answer",
            "protocol",
            vec![Step::Send(
                [b"HTTP/1.1 204 No Content\r\n\r\n", FOREIGN].concat(),
            )],
        ),
        hostile(
            "not_modified_with_body",
            "protocol",
            vec![Step::Send(
                [b"HTTP/1.1 304 Not Modified\r\n\r\n", FOREIGN].concat(),
            )],
        ),
        hostile(
            "chunks_then_answer",
            "protocol",
            with(
                chunked,
                &format!(
                    "10\r\n{body}\r\n0\r\n\r\n{}",
                    String::from_utf8_lossy(FOREIGN)
                ),
            ),
        ),
        hostile(
            "chunk_too_long_for_itself",
            "protocol",
            with(chunked, "4\r\n{\"id\":\"x\"}\r\n0\r\n\r\n"),
        ),
        hostile(
            "gzip",
            "model_mismatch",
            vec![Step::Send(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n\
              content-length: 4\r\n\r\n\x1f\x8b\x08\x00"
                    .to_vec(),
            )],
        ),
    ]
}

/// More than anybody asked for.
fn floods() -> Vec<Hostile> {
    let flood = |first: &str, again: &str| {
        vec![
            Step::Send(first.as_bytes().to_vec()),
            Step::Endless(again.as_bytes().repeat(512)),
        ]
    };
    let json = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    vec![
        hostile(
            "endless_interim",
            "protocol",
            flood("", "HTTP/1.1 102 Processing\r\n\r\n"),
        ),
        hostile("endless_reason", "protocol", flood("HTTP/1.1 200 ", "O")),
        hostile(
            "endless_headers",
            "protocol",
            flood("HTTP/1.1 200 OK\r\n", "x: y\r\n"),
        ),
        hostile(
            "endless_header",
            "protocol",
            flood("HTTP/1.1 200 OK\r\nx: ", "y"),
        ),
        hostile(
            "endless_body",
            "body_too_large",
            flood(&format!("{json}\r\n"), " "),
        ),
        hostile(
            "endless_chunks",
            "body_too_large",
            flood(
                &format!("{json}transfer-encoding: chunked\r\n\r\n"),
                "10\r\n                \r\n",
            ),
        ),
        hostile(
            "endless_chunk_size",
            "protocol",
            flood(&format!("{json}transfer-encoding: chunked\r\n\r\n"), "0"),
        ),
        hostile(
            "endless_trailers",
            "protocol",
            flood(
                &format!("{json}transfer-encoding: chunked\r\n\r\n0\r\n"),
                "x: y\r\n",
            ),
        ),
        hostile(
            "large_length",
            "body_too_large",
            vec![Step::Send(
                format!("{json}content-length: 4097\r\n\r\n").into_bytes(),
            )],
        ),
        hostile("endless_garbage", "protocol", flood("", "\x01\x02\x03\x04")),
    ]
}

/// Whole answers that are no success.
fn statuses() -> Vec<Hostile> {
    let mut all = Vec::new();
    for status in ["301", "302", "303", "307", "308"] {
        let text = format!(
            "HTTP/1.1 {status} Moved\r\nlocation: http://169.254.169.254/latest/meta-data/\r\n\
             content-type: application/json\r\ncontent-length: 16\r\n\r\n{{\"id\":\"foreign\"}}"
        );
        let steps = vec![Step::Send(text.into_bytes())];
        all.push(hostile(&format!("redirect_{status}"), "redirect", steps));
    }
    let body = r#"{"id":"foreign"}"#;
    for (status, reason) in [
        ("300 Choices", "redirect"),
        ("400 Bad Request", "client_error"),
        ("401 Unauthorized", "client_error"),
        ("404 Not Found", "not_found"),
        ("410 Gone", "not_found"),
        ("429 Too Many Requests", "client_error"),
        ("500 Internal Server Error", "server_error"),
        ("503 Service Unavailable", "server_error"),
    ] {
        let steps = vec![Step::Send(answer(status, "application/json", body))];
        all.push(hostile(status, reason, steps));
    }
    for kind in [
        "text/html",
        "text/plain",
        "application/jsonp",
        "application/json-seq",
        "image/png",
    ] {
        let steps = vec![Step::Send(answer("200 OK", kind, body))];
        all.push(hostile(kind, "content_type", steps));
    }
    all
}

/// JSON, or nearly, that is not the declared model. The bound of a body is 4 KiB here.
fn bodies() -> Vec<Hostile> {
    let deep = |open: &str, close: &str, depth: usize| {
        format!(
            r#"{{"id":"a","skipped":{}1{}}}"#,
            open.repeat(depth),
            close.repeat(depth)
        )
    };
    let texts = [
        ("empty", String::new()),
        ("space", "  ".to_owned()),
        ("cut", r#"{"id":"a""#.to_owned()),
        ("missing_field", r#"{"other":"a"}"#.to_owned()),
        ("number_for_text", r#"{"id":7}"#.to_owned()),
        ("null_for_text", r#"{"id":null}"#.to_owned()),
        ("list_for_object", r#"[{"id":"a"}]"#.to_owned()),
        ("text_for_object", r#""a""#.to_owned()),
        ("duplicate_key", r#"{"id":"a","id":"b"}"#.to_owned()),
        (
            "duplicate_escaped_key",
            r#"{"id":"a","\u0069d":"b"}"#.to_owned(),
        ),
        (
            "duplicate_skipped_key",
            r#"{"id":"a","x":1,"x":2}"#.to_owned(),
        ),
        ("two_values", r#"{"id":"a"}{"id":"b"}"#.to_owned()),
        ("trailing_comma", r#"{"id":"a",}"#.to_owned()),
        ("trailing_word", r#"{"id":"a"} foreign"#.to_owned()),
        ("trailing_nul", "{\"id\":\"a\"}\0".to_owned()),
        ("byte_order_mark", "\u{feff}{\"id\":\"a\"}".to_owned()),
        ("comment", r#"{"id":"a"/* x */}"#.to_owned()),
        ("single_quotes", "{'id':'a'}".to_owned()),
        ("bare_key", r#"{id:"a"}"#.to_owned()),
        ("raw_line_end", "{\"id\":\"a\nb\"}".to_owned()),
        ("raw_nul", "{\"id\":\"a\0b\"}".to_owned()),
        ("bad_escape", r#"{"id":"\x41"}"#.to_owned()),
        ("lone_surrogate", r#"{"id":"\ud800"}"#.to_owned()),
        ("not_a_number", r#"{"id":"a","x":NaN}"#.to_owned()),
        ("leading_zero", r#"{"id":"a","x":01}"#.to_owned()),
        ("plus", r#"{"id":"a","x":+1}"#.to_owned()),
        ("capital_true", r#"{"id":"a","x":True}"#.to_owned()),
        ("deep_skipped_lists", deep("[", "]", 65)),
        ("deep_skipped_objects", deep(r#"{"a":"#, "}", 65)),
        (
            "deep_unclosed",
            format!(r#"{{"id":"a","x":{}"#, "[".repeat(4_000)),
        ),
        (
            "deep_instead_of_text",
            format!(r#"{{"id":{}"#, "[".repeat(4_000)),
        ),
    ];
    let json_body = |(name, text): (&str, String)| {
        hostile(name, "model_mismatch", vec![Step::Send(json(text))])
    };
    let mut all: Vec<_> = texts.into_iter().map(json_body).collect();
    let raw: [(&str, &[u8]); 6] = [
        ("invalid_utf8", b"{\"id\":\"\xff\"}"),
        ("overlong_utf8", b"{\"id\":\"\xc0\xaf\"}"),
        ("surrogate_utf8", b"{\"id\":\"\xed\xa0\x80\"}"),
        ("cut_utf8", b"{\"id\":\"\xe2\x82\"}"),
        ("invalid_utf8_skipped", b"{\"id\":\"a\",\"x\":\"\xff\"}"),
        ("invalid_utf8_key", b"{\"id\":\"a\",\"\xff\":1}"),
    ];
    for (name, body) in raw {
        all.push(hostile(
            name,
            "model_mismatch",
            vec![Step::Send(json(body))],
        ));
    }
    all
}
