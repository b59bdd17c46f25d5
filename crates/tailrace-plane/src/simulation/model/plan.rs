//! Generated plans: a view and what befalls each of its calls, and the service that plays them.

use crate::simulation::upstream::{Answer, Seen};
use serde::Serialize;
use serde_json::{json, Value};
use std::net::SocketAddr;
use std::time::Duration;

/// Calls to the first go through; nobody listens at the second.
pub const LIVE: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 2, 0, 1)),
    80,
);
const DEAD: &str = "http://10.2.0.2:80";
/// Longest answer that is accepted; answers here are shorter unless they mean not to be.
const BODY_MAX: u64 = 4_096;

/// Milliseconds everywhere.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    pub deadline: u64,
    pub fanout: usize,
    pub parts: Vec<Part>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Part {
    pub strong: bool,
    pub nullable: bool,
    pub default: bool,
    pub timeout: u64,
    /// Parts whose `id` stands in this one's path.
    pub reads: Vec<usize>,
    pub each: Option<Each>,
    /// Nobody listens at its upstream.
    pub dead: bool,
    /// The call that stands in when a weak part's own has failed.
    pub other: Option<Call>,
    /// One per call: the first for a part without `each`, the others for the items of a list.
    pub calls: Vec<Call>,
}

/// One call per item of `items` of another part, or of that part itself when it is a list.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Each {
    pub of: usize,
    pub max: usize,
}

#[derive(Debug, Clone, Serialize)]
pub struct Call {
    pub latency: u64,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, Serialize)]
pub enum Outcome {
    // Bytes after the answer are left out: whether they are seen with it is the network's choice.
    /// A value; its list, when it has one, holds items with and without an `id`.
    Value(Option<Vec<bool>>),
    Empty,
    Status(u16),
    NotJson,
    BadJson,
    OtherModel,
    CutShort,
    Closed,
    NoHttp,
    TooLong,
    Hang,
}

/// The value of a part's call, as the reply shows it.
pub fn value(part: usize, item: usize, list: Option<&[bool]>) -> Value {
    let mut value = json!({"id": format!("p{part}.{item}")});
    if let Some(list) = list {
        let named = |(at, named): (usize, &bool)| match named {
            true => json!({"id": format!("i.{at}")}),
            false => json!({}),
        };
        value["items"] = list.iter().enumerate().map(named).collect();
    }
    value
}

/// Stands for the stand-in among the items of a part.
pub const OTHER: usize = 9;
/// What a stand-in may take.
pub const OTHER_TIMEOUT: u64 = 30_000;

/// What stands in for a part that has no value.
pub fn fallback(part: &Part) -> Value {
    match (part.default, part.each) {
        (false, _) => Value::Null,
        (true, None) => json!({"id": "default", "items": [{"id": "i.0"}]}),
        (true, Some(_)) => json!([{"id": "i.0"}]),
    }
}

impl Plan {
    /// Any view whose parts do not wait for each other in a circle.
    pub fn generate(random: &mut fastrand::Rng) -> Self {
        let many = random.usize(1..=7);
        // Parts read those before them in this order, which need not be the declared one.
        let mut order: Vec<usize> = (0..many).collect();
        if random.bool() {
            random.shuffle(&mut order);
        }
        let deadline = random.u64(3..40_000);
        let mut parts: Vec<Part> = (0..many)
            .map(|_| Part::generate(deadline, random))
            .collect();
        for (rank, index) in order.iter().enumerate() {
            let before = &order[..rank];
            let reads = before
                .iter()
                .filter(|_| random.u8(..4) == 0)
                .copied()
                .collect();
            parts[*index].reads = reads;
            if rank > 0 && random.u8(..3) == 0 {
                let of = before[random.usize(..rank)];
                let max = random.usize(1..=5);
                parts[*index].each = Some(Each { of, max });
                // A failed item of a weak list is null.
                parts[*index].nullable |= !parts[*index].strong;
                parts[*index].other = None;
            }
        }
        Self {
            deadline,
            fanout: random.usize(1..=6),
            parts,
        }
    }

    /// The view of this plan, by the number of its path.
    pub fn view(&self, number: usize) -> Value {
        let name = |part: usize| format!("p{part}");
        let parts = self.parts.iter().enumerate().map(|(index, part)| {
            let mut path = vec![json!({"text": format!("/{index}")})];
            if part.each.is_some() {
                path.extend([json!({"text": "/"}), json!({"item": ["id"]})]);
            }
            for read in &part.reads {
                let field = json!({"part": {"name": name(*read), "field": ["id"]}});
                path.extend([json!({"text": "/"}), field]);
            }
            let mut declared = json!({
                "name": name(index),
                "strength": if part.strong { "strong" } else { "weak" },
                "upstream": if part.dead { "dead" } else { "live" },
                "method": "GET", "path": path, "timeout_ms": part.timeout as f64,
                "shape": if part.nullable { 4 } else { 3 },
            });
            if part.default {
                declared["default"] = fallback(part);
            }
            if part.other.is_some() {
                let path = [json!({"text": format!("/{index}/other")})];
                declared["otherwise"] = json!({"upstream": "spare", "path": path});
            }
            if let Some(each) = part.each {
                let list = self.parts[each.of].each.is_some();
                let field: &[&str] = if list { &[] } else { &["items"] };
                declared["each"] =
                    json!({"part": name(each.of), "field": field, "items_max": each.max});
            }
            declared
        });
        json!({
            "name": format!("v{number}"), "method": "GET", "path": format!("/{number}"),
            "deadline_ms": self.deadline as f64, "fanout": self.fanout, "parameters": [],
            "allow_overcommit": "plans are made by chance",
            "parts": parts.collect::<Vec<_>>(),
        })
    }

    /// What the upstream does with one request.
    pub fn answer(&self, seen: &Seen) -> (usize, Answer) {
        let mut segments = seen.target.split('/').skip(1);
        let part: usize = segments
            .next()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        let next = segments.next();
        let declared = &self.parts[part];
        if let (Some("other"), Some(other)) = (next, &declared.other) {
            return (part, other.answer(part, OTHER));
        }
        let item = match declared.each {
            None => 0,
            Some(_) => next.map_or(0, item_number),
        };
        (part, declared.calls[item].answer(part, item))
    }
}

/// Items are told apart by what follows the dot of their `id`.
fn item_number(id: &str) -> usize {
    id.split_once('.')
        .and_then(|(_, number)| number.parse().ok())
        .unwrap_or(0)
}

impl Part {
    fn generate(deadline: u64, random: &mut fastrand::Rng) -> Self {
        let strong = random.bool();
        let default = !strong && random.bool();
        Self {
            strong,
            // A weak part has something to fall back to.
            nullable: random.bool() || !(strong || default),
            default,
            timeout: random.u64(1..=deadline),
            reads: Vec::new(),
            each: None,
            dead: random.u8(..16) == 0,
            calls: (0..6).map(|_| Call::generate(random)).collect(),
            other: (!strong && random.u8(..3) == 0).then(|| Call::generate(random)),
        }
    }
}

impl Call {
    fn generate(random: &mut fastrand::Rng) -> Self {
        let outcome = match random.u8(..60) {
            0 => Outcome::Empty,
            1 => Outcome::NotJson,
            2 => Outcome::BadJson,
            3 => Outcome::OtherModel,
            4 => Outcome::CutShort,
            5 => Outcome::Closed,
            6 => Outcome::NoHttp,
            7 => Outcome::TooLong,
            8 => Outcome::Hang,
            10..=14 => {
                let statuses = [302, 400, 401, 404, 410, 429, 500, 503];
                Outcome::Status(statuses[random.usize(..statuses.len())])
            }
            15..=18 => Outcome::Value(None),
            _ => {
                let many = random.usize(..=6);
                // One list in six has an item that cannot be asked for.
                let odd = random.u8(..6) == 0;
                let named = |_| !odd || random.bool();
                Outcome::Value(Some((0..many).map(named).collect()))
            }
        };
        let latency = random.u64(1..12_000);
        Self { latency, outcome }
    }

    fn answer(&self, part: usize, item: usize) -> Answer {
        let after = Duration::from_millis(self.latency);
        let ok = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
        let raw = |text: &str| Answer::raw(after, text.as_bytes().to_vec()).closing();
        match &self.outcome {
            Outcome::Value(list) => {
                let mut value = value(part, item, list.as_deref());
                value["undeclared"] = 1.into();
                Answer::json(after, 200, &value.to_string())
            }
            Outcome::Empty => raw("HTTP/1.1 204 No Content\r\n\r\n"),
            Outcome::Status(status) => Answer::json(after, *status, "{}"),
            Outcome::NotJson => raw("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"),
            Outcome::BadJson => Answer::json(after, 200, r#"{"id":"#),
            Outcome::OtherModel => Answer::json(after, 200, r#"{"id":7}"#),
            Outcome::CutShort => raw(&format!("{ok}content-length: 9\r\n\r\n{{")),
            Outcome::Closed => raw(""),
            Outcome::NoHttp => raw("220 hello\r\n\r\n"),
            Outcome::TooLong => raw(&format!("{ok}content-length: {}\r\n\r\n", BODY_MAX + 1)),
            Outcome::Hang => Answer::never(),
        }
    }
}

/// One service with a view per plan.
pub fn blueprint(plans: &[Plan]) -> Value {
    let upstream = |name: &str, address: String| {
        json!({"name": name, "addresses": [address], "timeout_ms": OTHER_TIMEOUT as f64,
               "bulkhead": {"limit": 10_000}, "body_max_bytes": BODY_MAX})
    };
    let object = |fields: Value| json!({"kind": "object", "extra": "drop", "fields": fields});
    json!({
        "format_version": 1, "service": "model", "listen": {}, "limits": {},
        "access_log": {"format": "off"},
        "upstreams": [
            upstream("live", format!("http://{LIVE}")),
            upstream("dead", DEAD.to_owned()),
            upstream("spare", format!("http://{LIVE}")),
        ],
        "shapes": [
            {"kind": "string"},
            {"kind": "array", "items": 2},
            object(json!([{"name": "id", "shape": 0, "required": false}])),
            object(json!([{"name": "id", "shape": 0, "required": true},
                          {"name": "items", "shape": 1, "required": false}])),
            {"kind": "optional", "inner": 3},
        ],
        "views": plans.iter().enumerate().map(|(at, plan)| plan.view(at)).collect::<Vec<_>>(),
    })
}
