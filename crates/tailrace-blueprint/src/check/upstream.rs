//! Upstreams: an address that can be connected to, and bounds that let calls through.
//!
//! The failure prevented is an upstream that only turns out unusable at its first call. Names are
//! resolved by the plane, not here: a name that does not resolve yet is no mistake of the
//! blueprint.

use super::{admission, attempts, cache, guards, header, Problems};
use crate::Upstream;
use std::net::Ipv6Addr;

const EXAMPLE: &str = "an address is `http://host:port` or `http://host:port/base`";

pub(super) fn check_upstreams(upstreams: &[Upstream], problems: &mut Problems) {
    let names = upstreams.iter().map(|upstream| upstream.name.as_str());
    problems.check_names("upstreams", "upstream", names);
    for (index, upstream) in upstreams.iter().enumerate() {
        check_upstream(&format!("upstreams[{index}]"), upstream, problems);
    }
}

fn check_upstream(path: &str, upstream: &Upstream, problems: &mut Problems) {
    if upstream.addresses.is_empty() {
        problems.add(
            format!("{path}.addresses"),
            "the upstream has no address",
            EXAMPLE,
        );
    }
    for (index, address) in upstream.addresses.iter().enumerate() {
        if let Err(reason) = check_address(address) {
            let message = format!("the address `{}` {reason}", without_credentials(address));
            problems.add(format!("{path}.addresses[{index}]"), message, EXAMPLE);
        }
    }
    problems.check_duration(format!("{path}.timeout_ms"), upstream.timeout_ms);
    problems.check_positive(
        format!("{path}.bulkhead.limit"),
        u64::from(upstream.bulkhead.limit),
    );
    attempts::check_upstream(path, upstream, problems);
    guards::check_upstream(path, upstream, problems);
    if let Some(rate) = &upstream.rate {
        admission::check_rate(&format!("{path}.rate"), rate, problems);
    }
    cache::check_upstream(path, upstream, problems);
    if let Some(bytes) = upstream.body_max_bytes {
        problems.check_positive(format!("{path}.body_max_bytes"), u64::from(bytes));
    }
    for (index, name) in upstream.forward_headers.iter().enumerate() {
        header::check_sent(&format!("{path}.forward_headers[{index}]"), name, problems);
    }
}

/// `http://host[:port][/base]`, and nothing else of what a URL may hold.
pub(super) fn check_address(address: &str) -> Result<(), &'static str> {
    let rest = address
        .strip_prefix("http://")
        .ok_or("does not start with `http://`")?;
    if rest
        .bytes()
        .any(|byte| !byte.is_ascii_graphic() || b"?#{}\\\"<>".contains(&byte))
    {
        return Err("has a query, a fragment or a character that is not allowed in it");
    }
    let (authority, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err("carries credentials; send them as a header");
    }
    if base.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err("has a dot segment in its base path");
    }
    check_authority(authority)
}

fn check_authority(authority: &str) -> Result<(), &'static str> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or("has no usable host")?;
        host.parse::<Ipv6Addr>().map_err(|_| "has no usable host")?;
        let port = match after.strip_prefix(':') {
            Some(port) => Some(port),
            None if after.is_empty() => None,
            None => return Err("has no usable port"),
        };
        ("v6", port)
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if host.is_empty() || !host.bytes().all(legal) {
        return Err("has no usable host");
    }
    // Digits first: a number's own parser would take a sign.
    let usable = |port: &str| {
        port.bytes().all(|byte| byte.is_ascii_digit())
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    if port.is_some_and(|port| !usable(port)) {
        return Err("has no usable port");
    }
    Ok(())
}

/// The address as a message may show it: a password in it must not reach a log.
pub(super) fn without_credentials(address: &str) -> String {
    let start = address.find("//").map_or(0, |at| at + 2);
    let (scheme, rest) = address.split_at(start);
    let (authority, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}***@{host}{base}"),
        None => address.to_owned(),
    }
}
