//! Who asks: the client a rate is kept for, and what its request is worth.
//!
//! The failure prevented is a limit that its target can step around, and a priority that anybody
//! can give himself (RELIABILITY S27). What a request says about its client or its worth counts
//! only when it comes from a declared network; otherwise the client is the address of the
//! connection and the worth is the route's. Of `X-Forwarded-For` the rightmost address that is not
//! trusted counts: what stands left of it was written by that address itself.
//!
//! Limits: an IPv6 client is its network of 64 bits, for one host has all addresses of it. Hops
//! beyond the thirty-second are not looked at. Clients behind one address share its rate.

use crate::h1::RequestHead;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use tailrace_policy::shed::level::{self, Class, Level};
use tailrace_policy::Nanos;

use super::rules::Rules;

/// What a trusted peer says the request is worth; also sent with each call (ALGORITHMS 10).
pub const PRIORITY: &str = "tailrace-priority";
const FORWARDED_FOR: &[u8] = b"x-forwarded-for";
const HOPS_MAX: usize = 32;
const LINES_MAX: usize = 4;

/// What a client is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Client {
    Address,
    Header(String),
}

impl Client {
    pub fn parse(declared: &str) -> Self {
        let header = declared.strip_prefix("header:");
        header.map_or(Self::Address, |name| {
            Self::Header(name.to_ascii_lowercase())
        })
    }

    /// The name of a client as `Caller` will have it.
    pub fn name(&self, declared: &str) -> Vec<u8> {
        match declared.parse::<IpAddr>() {
            Ok(address) if *self == Self::Address => key(address).to_vec(),
            _ => declared.as_bytes().to_vec(),
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("address"),
            Self::Header(name) => write!(f, "header:{name}"),
        }
    }
}

/// Addresses that share a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    bits: u128,
    mask: u128,
}

impl Network {
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (address, length) = tailrace_blueprint::parse_network(text)?;
        let length = u32::from(length) + if address.is_ipv4() { 96 } else { 0 };
        let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
        Ok(Self {
            bits: mapped(address),
            mask,
        })
    }

    /// Whether it has this address.
    fn holds(self, address: IpAddr) -> bool {
        mapped(address) & self.mask == self.bits
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, length) = (
            IpAddr::from(self.bits.to_be_bytes()),
            self.mask.leading_ones(),
        );
        match address.to_canonical() {
            IpAddr::V4(four) if length >= 96 => write!(f, "{four}/{}", length - 96),
            _ => write!(f, "{address}/{length}"),
        }
    }
}

/// Every address as one of 128 bits; IPv4 in its mapped form.
fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(four) => u128::from(four.to_ipv6_mapped()),
        IpAddr::V6(six) => u128::from(six),
    }
}

/// The client an address stands for.
fn key(address: IpAddr) -> [u8; 16] {
    let bits = mapped(address);
    match address.to_canonical() {
        IpAddr::V4(_) => bits.to_be_bytes(),
        IpAddr::V6(_) => (bits >> 64 << 64).to_be_bytes(),
    }
}

/// The other end of a connection; looked at once, when it is accepted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Peer {
    key: [u8; 16],
    hash: u64,
    trusted: bool,
}

impl Peer {
    pub fn new(rules: &Rules, hasher: &RandomState, address: IpAddr) -> Self {
        let key = key(address);
        Self {
            key,
            hash: hasher.hash_one(key),
            trusted: trusts(rules, address),
        }
    }
}

fn trusts(rules: &Rules, address: IpAddr) -> bool {
    rules.trusted.iter().any(|network| network.holds(address))
}

/// A request's client.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    name: Name<'a>,
    /// None: a proxy that does not say whom it asks for.
    hash: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
enum Name<'a> {
    Address([u8; 16]),
    Said(&'a [u8]),
}

impl<'a> Caller<'a> {
    pub fn identify(
        rules: &Rules,
        hasher: &RandomState,
        peer: &Peer,
        head: &RequestHead,
        input: &'a [u8],
    ) -> Self {
        if !peer.trusted {
            return Self {
                name: Name::Address(peer.key),
                hash: Some(peer.hash),
            };
        }
        if let Client::Header(name) = &rules.client {
            let said = head.header(input, name);
            if let Some(said) = said.filter(|value| !value.is_empty()) {
                return Self {
                    name: Name::Said(said),
                    hash: Some(hasher.hash_one(said)),
                };
            }
        }
        match forwarded(rules, head, input) {
            Some(address) => {
                let key = key(address);
                Self {
                    name: Name::Address(key),
                    hash: Some(hasher.hash_one(key)),
                }
            }
            None => Self {
                name: Name::Address(peer.key),
                hash: None,
            },
        }
    }

    pub fn name(&self) -> &[u8] {
        match &self.name {
            Name::Address(key) => key,
            Name::Said(name) => name,
        }
    }
}

/// The rightmost address of `X-Forwarded-For` that is not trusted itself; the leftmost when all
/// are.
fn forwarded(rules: &Rules, head: &RequestHead, input: &[u8]) -> Option<IpAddr> {
    let mut found = None;
    let mut lines = [&[][..]; LINES_MAX];
    let mut count = 0;
    for (name, value) in head.headers(input) {
        if name.eq_ignore_ascii_case(FORWARDED_FOR) {
            // More lines than these are no proxy's: the last ones are the nearest.
            if count == LINES_MAX {
                lines.rotate_left(1);
                count -= 1;
            }
            count += 1;
            lines[count - 1] = value;
        }
    }
    let lines = lines[..count].iter().rev();
    let hops = lines.flat_map(|line| line.rsplit(|byte| *byte == b','));
    for hop in hops.take(HOPS_MAX) {
        let Some(address) = address(hop.trim_ascii()) else {
            // What a hop wrote that is no address says nothing about those before it.
            break;
        };
        found = Some(address);
        if !trusts(rules, address) {
            break;
        }
    }
    found
}

/// An address, possibly with a port behind it.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let plain = text.parse::<IpAddr>().ok();
    plain.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))
}

/// What a request is worth, and whether that should travel with its calls.
#[derive(Debug, Clone, Copy)]
pub struct Worth {
    pub level: Level,
    /// Somebody said more than nothing: header, client or route.
    pub told: bool,
    /// The request named a priority that did not count.
    pub ignored: bool,
}

impl Worth {
    /// Peer's word, then the client's own, then the route's.
    pub fn of(
        rules: &Rules,
        peer: &Peer,
        caller: &Caller<'_>,
        route: Class,
        said: Option<&[u8]>,
        now: Nanos,
        draw: impl FnOnce() -> u64,
    ) -> Self {
        let hash = caller.hash.unwrap_or_else(draw);
        if peer.trusted {
            if let Some((class, cohort)) = said.and_then(level::parse) {
                let own = || Level::of(class, hash, now);
                return Self {
                    level: cohort.map_or_else(own, |cohort| Level::new(class, cohort)),
                    told: true,
                    ignored: false,
                };
            }
        }
        let own = if rules.priorities.is_empty() {
            None
        } else {
            rules.priorities.get(caller.name()).copied()
        };
        let class = own.unwrap_or(route);
        Self {
            level: Level::of(class, hash, now),
            told: class != Class::default(),
            ignored: said.is_some(),
        }
    }
}

#[cfg(test)]
mod tests;
