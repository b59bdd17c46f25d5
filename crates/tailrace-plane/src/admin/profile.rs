//! `POST /profile/...`: a look inside, bounded in time and memory, one at a time (req 12.2).
//!
//! The failure prevented: a profile that is taken by whoever reaches the port, by a link in a web
//! page, or by ten people at once. It is a POST, so nothing follows a link to it; a page of another
//! origin and a name that is not local are refused; where the port is not on a loopback address the
//! admin token is needed, for a profile shows names of code and ids of requests. A second one while
//! one runs is told so (409). When its reader leaves, it ends.
//!
//! Limits: 1 to 30 seconds; what each holds is said in `crate::profile`.

mod asked;
mod python;
mod record;

use super::configure::is_own_origin;
use super::token::Token;
use super::{is_local_host, json, text, Answer, NOT_LOCAL};
use crate::h1::RequestHead;
use crate::profile::tasks;
use crate::shared::Shared;
use asked::{Asked, Kind};
use serde_json::{json, Value};
use std::io;
use tokio::io::AsyncRead;

const PREFIX: &[u8] = b"/profile/";

pub(super) fn is_one(path: &[u8]) -> bool {
    path.strip_prefix(PREFIX).and_then(Kind::of).is_some()
}

/// Why somebody may not look, if so.
fn refused(head: &RequestHead, input: &[u8], shared: &Shared, local: bool) -> Option<Answer> {
    if local && !is_local_host(head.header(input, "host")) {
        return Some(text(403, NOT_LOCAL));
    }
    if !is_own_origin(head.header(input, "origin"), head.header(input, "host")) {
        return Some(text(403, "this Origin is not the admin port's\n"));
    }
    if local {
        return None;
    }
    let authorization = head.header(input, "authorization");
    let admitted = Token::admit(shared.admin_token.as_ref(), authorization);
    let refused = admitted.err()?;
    let words = match refused.status {
        401 => "beyond loopback a profile needs `Authorization: Bearer <admin token>`\n",
        _ => {
            "beyond loopback a profile needs the admin token, and none is set; name a file \
             with listen.admin_token_file or set TAILRACE_ADMIN_TOKEN, and restart\n"
        }
    };
    Some(text(refused.status, words))
}

/// The profile that is asked for; none when its reader has left.
pub(super) async fn answer(
    stream: &mut (impl AsyncRead + Unpin),
    head: &RequestHead,
    input: &mut Vec<u8>,
    shared: &Shared,
    local: bool,
) -> io::Result<Option<Answer>> {
    if let Some(refused) = refused(head, input, shared, local) {
        return Ok(Some(refused));
    }
    let asked = match Asked::read(head, input) {
        Ok(asked) => asked,
        Err(why) => return Ok(Some(text(400, &format!("{why}\n")))),
    };
    let Some(_running) = shared.profiler.begin() else {
        let words = "a profile runs already; there is one at a time, of 30 s at most\n";
        return Ok(Some(text(409, words)));
    };
    match asked.kind {
        Kind::Tasks => Ok(Some(shown(&tasks(shared).await))),
        Kind::Heap => record::heap(stream, input, shared, &asked).await,
        Kind::Cpu => record::cpu(stream, input, shared, &asked).await,
        Kind::Trace => record::trace(stream, input, shared, &asked).await,
    }
}

fn shown(told: &Value) -> Answer {
    json(told.to_string().into_bytes())
}

async fn tasks(shared: &Shared) -> Value {
    let wish = json!({"do": "tasks"});
    let python = python::ask(shared, &wish, python::WAIT);
    // Both sides are asked at the same time, or what they say would not fit together.
    let (python, mut told) = tokio::join!(python, tasks::dump(shared));
    told["python"] = python;
    told
}
