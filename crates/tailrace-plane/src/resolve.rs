//! Names to addresses, off the request path.
//!
//! The system's resolver answers (so `/etc/hosts` and search domains behave as everywhere else),
//! all its addresses are used, it is asked again every few seconds, and the last good answer is
//! kept when it fails. A call never waits for a name.

use crate::shared::Shared;
use crate::upstream::{Address, Origin, Upstream};
use std::net::ToSocketAddrs;
use std::sync::atomic::Ordering;

/// Resolves every upstream once, blocking; returns the names that did not resolve.
pub fn resolve_all(shared: &Shared) -> Vec<String> {
    let mut failed = Vec::new();
    for upstream in &shared.program.upstreams {
        let unresolved = resolve(upstream);
        shared
            .resolve_failures
            .fetch_add(unresolved.len() as u64, Ordering::Relaxed);
        failed.extend(unresolved);
    }
    failed
}

fn resolve(upstream: &Upstream) -> Vec<String> {
    let mut failed = Vec::new();
    let mut addresses = Vec::new();
    for origin in &upstream.origins {
        match lookup(origin) {
            Ok(found) => addresses.extend(found),
            Err(error) => failed.push(format!("{}: {} ({error})", upstream.name, origin.authority)),
        }
    }
    // Part of an answer would look like a shrunk service: publish only when every name resolved, or
    // when there is nothing better yet.
    if failed.is_empty() || upstream.addresses().addresses.is_empty() {
        upstream.publish(addresses);
    }
    failed
}

fn lookup(origin: &Origin) -> std::io::Result<Vec<Address>> {
    let mut sockets: Vec<_> = (origin.host.as_str(), origin.port)
        .to_socket_addrs()?
        .collect();
    sockets.sort_unstable();
    sockets.dedup();
    let address = |socket| Address {
        socket,
        authority: origin.authority.clone(),
        base: origin.base.clone(),
    };
    Ok(sockets.into_iter().map(address).collect())
}

/// True when no name has to be looked up, so that there is nothing to refresh.
pub fn only_literals(shared: &Shared) -> bool {
    let literal = |origin: &Origin| origin.host.parse::<std::net::IpAddr>().is_ok();
    shared
        .program
        .upstreams
        .iter()
        .all(|upstream| upstream.origins.iter().all(literal))
}
