//! What changed since the start, for `/config` and `/metrics`.
//!
//! The failure prevented: "who set this timeout, and when?" asked during an incident. One entry per
//! value that ever changed, so the journal is bounded by the blueprint; of refusals the last one is
//! kept, cut to a readable length.

use super::Change;
use crate::clock;
use serde_json::{json, Map, Value};
use std::collections::BTreeMap;

/// A longer error is cut: it is a message, not a file.
const ERROR_MAX_BYTES: usize = 4_096;

#[derive(Debug)]
struct Entry {
    revision: u64,
    epoch_ms: u64,
    source: String,
    from: String,
    to: String,
}

#[derive(Debug)]
struct Refusal {
    epoch_ms: u64,
    source: String,
    error: String,
}

#[derive(Debug, Default)]
pub struct Journal {
    last: BTreeMap<String, Entry>,
    refusal: Option<Refusal>,
    pub ok: u64,
    pub refused: u64,
}

impl Journal {
    /// A change was accepted; `changes` is empty when nothing differed.
    pub(super) fn changed(&mut self, revision: u64, source: &str, changes: &[Change]) {
        self.ok += 1;
        for change in changes {
            let entry = Entry {
                revision,
                epoch_ms: clock::epoch_ms(),
                source: source.to_owned(),
                from: change.from.clone(),
                to: change.to.clone(),
            };
            self.last.insert(change.path.clone(), entry);
        }
    }

    pub fn refused(&mut self, source: &str, error: &str) {
        self.refused += 1;
        let mut end = error.len().min(ERROR_MAX_BYTES);
        while !error.is_char_boundary(end) {
            end -= 1;
        }
        self.refusal = Some(Refusal {
            epoch_ms: clock::epoch_ms(),
            source: source.to_owned(),
            error: error[..end].to_owned(),
        });
    }

    /// The last change of each value, by its path.
    pub fn changes(&self) -> Value {
        let one = |(path, entry): (&String, &Entry)| {
            let shown = json!({
                "revision": entry.revision,
                "epoch_ms": entry.epoch_ms,
                "source": entry.source,
                "from": entry.from,
                "to": entry.to,
            });
            (path.clone(), shown)
        };
        Value::Object(self.last.iter().map(one).collect::<Map<_, _>>())
    }

    /// The last refused change, or null.
    pub fn refusal(&self) -> Value {
        self.refusal.as_ref().map_or(Value::Null, |refusal| {
            json!({
                "epoch_ms": refusal.epoch_ms,
                "source": refusal.source,
                "error": refusal.error,
            })
        })
    }
}
