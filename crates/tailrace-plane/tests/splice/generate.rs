//! Random shapes, documents and damage for the differential tests, all drawn from one generator.

use fastrand::Rng;
use serde_json::{json, Map, Value};
use tailrace_blueprint::{Extra, Field, NumberLimits, Shape, ShapeId};

const NAMES: [&str; 10] = [
    "id",
    "name",
    "price",
    "user_id",
    "created_at",
    "warehouse_route",
    "ä",
    "a\"b",
    "",
    "field-17-chars-xx",
];
const ODD: &[u8] = b"\"\\{}[],:0123456789.-+eEtrufalsn \n\t\x00\x1f\x7f\xc3\xa4\xed\xff/u";

/// A random shape, appended with all it refers to.
pub(crate) fn shape(rng: &mut Rng, shapes: &mut Vec<Shape>, depth: u32) -> ShapeId {
    let limit = |rng: &mut Rng, low: u32| rng.bool().then(|| rng.u32(low..low + 3));
    let made = match rng.u32(0..if depth == 0 { 7 } else { 15 }) {
        0 => Shape::Any {},
        1 => Shape::Null {},
        2 => Shape::Boolean {},
        3 => Shape::Integer {
            limits: limits(rng),
        },
        4 => Shape::Number {
            limits: limits(rng),
        },
        5 => Shape::String {
            length_min: limit(rng, 0),
            length_max: limit(rng, 3),
            pattern: (rng.u32(0..4) == 0).then(|| "^[a-mä]|z$".to_owned()),
            format: None,
        },
        6 => Shape::Literal {
            values: vec![json!("paid"), json!(7), json!(true), json!("ä\"")],
        },
        7 => {
            let (length_min, length_max) = (limit(rng, 0), limit(rng, 2));
            Shape::Array {
                items: shape(rng, shapes, depth - 1),
                length_min,
                length_max,
            }
        }
        8 => {
            let items = (0..rng.usize(0..4))
                .map(|_| shape(rng, shapes, depth - 1))
                .collect();
            Shape::Tuple { items }
        }
        9 => {
            let (length_min, length_max) = (limit(rng, 0), limit(rng, 2));
            Shape::Dict {
                values: shape(rng, shapes, depth - 1),
                length_min,
                length_max,
            }
        }
        10 => Shape::Optional {
            inner: shape(rng, shapes, depth - 1),
        },
        11 => union(rng, shapes, depth),
        12 => tagged_union(rng, shapes, depth),
        _ => object(rng, shapes, depth),
    };
    push(shapes, made)
}

fn union(rng: &mut Rng, shapes: &mut Vec<Shape>, depth: u32) -> Shape {
    let (length_min, length_max) = (None, Some(3));
    let text = Shape::String {
        length_min,
        length_max,
        pattern: None,
        format: None,
    };
    let items = shape(rng, shapes, depth - 1);
    let list = Shape::Array {
        items,
        length_min,
        length_max,
    };
    let integer = Shape::Integer {
        limits: limits(rng),
    };
    let object = object(rng, shapes, depth);
    let variants = [text, integer, list, object]
        .map(|variant| push(shapes, variant))
        .to_vec();
    Shape::Union { variants }
}

fn tagged_union(rng: &mut Rng, shapes: &mut Vec<Shape>, depth: u32) -> Shape {
    let variants = ["paid", "ä\""].map(|tag| {
        let variant = object(rng, shapes, depth);
        (tag.to_owned(), push(shapes, variant))
    });
    Shape::TaggedUnion {
        tag: NAMES[rng.usize(0..3)].to_owned(),
        variants: variants.to_vec(),
    }
}

fn push(shapes: &mut Vec<Shape>, shape: Shape) -> ShapeId {
    shapes.push(shape);
    shapes.len() as ShapeId - 1
}

fn limits(rng: &mut Rng) -> NumberLimits {
    let mut bound = |low: i32| rng.bool().then(|| f64::from(rng.i32(low..low + 10)) / 2.0);
    NumberLimits {
        ge: bound(-20),
        gt: bound(-20),
        le: bound(20),
        lt: bound(20),
        multiple_of: None,
    }
}

fn object(rng: &mut Rng, shapes: &mut Vec<Shape>, depth: u32) -> Shape {
    let mut names = NAMES.map(str::to_owned);
    rng.shuffle(&mut names);
    let (own, others) = names.split_at(rng.usize(0..6));
    let mut aliases = others.iter();
    let mut fields = Vec::new();
    for name in own {
        let mut from = Vec::new();
        if rng.u32(0..4) == 0 {
            from.extend(aliases.by_ref().take(2).cloned());
            if rng.bool() {
                from.push(name.clone());
            }
        }
        let required = rng.bool();
        let default = (!required && rng.bool()).then(|| anything(rng, 1));
        let shape = shape(rng, shapes, depth.saturating_sub(1));
        fields.push(Field {
            name: name.clone(),
            from,
            shape,
            required,
            default,
        });
    }
    let extra = [Extra::Drop, Extra::Drop, Extra::Keep, Extra::Refuse][rng.usize(0..4)];
    Shape::Object { fields, extra }
}

/// A document that usually satisfies the shape, and sometimes does not.
pub(crate) fn document(rng: &mut Rng, shapes: &[Shape], shape: ShapeId) -> Value {
    if rng.u32(0..40) == 0 {
        return anything(rng, 2);
    }
    let list = |rng: &mut Rng, min: &Option<u32>| min.unwrap_or(0) as usize + rng.usize(0..2);
    match &shapes[shape as usize] {
        Shape::Any {} => anything(rng, 2),
        Shape::Boolean {} => Value::Bool(rng.bool()),
        Shape::Integer { .. } => json!(rng.i64(-8..12)),
        Shape::Number { .. } => number(rng),
        Shape::String { length_min, .. } => {
            let len = list(rng, length_min);
            Value::String((0..len).map(|_| character(rng)).collect())
        }
        Shape::Literal { values } => values[rng.usize(0..values.len())].clone(),
        Shape::Array {
            items, length_min, ..
        } => (0..list(rng, length_min))
            .map(|_| document(rng, shapes, *items))
            .collect(),
        Shape::Tuple { items } => items
            .iter()
            .map(|item| document(rng, shapes, *item))
            .collect(),
        Shape::Dict {
            values, length_min, ..
        } => {
            let len = list(rng, length_min);
            let entry = |n: usize| (format!("k{n}{}", NAMES[n]), document(rng, shapes, *values));
            Value::Object((0..len).map(entry).collect())
        }
        Shape::Object { fields, .. } => members(rng, shapes, fields, Map::new()),
        Shape::Optional { inner } if rng.bool() => document(rng, shapes, *inner),
        Shape::Null {} | Shape::Optional { .. } => Value::Null,
        Shape::Union { variants } => {
            let variant = variants[rng.usize(0..variants.len())];
            document(rng, shapes, variant)
        }
        Shape::TaggedUnion { tag, variants } => {
            let (name, variant) = &variants[rng.usize(0..variants.len())];
            let tagged = Map::from_iter([(tag.clone(), json!(name))]);
            match &shapes[*variant as usize] {
                Shape::Object { fields, .. } => members(rng, shapes, fields, tagged),
                _ => Value::Object(tagged),
            }
        }
    }
}

fn members(
    rng: &mut Rng,
    shapes: &[Shape],
    fields: &[Field],
    mut map: Map<String, Value>,
) -> Value {
    let mut order: Vec<&Field> = fields.iter().collect();
    if rng.u32(0..3) == 0 {
        rng.shuffle(&mut order);
    }
    for field in order {
        if rng.u32(0..4) == 0 {
            map.entry(NAMES[rng.usize(0..NAMES.len())])
                .or_insert_with(|| anything(rng, 2));
        }
        if rng.u32(0..if field.required { 30 } else { 3 }) > 0 {
            let from = if field.from.is_empty() {
                std::slice::from_ref(&field.name)
            } else {
                &field.from
            };
            let key = from[rng.usize(0..from.len())].clone();
            let value = document(rng, shapes, field.shape);
            map.entry(key).or_insert(value);
        }
    }
    if rng.u32(0..4) == 0 {
        map.entry("undeclared").or_insert_with(|| anything(rng, 2));
    }
    Value::Object(map)
}

pub(crate) fn anything(rng: &mut Rng, depth: u32) -> Value {
    match rng.u32(0..if depth == 0 { 5 } else { 8 }) {
        0 => Value::Null,
        1 => Value::Bool(rng.bool()),
        2 => json!(rng.i64(..)),
        3 => number(rng),
        4 => {
            let len = if rng.u32(0..8) == 0 {
                rng.usize(0..60)
            } else {
                rng.usize(0..12)
            };
            Value::String((0..len).map(|_| character(rng)).collect())
        }
        5 => (0..rng.usize(0..4))
            .map(|_| anything(rng, depth - 1))
            .collect(),
        _ => {
            let mut map = Map::new();
            for _ in 0..rng.usize(0..22) {
                let key = if rng.bool() {
                    NAMES[rng.usize(0..NAMES.len())].to_owned()
                } else {
                    format!("common_prefix_{}", rng.u32(0..100))
                };
                map.insert(key, anything(rng, depth.saturating_sub(2)));
            }
            Value::Object(map)
        }
    }
}

fn number(rng: &mut Rng) -> Value {
    match rng.u32(0..3) {
        0 => json!(rng.i32(-9..12)),
        1 => json!(f64::from(rng.i32(-90..120)) / 8.0),
        // Few enough digits for serde_json to read back exactly what it wrote.
        _ => json!(f64::from(rng.i16(..)) / 1024.0),
    }
}

fn character(rng: &mut Rng) -> char {
    match rng.u32(0..20) {
        0 => ['"', '\\', '\n', '\0', '\u{1f}', '/', '\u{7f}'][rng.usize(0..7)],
        1 => ['ä', '€', '😀', '\u{2028}'][rng.usize(0..4)],
        _ => rng.lowercase(),
    }
}

/// JSON text of `value` with random white space and escapes.
pub(crate) fn write(rng: &mut Rng, value: &Value, out: &mut String) {
    gap(rng, out);
    match value {
        Value::String(text) => quoted(rng, text, out),
        Value::Array(elements) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                write(rng, element, out);
            }
            gap(rng, out);
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (index, (key, element)) in map.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                gap(rng, out);
                quoted(rng, key, out);
                gap(rng, out);
                out.push(':');
                write(rng, element, out);
            }
            gap(rng, out);
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
    gap(rng, out);
}

fn gap(rng: &mut Rng, out: &mut String) {
    if rng.u32(0..12) == 0 {
        out.push_str([" ", "\n", "\t\r", "            "][rng.usize(0..4)]);
    }
}

fn quoted(rng: &mut Rng, text: &str, out: &mut String) {
    if rng.u32(0..6) > 0 {
        out.push_str(&Value::from(text).to_string());
        return;
    }
    out.push('"');
    for unit in text.encode_utf16() {
        out.push_str("\\u");
        for shift in [12, 8, 4, 0] {
            out.extend(char::from_digit(u32::from(unit >> shift & 15), 16));
        }
    }
    out.push('"');
}

pub(crate) fn mutate(rng: &mut Rng, body: &mut Vec<u8>) {
    let at = rng.usize(0..=body.len());
    let odd = ODD[rng.usize(0..ODD.len())];
    match rng.u32(0..6) {
        0 => body.truncate(at),
        1 => body.insert(at, odd),
        2 if at < body.len() => {
            body.remove(at);
        }
        3 => {
            let end = rng.usize(at..=body.len());
            let copy = body[at..end].to_vec();
            body.splice(at..at, copy);
        }
        _ if at < body.len() => body[at] = odd,
        _ => body.push(odd),
    }
}
