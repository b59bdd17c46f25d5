//! What `/metrics` counts of the cache and of the fallback chain (req 8.3, 16.5).
//!
//! The failure prevented: a service that lives on stale answers and looks healthy. Where every part
//! came from is a series of its own, in the words of the reply; so is what every look into the
//! cache found, what it cost the upstream, and how full it is.

use super::write::{Family, Labelled};
use super::{CacheMetrics, Count, WorkerMetrics};
use crate::cache::Totals;
use crate::events;
use crate::shared::Shared;
use crate::source::Source;
use std::sync::Arc;

type Read = fn(&CacheMetrics) -> &Count;

const LOOKUPS: [(&str, Read); 8] = [
    ("hit", |cache| &cache.hits),
    ("hot", |cache| &cache.hot),
    ("stale", |cache| &cache.stale),
    ("stale_on_error", |cache| &cache.stale_on_error),
    ("negative", |cache| &cache.negative),
    ("miss", |cache| &cache.misses),
    ("coalesced", |cache| &cache.coalesced),
    ("alone", |cache| &cache.alone),
];
const STORES: [(&str, Read); 3] = [
    ("stored", |cache| &cache.stored),
    ("refused", |cache| &cache.refused),
    ("invalidated", |cache| &cache.invalidated),
];
const REFRESHES: [(&str, Read); 1] = [("", |cache| &cache.refreshes)];

pub fn families(shared: &Shared) -> Vec<Family> {
    let totals = totals(shared);
    let whole = |value: u64| vec![(vec![], value)];
    let real = |value: u64| vec![(vec![], value as f64)];
    let hot = shared.metrics.iter().map(|worker| worker.hot_keys.get());
    vec![
        Family::whole(&events::PART_SOURCE, sources(shared)),
        Family::whole(&events::CACHE_LOOKUPS, per_upstream(shared, &LOOKUPS)),
        Family::whole(&events::CACHE_STORES, per_upstream(shared, &STORES)),
        Family::whole(&events::CACHE_REFRESHES, per_upstream(shared, &REFRESHES)),
        Family::whole(&events::CACHE_EVICTIONS, whole(totals.evicted)),
        Family::whole(&events::CACHE_INVALIDATIONS, whole(totals.invalidations)),
        Family::real(&events::CACHE_BYTES, real(totals.bytes)),
        Family::real(&events::CACHE_MAX_BYTES, real(totals.bytes_max)),
        Family::real(&events::CACHE_ENTRIES, real(totals.entries)),
        Family::real(&events::CACHE_FLIGHTS, real(totals.flights)),
        Family::real(&events::CACHE_HOT_KEYS, real(hot.sum())),
    ]
}

fn totals(shared: &Shared) -> Totals {
    let cache = shared.cache_in_use();
    cache.map_or_else(Totals::default, |cache| cache.totals())
}

fn per_upstream(shared: &Shared, read: &[(&'static str, Read)]) -> Labelled<u64> {
    let mut found = Vec::new();
    for (index, upstream) in shared.program().upstreams.iter().enumerate() {
        for (word, read) in read {
            let mut labels = vec![("upstream", upstream.name.clone())];
            if !word.is_empty() {
                labels.push(("result", (*word).to_owned()));
            }
            let one = |worker: &Arc<WorkerMetrics>| read(&worker.upstreams[index].cache).get();
            found.push((labels, shared.metrics.iter().map(one).sum()));
        }
    }
    found
}

/// `fresh` is what is left of `ok`: counting it would cost every request.
fn sources(shared: &Shared) -> Labelled<u64> {
    let mut found = Vec::new();
    for (view, part) in shared.program().parts() {
        let sum = |read: &dyn Fn(&super::PartMetrics) -> u64| -> u64 {
            let workers = shared.metrics.iter();
            workers.map(|worker| read(&worker.parts[part.metric])).sum()
        };
        for source in Source::ALL {
            let value = match source {
                Source::Fresh => sum(&|part| {
                    let kept = [Source::Cached, Source::Stale];
                    let kept: u64 = kept.iter().map(|s| part.sources[*s as usize].get()).sum();
                    (part.ok.get() + part.stood_in.get()).saturating_sub(kept)
                }),
                _ => sum(&|part| part.sources[source as usize].get()),
            };
            let labels = vec![
                ("view", view.name.clone()),
                ("part", part.name.clone()),
                ("source", source.code().to_owned()),
            ];
            found.push((labels, value));
        }
    }
    shared.floors.hold(&events::PART_SOURCE, &mut found);
    found
}
