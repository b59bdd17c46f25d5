//! What a POST changes.
//!
//! The failure prevented: a change by whoever reaches the port (`token.rs`), or one that is taken
//! for another. The token is asked for before anything is read of what is wanted, and a parameter
//! that is not known is refused, not ignored.

use super::token::Token;
use super::{json, text, Answer};
use crate::cache::Scope;
use crate::h1::{self, RequestHead};
use crate::shared::Shared;

pub(super) const INVALIDATE: &[u8] = b"/cache/invalidate";

/// Paths that are changed by POST, and by nothing else.
pub(super) fn is_change(path: &[u8]) -> bool {
    path == INVALIDATE
}

pub(super) fn answer(head: &RequestHead, input: &[u8], shared: &Shared) -> Answer {
    let authorization = head.header(input, "authorization");
    if let Err(refused) = Token::admit(shared.admin_token.as_ref(), authorization) {
        return text(refused.status, refused.words);
    }
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
    let scope = Scope::of(&shared.program, upstream.as_deref(), &prefix)?;
    Ok(shared.cache.invalidate(&scope))
}
