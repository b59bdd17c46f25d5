//! Caches and stand-ins: answers that are kept for a time that means something, and apart for those
//! who ask (req 16.5, 8.3, RELIABILITY S09).
//!
//! The failure prevented is a cache that reads well and does nothing, or harm: a time of zero, a
//! stale time that ends before it begins, and above all one user's answer for another. Every header
//! a call carries is in the key of its answer; but whoever caches what users send must say so,
//! since it makes one entry for each of them. A stand-in that calls the same upstream is a retry
//! that no budget knows.

use super::{listed, template, Problems};
use crate::{
    Blueprint, CacheParams, Method, Parameter, ParameterIn, Part, Piece, Strength, Upstream, View,
};

/// What the plane's clock can tell apart, with a margin.
const TIME_MIN_MS: f64 = 0.001;
/// What is older is no cache but a store.
const TIME_MAX_MS: f64 = 86_400_000.0;
/// Headers that say who asks for what, never for whom; the plane leaves them out of every key.
const TRACE: [&str; 2] = ["traceparent", "tracestate"];

pub(super) fn check_upstream(path: &str, upstream: &Upstream, problems: &mut Problems) {
    if let Some(cache) = &upstream.cache {
        let at = format!("{path}.cache");
        check_times(&at, cache, problems);
        if let (false, Some(name)) = (cache.per_identity, forwarded(upstream)) {
            say_so(at, &format!("calls carry the caller's `{name}`"), problems);
        }
    }
}

pub(super) fn check_part(
    path: &str,
    part: &Part,
    view: &View,
    blueprint: &Blueprint,
    problems: &mut Problems,
) {
    let at = format!("{path}.cache");
    if let Some(cache) = &part.cache {
        if part.method != Method::Get {
            let message = "only the answer of a GET may be kept";
            problems.add(at, message, "leave out the cache of this part");
            return;
        }
        check_times(&at, cache, problems);
    }
    // An upstream's cache is for its GET calls.
    let upstream = blueprint.upstream(&part.upstream);
    let Some(upstream) = upstream.filter(|_| part.method == Method::Get) else {
        return;
    };
    // A forwarded header of an upstream that caches is reported there.
    let own = part
        .cache
        .as_ref()
        .map(|cache| (cache, forwarded(upstream)));
    let Some((cache, forwarded)) = own.or(upstream.cache.as_ref().map(|cache| (cache, None)))
    else {
        return;
    };
    if cache.per_identity {
        return;
    }
    if let Some(name) = forwarded {
        say_so(at, &format!("calls carry the caller's `{name}`"), problems);
    } else if let Some(name) = read_from_caller(part, view) {
        say_so(
            at,
            &format!("the call carries `{name}` of its caller"),
            problems,
        );
    }
}

fn say_so(at: String, why: &str, problems: &mut Problems) {
    let message = format!("{why}, and the cache does not say that it keeps callers apart");
    let help = "say it with `per_identity`, which makes an entry for each; or do not send it";
    problems.add(at, message, help);
}

/// A header of the client's that is passed on and may tell users apart.
fn forwarded(upstream: &Upstream) -> Option<&str> {
    let mut names = upstream.forward_headers.iter().map(String::as_str);
    names.find(|name| !TRACE.iter().any(|trace| trace.eq_ignore_ascii_case(name)))
}

/// What a call's templates read of its caller: a header parameter, or a header with any value.
fn read_from_caller<'a>(part: &'a Part, view: &'a View) -> Option<&'a str> {
    let filled = |piece: &Piece| !matches!(piece, Piece::Text(_));
    let header = part
        .headers
        .iter()
        .find(|header| header.value.iter().any(filled));
    let query = part.query.iter().flat_map(|entry| &entry.value);
    let from_header = |parameter: &&Parameter| parameter.location == ParameterIn::Header;
    let read = part.path.iter().chain(query).find_map(|piece| {
        let Piece::Parameter(name) = piece else {
            return None;
        };
        let mut headers = view.parameters.iter().filter(from_header);
        headers.find(|parameter| parameter.name == *name)
    });
    header
        .map(|header| header.name.as_str())
        .or(read.map(|parameter| parameter.name.as_str()))
}

fn check_times(path: &str, cache: &CacheParams, problems: &mut Problems) {
    if !(TIME_MIN_MS..=TIME_MAX_MS).contains(&cache.ttl_ms) {
        let message = format!("{} ms is no time to keep an answer for", cache.ttl_ms);
        let help = "above 0, at most a day; without a cache leave it out";
        problems.add(format!("{path}.ttl_ms"), message, help);
        return;
    }
    for (name, time) in [
        ("stale_ms", cache.stale_ms),
        ("stale_if_error_ms", cache.stale_if_error_ms),
        ("negative_ms", cache.negative_ms),
    ] {
        if let Some(time) = time.filter(|time| !(0.0..=TIME_MAX_MS).contains(time)) {
            let message = format!("{time} ms is no time to serve an answer for");
            problems.add(format!("{path}.{name}"), message, "0 (never) to a day");
            return;
        }
    }
    let stale = cache.stale_ms.unwrap_or(cache.ttl_ms);
    if let Some(time) = cache
        .stale_if_error_ms
        .filter(|time| *time != 0.0 && *time < stale)
    {
        let message =
            format!("{time} ms after a failure says nothing: {stale} ms are served stale anyhow");
        let help = "raise stale_if_error_ms, lower stale_ms, or say 0";
        problems.add(format!("{path}.stale_if_error_ms"), message, help);
    }
    if let Some(time) = cache.negative_ms.filter(|time| *time > cache.ttl_ms) {
        let message = format!(
            "that a thing is missing is believed for {time} ms, what is there for {} ms",
            cache.ttl_ms
        );
        let help = "lower negative_ms to at most ttl_ms";
        problems.add(format!("{path}.negative_ms"), message, help);
    }
}

pub(super) fn check_otherwise(
    path: &str,
    part: &Part,
    view: &View,
    blueprint: &Blueprint,
    problems: &mut Problems,
) {
    let Some(other) = &part.otherwise else {
        return;
    };
    let at = format!("{path}.otherwise");
    if part.strength == Strength::Strong {
        let message = "a strong part has nothing that stands in for it";
        problems.add(at, message, "make the part weak, or leave out `otherwise`");
        return;
    }
    if part.each.is_some() {
        let message = "the items of a list have nothing that stands in for them";
        problems.add(at, message, "leave out `each` or `otherwise`");
        return;
    }
    if other.upstream == part.upstream {
        let message = format!("`{}` stands in for itself", other.upstream);
        let help = "name another upstream; asking the same one again is its `retry`";
        problems.add(format!("{at}.upstream"), message, help);
        return;
    }
    if blueprint.upstream(&other.upstream).is_none() {
        let message = format!("there is no upstream `{}`", other.upstream);
        let known = blueprint.upstreams.iter().map(|one| one.name.as_str());
        problems.add(format!("{at}.upstream"), message, listed(known));
        return;
    }
    let stand_in = part.stand_in(other);
    template::check_templates(&at, &stand_in, view, problems);
    check_part(&at, &stand_in, view, blueprint, problems);
}
