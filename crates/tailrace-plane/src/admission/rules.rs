//! The blueprint's admission, compiled: texts became addresses, milliseconds became nanoseconds.
//!
//! The failure prevented is a rule that is read anew, or found wrong, at a request. What the
//! policies themselves refuse is refused here too, with the name of the rule.

use super::caller::{Client, Network};
use super::limited::ClientRate;
use crate::clock;
use std::collections::HashMap;
use tailrace_blueprint as blueprint;
use tailrace_policy::shed::Class;
use tailrace_policy::{brownout, feasibility, inbound, rate, shed};

#[derive(Debug)]
pub struct Rules {
    pub client: Client,
    pub trusted: Vec<Network>,
    /// Of each client.
    pub rate: Option<ClientRate>,
    /// Clients with a priority of their own, as `Caller::name` has them.
    pub priorities: HashMap<Vec<u8>, Class>,
    pub inbound: inbound::Params,
    pub sheds: bool,
    /// Where overload begins, for shedding and for brownout.
    pub targets: shed::Params,
    /// Whether the use of the processors counts as a sign of overload.
    pub watches_cpu: bool,
    pub brownout: Option<brownout::Params>,
    pub feasibility: Option<feasibility::Params>,
}

impl Rules {
    /// What `before` has counted goes on.
    pub fn compile(declared: &blueprint::Admission, before: Option<&Self>) -> Result<Self, String> {
        let at = |what: &'static str| move |message: &str| format!("admission {what}: {message}");
        let client = Client::parse(&declared.client);
        let trusted = declared.trusted.iter().map(|text| Network::parse(text));
        let trusted = trusted.collect::<Result<_, _>>().map_err(at("trusted"))?;
        let rate = declared.rate.as_ref().map(rate_params).transpose();
        let known = before.and_then(|before| before.rate.as_ref());
        let clients_max = declared.clients_max as usize;
        let counted = |params| ClientRate::new(params, clients_max, known);
        let inbound = inbound::Params {
            calls_max: declared.calls_max,
        };
        inbound.check().map_err(at("calls_max"))?;
        let shed = declared.shed.clone().unwrap_or_default();
        let targets = shed::Params {
            delay_target: clock::from_ms(shed.delay_ms),
            cpu_target: shed.cpu.unwrap_or(1.0),
        };
        targets.check().map_err(at("shed"))?;
        let brownout = declared.brownout.as_ref().map(|asked| brownout::Params {
            start: asked.start,
            full: asked.full,
            band: asked.band,
            dwell: clock::from_ms(asked.dwell_ms),
        });
        brownout.map_or(Ok(()), |params| params.check().map_err(at("brownout")))?;
        let refused_max = declared.feasibility.as_ref().map(|asked| asked.refused_max);
        let feasibility = refused_max.map(|refused_max| feasibility::Params { refused_max });
        feasibility.map_or(Ok(()), |params| params.check().map_err(at("feasibility")))?;
        Ok(Self {
            priorities: priorities(&declared.priorities, &client),
            client,
            trusted,
            rate: rate.map_err(at("rate"))?.map(counted),
            inbound,
            sheds: declared.shed.is_some(),
            targets,
            watches_cpu: shed.cpu.is_some(),
            brownout,
            feasibility,
        })
    }
}

/// A declared rate, as its policy checks it.
pub fn rate_params(asked: &blueprint::RateParams) -> Result<rate::Params, &'static str> {
    let params = rate::Params {
        per_second: asked.per_second,
        burst: asked.burst,
    };
    params.check().map(|()| params)
}

pub fn class(priority: blueprint::Priority) -> Class {
    match priority {
        blueprint::Priority::Sheddable => Class::Sheddable,
        blueprint::Priority::SheddablePlus => Class::SheddablePlus,
        blueprint::Priority::Critical => Class::Critical,
        blueprint::Priority::CriticalPlus => Class::CriticalPlus,
    }
}

fn priorities(declared: &[blueprint::ClientPriority], client: &Client) -> HashMap<Vec<u8>, Class> {
    let one = |one: &blueprint::ClientPriority| (client.name(&one.client), class(one.priority));
    declared.iter().map(one).collect()
}

/// Parts left out at each rung of a view's ladder, as bits: none at rung 0, all weak ones at the
/// last. Parts with a place go first, in its order, those of one place together; then the others,
/// the last declared first (req 9.1c).
pub fn rungs(parts: &[blueprint::Part]) -> Vec<u64> {
    let mut order: Vec<(u32, u64)> = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        if part.strength == blueprint::Strength::Weak {
            let behind = u32::from(u16::MAX) + (parts.len() - index) as u32;
            // What is declared last has the smallest place behind the places that were given.
            order.push((part.drop.map_or(behind, u32::from), 1 << index));
        }
    }
    order.sort_unstable();
    let mut rungs = vec![0_u64];
    let mut last = None;
    for (place, bit) in order {
        let below = rungs.last().copied().unwrap_or(0);
        if last == Some(place) {
            rungs.pop();
        }
        rungs.push(below | bit);
        last = Some(place);
    }
    rungs
}

#[cfg(test)]
mod tests {
    use super::rungs;
    use serde_json::json;
    use tailrace_blueprint::Part;

    fn parts(declared: &[(&str, Option<u16>)]) -> Vec<Part> {
        let one = |(strength, drop): &(&str, Option<u16>)| {
            let mut part = json!({"name": "p", "strength": strength, "upstream": "u",
                "method": "GET", "path": [], "shape": 0});
            part["drop"] = json!(drop);
            serde_json::from_value(part).unwrap()
        };
        declared.iter().map(one).collect()
    }

    // req 9.1c
    #[test]
    fn parts_with_a_place_go_first_and_then_the_last_declared() {
        let view = parts(&[
            ("strong", None),
            ("weak", None),
            ("weak", Some(2)),
            ("weak", None),
            ("weak", Some(1)),
            ("weak", Some(2)),
        ]);
        assert_eq!(
            rungs(&view),
            [0, 0b01_0000, 0b11_0100, 0b11_1100, 0b11_1110]
        );
        assert_eq!(rungs(&parts(&[("strong", None)])), [0]);
    }
}
