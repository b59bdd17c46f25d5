//! The stories: one service under the weathers that aggregation services die of.
//!
//! Each story says what is offered, how each upstream behaves over time, and what must come of it;
//! the ledger's checks hold for all of them. Its curve, for seed 0, is kept in `../curves/`.

mod failing;
mod kept;
mod overload;
mod slow;

use super::client::{End, Reply};
use super::upstream::{Answer, Script, Seen};
use super::world::{play, Machine, Run, Story};
use super::{curve, ledger, seeds};
use crate::clock::MILLI;
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tailrace_policy::Nanos;

/// How many stories share the seeds.
const STORIES: u64 = 12;

/// Upstreams of the service, in the blueprint's order.
pub const ORDERS: usize = 0;
pub const USERS: usize = 1;
pub const STOCK: usize = 2;
pub const COUPONS: usize = 3;
pub const RECS: usize = 4;
const NAMES: [&str; 5] = ["orders", "users", "stock", "coupons", "recs"];

/// The view's deadline; nothing may come later.
pub const DEADLINE_MS: u64 = 150;

fn address(upstream: usize, machine: usize) -> SocketAddr {
    ([10, 1, upstream as u8, machine as u8 + 1], 80).into()
}

fn merge(into: &mut Value, from: Value) {
    if let Value::Object(fields) = from {
        for (name, value) in fields {
            into[name] = value;
        }
    }
}

/// The order service: `/orders/{id}` with a strong chain, a strong list and two weak parts, and
/// `/light/{id}` with the order and one weak part of it.
pub struct Service {
    upstreams: Vec<Value>,
    addresses: [usize; 5],
    admission: Value,
}

impl Service {
    /// One address each, a bulkhead of 64, breaker and throttle on as a declaration has them.
    pub fn new() -> Self {
        let declared = |name: &&str| {
            json!({
                "name": name,
                "timeout_ms": 60.0,
                "bulkhead": {"limit": 64},
                "breaker": {},
                "throttle": {},
            })
        };
        Self {
            upstreams: NAMES.iter().map(declared).collect(),
            addresses: [1; 5],
            admission: json!({}),
        }
    }

    /// What requests meet before their calls.
    pub fn admission(mut self, admission: Value) -> Self {
        self.admission = admission;
        self
    }

    /// Fields of one upstream's declaration replaced.
    pub fn with(mut self, upstream: usize, fields: Value) -> Self {
        merge(&mut self.upstreams[upstream], fields);
        self
    }

    pub fn addresses(mut self, upstream: usize, many: usize) -> Self {
        self.addresses[upstream] = many;
        self
    }

    fn blueprint(&self) -> Value {
        let mut upstreams = self.upstreams.clone();
        for (index, upstream) in upstreams.iter_mut().enumerate() {
            let known = (0..self.addresses[index]).map(|machine| {
                let address = address(index, machine);
                format!("http://{address}")
            });
            upstream["addresses"] = known.collect();
        }
        let text = |text: &str| json!({"text": text});
        let field = |part: &str, name: &str| json!({"part": {"name": part, "field": [name]}});
        let part = |name: &str, strength: &str, upstream: usize, path: Vec<Value>, shape: u32| {
            json!({"name": name, "strength": strength, "upstream": NAMES[upstream],
                   "method": "GET", "path": path, "shape": shape})
        };
        let by_id = vec![text("/orders/"), json!({"parameter": "id"})];
        let order = part("order", "strong", ORDERS, by_id, 2);
        let by_user = |path: &str| vec![text(path), field("order", "user_id")];
        let user = part("user", "strong", USERS, by_user("/users/"), 3);
        let by_item = vec![text("/stock/"), json!({"item": ["id"]})];
        let mut stock = part("stock", "strong", STOCK, by_item, 3);
        stock["each"] = json!({"part": "order", "field": ["items"], "items_max": 8});
        let coupon = part("coupon", "weak", COUPONS, by_user("/coupons/"), 4);
        let mut recommend = part("recommend", "weak", RECS, by_user("/recs/"), 3);
        recommend["default"] = json!({"id": "nobody"});
        recommend["timeout_ms"] = 40.0.into();
        let light = vec![order.clone(), recommend.clone()];
        let view = |name: &str, path: &str, parts: Vec<Value>| {
            json!({
                "name": name, "method": "GET", "path": path,
                "deadline_ms": DEADLINE_MS as f64, "fanout": 4,
                "allow_overcommit": "stories are about what happens when time runs out",
                "parameters": [{"name": "id", "in": "path", "shape": 0, "required": true}],
                "parts": parts,
            })
        };
        let required =
            |name: &str, shape: u32| json!({"name": name, "shape": shape, "required": true});
        let object =
            |fields: Vec<Value>| json!({"kind": "object", "extra": "drop", "fields": fields});
        let order_fields = vec![
            required("id", 0),
            required("user_id", 0),
            required("items", 1),
        ];
        json!({
            "format_version": 1,
            "service": "order-query",
            "listen": {},
            "access_log": {"format": "off"},
            "limits": {},
            "admission": self.admission,
            "upstreams": upstreams,
            "shapes": [
                {"kind": "string"},
                {"kind": "array", "items": 3},
                object(order_fields),
                object(vec![required("id", 0)]),
                {"kind": "optional", "inner": 3},
            ],
            "views": [
                view("order", "/orders/{id}", vec![order, user, stock, coupon, recommend]),
                view("light", "/light/{id}", light),
            ],
        })
    }

    /// The story of this service under `load`; `weather` says how each address answers.
    pub fn story(
        &self,
        seed: u64,
        load: &[(u64, u64)],
        weather: impl Fn(usize, usize) -> Weather,
    ) -> Story {
        let mut machines = Vec::new();
        for upstream in 0..NAMES.len() {
            for machine in 0..self.addresses[upstream] {
                let Weather { servers, law } = weather(upstream, machine);
                let stream = seed ^ ((upstream as u64 + 1) << 32) ^ ((machine as u64) << 40);
                machines.push(Machine {
                    upstream,
                    address: address(upstream, machine),
                    servers,
                    script: script(law, stream),
                });
            }
        }
        Story {
            blueprint: self.blueprint(),
            workers: 2,
            machines,
            load: load.to_vec(),
            leaves_one_in: None,
            target: |id| format!("/orders/o{id}"),
        }
    }
}

/// What befalls one request.
#[derive(Debug, Clone)]
pub enum Fate {
    /// The right answer after so many microseconds.
    Fine(u64),
    /// This status after so many microseconds.
    Status(u16, u64),
    Hang,
    /// Something that is no answer.
    Odd(Answer),
}

type Law = Box<dyn FnMut(u64, &mut fastrand::Rng) -> Fate>;

/// How an address behaves: milliseconds since the start and chance decide.
pub struct Weather {
    pub servers: Option<usize>,
    pub law: Law,
}

impl Weather {
    pub fn of(law: impl FnMut(u64, &mut fastrand::Rng) -> Fate + 'static) -> Self {
        Self {
            servers: None,
            law: Box::new(law),
        }
    }

    /// Two to eight milliseconds, one in fifty up to forty.
    pub fn fair() -> Self {
        Self::of(|_, random| Fate::Fine(fair(random)))
    }

    pub fn servers(mut self, many: usize) -> Self {
        self.servers = Some(many);
        self
    }
}

/// What a healthy answer takes, in microseconds.
pub fn fair(random: &mut fastrand::Rng) -> u64 {
    match random.u64(..50) {
        0 => random.u64(8_000..40_000),
        _ => random.u64(2_000..8_000),
    }
}

/// What befalls a request follows from what it asks for and how often that was asked before, not
/// from who came first: two runs of a seed that differ in one thing can be compared.
fn script(mut law: Law, stream: u64) -> Script {
    let mut asked: BTreeMap<String, u64> = BTreeMap::new();
    // Simulated time starts at one second.
    Box::new(move |seen| {
        let since_ms = (seen.at / MILLI).saturating_sub(1_000);
        let after = Duration::from_micros;
        let times = asked.entry(seen.target.clone()).or_default();
        *times += 1;
        let mut random = fastrand::Rng::with_seed(digest(&seen.target) ^ stream ^ *times);
        match law(since_ms, &mut random) {
            Fate::Fine(us) => Answer::json(after(us), 200, &body(seen)),
            Fate::Status(status, us) => Answer::json(after(us), status, r#"{"error":true}"#),
            Fate::Hang => Answer::never(),
            Fate::Odd(answer) => answer,
        }
    })
}

/// FNV-1a.
fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The right answer: everything in it follows from the request, so that nothing can be mistaken
/// for anything else.
pub fn body(seen: &Seen) -> String {
    let id = seen.target.rsplit('/').next().unwrap_or_default();
    if !seen.target.starts_with("/orders/") {
        return json!({"id": id, "left": 1}).to_string();
    }
    let items: Vec<Value> = (0..items(id))
        .map(|item| json!({"id": format!("{id}-{item}")}))
        .collect();
    json!({"id": id, "user_id": format!("u{id}"), "items": items}).to_string()
}

/// How many items an order has: one to three.
fn items(id: &str) -> u64 {
    let number: u64 = id.trim_start_matches('o').parse().unwrap_or(0);
    1 + number % 3
}

/// A reply holds its own request's data and nobody else's; what is missing is named (A03).
pub fn whole(id: u64, reply: &Reply) {
    whole_of(id, reply);
}

/// The same, of the order that the request asked for.
fn whole_of(order: u64, reply: &Reply) {
    let body: Value = serde_json::from_str(&reply.body).unwrap();
    let order = format!("o{order}");
    let user = format!("u{order}");
    let missing = |part: &str| reply.degraded().iter().any(|entry| entry.0 == part);
    let or = |part: &str, fallback: Value| {
        if missing(part) {
            fallback
        } else {
            json!({"id": user})
        }
    };
    let nobody = json!({"id": "nobody"});
    assert_eq!(body["recommend"], or("recommend", nobody), "{reply:?}");
    assert_eq!(body["order"]["id"], *order, "{reply:?}");
    if body.get("user").is_none() {
        return;
    }
    assert_eq!(body["user"], json!({"id": user}), "{reply:?}");
    let stock: Vec<Value> = (0..items(&order))
        .map(|item| json!({"id": format!("{order}-{item}")}))
        .collect();
    assert_eq!(body["stock"], Value::Array(stock), "{reply:?}");
    assert_eq!(body["coupon"], or("coupon", Value::Null), "{reply:?}");
}

/// Replies to the requests that left between two times, in milliseconds since the start.
pub fn between(run: &Run, from_ms: u64, to_ms: u64) -> Slice {
    let since = |at: Nanos| (at - run.started) / MILLI;
    let mut slice = Slice::default();
    for record in &run.records {
        if !(from_ms..to_ms).contains(&since(record.at)) {
            continue;
        }
        slice.offered += 1;
        if let End::Answered(reply) = &record.end {
            slice.took.push(record.took);
            slice.statuses.push(reply.status);
            slice.degraded += u64::from(!reply.degraded().is_empty());
        }
    }
    slice.took.sort_unstable();
    slice
}

/// What became of a stretch of time.
#[derive(Debug, Default)]
pub struct Slice {
    pub offered: u64,
    pub took: Vec<Nanos>,
    pub statuses: Vec<u16>,
    /// Replies with a part missing.
    pub degraded: u64,
}

impl Slice {
    /// The share of requests that were answered with 200.
    pub fn good(&self) -> f64 {
        self.with(200) as f64 / self.offered.max(1) as f64
    }

    pub fn with(&self, status: u16) -> u64 {
        self.statuses.iter().filter(|one| **one == status).count() as u64
    }
}

/// Attempts and calls of one upstream, over all workers.
pub fn attempts(run: &Run, upstream: usize) -> (u64, u64) {
    let workers = run.shared.metrics.iter();
    workers.fold((0, 0), |(attempts, calls), worker| {
        let counts = &worker.upstreams[upstream];
        (attempts + counts.attempts.get(), calls + counts.calls.get())
    })
}

/// The share of an upstream's calls that one of its machines got between two times.
pub fn share(run: &Run, upstream: usize, machine: usize, from_ms: u64, to_ms: u64) -> f64 {
    let between = |at: &&Nanos| (from_ms..to_ms).contains(&((**at - run.started) / MILLI));
    let machines = run.upstreams.iter().filter(|one| one.index == upstream);
    let counts: Vec<usize> = machines
        .map(|one| one.record.arrivals.borrow().iter().filter(between).count())
        .collect();
    counts[machine] as f64 / counts.iter().sum::<usize>().max(1) as f64
}

/// Plays a story with each of its seeds, keeps the ledger, lets it be judged, and holds the curve
/// of its first seed to the one that is kept.
pub fn tell(name: &str, story: impl Fn(u64) -> Story, judge: impl Fn(u64, &Run)) {
    tell_with(name, whole, story, judge);
}

/// `tell`, with what a reply to a request must hold.
fn tell_with(
    name: &str,
    whole: impl Fn(u64, &Reply),
    story: impl Fn(u64) -> Story,
    judge: impl Fn(u64, &Run),
) {
    let test = format!("simulation::stories::{name}");
    seeds::each(&test, seeds::stories().div_ceil(STORIES), |seed| {
        let run = play(story(seed), seed);
        ledger::check(&run, &whole);
        judge(seed, &run);
        if seed == 0 {
            curve::compare(name, &run);
        }
    });
}
