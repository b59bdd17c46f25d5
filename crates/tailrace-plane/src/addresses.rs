//! Where an upstream is now: its origins, what their names answered, and what is known of each
//! address.
//!
//! The failure prevented is a change of addresses that forgets what was learned: names resolve anew
//! every few seconds, and limits change while the service runs, yet an address that stays keeps its
//! load statistics and its breaker (ALGORITHMS 9). All this happens off the request path; a worker
//! notices by one load per call and keeps its own reference. Every revision of the configuration
//! shares one of these per upstream.

use crate::attempt::common_lines;
use crate::clock;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tailrace_policy::balance::Endpoint;
use tailrace_policy::breaker::{self, Breaker};

/// One resolved address and the request-line parts that go with it.
#[derive(Debug, Clone)]
pub struct Address {
    pub socket: SocketAddr,
    /// `Host` as configured.
    pub authority: Arc<str>,
    /// What every request has behind its target, `Host` among it.
    pub lines: Arc<str>,
    /// Base path without a trailing slash; usually empty.
    pub base: Arc<str>,
}

impl Address {
    pub fn new(socket: SocketAddr, origin: &Origin) -> Self {
        Self {
            socket,
            authority: origin.authority.clone(),
            lines: origin.lines.clone(),
            base: origin.base.clone(),
        }
    }

    fn same_as(&self, other: &Self) -> bool {
        self.socket == other.socket && self.lines == other.lines && self.base == other.base
    }
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub host: String,
    pub port: u16,
    pub authority: Arc<str>,
    pub lines: Arc<str>,
    pub base: Arc<str>,
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
            lines: common_lines(authority).into(),
            base: base.trim_end_matches('/').into(),
        })
    }
}

/// An origin and its last good answer.
type Learned = Vec<(Origin, Vec<Address>)>;

#[derive(Debug)]
struct Known {
    learned: Learned,
    breaker: Option<breaker::Params>,
    set: Arc<AddressSet>,
}

#[derive(Debug)]
pub struct Addresses {
    known: Mutex<Known>,
    version: AtomicU64,
}

impl Addresses {
    pub fn new(origins: &[Origin], breaker: Option<breaker::Params>) -> Self {
        Self {
            known: Mutex::new(Known {
                learned: unanswered(origins),
                breaker,
                set: Arc::default(),
            }),
            version: AtomicU64::new(0),
        }
    }

    /// Rises with every change of the set.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub fn set(&self) -> Arc<AddressSet> {
        Arc::clone(&self.lock().set)
    }

    /// Keeps what the name of `origin` answered, while that origin is in use.
    pub fn learn(&self, origin: &Origin, addresses: Vec<Address>) {
        let mut known = self.lock();
        let found = known.learned.iter_mut().find(|(one, _)| one == origin);
        if let Some((_, last)) = found {
            *last = addresses;
        }
    }

    /// Uses all that is known, in the order of the origins. Nothing known is ignored: the last good
    /// answer is better than none.
    pub fn publish(&self) {
        self.replace(&mut self.lock());
    }

    /// Other origins than before, with what their names answered; those that stay and did not
    /// answer keep their last good answer.
    pub fn relocate(&self, origins: &[Origin], answers: Learned) {
        let mut known = self.lock();
        let before = std::mem::replace(&mut known.learned, unanswered(origins));
        for (origin, addresses) in before.into_iter().chain(answers) {
            let found = known.learned.iter_mut().find(|(one, _)| *one == origin);
            if let Some((_, last)) = found {
                *last = addresses;
            }
        }
        self.replace(&mut known);
    }

    /// Other limits of ejection: what is known of each address stays.
    pub fn eject_by(&self, breaker: Option<breaker::Params>) {
        let mut known = self.lock();
        if known.breaker == breaker {
            return;
        }
        known.breaker = breaker;
        let old = &known.set;
        let breakers = breaker.map_or_else(Vec::new, |params| {
            let one = |index: usize| match old.breakers.get(index) {
                Some(breaker) => breaker.renewed(params),
                None => Breaker::new(params),
            };
            (0..old.addresses.len()).map(one).collect()
        });
        known.set = Arc::new(AddressSet {
            addresses: old.addresses.clone(),
            endpoints: old.endpoints.clone(),
            breakers,
        });
        self.version.fetch_add(1, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, known: &mut Known) {
        let answers = known.learned.iter();
        let addresses: Vec<Address> = answers.flat_map(|(_, last)| last.clone()).collect();
        let old = &known.set;
        let same = old.addresses.len() == addresses.len()
            && old
                .addresses
                .iter()
                .zip(&addresses)
                .all(|(a, b)| a.same_as(b));
        if same || addresses.is_empty() {
            return;
        }
        let stays = |address: &Address| old.addresses.iter().position(|one| one.same_as(address));
        let endpoints = addresses.iter().map(|address| match stays(address) {
            Some(index) => Arc::clone(&old.endpoints[index]),
            None => Arc::new(Endpoint::joining(&old.endpoints, clock::now())),
        });
        let endpoints = endpoints.collect();
        let breakers = known.breaker.map_or_else(Vec::new, |params| {
            let breaker = |address| match stays(address) {
                Some(index) => Arc::clone(&old.breakers[index]),
                None => Breaker::new(params),
            };
            addresses.iter().map(breaker).collect()
        });
        known.set = Arc::new(AddressSet {
            addresses,
            endpoints,
            breakers,
        });
        self.version.fetch_add(1, Ordering::Release);
    }
}

fn unanswered(origins: &[Origin]) -> Learned {
    let origins = origins.iter();
    origins.map(|origin| (origin.clone(), Vec::new())).collect()
}

#[cfg(test)]
mod tests {
    use super::{Address, Addresses, Origin};
    use std::sync::Arc;
    use tailrace_policy::breaker::{Params, State};
    use tailrace_policy::outcome::Outcome;

    fn origins() -> Vec<Origin> {
        ["http://users:9002/v1/", "http://more:80"]
            .map(|text| Origin::parse(text).unwrap())
            .to_vec()
    }

    fn address(last: u8) -> Address {
        let origin = Origin::parse("http://users:80").unwrap();
        Address::new(([127, 0, 0, last], 80).into(), &origin)
    }

    fn publish(addresses: &Addresses, origin: &Origin, last: &[u8]) {
        addresses.learn(origin, last.iter().map(|one| address(*one)).collect());
        addresses.publish();
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
        let (origins, addresses) = (origins(), Addresses::new(&origins(), None));
        publish(&addresses, &origins[0], &[1, 2]);
        let before = addresses.set();
        publish(&addresses, &origins[0], &[2, 3]);
        let after = addresses.set();
        assert!(Arc::ptr_eq(&before.endpoints[1], &after.endpoints[0]));
        assert!(!Arc::ptr_eq(&before.endpoints[1], &after.endpoints[1]));
    }

    #[test]
    fn an_empty_answer_keeps_the_last_good_one_and_an_equal_one_changes_nothing() {
        let (origins, addresses) = (origins(), Addresses::new(&origins(), None));
        publish(&addresses, &origins[0], &[1]);
        let version = addresses.version();
        publish(&addresses, &origins[0], &[]);
        publish(&addresses, &origins[0], &[1]);
        assert_eq!(addresses.version(), version);
        assert_eq!(addresses.set().addresses.len(), 1);
    }

    // Live configuration: what is known of an address outlives limits and neighbours.
    #[test]
    fn other_limits_and_other_origins_keep_breakers_and_statistics() {
        let origins = origins();
        let addresses = Addresses::new(&origins, Some(Params::default()));
        publish(&addresses, &origins[0], &[1, 2]);
        publish(&addresses, &origins[1], &[3]);
        let before = addresses.set();
        for _ in 0..7 {
            let guard = before.breakers[1].admit(0).unwrap();
            guard.settle(0, Outcome::Failed, 1, 0);
        }
        let version = addresses.version();
        addresses.eject_by(Some(Params::default()));
        assert_eq!(addresses.version(), version, "nothing changed");
        let params = Params {
            consecutive: 3,
            ..Params::default()
        };
        addresses.eject_by(Some(params));
        let after = addresses.set();
        assert!(addresses.version() > version);
        assert_eq!(after.breakers[1].state(), State::Open);
        assert_eq!(after.breakers[0].state(), State::Closed);
        assert!(Arc::ptr_eq(&before.endpoints[1], &after.endpoints[1]));

        // One origin leaves, another comes; the one that stays was not asked again.
        let other = Origin::parse("http://other:80").unwrap();
        let kept = [origins[0].clone(), other.clone()];
        addresses.relocate(&kept, vec![(other, vec![address(9)])]);
        let moved = addresses.set();
        let last = moved.addresses.iter().map(|one| one.socket.to_string());
        let last: Vec<_> = last.collect();
        assert_eq!(last, ["127.0.0.1:80", "127.0.0.2:80", "127.0.0.9:80"]);
        assert_eq!(moved.breakers[1].state(), State::Open);
        // An answer for an origin that has left is too late.
        addresses.learn(&origins[1], vec![address(3)]);
        addresses.publish();
        assert_eq!(addresses.set().addresses.len(), 3);
        addresses.eject_by(None);
        assert!(addresses.set().breakers.is_empty());
    }
}
