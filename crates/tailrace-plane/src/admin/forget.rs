//! `POST /cache/invalidate`: what is to be forgotten, as the query says it.
//!
//! The failure prevented: an invalidation that is taken for a larger or a smaller one. A parameter
//! that is not known is refused, not ignored, and so is an upstream that does not exist. Whether
//! the asker may do this is decided before (`configure.rs`).

use super::{json, text, Answer};
use crate::cache::Scope;
use crate::h1::{self, RequestHead};
use crate::shared::Shared;

pub(super) fn answer(head: &RequestHead, input: &[u8], shared: &Shared) -> Answer {
    match invalidate(head, input, shared) {
        Ok(forgotten) => json(format!("{{\"forgotten\":{forgotten}}}\n").into_bytes()),
        Err(why) => text(400, &format!("{why}\n")),
    }
}

/// `?upstream=users&prefix=/users/42`: both, the upstream alone, or everything.
fn invalidate(head: &RequestHead, input: &[u8], shared: &Shared) -> Result<usize, String> {
    let query = head.query.as_ref().map_or(&[][..], |query| query.of(input));
    let (mut upstream, mut prefix) = (None, String::new());
    for (name, value) in h1::query_pairs(query).filter(|(name, _)| !name.is_empty()) {
        let mut decoded = Vec::with_capacity(value.len());
        h1::decode_query_value(value, &mut decoded)
            .map_err(|_| "the query is not well encoded".to_owned())?;
        let decoded = String::from_utf8(decoded).map_err(|_| "the query is no text".to_owned())?;
        match name {
            b"upstream" => upstream = Some(decoded),
            b"prefix" => prefix = decoded,
            _ => {
                let name = String::from_utf8_lossy(name);
                return Err(format!(
                    "unknown parameter {name:?}; upstream and prefix are known"
                ));
            }
        }
    }
    let scope = Scope::of(&shared.program(), upstream.as_deref(), &prefix)?;
    Ok(shared
        .cache_in_use()
        .map_or(0, |cache| cache.invalidate(&scope)))
}
