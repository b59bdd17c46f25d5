//! What to simulate: upstreams, their paths, bodies and latency laws, as a closed JSON document.
//! Bodies are serialised once; answering a request copies the pieces around its `{id}`.
//!
//! Limits: one path per upstream, one optional `{id}` segment, at most 64 upstreams.

use crate::fault::Fault;
use crate::law::Law;
use crate::suggest;
use serde_json::{Map, Value};

pub(crate) const ORDERS: &str = include_str!("orders.json");
const MOST_UPSTREAMS: usize = 64;

#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) upstreams: Vec<UpstreamSpec>,
}

#[derive(Debug)]
pub(crate) struct UpstreamSpec {
    pub(crate) name: String,
    /// The path before and after `{id}`; no id when the second is absent.
    pub(crate) path: (String, Option<String>),
    pub(crate) latency: Law,
    pub(crate) fault: Option<Fault>,
    pub(crate) body: Template,
    pub(crate) wrong_body: Template,
    pub(crate) not_found_ids: Option<String>,
}

/// A serialised body, cut at each `{id}`.
#[derive(Debug, PartialEq)]
pub(crate) struct Template(Vec<String>);

impl Scenario {
    pub(crate) fn from_text(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|e| format!("not JSON: {e}"))?;
        let names = ["seed", "upstreams"];
        let object = closed(&value, "the scenario", &names)?;
        let seed = match object.get("seed") {
            None => 42,
            Some(seed) => seed.as_u64().ok_or("`seed` is a whole number")?,
        };
        let list = object.get("upstreams").and_then(Value::as_array);
        let list = list.filter(|list| !list.is_empty() && list.len() <= MOST_UPSTREAMS);
        let list = list.ok_or("`upstreams` is a list of 1 to 64 upstreams")?;
        let mut upstreams: Vec<UpstreamSpec> = Vec::with_capacity(list.len());
        for (index, value) in list.iter().enumerate() {
            let spec = UpstreamSpec::from_json(value)
                .map_err(|message| format!("upstreams[{index}]: {message}"))?;
            if upstreams.iter().any(|other| other.name == spec.name) {
                return Err(format!(
                    "upstreams[{index}]: `{}` is defined twice",
                    spec.name
                ));
            }
            upstreams.push(spec);
        }
        Ok(Self { seed, upstreams })
    }
}

impl UpstreamSpec {
    fn from_json(value: &Value) -> Result<Self, String> {
        let names = ["name", "path", "latency", "fault", "body", "not_found_ids"];
        let object = closed(value, "an upstream", &names)?;
        let text = |name: &str| -> Result<Option<String>, String> {
            match object.get(name) {
                None => Ok(None),
                Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
                Some(_) => Err(format!("`{name}` is a text that is not empty")),
            }
        };
        let name = text("name")?.ok_or("`name` is missing")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !name.chars().all(plain) {
            return Err(format!(
                "`{name}`: a name has letters, digits, `-` and `_` only"
            ));
        }
        let path = text("path")?.ok_or("`path` is missing")?;
        let path = cut_path(&path)?;
        let latency = object.get("latency").ok_or("`latency` is missing")?;
        let fault = match object.get("fault") {
            None | Some(Value::Null) => None,
            Some(fault) => Some(Fault::from_json(fault)?),
        };
        let body = object.get("body").ok_or("`body` is missing")?;
        Ok(Self {
            name,
            path,
            latency: Law::from_json(latency)?,
            fault,
            body: Template::new(body),
            wrong_body: Template::new(&mistyped(body)),
            not_found_ids: text("not_found_ids")?,
        })
    }

    /// The raw id segment of a request path; `Some("")` for a path without id, `None` for no match.
    pub(crate) fn id_in<'a>(&self, path: &'a str) -> Option<&'a str> {
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        let (before, after) = &self.path;
        let rest = path.strip_prefix(before.as_str())?;
        match after {
            None => rest.is_empty().then_some(""),
            Some(after) => {
                let id = rest.strip_suffix(after.as_str())?;
                (!id.is_empty() && !id.contains('/')).then_some(id)
            }
        }
    }
}

impl Template {
    fn new(body: &Value) -> Self {
        Self(body.to_string().split("{id}").map(str::to_owned).collect())
    }

    /// Appends the body; `id` is already escaped for JSON.
    pub(crate) fn render(&self, id: &str, out: &mut Vec<u8>) {
        for (index, piece) in self.0.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(id.as_bytes());
            }
            out.extend_from_slice(piece.as_bytes());
        }
    }

    pub(crate) fn len(&self, id: &str) -> usize {
        self.0.iter().map(String::len).sum::<usize>() + (self.0.len() - 1) * id.len()
    }
}

/// Percent-decodes an id and escapes it for a JSON string; `None` when it is not UTF-8.
pub(crate) fn json_id(segment: &str) -> Option<std::borrow::Cow<'_, str>> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b':');
    if segment.bytes().all(plain) {
        return Some(segment.into());
    }
    let bytes = segment.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        if bytes[index] == b'%' {
            let hex = segment.get(index + 1..index + 3)?;
            decoded.push(u8::from_str_radix(hex, 16).ok()?);
            index += 3;
        } else {
            decoded.push(bytes[index]);
            index += 1;
        }
    }
    let quoted = Value::String(String::from_utf8(decoded).ok()?).to_string();
    Some(quoted[1..quoted.len() - 1].to_owned().into())
}

fn cut_path(path: &str) -> Result<(String, Option<String>), String> {
    if !path.starts_with('/') || path.contains(['?', '#', ' ']) {
        return Err(format!("`path` starts with `/` and has no query: `{path}`"));
    }
    let Some((before, after)) = path.split_once("{id}") else {
        if path.contains('{') {
            return Err(format!(
                "`path` may contain `{{id}}` once and no other name: `{path}`"
            ));
        }
        return Ok((path.to_owned(), None));
    };
    if after.contains('{')
        || !before.ends_with('/')
        || !(after.is_empty() || after.starts_with('/'))
    {
        return Err(format!(
            "`path` may contain `{{id}}` once, as a whole segment: `{path}`"
        ));
    }
    Ok((before.to_owned(), Some(after.to_owned())))
}

/// The same fields, each with another JSON type, so that only a type check can find it.
fn mistyped(value: &Value) -> Value {
    let flip = |value: &Value| match value {
        Value::String(_) => Value::from(7),
        Value::Number(number) => Value::from(number.to_string()),
        Value::Bool(flag) => Value::from(flag.to_string()),
        Value::Array(_) => Value::Object(Map::new()),
        Value::Object(_) => Value::Array(Vec::new()),
        Value::Null => Value::from(false),
    };
    match value {
        Value::Object(object) if !object.is_empty() => Value::Object(
            object
                .iter()
                .map(|(key, value)| (key.clone(), flip(value)))
                .collect(),
        ),
        other => flip(other),
    }
}

pub(crate) fn closed<'a>(
    value: &'a Value,
    what: &str,
    names: &[&str],
) -> Result<&'a Map<String, Value>, String> {
    let takes = names.join(", ");
    let object = value
        .as_object()
        .ok_or_else(|| format!("{what} is a JSON object with: {takes}"))?;
    match object.keys().find(|key| !names.contains(&key.as_str())) {
        None => Ok(object),
        Some(unknown) => {
            let hint = suggest::hint(unknown, names);
            Err(format!(
                "{what} has no `{unknown}`{hint}; it takes: {takes}"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(extra: &str) -> Result<Scenario, String> {
        Scenario::from_text(&format!(
            r#"{{"upstreams":[{{"name":"a","path":"/a/{{id}}","latency":{{"constant_ms":1}},
            "body":{{"id":"{{id}}","n":1,"s":"x","l":[1],"o":{{}},"b":true}}{extra}}}]}}"#
        ))
    }

    fn body(template: &Template, id: &str) -> String {
        let mut out = Vec::new();
        template.render(id, &mut out);
        assert_eq!(out.len(), template.len(id));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_built_in_scenario_has_the_five_upstreams_of_the_order_service() {
        let scenario = Scenario::from_text(ORDERS).unwrap();
        let names: Vec<&str> = scenario.upstreams.iter().map(|u| u.name.as_str()).collect();
        assert_eq!(
            names,
            ["orders", "users", "inventory", "coupons", "recommend"]
        );
        for upstream in &scenario.upstreams {
            let size = upstream.body.len("o-1");
            assert!(
                (100..=1200).contains(&size),
                "{} has {size} bytes",
                upstream.name
            );
        }
    }

    #[test]
    fn bodies_carry_the_escaped_id_and_wrong_bodies_flip_every_type() {
        let scenario = one("").unwrap();
        let upstream = &scenario.upstreams[0];
        assert_eq!(
            body(&upstream.body, "o-7"),
            r#"{"id":"o-7","n":1,"s":"x","l":[1],"o":{},"b":true}"#
        );
        assert_eq!(
            body(&upstream.wrong_body, "o-7"),
            r#"{"id":7,"n":"1","s":7,"l":{},"o":[],"b":"true"}"#
        );
        assert_eq!(json_id("a%22%2Fb").as_deref(), Some(r#"a\"/b"#));
        assert_eq!(json_id("%C3%A9").as_deref(), Some("é"));
        assert_eq!(json_id("%ff"), None);
        assert_eq!(json_id("%f"), None);
    }

    #[test]
    fn only_the_declared_path_matches() {
        let scenario = one("").unwrap();
        let upstream = &scenario.upstreams[0];
        assert_eq!(upstream.id_in("/a/1"), Some("1"));
        assert_eq!(upstream.id_in("/a/1?x=2"), Some("1"));
        for path in ["/a/", "/a", "/b/1", "/a/1/2", "/a/1/"] {
            assert_eq!(upstream.id_in(path), None, "{path}");
        }
    }

    #[test]
    fn a_wrong_scenario_is_refused_with_its_place() {
        let message = one(r#","latencyy":1"#).unwrap_err();
        assert!(
            message.starts_with("upstreams[0]: an upstream has no `latencyy`"),
            "{message}"
        );
        assert!(message.contains("did you mean `latency`?"), "{message}");
        assert!(one(r#","fault":{"kind":"hangs"}"#)
            .unwrap_err()
            .contains("did you mean `hang`"));
        assert!(Scenario::from_text("{")
            .unwrap_err()
            .starts_with("not JSON"));
        assert!(Scenario::from_text(r#"{"upstreams":[]}"#).is_err());
        assert!(cut_path("/a/{id}/{x}").is_err());
        assert!(cut_path("/a{id}").is_err());
        assert!(cut_path("/a/{key}").is_err());
        assert!(cut_path("a").is_err());
    }
}
