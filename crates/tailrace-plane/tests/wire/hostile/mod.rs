//! Answers no upstream should give, with the reason each must be reported as (RELIABILITY S02, S14,
//! S16).

mod connections;
mod framing;
mod models;

use crate::corpus::{bytes, rows};
use crate::upstream::Step;

const CORPUS: &str = include_str!("../../h1/corpus/responses.txt");
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
        connections::all(),
        framing::heads(),
        framing::floods(),
        framing::statuses(),
        models::all(),
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
            ["ok", "204", ..] | ["ok", .., "json", _] => "model_mismatch",
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
