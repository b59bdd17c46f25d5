//! Projection said again, plainly, over a tree: what the one-pass walk must agree with. It shares
//! no code with it; formats have their own table of cases (scalars.rs).

use serde_json::{Map, Value};
use tailrace_blueprint::{Extra, Field, NumberLimits, Shape, ShapeId};

/// What `value` becomes, `None` where it is refused.
pub(crate) fn projected(shapes: &[Shape], shape: ShapeId, value: &Value) -> Option<Value> {
    let inner = |shape: ShapeId, value: &Value| projected(shapes, shape, value);
    let accepted = match (&shapes[shape as usize], value) {
        (Shape::Any {}, _)
        | (Shape::Null {} | Shape::Optional { .. }, Value::Null)
        | (Shape::Boolean {}, Value::Bool(_)) => true,
        (Shape::Integer { limits }, Value::Number(number)) => {
            !number.is_f64() && limited(limits, number.as_f64()?)
        }
        (Shape::Number { limits }, Value::Number(number)) => limited(limits, number.as_f64()?),
        (
            Shape::String {
                length_min,
                length_max,
                pattern,
                ..
            },
            Value::String(text),
        ) => {
            let pattern = pattern
                .as_ref()
                .map(|pattern| regex::Regex::new(pattern).unwrap());
            counted(*length_min, *length_max, text.chars().count())
                && pattern.is_none_or(|pattern| pattern.is_match(text))
        }
        (Shape::Literal { values }, _) => values.contains(value),
        (Shape::Optional { inner: shape }, _) => return inner(*shape, value),
        (Shape::Union { variants }, _) => {
            return variants.iter().find_map(|variant| inner(*variant, value));
        }
        (_, Value::Array(elements)) => return array(shapes, shape, elements).map(Value::Array),
        (
            Shape::Dict {
                values,
                length_min,
                length_max,
            },
            Value::Object(map),
        ) => {
            let entry = |(key, one): (&String, &Value)| Some((key.clone(), inner(*values, one)?));
            let kept: Option<Map<String, Value>> = map.iter().map(entry).collect();
            return kept
                .filter(|kept| counted(*length_min, *length_max, kept.len()))
                .map(Value::Object);
        }
        (Shape::Object { fields, extra }, Value::Object(map)) => {
            return object(shapes, fields, *extra, map).map(Value::Object);
        }
        (Shape::TaggedUnion { tag, variants }, Value::Object(map)) => {
            let named = map.get(tag)?.as_str()?;
            let (_, variant) = variants.iter().find(|(name, _)| name == named)?;
            return inner(*variant, value);
        }
        _ => false,
    };
    accepted.then(|| value.clone())
}

fn counted(min: Option<u32>, max: Option<u32>, count: usize) -> bool {
    count >= min.unwrap_or(0) as usize && count <= max.unwrap_or(u32::MAX) as usize
}

fn array(shapes: &[Shape], shape: ShapeId, elements: &[Value]) -> Option<Vec<Value>> {
    let own: Vec<ShapeId> = match &shapes[shape as usize] {
        Shape::Array {
            items,
            length_min,
            length_max,
        } => {
            let fits = counted(*length_min, *length_max, elements.len());
            fits.then(|| vec![*items; elements.len()])?
        }
        Shape::Tuple { items } if items.len() == elements.len() => items.clone(),
        _ => return None,
    };
    own.iter()
        .zip(elements)
        .map(|(shape, one)| projected(shapes, *shape, one))
        .collect()
}

fn limited(limits: &NumberLimits, value: f64) -> bool {
    limits.ge.is_none_or(|bound| value >= bound)
        && limits.gt.is_none_or(|bound| value > bound)
        && limits.le.is_none_or(|bound| value <= bound)
        && limits.lt.is_none_or(|bound| value < bound)
}

fn object(
    shapes: &[Shape],
    fields: &[Field],
    extra: Extra,
    map: &Map<String, Value>,
) -> Option<Map<String, Value>> {
    let accepts = |field: &Field, key: &String| {
        if field.from.is_empty() {
            field.name == *key
        } else {
            field.from.contains(key)
        }
    };
    let mut out = Map::new();
    for (key, value) in map {
        match fields.iter().find(|field| accepts(field, key)) {
            Some(field) if !out.contains_key(&field.name) => {
                out.insert(field.name.clone(), projected(shapes, field.shape, value)?);
            }
            _ if extra == Extra::Refuse => return None,
            _ if extra == Extra::Keep && fields.iter().all(|field| field.name != *key) => {
                out.insert(key.clone(), value.clone());
            }
            _ => {}
        }
    }
    for field in fields {
        match &field.default {
            _ if out.contains_key(&field.name) => {}
            _ if field.required => return None,
            Some(default) => {
                out.insert(field.name.clone(), default.clone());
            }
            None => {}
        }
    }
    Some(out)
}
