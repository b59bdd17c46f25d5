//! Admission: rates that let something through, clients that can be told apart, thresholds in
//! order (req 9.1a, 9.1c, 9.2).
//!
//! The failure prevented is a protection that refuses everybody, or one that anybody can talk his
//! way around: an identity in a header is worth something only where a trusted peer wrote it. The
//! ranges are those of the policies, which the plane asks again when it compiles.

use super::{header, Problems};
use crate::{Admission, BrownoutParams, RateParams, ShedParams};
use std::collections::HashSet;
use std::net::IpAddr;

const PER_SECOND_MIN: f64 = 0.000_1;
const PER_SECOND_MAX: f64 = 1_000_000.0;
/// A spent burst comes back within a day.
const REFILL_MAX_S: f64 = 86_400.0;
const CALLS_MAX: u32 = 1 << 24;
/// One entry is 16 bytes.
const CLIENTS_MAX: u32 = 1 << 24;
const PRIORITIES_MAX: usize = 1_024;
const TRUSTED_MAX: usize = 256;
/// The controller's interval: a queue that is later than this is no queue.
const DELAY_MAX_MS: f64 = 500.0;
const DWELL_MIN_MS: f64 = 100.0;
const DWELL_MAX_MS: f64 = 600_000.0;

/// The header that says what a request is worth.
const PRIORITY_HEADER: &str = "tailrace-priority";

pub(super) fn check_admission(declared: &Admission, problems: &mut Problems) {
    check_client(declared, problems);
    check_trusted(&declared.trusted, problems);
    if let Some(rate) = &declared.rate {
        check_rate("admission.rate", rate, problems);
    }
    for (name, value, most) in [
        ("clients_max", declared.clients_max, CLIENTS_MAX),
        ("calls_max", declared.calls_max, CALLS_MAX),
    ] {
        if !(1..=most).contains(&value) {
            let message = format!("{value} is no limit");
            problems.add(format!("admission.{name}"), message, format!("1 to {most}"));
        }
    }
    check_priorities(declared, problems);
    if let Some(shed) = &declared.shed {
        check_shed(shed, problems);
    }
    if let Some(brownout) = &declared.brownout {
        check_brownout(brownout, problems);
    }
    let refused_max = declared.feasibility.as_ref().map(|one| one.refused_max);
    if refused_max.is_some_and(|share| !(0.0..=0.5).contains(&share)) {
        let message = "that is no share of the requests to refuse at most";
        let help = "0 to 0.5: the others show when the upstreams are fast again";
        problems.add(
            "admission.feasibility.refused_max".to_owned(),
            message,
            help,
        );
    }
}

/// A rate of one key.
pub(super) fn check_rate(path: &str, rate: &RateParams, problems: &mut Problems) {
    if !(PER_SECOND_MIN..=PER_SECOND_MAX).contains(&rate.per_second) {
        let message = format!("{} a second is no rate", rate.per_second);
        let help = "0.0001 to 1000000; without a rate there is no limit";
        problems.add(format!("{path}.per_second"), message, help);
    } else if rate.burst == 0 {
        let help = "at least 1; what a second brings is usual";
        problems.add(
            format!("{path}.burst"),
            "a burst of 0 lets nothing in",
            help,
        );
    } else if f64::from(rate.burst) / rate.per_second > REFILL_MAX_S {
        let message = "a spent burst would not be back within a day";
        problems.add(
            format!("{path}.burst"),
            message,
            "lower it or raise per_second",
        );
    }
}

fn check_client(declared: &Admission, problems: &mut Problems) {
    let at = "admission.client".to_owned();
    if declared.client == "address" {
        return;
    }
    let Some(name) = declared.client.strip_prefix("header:") else {
        let message = format!("`{}` is nothing a client is known by", declared.client);
        problems.add(at, message, "`address` or `header:<name>`");
        return;
    };
    if header::check_token(&at, name, problems) && declared.trusted.is_empty() {
        let message = format!("nobody is trusted to say `{name}`");
        let help = "name the networks of the peers that set it in `trusted`";
        problems.add(at, message, help);
    }
}

fn check_trusted(trusted: &[String], problems: &mut Problems) {
    if trusted.len() > TRUSTED_MAX {
        let message = format!("there are {} trusted networks", trusted.len());
        let help = format!("at most {TRUSTED_MAX}; join them into larger ones");
        problems.add("admission.trusted".to_owned(), message, help);
    }
    for (index, network) in trusted.iter().enumerate() {
        if let Err(help) = parse_network(network) {
            let message = format!("`{network}` is no network");
            problems.add(format!("admission.trusted[{index}]"), message, help);
        }
    }
}

/// An address, or one with the length of its prefix; what lies behind the prefix must be zero.
pub fn parse_network(text: &str) -> Result<(IpAddr, u8), &'static str> {
    const FORM: &str = "a network is `10.0.0.0/8`, `fd00::/8` or one address";
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| FORM)?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => bits,
        Some(digits) if digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().map_err(|_| FORM)?
        }
        Some(_) => return Err(FORM),
    };
    if length > bits {
        return Err("the prefix is longer than the address");
    }
    let rest = match address {
        IpAddr::V4(four) => u32::from(four).checked_shl(u32::from(length)).unwrap_or(0) != 0,
        IpAddr::V6(six) => u128::from(six).checked_shl(u32::from(length)).unwrap_or(0) != 0,
    };
    if rest {
        return Err("bits behind the prefix are set: `10.1.2.3/8` is `10.0.0.0/8`");
    }
    Ok((address, length))
}

fn check_priorities(declared: &Admission, problems: &mut Problems) {
    if declared.priorities.len() > PRIORITIES_MAX {
        let message = format!(
            "{} clients have their own priority",
            declared.priorities.len()
        );
        let help = format!("at most {PRIORITIES_MAX}; let a trusted peer send `{PRIORITY_HEADER}`");
        problems.add("admission.priorities".to_owned(), message, help);
    }
    let mut seen = HashSet::new();
    for (index, one) in declared.priorities.iter().enumerate() {
        let at = format!("admission.priorities[{index}].client");
        if !seen.insert(one.client.as_str()) {
            let message = format!("client `{}` has two priorities", one.client);
            problems.add(at, message, "keep one of them");
        } else if one.client.is_empty() {
            let help = "say which client, as its header or address does";
            problems.add(at, "the client has no name", help);
        } else if declared.client == "address" && one.client.parse::<IpAddr>().is_err() {
            let message = format!("`{}` is no address, which clients are known by", one.client);
            problems.add(at, message, "write an address, or set client to a header");
        }
    }
}

fn check_shed(shed: &ShedParams, problems: &mut Problems) {
    if !(shed.delay_ms > 0.0 && shed.delay_ms <= DELAY_MAX_MS) {
        let message = format!("{} ms is no delay to aim at", shed.delay_ms);
        let help = "above 0, up to 500 ms; 5 is usual";
        problems.add("admission.shed.delay_ms".to_owned(), message, help);
    }
    if shed.cpu.is_some_and(|cpu| !(0.1..=1.0).contains(&cpu)) {
        let help = "0.1 to 1, or null not to look at it; 0.95 is usual";
        let message = "that is no share of the processors to aim at";
        problems.add("admission.shed.cpu".to_owned(), message, help);
    }
}

fn check_brownout(brownout: &BrownoutParams, problems: &mut Problems) {
    let mut add = |name: &str, message: &str, help: &str| {
        problems.add(format!("admission.brownout.{name}"), message, help);
    };
    // Written so that a value that is no number fails.
    if !(brownout.start > 0.0 && brownout.start <= 1.0) {
        let help = "above 0, up to 1, where requests are refused";
        add("start", "that is no pressure to begin at", help);
    } else if !(brownout.full >= brownout.start && brownout.full <= 1.0) {
        let message = "the last part is left out before the first, or never";
        add("full", message, "from start up to 1");
    } else if !(brownout.band > 0.0 && brownout.band < brownout.start) {
        let message = "no part would ever come back, or each at once";
        add("band", message, "above 0 and below start");
    }
    if !(DWELL_MIN_MS..=DWELL_MAX_MS).contains(&brownout.dwell_ms) {
        add("dwell_ms", "that is no time to wait", "100 ms to 10 min");
    }
}
