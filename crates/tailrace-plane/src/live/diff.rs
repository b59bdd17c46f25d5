//! What differs between two blueprints, and whether it may change while requests run.
//!
//! The failure prevented: a change that looks as if it were in force and is not. Both blueprints
//! are compared value by value; a difference in anything that is not listed in `is_live` refuses
//! the whole change and names what needs a restart. A field that is added to the blueprint needs a
//! restart until it is listed here.

use serde_json::{Map, Value};
use tailrace_blueprint::Blueprint;

/// Fields of an upstream that may change.
const UPSTREAM: [&str; 12] = [
    "addresses",
    "timeout_ms",
    "bulkhead",
    "forward_headers",
    "body_max_bytes",
    "retry",
    "hedge",
    "breaker",
    "throttle",
    "adaptive",
    "cache",
    "rate",
];
/// Fields of a view that may change.
const VIEW: [&str; 5] = [
    "deadline_ms",
    "fanout",
    "extra_attempts",
    "rate",
    "priority",
];
/// Fields of admission that may change. Who is trusted is decided when a connection is accepted,
/// and the table of clients is keyed by what a client is known by.
const ADMISSION: [&str; 6] = [
    "rate",
    "priorities",
    "calls_max",
    "shed",
    "brownout",
    "feasibility",
];
const LOG_FORMAT: &str = "access_log.format";
/// Values in a message are cut to this length.
const SHOWN: usize = 80;
/// Differences named in a refusal.
const NAMED: usize = 5;

/// One value that changed, by its path in the blueprint; lists go by the names in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub path: String,
    pub from: String,
    pub to: String,
}

/// Every difference, or the refusal that names those that need a restart.
/// `logs` says whether there is an access log to change the format of.
pub fn changes(before: &Blueprint, after: &Blueprint, logs: bool) -> Result<Vec<Change>, String> {
    let data = |blueprint| serde_json::to_value(blueprint).map_err(|error| error.to_string());
    let mut found = Vec::new();
    compare(&mut Vec::new(), &data(before)?, &data(after)?, &mut found);
    // A log that was off at the start has neither rings nor a writer.
    let follows = |found: &(bool, Change)| found.0 && (logs || found.1.path != LOG_FORMAT);
    let (live, fixed): (Vec<_>, Vec<_>) = found.into_iter().partition(follows);
    if fixed.is_empty() {
        return Ok(live.into_iter().map(|(_, change)| change).collect());
    }
    let named = fixed.iter().take(NAMED);
    let named: Vec<_> = named.map(|(_, change)| change.to_string()).collect();
    let more = match fixed.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Err(format!("needs a restart: {}{more}", named.join(", ")))
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} -> {}", self.path, self.from, self.to)
    }
}

/// Whether the plane follows a change of the value at `path`.
fn is_live(path: &[&str]) -> bool {
    match path {
        ["limits", _]
        | ["access_log", "format"]
        | ["server_timing"]
        | ["views", _, "computed", "time_ms" | "limit"]
        | ["views", _, "handler", "limit"]
        | ["views", _, "parts", _, "timeout_ms" | "drop"]
        | ["views", _, "parts", _, "cache", ..]
        | ["views", _, "parts", _, "each", "items_max"] => true,
        ["upstreams", _, field, ..] => UPSTREAM.contains(field),
        ["views", _, field, ..] => VIEW.contains(field),
        ["admission", field, ..] => ADMISSION.contains(field),
        _ => false,
    }
}

/// Whether the change may be made live, and what it is.
type Found = Vec<(bool, Change)>;

fn compare<'a>(path: &mut Vec<&'a str>, before: &'a Value, after: &'a Value, found: &mut Found) {
    if before == after {
        return;
    }
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => fields(path, old, new, found),
        (Value::Array(old), Value::Array(new)) if names(old).is_some_and(|n| !n.is_empty()) => {
            if names(old) == names(new) {
                for (name, (one, other)) in
                    names(old).into_iter().flatten().zip(old.iter().zip(new))
                {
                    path.push(name);
                    compare(path, one, other, found);
                    path.pop();
                }
            } else {
                let listed = |list: &[Value]| match names(list) {
                    Some(names) => cut(&names.join(", ")),
                    None => cut(&Value::from(list).to_string()),
                };
                let change = Change {
                    path: path.join("."),
                    from: listed(old),
                    to: listed(new),
                };
                found.push((false, change));
            }
        }
        _ => {
            let change = Change {
                path: path.join("."),
                from: shown(before),
                to: shown(after),
            };
            found.push((is_live(path), change));
        }
    }
}

fn fields<'a>(
    path: &mut Vec<&'a str>,
    old: &'a Map<String, Value>,
    new: &'a Map<String, Value>,
    found: &mut Found,
) {
    let added = new.keys().filter(|name| !old.contains_key(*name));
    for name in old.keys().chain(added) {
        path.push(name);
        let value = |map: &'a Map<String, Value>| map.get(name).unwrap_or(&Value::Null);
        compare(path, value(old), value(new), found);
        path.pop();
    }
}

/// The names in a list of things that have one; none when one has not.
fn names(list: &[Value]) -> Option<Vec<&str>> {
    list.iter().map(|one| one.get("name")?.as_str()).collect()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => cut(text),
        Value::Array(list) if list.iter().all(Value::is_string) => {
            let texts: Vec<_> = list.iter().filter_map(Value::as_str).collect();
            cut(&texts.join(", "))
        }
        // 80.0 milliseconds are 80.
        Value::Number(number) => number
            .as_f64()
            .map_or_else(|| number.to_string(), |number| number.to_string()),
        other => cut(&other.to_string()),
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    let kept: String = text.chars().take(SHOWN - 3).collect();
    format!("{kept}...")
}

#[cfg(test)]
mod tests;
