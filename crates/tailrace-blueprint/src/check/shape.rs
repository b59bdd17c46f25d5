//! Shapes: references that exist, literals that are scalars, limits some value can meet.
//!
//! The failure prevented is a model no body can ever match, which would fail a part on every
//! request.

use super::Problems;
use crate::{NumberLimits, Shape, ShapeId};
use serde_json::Value;

pub(super) fn check_shapes(shapes: &[Shape], problems: &mut Problems) {
    for (index, shape) in shapes.iter().enumerate() {
        let path = format!("shapes[{index}]");
        check_references(&path, shape, shapes, problems);
        match shape {
            Shape::Integer { limits } | Shape::Number { limits } => {
                check_numbers(&path, limits, problems);
            }
            Shape::String {
                length_min,
                length_max,
                ..
            }
            | Shape::Array {
                length_min,
                length_max,
                ..
            }
            | Shape::Dict {
                length_min,
                length_max,
                ..
            } => {
                if matches!((length_min, length_max), (Some(low), Some(high)) if low > high) {
                    let message = "the shortest length is above the longest";
                    let help = "no value fits; exchange or change the two";
                    problems.add(format!("{path}.length_min"), message, help);
                }
            }
            Shape::Literal { values } => check_literal(&path, values, problems),
            _ => {}
        }
    }
}

/// Reports `id` when no shape has it; `path` is where it stands.
pub(super) fn check_id(
    path: String,
    id: ShapeId,
    shapes: &[Shape],
    problems: &mut Problems,
) -> bool {
    let known = (id as usize) < shapes.len();
    if !known {
        let message = format!("there is no shape {id}");
        problems.add(
            path,
            message,
            format!("shapes has {} entries, from 0", shapes.len()),
        );
    }
    known
}

/// Whether JSON null fits. A union that holds itself is looked at once.
pub(super) fn accepts_null(id: ShapeId, shapes: &[Shape]) -> bool {
    let mut seen = vec![false; shapes.len()];
    let mut open = vec![id];
    while let Some(id) = open.pop() {
        let index = id as usize;
        let Some(shape) = shapes.get(index) else {
            continue;
        };
        if std::mem::replace(&mut seen[index], true) {
            continue;
        }
        match shape {
            Shape::Any {} | Shape::Null {} | Shape::Optional { .. } => return true,
            Shape::Literal { values } if values.contains(&Value::Null) => return true,
            Shape::Union { variants } => open.extend(variants),
            _ => {}
        }
    }
    false
}

/// Whether a parameter may have this shape: it arrives as text and is one value.
pub(super) fn is_scalar(shape: &Shape) -> bool {
    matches!(
        shape,
        Shape::Boolean {}
            | Shape::Integer { .. }
            | Shape::Number { .. }
            | Shape::String { .. }
            | Shape::Literal { .. }
    )
}

fn check_references(path: &str, shape: &Shape, shapes: &[Shape], problems: &mut Problems) {
    let mut one = |field: String, id: ShapeId| {
        check_id(format!("{path}.{field}"), id, shapes, problems);
    };
    match shape {
        Shape::Array { items, .. } => one("items".to_owned(), *items),
        Shape::Dict { values, .. } => one("values".to_owned(), *values),
        Shape::Optional { inner } => one("inner".to_owned(), *inner),
        Shape::Tuple { items } => {
            for (index, id) in items.iter().enumerate() {
                one(format!("items[{index}]"), *id);
            }
        }
        Shape::Union { variants } => {
            for (index, id) in variants.iter().enumerate() {
                one(format!("variants[{index}]"), *id);
            }
        }
        Shape::TaggedUnion { variants, .. } => {
            for (index, (_, id)) in variants.iter().enumerate() {
                one(format!("variants[{index}][1]"), *id);
            }
        }
        Shape::Object { fields, .. } => {
            for (index, field) in fields.iter().enumerate() {
                one(format!("fields[{index}].shape"), field.shape);
            }
        }
        Shape::Any {}
        | Shape::Null {}
        | Shape::Boolean {}
        | Shape::Integer { .. }
        | Shape::Number { .. }
        | Shape::String { .. }
        | Shape::Literal { .. } => {}
    }
}

fn check_literal(path: &str, values: &[Value], problems: &mut Problems) {
    if values.is_empty() {
        let help = "list the values that are accepted";
        problems.add(format!("{path}.values"), "the literal has no values", help);
    }
    for (index, value) in values.iter().enumerate() {
        if value.is_array() || value.is_object() {
            let help = "a literal's values are text, numbers, booleans or null";
            problems.add(
                format!("{path}.values[{index}]"),
                "the value is no scalar",
                help,
            );
        }
    }
}

fn check_numbers(path: &str, limits: &NumberLimits, problems: &mut Problems) {
    let all = [
        limits.ge,
        limits.gt,
        limits.le,
        limits.lt,
        limits.multiple_of,
    ];
    if all.iter().flatten().any(|limit| !limit.is_finite()) {
        let help = "leave the limit out instead";
        problems.add(
            format!("{path}.limits"),
            "a limit is not a finite number",
            help,
        );
        return;
    }
    if limits.multiple_of.is_some_and(|step| step <= 0.0) {
        let message = "nothing is a multiple of 0 or less";
        problems.add(
            format!("{path}.limits.multiple_of"),
            message,
            "give a step above 0",
        );
    }
    let empty = |low: Option<f64>, high: Option<f64>, open: bool| {
        let (low, high) = (low.unwrap_or(f64::MIN), high.unwrap_or(f64::MAX));
        low > high || (open && low >= high)
    };
    if empty(limits.ge, limits.le, false)
        || empty(limits.ge, limits.lt, true)
        || empty(limits.gt, limits.le, true)
        || empty(limits.gt, limits.lt, true)
    {
        let message = "no number is within these limits";
        problems.add(
            format!("{path}.limits"),
            message,
            "the lower limit must be below the upper",
        );
    }
}
