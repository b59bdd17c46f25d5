//! Who is let in: rates, priorities, what happens under pressure (req 9.1a, 9.1c, 9.2).
//!
//! All of it but the rates is on by default, with limits that a service in good health never meets.

use serde::{Deserialize, Serialize};

/// What a request meets before its parameters are read.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admission {
    /// Who a client is: `address`, or `header:<name>` as a trusted peer sends it.
    pub client: String,
    /// Networks whose peers may say who the client is and how important the request is, e.g.
    /// `10.0.0.0/8`. Nobody else's word counts (RELIABILITY S27).
    pub trusted: Vec<String>,
    /// For each client; absent: no limit.
    pub rate: Option<RateParams>,
    /// Clients whose rate is remembered at the same time; the idle ones make room.
    pub clients_max: u32,
    /// Priorities of clients that have one of their own.
    pub priorities: Vec<ClientPriority>,
    /// Calls that the requests in progress may need, over the whole process.
    pub calls_max: u32,
    /// `null`: overload is not met by refusing.
    pub shed: Option<ShedParams>,
    /// `null`: weak parts are never left out.
    pub brownout: Option<BrownoutParams>,
    /// `null`: a request is tried whatever time it has left.
    pub feasibility: Option<FeasibilityParams>,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            client: "address".to_owned(),
            trusted: Vec::new(),
            rate: None,
            clients_max: 65_536,
            priorities: Vec::new(),
            calls_max: 8_192,
            shed: Some(ShedParams::default()),
            brownout: Some(BrownoutParams::default()),
            feasibility: Some(FeasibilityParams::default()),
        }
    }
}

/// At most `per_second` in the long run, `burst` at once after a pause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateParams {
    pub per_second: f64,
    pub burst: u32,
}

/// What a request is worth, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    Sheddable,
    SheddablePlus,
    #[default]
    Critical,
    CriticalPlus,
}

/// One client's own priority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientPriority {
    /// As the header of `client` says it, or an address.
    pub client: String,
    pub priority: Priority,
}

/// Where overload begins: beyond it the least important requests are refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShedParams {
    /// How long what is ready may wait to run.
    pub delay_ms: f64,
    /// Use of the processors this process may have; `null`: not looked at.
    pub cpu: Option<f64>,
}

impl Default for ShedParams {
    fn default() -> Self {
        Self {
            delay_ms: 5.0,
            cpu: Some(0.95),
        }
    }
}

/// At which pressure weak parts are left out; 1 is where requests are refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrownoutParams {
    /// The first part of a view is left out.
    pub start: f64,
    /// The last one is.
    pub full: f64,
    /// How far below its pressure a part comes back.
    pub band: f64,
    /// Calm before a part comes back, and between two that do.
    pub dwell_ms: f64,
}

impl Default for BrownoutParams {
    fn default() -> Self {
        Self {
            start: 0.85,
            full: 0.97,
            band: 0.1,
            dwell_ms: 1_000.0,
        }
    }
}

/// Refusing what cannot be answered in time any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FeasibilityParams {
    /// The largest share of requests that is refused for it; the others keep the measure alive.
    pub refused_max: f64,
}

impl Default for FeasibilityParams {
    fn default() -> Self {
        Self { refused_max: 0.2 }
    }
}
