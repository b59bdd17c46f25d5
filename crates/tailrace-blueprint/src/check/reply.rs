//! How parts become the reply: merged, appended, unwrapped, alone.
//!
//! The failure prevented is a reply with one key twice, and one whose layout depends on what an
//! upstream happened to answer: every name of the reply is known here, or it is refused.

use super::{listed, shape, Problems};
use crate::{Blueprint, Extra, Part, Shape, ShapeId, View};
use std::collections::HashMap;

pub(super) fn check_layout(path: &str, view: &View, blueprint: &Blueprint, out: &mut Problems) {
    let mut names: HashMap<&str, &str> = blueprint
        .envelope
        .fields()
        .into_iter()
        .map(|(_, name)| (name, "the envelope"))
        .collect();
    let shown = view
        .parts
        .iter()
        .filter(|one| !one.merge && one.append.is_none());
    names.extend(shown.map(|one| (one.name.as_str(), one.name.as_str())));
    let computed = view.computed.iter().flat_map(|computed| &computed.fields);
    names.extend(computed.map(|one| (one.name.as_str(), one.name.as_str())));
    for (index, part) in view.parts.iter().enumerate() {
        let at = format!("{path}.parts[{index}]");
        if let Some(unwrap) = &part.unwrap {
            shape::check_id(
                format!("{at}.unwrap.shape"),
                unwrap.shape,
                &blueprint.shapes,
                out,
            );
            if unwrap.field.is_empty() {
                let help = "name the keys, or leave `unwrap` out";
                out.add(format!("{at}.unwrap.field"), "nothing to unwrap", help);
            }
        }
        if part.merge {
            check_merge(&at, part, blueprint, &mut names, out);
        }
        if let Some(target) = &part.append {
            check_append(&at, part, target, view, blueprint, out);
        }
    }
    if let Some(name) = &view.collection {
        let found = view.parts.iter().find(|one| one.name == *name);
        let list = found.is_some_and(|one| is_list(one, blueprint) && one.append.is_none());
        if !list {
            let lists = view.parts.iter().filter(|one| is_list(one, blueprint));
            let message = format!("`{name}` is no part that is a list");
            let known = listed(lists.map(|one| one.name.as_str()));
            out.add(format!("{path}.collection"), message, known);
        }
    }
}

fn check_merge<'a>(
    at: &str,
    part: &'a Part,
    blueprint: &'a Blueprint,
    names: &mut HashMap<&'a str, &'a str>,
    out: &mut Problems,
) {
    let at = format!("{at}.merge");
    let shape = plain(part.shape, &blueprint.shapes);
    let Some(Shape::Object {
        fields,
        extra: Extra::Drop,
    }) = shape
    else {
        let help = "give it a model whose fields are all declared (no extra ones kept)";
        return out.add(at, "only an object with known fields can be merged", help);
    };
    if part.each.is_some() || part.append.is_some() {
        let help = "merge one object, or append a list";
        return out.add(at, "a list cannot be merged", help);
    }
    for field in fields {
        if let Some(other) = names.insert(&field.name, &part.name) {
            let message = format!("`{}` is also a name of {other}", field.name);
            let help = "rename one of them: the reply has each name once";
            out.add(at.clone(), message, help);
        }
    }
}

fn check_append(
    at: &str,
    part: &Part,
    target: &str,
    view: &View,
    blueprint: &Blueprint,
    out: &mut Problems,
) {
    let at = format!("{at}.append");
    let found = view
        .parts
        .iter()
        .find(|one| one.name == target && one.name != part.name);
    let fits = found.is_some_and(|one| one.append.is_none() && is_list(one, blueprint));
    if !fits || !is_list(part, blueprint) {
        let message = format!("`{target}` is not another part whose list this list can continue");
        let help = "both parts are lists, and the other one is not appended itself";
        out.add(at, message, help);
    }
}

fn is_list(part: &Part, blueprint: &Blueprint) -> bool {
    part.each.is_some()
        || matches!(
            plain(part.shape, &blueprint.shapes),
            Some(Shape::Array { .. } | Shape::Tuple { .. })
        )
}

/// The shape itself, whether or not it may be null.
fn plain(id: ShapeId, shapes: &[Shape]) -> Option<&Shape> {
    match shapes.get(id as usize)? {
        Shape::Optional { inner } => shapes.get(*inner as usize),
        shape => Some(shape),
    }
}
