//! One upstream under one revision of the configuration: its limits, and what the whole process
//! shares about it (req 4.4).
//!
//! Limits are values that never change; a change of configuration makes a new `Upstream` over the
//! same bulkhead, the same addresses and the same policies' memory (`renewed`), so that a request
//! keeps the limits it began with and nothing that was learned is reset.

pub use crate::addresses::{Address, AddressSet, Origin};

use crate::addresses::Addresses;
use crate::admission::limited::Limited;
use crate::cache::key::TRACE;
use crate::clock;
use crate::policies::Policies;
use std::sync::Arc;
use tailrace_blueprint as blueprint;
use tailrace_policy::adaptive_limit::AdaptiveLimit;
use tailrace_policy::bulkhead::{self, Bulkhead};
use tailrace_policy::Nanos;

#[derive(Debug)]
pub struct Upstream {
    pub name: String,
    pub timeout: Nanos,
    pub bulkhead: Arc<Bulkhead>,
    /// What the bulkhead is declared with; its limit of now is its own to say.
    pub bulkhead_params: bulkhead::Params,
    pub body_max: u64,
    /// Lower-case names of request headers passed on.
    pub forward_headers: Vec<String>,
    pub origins: Vec<Origin>,
    /// Boxed: what they count must not share cache lines with what every call only reads.
    pub policies: Box<Policies>,
    pub known: Arc<Addresses>,
}

impl Upstream {
    pub fn new(declared: &blueprint::Upstream, body_max: u32) -> Result<Self, String> {
        Self::over(None, declared, body_max)
    }

    /// The same upstream under other limits. Nothing of it is seen before `take_effect`.
    pub fn renewed(&self, declared: &blueprint::Upstream, body_max: u32) -> Result<Self, String> {
        Self::over(Some(self), declared, body_max)
    }

    fn over(
        before: Option<&Self>,
        declared: &blueprint::Upstream,
        body_max: u32,
    ) -> Result<Self, String> {
        let origins = declared.addresses.iter();
        let origins = origins.map(|address| Origin::parse(address));
        let origins = origins.collect::<Result<Vec<_>, _>>()?;
        let policies = Policies::new(declared, before.map(|before| &*before.policies))?;
        let limit = declared.bulkhead.limit;
        let bulkhead_params = bulkhead::Params {
            limit,
            queue: declared.bulkhead.queue.unwrap_or(limit.max(8)),
            ..bulkhead::Params::default()
        };
        // Of a trace each call has a line of its own (`trace`).
        let own = |name: &&String| !TRACE.iter().any(|one| one.eq_ignore_ascii_case(name));
        let forward_headers = declared.forward_headers.iter().filter(own);
        let made = Self {
            name: declared.name.clone(),
            timeout: clock::from_ms(declared.timeout_ms),
            bulkhead: before.map_or_else(
                || Bulkhead::new(bulkhead_params),
                |before| Arc::clone(&before.bulkhead),
            ),
            bulkhead_params,
            body_max: u64::from(declared.body_max_bytes.unwrap_or(body_max)),
            forward_headers: forward_headers
                .map(|name| name.to_ascii_lowercase())
                .collect(),
            known: before.map_or_else(
                || Arc::new(Addresses::new(&origins, policies.breaker)),
                |before| Arc::clone(&before.known),
            ),
            origins,
            policies: Box::new(policies),
        };
        if before.is_none() {
            made.take_effect();
        }
        Ok(made)
    }

    /// Declares these limits to what all revisions share.
    pub fn take_effect(&self) {
        let params = &self.bulkhead_params;
        self.bulkhead.adjust(params.limit, params.queue);
        // An adaptive limit begins where it was told to, not at the bulkhead's.
        let adaptive = self.policies.adaptive.as_ref();
        self.bulkhead.adapt(adaptive.map(AdaptiveLimit::limit));
        self.known.eject_by(self.policies.breaker);
        self.policies.rate.iter().for_each(Limited::take_effect);
    }

    pub fn version(&self) -> u64 {
        self.known.version()
    }

    pub fn addresses(&self) -> Arc<AddressSet> {
        self.known.set()
    }
}
