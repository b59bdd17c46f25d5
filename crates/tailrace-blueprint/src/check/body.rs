//! Bodies: those of requests and those of calls, and when a call is made at all.
//!
//! The failures prevented are a body on a method that has none, a document that is not JSON once
//! its values stand in it, two readers of one body, and a condition on something that is not known
//! before the call.

use super::{shape, Problems};
use crate::{Blueprint, CallBody, JsonPiece, ParameterIn, Part, Piece, View};
use serde_json::Value;

pub(super) fn check_request(path: &str, view: &View, blueprint: &Blueprint, out: &mut Problems) {
    let form = view.parameters.iter();
    let form = form.filter(|one| one.location == ParameterIn::Form).count();
    if !view.method.has_body() && (form > 0 || view.body.is_some()) {
        let message = format!("{:?} requests have no body to read", view.method);
        out.add(format!("{path}.method"), message, "use POST, PUT or PATCH");
    }
    let Some(body) = &view.body else { return };
    let at = format!("{path}.body");
    if form > 0 {
        let help = "read fields of a form, or a JSON body";
        out.add(at.clone(), "the body is read as JSON and as a form", help);
    }
    let parts = view.parts.iter().map(|one| &one.name);
    let mut taken = parts.chain(view.parameters.iter().map(|one| &one.name));
    if body.name.is_empty() || taken.any(|name| *name == body.name) {
        let message = format!("the body cannot be called `{}`", body.name);
        let help = "give it a name that no part and no parameter has";
        out.add(format!("{at}.name"), message, help);
    }
    shape::check_id(format!("{at}.shape"), body.shape, &blueprint.shapes, out);
}

pub(super) fn check_call(
    path: &str,
    part: &Part,
    view: &View,
    blueprint: &Blueprint,
    out: &mut Problems,
) {
    if let Some(body) = &part.body {
        if !part.method.has_body() {
            let message = format!("a {:?} call sends no body", part.method);
            out.add(format!("{path}.body"), message, "use POST, PUT or PATCH");
        }
        if let CallBody::Json(pieces) = body {
            if let Err(error) = serde_json::from_str::<Value>(&sample(pieces)) {
                let message = format!("the body is no JSON: {error}");
                let help = "with each value in its place the pieces must make one document";
                out.add(format!("{path}.body.json"), message, help);
            }
        }
    }
    if part.idempotency_key.is_some() {
        let upstream = blueprint.upstream(&part.upstream);
        let forwarded = upstream.iter().flat_map(|one| &one.forward_headers);
        let mut sent = part.headers.iter().map(|one| &one.name).chain(forwarded);
        if sent.any(|name| name.eq_ignore_ascii_case("idempotency-key")) {
            let help = "leave it out of `headers` and of the upstream's `forward_headers`";
            let at = format!("{path}.idempotency_key");
            out.add(at, "the call would have two idempotency keys", help);
        }
    }
    let optional = |name: &str| {
        let found = view.parameters.iter().find(|one| one.name == name);
        found.is_some_and(|one| !one.required && one.default.is_none())
    };
    for piece in part.idempotency_key.iter().flatten() {
        if let Piece::Parameter(name) = piece {
            if optional(name) {
                let message = format!("the key reads `{name}`, which may be absent");
                let help = "make the parameter required, or give it a default";
                out.add(format!("{path}.idempotency_key"), message, help);
            }
        }
    }
    let Some(condition) = &part.when else { return };
    let at = format!("{path}.when");
    if matches!(condition.value, Piece::Text(_) | Piece::Item(_)) {
        let help = "name a parameter, or a field of a part or of the body";
        out.add(format!("{at}.value"), "a condition needs a value", help);
    }
    let known = (part.shape as usize) < blueprint.shapes.len();
    let nullable = part.each.is_some() || shape::accepts_null(part.shape, &blueprint.shapes);
    if known && !nullable && part.default.as_ref().is_none_or(Value::is_null) {
        let help = "give it a default, or make its shape optional";
        out.add(at, "the part has no value when the condition fails", help);
    }
}

/// The document with `null` for each value and nothing in each string.
fn sample(pieces: &[JsonPiece]) -> String {
    let one = |piece: &JsonPiece| match piece {
        JsonPiece::Text(text) => text.clone(),
        JsonPiece::Value(_) => "null".to_owned(),
        JsonPiece::String(_) => "\"\"".to_owned(),
    };
    pieces.iter().map(one).collect()
}

/// What body, key and condition of a call read.
pub(super) fn pieces(part: &Part) -> impl Iterator<Item = &Piece> {
    placed("", part).into_iter().map(|(_, piece)| piece)
}

/// The same, each with its path. The key's own pieces are headers and are checked as such.
pub(super) fn placed<'a>(path: &str, part: &'a Part) -> Vec<(String, &'a Piece)> {
    let mut found = Vec::new();
    match &part.body {
        Some(CallBody::Json(pieces)) => {
            for (index, piece) in pieces.iter().enumerate() {
                let at = format!("{path}.body.json[{index}]");
                match piece {
                    JsonPiece::Text(_) => {}
                    JsonPiece::Value(value) => found.push((format!("{at}.value"), value)),
                    JsonPiece::String(template) => {
                        found.extend(template.iter().map(|one| (format!("{at}.string"), one)));
                    }
                }
            }
        }
        Some(CallBody::Form(pairs)) => {
            for (index, pair) in pairs.iter().enumerate() {
                let at = format!("{path}.body.form[{index}].value");
                found.extend(pair.value.iter().map(|one| (at.clone(), one)));
            }
        }
        None => {}
    }
    let key = part.idempotency_key.iter().flatten();
    found.extend(key.map(|one| (format!("{path}.idempotency_key"), one)));
    let when = part.when.iter();
    found.extend(when.map(|one| (format!("{path}.when.value"), &one.value)));
    found
}
