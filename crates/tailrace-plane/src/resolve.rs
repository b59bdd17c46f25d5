//! Names to addresses, off the request path.
//!
//! The system's resolver answers (so `/etc/hosts` and search domains behave as everywhere else),
//! all its addresses are used, it is asked again every few seconds, and the last good answer of
//! each name is kept when it fails. A call never waits for a name.

use crate::shared::Shared;
use crate::upstream::{Address, Origin, Upstream};
use std::io;
use std::net::ToSocketAddrs;
use std::sync::atomic::Ordering;

/// Resolves every upstream once, blocking; returns the names that did not resolve.
pub fn resolve_all(shared: &Shared) -> Vec<String> {
    let mut failed = Vec::new();
    for upstream in &shared.program().upstreams {
        let unresolved = resolve(upstream, lookup);
        shared
            .resolve_failures
            .fetch_add(unresolved.len() as u64, Ordering::Relaxed);
        failed.extend(unresolved);
    }
    failed
}

fn resolve(
    upstream: &Upstream,
    lookup: impl Fn(&Origin) -> io::Result<Vec<Address>>,
) -> Vec<String> {
    let mut failed = Vec::new();
    for origin in &upstream.origins {
        match lookup(origin) {
            Ok(found) if !found.is_empty() => upstream.known.learn(origin, found),
            Ok(_) => failed.push(format!(
                "{}: {} (the name has no address)",
                upstream.name, origin.authority
            )),
            Err(error) => failed.push(format!("{}: {} ({error})", upstream.name, origin.authority)),
        }
    }
    // Once for all names: the union of the last good answers, so that a name that fails keeps its
    // addresses and holds nobody else's.
    upstream.known.publish();
    failed
}

/// What the names of `origins` answer, blocking; the first that does not is an error.
pub fn look_up(origins: &[Origin]) -> Result<Vec<(Origin, Vec<Address>)>, String> {
    let one = |origin: &Origin| match lookup(origin) {
        Ok(found) if !found.is_empty() => Ok((origin.clone(), found)),
        Ok(_) => Err(format!("{} has no address", origin.authority)),
        Err(error) => Err(format!("{} does not resolve: {error}", origin.authority)),
    };
    origins.iter().map(one).collect()
}

fn lookup(origin: &Origin) -> io::Result<Vec<Address>> {
    let mut sockets: Vec<_> = (origin.host.as_str(), origin.port)
        .to_socket_addrs()?
        .collect();
    sockets.sort_unstable();
    sockets.dedup();
    let address = |socket| Address::new(socket, origin);
    Ok(sockets.into_iter().map(address).collect())
}

/// True when no name has to be looked up, so that there is nothing to refresh.
pub fn only_literals(shared: &Shared) -> bool {
    let literal = |origin: &Origin| origin.host.parse::<std::net::IpAddr>().is_ok();
    shared
        .program()
        .upstreams
        .iter()
        .all(|upstream| upstream.origins.iter().all(literal))
}

#[cfg(test)]
mod tests {
    use super::resolve;
    use crate::upstream::{Address, Origin, Upstream};
    use std::io;
    use tailrace_blueprint as blueprint;

    fn upstream() -> Upstream {
        let declared = blueprint::Upstream {
            name: "users".to_owned(),
            addresses: vec!["http://a:80".to_owned(), "http://b:80".to_owned()],
            timeout_ms: 60.0,
            bulkhead: blueprint::BulkheadParams {
                limit: 4,
                queue: None,
            },
            forward_headers: Vec::new(),
            body_max_bytes: None,
            retry: None,
            hedge: None,
            breaker: None,
            throttle: None,
            adaptive: None,
            rate: None,
            cache: None,
        };
        Upstream::new(&declared, 1024).unwrap()
    }

    /// A resolver that answers `a` and `b` with these last bytes; nothing: it fails.
    fn answers<'a>(
        a: Option<&'a [u8]>,
        b: Option<&'a [u8]>,
    ) -> impl Fn(&Origin) -> io::Result<Vec<Address>> + 'a {
        move |origin| {
            let answer = if origin.host == "a" { a } else { b };
            let last = answer.ok_or_else(|| io::Error::other("no such host"))?;
            let address = |last: &u8| Address::new(([10, 0, 0, *last], origin.port).into(), origin);
            Ok(last.iter().map(address).collect())
        }
    }

    fn known(upstream: &Upstream) -> Vec<String> {
        let set = upstream.addresses();
        let known = set.addresses.iter();
        known
            .map(|address| address.socket.ip().to_string())
            .collect()
    }

    #[test]
    fn a_name_that_fails_keeps_its_addresses_and_holds_no_other() {
        let upstream = upstream();
        let both = answers(Some(&[1]), Some(&[2]));
        assert!(resolve(&upstream, both).is_empty());
        assert_eq!(known(&upstream), ["10.0.0.1", "10.0.0.2"]);
        let failed = resolve(&upstream, answers(Some(&[3, 4]), None));
        assert_eq!(failed, ["users: b:80 (no such host)"]);
        assert_eq!(known(&upstream), ["10.0.0.3", "10.0.0.4", "10.0.0.2"]);
        // An answer without an address is no better than none.
        let failed = resolve(&upstream, answers(Some(&[]), Some(&[5])));
        assert_eq!(failed, ["users: a:80 (the name has no address)"]);
        assert_eq!(known(&upstream), ["10.0.0.3", "10.0.0.4", "10.0.0.5"]);
    }

    #[test]
    fn a_name_that_never_answered_leaves_the_others_in_use() {
        let upstream = upstream();
        assert_eq!(resolve(&upstream, answers(Some(&[1]), None)).len(), 1);
        assert_eq!(known(&upstream), ["10.0.0.1"]);
        assert_eq!(resolve(&upstream, answers(Some(&[2]), None)).len(), 1);
        assert_eq!(known(&upstream), ["10.0.0.2"]);
        assert!(resolve(&upstream, answers(None, Some(&[7]))).len() == 1);
        assert_eq!(known(&upstream), ["10.0.0.2", "10.0.0.7"]);
    }
}
