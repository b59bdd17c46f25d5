//! Rates that are declared: what has been spent of them, and what replies say of them.
//!
//! The failure prevented is a change of limits that gives everybody a new burst: what was spent is
//! shared by all revisions of the configuration, so a rate that is changed counts on. What is
//! declared here is a value; nothing of it is seen by requests before `take_effect`.

use super::caller::Caller;
use super::refusal::{Limit, Refusal};
use super::rules::Rules;
use super::Passed;
use crate::program::View;
use crate::worker::Worker;
use std::io::Write;
use std::sync::Arc;
use tailrace_policy::keyed::Keyed;
use tailrace_policy::rate::{Allowed, Params, Rate, RateExceeded};
use tailrace_policy::rate_headers::{LimitValue, PolicyValue};
use tailrace_policy::Nanos;

/// The rate of one key: a view or an upstream.
#[derive(Debug)]
pub struct Limited {
    pub params: Params,
    pub spent: Arc<Rate>,
}

impl Limited {
    pub fn new(params: Params, before: Option<&Self>) -> Self {
        let known = before.map(|before| Arc::clone(&before.spent));
        Self {
            params,
            spent: known.unwrap_or_else(|| Arc::new(Rate::new(params))),
        }
    }

    pub fn take_effect(&self) {
        self.spent.set(self.params);
    }
}

/// The same rate for each of many clients.
#[derive(Debug)]
pub struct ClientRate {
    pub params: Params,
    pub clients: Arc<Keyed>,
}

impl ClientRate {
    /// The table of clients keeps the size it began with.
    pub fn new(params: Params, clients_max: usize, before: Option<&Self>) -> Self {
        let known = before.map(|before| Arc::clone(&before.clients));
        Self {
            params,
            clients: known.unwrap_or_else(|| Arc::new(Keyed::new(params, clients_max))),
        }
    }

    pub fn take_effect(&self) {
        self.clients.set(self.params);
    }
}

/// The name of a client's limit in its header.
const CLIENT_LIMIT: &str = "client";

/// The header line that says which rates a view's requests are held to.
pub fn rate_lines(rules: &Rules, view: &View) -> Vec<u8> {
    let client = rules.rate.as_ref().map(|rate| PolicyValue {
        name: CLIENT_LIMIT,
        params: rate.params,
    });
    let route = view.rate.as_ref().map(|rate| PolicyValue {
        name: &view.limit_name,
        params: rate.params,
    });
    let values: Vec<_> = [client, route]
        .iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    if values.is_empty() {
        return Vec::new();
    }
    format!("ratelimit-policy: {}\r\n", values.join(", ")).into_bytes()
}

/// Asks the declared rates, and notes for the reply what they said.
pub fn check_rates(
    worker: &Worker,
    view: usize,
    caller: &Caller<'_>,
    now: Nanos,
    passed: &mut Passed,
) -> Result<(), Refusal> {
    let (rules, view) = (&worker.program.admission, &worker.program.views[view]);
    if view.rate_lines.is_empty() {
        return Ok(());
    }
    let client = rules.rate.as_ref();
    let client = client.map(|rate| rate.clients.check(caller.name(), now, 1));
    let refused = matches!(client, Some(Err(_)));
    let route = view.rate.as_ref().filter(|_| !refused);
    let route = route.map(|rate| rate.spent.check(now, 1));
    let lines = &mut passed.lines;
    lines.extend_from_slice(&view.rate_lines);
    lines.extend_from_slice(b"ratelimit: ");
    let name = &view.limit_name;
    let said = [
        (CLIENT_LIMIT, Limit::ClientRate, client),
        (name, Limit::RouteRate, route),
    ];
    let mut first = true;
    let mut outcome = Ok(());
    for (name, limit, answer) in said {
        let Some(answer) = answer else { continue };
        lines.extend_from_slice(if first { b"" } else { b", " });
        first = false;
        // Writing to a vector does not fail.
        write!(lines, "{}", told(name, answer)).ok();
        if let Err(refused) = answer {
            let wait = refused.retry_after;
            outcome = Err(Refusal { limit, wait });
        }
    }
    lines.extend_from_slice(b"\r\n");
    outcome
}

fn told(name: &str, answer: Result<Allowed, RateExceeded>) -> LimitValue<'_> {
    match answer {
        Ok(allowed) => LimitValue::allowed(name, allowed),
        Err(refused) => LimitValue::refused(name, refused),
    }
}
