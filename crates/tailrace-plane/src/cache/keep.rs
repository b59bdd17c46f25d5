//! How long answers of a part are kept, as its declaration says.
//!
//! The failure prevented is a part that is given what another one kept for longer, or cut down to
//! another shape: both are in the scope of the part, which stands in every key of it. The scope
//! follows from the declaration alone, so it is the same in every revision that says the same.

use crate::clock;
use std::hash::{DefaultHasher, Hash, Hasher};
use tailrace_blueprint as blueprint;
use tailrace_policy::{freshness, Nanos};

/// How long answers of a part are kept.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    pub params: freshness::Params,
    /// Tells shapes and times apart: in every key (`cache/key.rs`).
    pub scope: u64,
}

impl Keep {
    /// How long the part's answers are kept: as it says itself, or as its upstream says.
    pub fn of(
        part: &blueprint::Part,
        upstream: &blueprint::Upstream,
        declared: &blueprint::Blueprint,
    ) -> Result<Option<Self>, String> {
        let Some(asked) = part.cache.as_ref().or(upstream.cache.as_ref()) else {
            return Ok(None);
        };
        // What changes something is never kept, whatever its upstream says.
        if part.method != blueprint::Method::Get {
            return Ok(None);
        }
        Self::new(asked, shape_of(part, declared)?).map(Some)
    }

    /// As `asked` says, for answers of the shape that `shape` stands for.
    pub fn new(asked: &blueprint::CacheParams, shape: u64) -> Result<Self, String> {
        let ttl = clock::from_ms(asked.ttl_ms);
        let usual = freshness::Params::of(ttl);
        let ms = |value: Option<f64>, usual: Nanos| value.map_or(usual, clock::from_ms);
        let stale = ms(asked.stale_ms, usual.stale_while_revalidate);
        let params = freshness::Params {
            stale_while_revalidate: stale,
            stale_if_error: ms(asked.stale_if_error_ms, usual.stale_if_error.max(stale)),
            negative: ms(asked.negative_ms, usual.negative),
            ..usual
        };
        params.check().map_err(|why| format!("cache: {why}"))?;
        let times = [
            params.ttl,
            params.stale_while_revalidate,
            params.stale_if_error,
            params.negative,
        ];
        let chances = (params.jitter.to_bits(), params.beta.to_bits());
        let scope = digest(&(shape, times, chances));
        Ok(Self { params, scope })
    }
}

/// Stands for what an answer of the part is checked against and cut down to.
pub fn shape_of(part: &blueprint::Part, declared: &blueprint::Blueprint) -> Result<u64, String> {
    let shapes = serde_json::to_string(&declared.shapes).map_err(|error| error.to_string())?;
    let unwrap = part.unwrap.as_ref().map(|one| (one.shape, &one.field));
    Ok(digest(&(shapes, part.shape, unwrap)))
}

fn digest(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}
