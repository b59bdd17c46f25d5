//! What the whole process shares about one upstream: its bulkhead (req 4.4) and its addresses.
//!
//! The addresses change when names resolve anew, off the request path; a worker notices by one
//! relaxed load per call and keeps its own reference. An address that stays keeps its statistics:
//! re-resolving must not reset what was learned (ALGORITHMS 9).

use crate::clock;
use crate::policies::Policies;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tailrace_blueprint as blueprint;
use tailrace_policy::balance::Endpoint;
use tailrace_policy::breaker::Breaker;
use tailrace_policy::bulkhead::{self, Bulkhead};
use tailrace_policy::Nanos;

/// One resolved address and the request-line parts that go with it.
#[derive(Debug, Clone)]
pub struct Address {
    pub socket: SocketAddr,
    /// `Host` as configured.
    pub authority: Arc<str>,
    /// Base path without a trailing slash; usually empty.
    pub base: Arc<str>,
}

/// The addresses in use and, at the same index, their load statistics.
#[derive(Debug, Default, Clone)]
pub struct AddressSet {
    pub addresses: Vec<Address>,
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Empty when addresses are never ejected.
    pub breakers: Vec<Arc<Breaker>>,
}

/// A configured origin, before resolution.
#[derive(Debug, Clone)]
pub struct Origin {
    pub host: String,
    pub port: u16,
    pub authority: Arc<str>,
    pub base: Arc<str>,
}

#[derive(Debug)]
pub struct Upstream {
    pub name: String,
    pub timeout: Nanos,
    pub bulkhead: Arc<Bulkhead>,
    /// What the bulkhead was made with; its limit of now is its own to say.
    pub bulkhead_params: bulkhead::Params,
    pub body_max: u64,
    /// Lower-case names of request headers passed on.
    pub forward_headers: Vec<String>,
    pub origins: Vec<Origin>,
    /// The last good answer of each origin.
    learned: Mutex<Vec<Vec<Address>>>,
    /// Boxed: what they count must not share cache lines with what every call only reads.
    pub policies: Box<Policies>,
    current: Mutex<Arc<AddressSet>>,
    version: AtomicU64,
}

impl Upstream {
    pub fn new(declared: &blueprint::Upstream, body_max: u32) -> Result<Self, String> {
        let origins = declared
            .addresses
            .iter()
            .map(|address| Origin::parse(address))
            .collect::<Result<Vec<_>, _>>()?;
        let limit = declared.bulkhead.limit;
        let policies = Box::new(Policies::new(declared)?);
        let bulkhead_params = bulkhead::Params {
            limit,
            queue: declared.bulkhead.queue.unwrap_or(limit.max(8)),
            ..bulkhead::Params::default()
        };
        let bulkhead = Bulkhead::new(bulkhead_params);
        // An adaptive limit begins where it was told to, not at the bulkhead's.
        if let Some(adaptive) = &policies.adaptive {
            bulkhead.set_limit(adaptive.limit());
        }
        Ok(Self {
            name: declared.name.clone(),
            timeout: clock::from_ms(declared.timeout_ms),
            bulkhead,
            bulkhead_params,
            body_max: u64::from(declared.body_max_bytes.unwrap_or(body_max)),
            forward_headers: declared
                .forward_headers
                .iter()
                .map(|name| name.to_ascii_lowercase())
                .collect(),
            learned: Mutex::new(vec![Vec::new(); origins.len()]),
            origins,
            policies,
            current: Mutex::new(Arc::new(AddressSet::default())),
            version: AtomicU64::new(0),
        })
    }

    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub fn addresses(&self) -> Arc<AddressSet> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps what the name of the origin at `index` answered.
    pub fn learn(&self, index: usize, addresses: Vec<Address>) {
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = learned.get_mut(index) {
            *known = addresses;
        }
    }

    /// Uses all that is known, in the order of the origins.
    pub fn publish_learned(&self) {
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        self.publish(learned.concat());
    }

    /// Replaces the addresses; statistics of those that stay are kept. An empty set is ignored: the
    /// last good answer is better than none.
    pub fn publish(&self, addresses: Vec<Address>) {
        if addresses.is_empty() {
            return;
        }
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let same = current.addresses.len() == addresses.len()
            && current
                .addresses
                .iter()
                .zip(&addresses)
                .all(|(a, b)| a.same_as(b));
        if same {
            return;
        }
        let known = |address: &Address| {
            current
                .addresses
                .iter()
                .position(|old| old.same_as(address))
        };
        let endpoints = addresses.iter().map(|address| match known(address) {
            Some(index) => Arc::clone(&current.endpoints[index]),
            None => Arc::new(Endpoint::joining(&current.endpoints, clock::now())),
        });
        let endpoints = endpoints.collect();
        let breakers = self.policies.breaker.map_or_else(Vec::new, |params| {
            let breaker = |address| match known(address) {
                Some(index) => Arc::clone(&current.breakers[index]),
                None => Breaker::new(params),
            };
            addresses.iter().map(breaker).collect()
        });
        *current = Arc::new(AddressSet {
            addresses,
            endpoints,
            breakers,
        });
        self.version.fetch_add(1, Ordering::Release);
    }
}

impl Address {
    fn same_as(&self, other: &Self) -> bool {
        self.socket == other.socket && self.authority == other.authority && self.base == other.base
    }
}

impl Origin {
    /// Parses `http://host[:port][/base]`, which the blueprint check has accepted already.
    pub fn parse(address: &str) -> Result<Self, String> {
        let rest = address
            .strip_prefix("http://")
            .ok_or_else(|| format!("{address}: only http:// addresses are supported"))?;
        let (authority, base) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                let port = port
                    .parse()
                    .map_err(|_| format!("{address}: bad port {port:?}"))?;
                (host, port)
            }
            _ => (authority, 80),
        };
        if host.is_empty() {
            return Err(format!("{address}: no host"));
        }
        Ok(Self {
            host: host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
            port,
            authority: authority.into(),
            base: base.trim_end_matches('/').into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, Origin, Upstream};
    use std::sync::Arc;
    use tailrace_blueprint as blueprint;

    fn upstream() -> Upstream {
        let declared = blueprint::Upstream {
            name: "users".to_owned(),
            addresses: vec!["http://users:9002/v1/".to_owned()],
            timeout_ms: 60.0,
            bulkhead: blueprint::BulkheadParams {
                limit: 4,
                queue: None,
            },
            forward_headers: vec!["Authorization".to_owned()],
            body_max_bytes: None,
            retry: None,
            hedge: None,
            breaker: None,
            throttle: None,
            adaptive: None,
            rate: None,
        };
        Upstream::new(&declared, 1024).unwrap()
    }

    fn address(last: u8) -> Address {
        Address {
            socket: ([127, 0, 0, last], 80).into(),
            authority: "users:80".into(),
            base: "".into(),
        }
    }

    #[test]
    fn an_origin_keeps_its_authority_and_base() {
        let origin = Origin::parse("http://users:9002/v1/").unwrap();
        assert_eq!((origin.host.as_str(), origin.port), ("users", 9002));
        assert_eq!((&*origin.authority, &*origin.base), ("users:9002", "/v1"));
        let six = Origin::parse("http://[::1]:81").unwrap();
        assert_eq!((six.host.as_str(), six.port), ("::1", 81));
        assert_eq!(Origin::parse("http://users").unwrap().port, 80);
        assert!(Origin::parse("https://users").is_err());
    }

    #[test]
    fn resolving_again_keeps_the_statistics_of_addresses_that_stay() {
        let upstream = upstream();
        upstream.publish(vec![address(1), address(2)]);
        let before = upstream.addresses();
        upstream.publish(vec![address(2), address(3)]);
        let after = upstream.addresses();
        assert!(Arc::ptr_eq(&before.endpoints[1], &after.endpoints[0]));
        assert!(!Arc::ptr_eq(&before.endpoints[1], &after.endpoints[1]));
    }

    #[test]
    fn an_empty_answer_keeps_the_last_good_one_and_an_equal_one_changes_nothing() {
        let upstream = upstream();
        upstream.publish(vec![address(1)]);
        let version = upstream.version();
        upstream.publish(vec![]);
        upstream.publish(vec![address(1)]);
        assert_eq!(upstream.version(), version);
        assert_eq!(upstream.addresses().addresses.len(), 1);
    }
}
