//! Heads that lie, floods, and whole answers that are no success.

use super::{hostile, Hostile, FOREIGN};
use crate::upstream::{answer, json, Step};

/// Heads that claim what is not so, and a second answer in the same packet.
pub(super) fn heads() -> Vec<Hostile> {
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
pub(super) fn floods() -> Vec<Hostile> {
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
pub(super) fn statuses() -> Vec<Hostile> {
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
        ("410 Gone", "gone"),
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
