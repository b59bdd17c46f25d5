//! Connections that break or stand still.

use super::{hostile, Hostile};
use crate::upstream::{json, Step};
use std::time::Duration;

const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n";
const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";

pub(super) fn all() -> Vec<Hostile> {
    let broken = broken()
        .into_iter()
        .map(|(name, steps)| hostile(name, "reset", steps));
    let still = still()
        .into_iter()
        .map(|(name, steps)| hostile(name, "timeout", steps));
    broken.chain(still).collect()
}

/// A name and its script: these bytes, then this.
fn sends(name: &'static str, texts: &[&str], last: Step) -> (&'static str, Vec<Step>) {
    let sent = texts
        .iter()
        .map(|text| Step::Send(text.as_bytes().to_vec()));
    (name, sent.chain([last]).collect())
}

fn broken() -> Vec<(&'static str, Vec<Step>)> {
    vec![
        sends("close_at_once", &[], Step::Close),
        sends("reset_at_once", &[], Step::Reset),
        sends("reset_in_head", &["HTTP/1.1 200 OK\r\ncont"], Step::Reset),
        sends("reset_after_head", &[HEAD], Step::Reset),
        sends("reset_in_body", &[HEAD, "{\"id\":"], Step::Reset),
        sends("reset_in_chunk", &[CHUNKED, "5\r\n{\"i"], Step::Reset),
        sends("close_in_chunk", &[CHUNKED, "5\r\n{\"i"], Step::Close),
        sends(
            "close_between_chunks",
            &[CHUNKED, "1\r\n{\r\n"],
            Step::Close,
        ),
    ]
}

fn still() -> Vec<(&'static str, Vec<Step>)> {
    let slow = Duration::from_millis(20);
    let interim = "HTTP/1.1 100 Continue\r\n\r\n";
    vec![
        sends("silence", &[], Step::Hold),
        sends("silence_in_head", &["HTTP/1.1 200 OK\r\n"], Step::Hold),
        sends("silence_after_head", &[HEAD], Step::Hold),
        sends("silence_in_body", &[HEAD, "{\"id"], Step::Hold),
        sends("silence_in_chunk", &[CHUNKED, "9\r\n{\"i"], Step::Hold),
        sends("interim_then_silence", &[interim], Step::Hold),
        sends("trickled_head", &[], Step::Trickle(json("{}"), slow)),
        sends(
            "trickled_body",
            &[HEAD],
            Step::Trickle(vec![b' '; 50], slow),
        ),
    ]
}
