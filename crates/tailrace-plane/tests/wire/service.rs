//! Small services for the tests, declared as the blueprint's own JSON and checked like any other.

use crate::client::{Client, Reply};
use crate::upstream::Upstream;
use serde_json::{json, Value};
use std::ops::Deref;
use tailrace_blueprint::Blueprint;
use tailrace_plane::{Pages, Plane};

/// Indices into the table of shapes every service of these tests has.
pub(crate) const TEXT: u32 = 0;
pub(crate) const ANY: u32 = 1;
/// An object with the text `id`; everything else is dropped.
pub(crate) const THING: u32 = 2;
pub(crate) const THING_OR_NULL: u32 = 3;
/// An object with `items`, a list of things.
pub(crate) const LIST: u32 = 4;

/// A service before it starts.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    blueprint: Value,
}

impl Service {
    /// One worker, system-chosen ports, no access log, no upstream and no view yet.
    pub(crate) fn new() -> Self {
        let shapes = json!([
            {"kind": "string"},
            {"kind": "any"},
            {"kind": "object", "extra": "drop",
             "fields": [{"name": "id", "shape": TEXT, "required": true}]},
            {"kind": "optional", "inner": THING},
            {"kind": "object", "extra": "drop",
             "fields": [{"name": "items", "shape": 5, "required": true}]},
            {"kind": "array", "items": THING},
        ]);
        let blueprint = json!({
            "format_version": 1,
            "service": "wire",
            "listen": {"port": 0, "admin_port": 0, "workers": 1},
            "access_log": {"format": "off"},
            "limits": {},
            // How busy the machine of a test is must not decide about its requests.
            "admission": {"shed": {"cpu": null, "delay_ms": 500.0}},
            "upstreams": [],
            "views": [],
            "shapes": shapes,
        });
        Self { blueprint }
    }

    /// One upstream `up` and one view `/one/{id}` with the strong part `it`.
    pub(crate) fn one(upstream: &Upstream) -> Self {
        let part = strong("it", "/one/{id}");
        Self::new()
            .upstream("up", upstream)
            .view("one", "/one/{id}", vec![part])
    }

    /// Another table of shapes than the usual one.
    pub(crate) fn shapes(mut self, shapes: Value) -> Self {
        self.blueprint["shapes"] = shapes;
        self
    }

    /// Protections off.
    pub(crate) fn naive(mut self) -> Self {
        self.blueprint["protections"] = "off".into();
        self
    }

    /// Replies may say what their parts took.
    pub(crate) fn server_timing(mut self) -> Self {
        self.blueprint["server_timing"] = true.into();
        self
    }

    /// Traces go to the collector at `address`; every request is in the share.
    pub(crate) fn tracing(mut self, address: std::net::SocketAddr) -> Self {
        self.blueprint["tracing"] = json!({
            "endpoint": format!("http://{address}/v1/traces"), "share": 1.0, "timeout_ms": 5_000,
            "per_second": 1_000.0, "headers_variable": "TAILRACE_TEST_NO_SUCH_VARIABLE",
        });
        self
    }

    /// Fields of tracing replaced.
    pub(crate) fn tracing_with(mut self, with: Value) -> Self {
        merge(&mut self.blueprint["tracing"], with);
        self
    }

    pub(crate) fn workers(mut self, workers: u16) -> Self {
        self.blueprint["listen"]["workers"] = workers.into();
        self
    }

    pub(crate) fn limit(mut self, name: &str, value: u32) -> Self {
        self.blueprint["limits"][name] = value.into();
        self
    }

    /// What a request meets before its parameters are read.
    pub(crate) fn admission(mut self, declared: Value) -> Self {
        merge(&mut self.blueprint["admission"], declared);
        self
    }

    /// Admission as a service has it that says nothing.
    pub(crate) fn usual_admission(mut self) -> Self {
        self.blueprint["admission"] = json!({});
        self
    }

    pub(crate) fn access_log(mut self, declared: Value) -> Self {
        self.blueprint["access_log"] = declared;
        self
    }

    pub(crate) fn upstream(self, name: &str, upstream: &Upstream) -> Self {
        self.upstream_with(name, upstream, json!({}))
    }

    /// As `upstream`, with fields of its declaration replaced.
    pub(crate) fn upstream_with(mut self, name: &str, upstream: &Upstream, with: Value) -> Self {
        let mut declared = json!({
            "name": name,
            "addresses": [format!("http://{}", upstream.address())],
            "timeout_ms": 5_000.0,
            "bulkhead": {"limit": 256},
        });
        merge(&mut declared, with);
        self.push("upstreams", declared);
        self
    }

    /// A view whose path parameters are texts; deadline 10 s, fan-out 8.
    pub(crate) fn view(self, name: &str, path: &str, parts: Vec<Value>) -> Self {
        self.view_with(name, path, parts, json!({}))
    }

    pub(crate) fn view_with(
        mut self,
        name: &str,
        path: &str,
        parts: Vec<Value>,
        with: Value,
    ) -> Self {
        let names = path.split('/').filter_map(|segment| {
            segment
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'))
        });
        let parameters: Vec<Value> = names
            .map(|name| json!({"name": name, "in": "path", "shape": TEXT, "required": true}))
            .collect();
        let mut declared = json!({
            "name": name,
            "method": "GET",
            "path": path,
            "deadline_ms": 10_000.0,
            "fanout": 8,
            "parameters": parameters,
        });
        declared["parts"] = Value::Array(parts);
        // A test with a deadline of its own is about what happens when time runs out.
        if with.get("deadline_ms").is_some() {
            declared["allow_overcommit"] = "the deadline is what is tested".into();
        }
        merge(&mut declared, with);
        self.push("views", declared);
        self
    }

    fn push(&mut self, list: &str, value: Value) {
        let list = self.blueprint[list].as_array_mut().expect("a list");
        list.push(value);
    }

    /// Another place to listen.
    pub(crate) fn listen(mut self, listen: Value) -> Self {
        self.blueprint["listen"] = listen;
        self
    }

    /// The blueprint as JSON.
    pub(crate) fn source(&self) -> Vec<u8> {
        self.blueprint.to_string().into_bytes()
    }

    pub(crate) fn start(self) -> Running {
        let source = self.source();
        let blueprint = Blueprint::from_json(&source)
            .unwrap_or_else(|problems| panic!("the blueprint of a test: {problems:?}"));
        let pages = Pages {
            openapi: b"{}".to_vec(),
            docs: b"<!doctype html>".to_vec(),
        };
        let plane = Plane::start_with(&blueprint, source, b"{}".to_vec(), pages);
        Running(plane.unwrap_or_else(|error| panic!("the plane of a test: {error}")))
    }
}

pub(crate) fn merge(into: &mut Value, from: Value) {
    if let Value::Object(fields) = from {
        for (name, value) in fields {
            into[name] = value;
        }
    }
}

/// A strong part of upstream `up`; `{id}`, `{part.field}` and `{item.field}` in the path are filled
/// in.
pub(crate) fn strong(name: &str, path: &str) -> Value {
    part(name, path, "strong", THING)
}

/// A weak part of upstream `up`; null when it fails.
pub(crate) fn weak(name: &str, path: &str) -> Value {
    part(name, path, "weak", THING_OR_NULL)
}

fn part(name: &str, path: &str, strength: &str, shape: u32) -> Value {
    json!({
        "name": name,
        "strength": strength,
        "upstream": "up",
        "method": "GET",
        "path": template(path),
        "shape": shape,
    })
}

/// `part` with fields of its declaration replaced.
pub(crate) fn with(mut part: Value, fields: Value) -> Value {
    merge(&mut part, fields);
    part
}

pub(crate) fn template(text: &str) -> Value {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let close = rest.find('}').expect("a closing brace");
        if open > 0 {
            pieces.push(json!({"text": rest[..open]}));
        }
        let mut words = rest[open + 1..close].split('.').map(str::to_owned);
        let first = words.next().unwrap_or_default();
        let field: Vec<String> = words.collect();
        pieces.push(match first.as_str() {
            "item" => json!({"item": field}),
            _ if field.is_empty() => json!({"parameter": first}),
            _ => json!({"part": {"name": first, "field": field}}),
        });
        rest = &rest[close + 1..];
    }
    if !rest.is_empty() {
        pieces.push(json!({"text": rest}));
    }
    Value::Array(pieces)
}

/// A service that runs; it ends with its owner.
#[derive(Debug)]
pub(crate) struct Running(Plane);

impl Deref for Running {
    type Target = Plane;

    fn deref(&self) -> &Plane {
        &self.0
    }
}

impl Running {
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// A GET on a connection of its own.
    pub(crate) fn get(&self, target: &str) -> Reply {
        self.client().get(target)
    }

    /// A GET on the admin port.
    pub(crate) fn admin(&self, target: &str) -> Reply {
        let mut client = Client::connect(self.admin_address());
        client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        client.reply()
    }

    /// The effective value of a limit, as `GET /config` shows it.
    pub(crate) fn config(&self) -> Value {
        self.admin("/config").json()
    }

    /// The sum of all series of `name` that carry `label` (`key="value"`, or empty for any).
    pub(crate) fn metric(&self, name: &str, label: &str) -> f64 {
        let text = String::from_utf8(self.metrics()).expect("metrics are text");
        let mut found = false;
        let mut sum = 0.0;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').expect("a series and its value");
            let (known, labels) = series.split_once('{').unwrap_or((series, ""));
            if known == name && label.split(' ').all(|one| labels.contains(one)) {
                found = true;
                sum += value.parse::<f64>().expect("a number");
            }
        }
        assert!(found, "no metric {name} with {label}");
        sum
    }

    /// As `metric`, for what is counted in whole numbers.
    pub(crate) fn counter(&self, name: &str, label: &str) -> u64 {
        self.metric(name, label) as u64
    }
}
