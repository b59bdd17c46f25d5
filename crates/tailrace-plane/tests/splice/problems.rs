//! Declarations the plane cannot check are refused before anything listens, with the shape's index.

use serde_json::{json, Value};
use tailrace_blueprint::{NumberLimits, Shape};
use tailrace_plane::splice::Shapes;

fn problem(shapes: Value) -> String {
    let declared: Vec<Shape> = serde_json::from_value(shapes).expect("the test's shapes are valid");
    Shapes::compile(&declared, 64)
        .expect_err("the declaration is wrong")
        .to_string()
}

fn each(rows: &[(Value, &str)]) {
    for (shapes, expected) in rows {
        let message = problem(shapes.clone());
        assert!(message.contains(expected), "{shapes}: {message}");
    }
}

/// An object over shape 0 with these fields, as shape 1.
fn object_of(fields: &Value) -> Value {
    json!([{"kind": "any"}, {"kind": "object", "extra": "drop", "fields": fields}])
}

#[test]
fn references_beyond_the_table() {
    let field = json!({"name": "a", "shape": 5, "required": true});
    each(&[
        (json!([{"kind": "array", "items": 1}]), "refers to shape 1"),
        (
            json!([{"kind": "tuple", "items": [0, 9]}]),
            "refers to shape 9",
        ),
        (json!([{"kind": "dict", "values": 4}]), "refers to shape 4"),
        (
            json!([{"kind": "optional", "inner": 4}]),
            "refers to shape 4",
        ),
        (
            json!([{"kind": "union", "variants": [4]}]),
            "refers to shape 4",
        ),
        (
            json!([{"kind": "tagged_union", "tag": "t", "variants": [["a", 4]]}]),
            "to shape 4",
        ),
        (object_of(&json!([field])), "shapes[1]: refers to shape 5"),
    ]);
}

#[test]
fn rules_that_no_value_meets() {
    each(&[
        (json!([{"kind": "string", "pattern": "("}]), "is no regex"),
        (
            json!([{"kind": "string", "pattern": "(?=a)"}]),
            "is no regex",
        ),
        (
            json!([{"kind": "string", "pattern": "(a{1000}){1000}"}]),
            "is no regex",
        ),
        (
            json!([{"kind": "string", "length_min": 2, "length_max": 1}]),
            "shortest length 2",
        ),
        (json!([{"kind": "literal", "values": []}]), "needs a value"),
        (json!([{"kind": "literal", "values": [[]]}]), "a literal is"),
        (
            json!([{"kind": "union", "variants": []}]),
            "needs a variant",
        ),
        (
            json!([{"kind": "tagged_union", "tag": "t", "variants": []}]),
            "needs a variant",
        ),
        (
            json!([{"kind": "integer", "limits": {"multiple_of": 0.0}}]),
            "multiple_of",
        ),
        (
            json!([{"kind": "integer", "limits": {"ge": 2.0, "lt": 1.0}}]),
            "no number",
        ),
    ]);
}

#[test]
fn fields_that_cannot_be_told_apart() {
    let field = |name: &str, from: &[&str]| {
        let required = false;
        json!({"name": name, "from": from, "shape": 0, "required": required})
    };
    let defaulted = json!({"name": "a", "shape": 0, "required": true, "default": 1});
    each(&[
        (
            object_of(&json!([field("a", &[]), field("a", &["b"])])),
            "two fields leave as",
        ),
        (
            object_of(&json!([field("a", &["b"]), field("b", &[])])),
            "two fields accept the key",
        ),
        (object_of(&json!([defaulted])), "required and has a default"),
    ]);
}

#[test]
fn variants_that_cannot_be_told_apart() {
    let (text, integer) = (json!({"kind": "string"}), json!({"kind": "integer"}));
    let object = json!({"kind": "object", "extra": "drop", "fields": []});
    let union = json!({"kind": "union", "variants": [0, 1]});
    let literal = json!({"kind": "literal", "values": ["a"]});
    let decimal = json!({"kind": "string", "format": "decimal"});
    let dict = json!({"kind": "dict", "values": 0});
    let tagged = json!({"kind": "tagged_union", "tag": "t", "variants": [["a", 0]]});
    let twice = json!({"kind": "tagged_union", "tag": "t", "variants": [["a", 0], ["a", 0]]});
    each(&[
        (
            json!([text, literal, union]),
            "shapes[2]: union variants 0 and 1 both accept a JSON string",
        ),
        (
            json!([integer, decimal, union]),
            "both accept a JSON number",
        ),
        (json!([object, dict, union]), "both accept a JSON object"),
        (json!([text, tagged]), "is not an object"),
        (json!([object, twice]), "names two variants"),
    ]);
}

#[test]
fn hops_that_take_no_bytes_must_end() {
    for cycle in [
        json!([{"kind": "optional", "inner": 0}]),
        json!([{"kind": "optional", "inner": 1}, {"kind": "union", "variants": [0]}]),
        json!([{"kind": "tagged_union", "tag": "t", "variants": [["a", 0]]}]),
    ] {
        assert!(problem(cycle).contains("without a value"));
    }
    let chain = |len: u32| -> Vec<Shape> {
        let optional = |n: u32| Shape::Optional { inner: n + 1 };
        (0..len).map(optional).chain([Shape::Any {}]).collect()
    };
    assert!(Shapes::compile(&chain(32), 64).is_ok());
    assert!(Shapes::compile(&chain(100_000), 64).is_err());
    // Through objects and arrays a model may refer to itself.
    let own: Vec<Shape> = vec![Shape::Array {
        items: 0,
        length_min: None,
        length_max: None,
    }];
    assert!(Shapes::compile(&own, 64).is_ok());
}

#[test]
fn unions_of_unions_are_measured_once() {
    // Without memory of what was visited this would take 2^32 steps.
    let mut shapes = vec![Shape::Any {}];
    for index in 0..30 {
        shapes.push(Shape::Union {
            variants: vec![index],
        });
    }
    assert!(Shapes::compile(&shapes, 64).is_ok());
}

#[test]
fn limits_that_cannot_be_honoured_are_refused() {
    assert!(Shapes::compile(&[], 0).is_err());
    assert!(Shapes::compile(&[], 65).is_err());
    assert!(Shapes::compile(&[], 64).is_ok());
    let limits = NumberLimits {
        ge: Some(f64::NAN),
        ..NumberLimits::default()
    };
    assert!(Shapes::compile(&[Shape::Number { limits }], 64).is_err());
}
