//! One table of cases per shape that holds others, and the path a refusal names.

use serde_json::json;
use tailrace_plane::splice::MismatchCode::{
    Depth, DuplicateKey, ExtraField, Length, MissingField, Syntax, Trailing, UnknownShape,
    UnknownTag, Utf8, WrongType,
};
use tailrace_plane::splice::PATH_MAX;

use super::{compile, project, table};

#[test]
fn arrays_and_tuples() {
    table(
        json!([
            {"kind": "array", "items": 1, "length_min": 1, "length_max": 2},
            {"kind": "integer"},
        ]),
        &[
            ("[1]", Ok("[1]")),
            (" [ 1 , 2 ] ", Ok("[ 1 , 2 ]")),
            ("[]", Err(Length)),
            ("[1,2,3]", Err(Length)),
            ("[1,]", Err(Syntax)),
            ("[,1]", Err(Syntax)),
            ("[1 2]", Err(Syntax)),
            ("[1", Err(Syntax)),
            ("[1]]", Err(Trailing)),
            ("[\"1\"]", Err(WrongType)),
            ("{}", Err(WrongType)),
        ],
    );
    table(
        json!([{"kind": "tuple", "items": [1, 2]}, {"kind": "integer"}, {"kind": "string"}]),
        &[
            ("[1,\"a\"]", Ok("[1,\"a\"]")),
            ("[1]", Err(Length)),
            ("[]", Err(Length)),
            ("[1,\"a\",2]", Err(Length)),
            ("[\"a\",1]", Err(WrongType)),
        ],
    );
}

#[test]
fn dicts() {
    table(
        json!([{"kind": "dict", "values": 1, "length_max": 2}, {"kind": "boolean"}]),
        &[
            ("{}", Ok("{}")),
            (
                "{\"a\": true, \"\": false}",
                Ok("{\"a\": true, \"\": false}"),
            ),
            ("{\"a\":true,\"b\":true,\"c\":true}", Err(Length)),
            ("{\"a\":1}", Err(WrongType)),
            ("{\"a\":true,\"a\":true}", Err(DuplicateKey)),
            (r#"{"a":true,"\u0061":true}"#, Err(DuplicateKey)),
            ("{\"a\":true,}", Err(Syntax)),
            ("{\"a\" true}", Err(Syntax)),
            ("{a:true}", Err(Syntax)),
            ("[]", Err(WrongType)),
        ],
    );
}

fn person(extra: &str) -> serde_json::Value {
    json!([
        {"kind": "object", "extra": extra, "fields": [
            {"name": "id", "shape": 1, "required": true},
            {"name": "name", "shape": 2, "required": false},
        ]},
        {"kind": "integer"},
        {"kind": "string"},
    ])
}

#[test]
fn undeclared_fields_are_dropped_wherever_they_stand() {
    table(
        person("drop"),
        &[
            (r#"{"id":1,"name":"a"}"#, Ok(r#"{"id":1,"name":"a"}"#)),
            (r#"{"name":"a","id":1}"#, Ok(r#"{"name":"a","id":1}"#)),
            (r#"{"x":0,"id":1}"#, Ok(r#"{"id":1}"#)),
            (
                r#"{"id":1,"x":[{"y":null}],"name":"a"}"#,
                Ok(r#"{"id":1,"name":"a"}"#),
            ),
            (r#"{"id":1,"x":0,"y":1}"#, Ok(r#"{"id":1}"#)),
            (
                r#"{ "x" : 0 , "id" : 1 , "y" : 2 , "name" : "a" , "z" : 3 }"#,
                Ok(r#"{"id" : 1,"name" : "a"}"#),
            ),
            (r#"{"i\u0064":1}"#, Ok(r#"{"i\u0064":1}"#)),
            (r#"{"id":1,"id":1}"#, Err(DuplicateKey)),
            (r#"{"id":1,"\u0069d":1}"#, Err(DuplicateKey)),
            (r#"{"id":1,"x":1,"x":1}"#, Err(DuplicateKey)),
            (r#"{"id":1,"x":{"y":1,"y":1}}"#, Err(DuplicateKey)),
            (r#"{"id":1,"x":tru}"#, Err(Syntax)),
            (r#"{"id":1,}"#, Err(Syntax)),
            (r#"{"id":1 "name":"a"}"#, Err(Syntax)),
            (r#"{"id"}"#, Err(Syntax)),
            (r#"{"name":"a"}"#, Err(MissingField)),
            ("{}", Err(MissingField)),
            ("null", Err(WrongType)),
            ("{", Err(Syntax)),
        ],
    );
}

#[test]
fn undeclared_fields_kept_or_refused() {
    table(
        person("keep"),
        &[
            (
                r#"{"x":[1, 2],"id":1,"y":{}}"#,
                Ok(r#"{"x":[1, 2],"id":1,"y":{}}"#),
            ),
            (r#"{"id":1,"x":1,"x":1}"#, Err(DuplicateKey)),
        ],
    );
    table(
        person("refuse"),
        &[
            (r#"{"id":1}"#, Ok(r#"{"id":1}"#)),
            (r#"{"id":1,"x":1}"#, Err(ExtraField)),
            (r#"{"id":1,"idx":1}"#, Err(ExtraField)),
        ],
    );
}

#[test]
fn an_object_of_nothing_keeps_nothing() {
    table(
        json!([{"kind": "object", "extra": "drop", "fields": []}]),
        &[("{}", Ok("{}")), (r#"{ "a": 1, "b": [] }"#, Ok("{}"))],
    );
}

#[test]
fn nested_objects_drop_at_every_level() {
    let shapes = json!([
        {"kind": "object", "extra": "drop", "fields": [
            {"name": "items", "shape": 1, "required": true},
            {"name": "end", "shape": 3, "required": true},
        ]},
        {"kind": "array", "items": 2},
        {"kind": "object", "extra": "drop", "fields": [
            {"name": "p", "shape": 3, "required": true},
        ]},
        {"kind": "integer"},
    ]);
    table(
        shapes,
        &[(
            r#"{"a":0,"items":[{"p":1,"q":{"p":9}},{"q":0,"p":2},{"p":3}],"b":0,"end":4,"c":0}"#,
            Ok(r#"{"items":[{"p":1},{"p":2},{"p":3}],"end":4}"#),
        )],
    );
}

#[test]
fn objects_with_more_than_128_fields() {
    let fields: Vec<_> = (0..150)
        .map(|n| json!({"name": format!("field_number_{n}"), "shape": 1, "required": n != 140}))
        .collect();
    let shapes = compile(json!([
        {"kind": "object", "extra": "drop", "fields": fields}, {"kind": "integer"}
    ]));
    let member = |n: usize| format!("\"field_number_{n}\":{n}");
    let join = |members: Vec<String>| format!("{{{}}}", members.join(","));
    // Backwards, so that no guess holds, and without the optional one.
    let all = join((0..150).rev().filter(|n| *n != 140).map(member).collect());
    assert_eq!(project(&shapes, &all).as_deref(), Ok(all.as_str()));
    let missing = project(&shapes, &join((0..149).map(member).collect())).unwrap_err();
    assert_eq!(
        (missing.code, missing.path.as_str()),
        (MissingField, "field_number_149")
    );
    let twice = join((0..150).chain([149]).map(member).collect());
    assert_eq!(project(&shapes, &twice).unwrap_err().code, DuplicateKey);
    let unknown = all.replace("{\"", "{\"field_number_x\":0,\"");
    assert_eq!(project(&shapes, &unknown).as_deref(), Ok(all.as_str()));
}

#[test]
fn optionals_and_unions() {
    table(
        json!([{"kind": "optional", "inner": 1}, {"kind": "integer"}]),
        &[
            ("null", Ok("null")),
            ("1", Ok("1")),
            ("\"\"", Err(WrongType)),
            ("nil", Err(Syntax)),
        ],
    );
    table(
        json!([
            {"kind": "union", "variants": [1, 2, 3]},
            {"kind": "integer"},
            {"kind": "optional", "inner": 4},
            {"kind": "object", "extra": "drop", "fields": []},
            {"kind": "string", "length_max": 1},
        ]),
        &[
            ("1", Ok("1")),
            ("null", Ok("null")),
            ("\"a\"", Ok("\"a\"")),
            ("{\"a\":1}", Ok("{}")),
            ("\"ab\"", Err(Length)),
            ("1.5", Err(WrongType)),
            ("true", Err(WrongType)),
            ("[]", Err(WrongType)),
            ("?", Err(Syntax)),
        ],
    );
}

#[test]
fn tagged_unions() {
    let card = json!({"kind": "object", "extra": "drop", "fields": [
        {"name": "type", "shape": 4, "required": true},
        {"name": "digits", "shape": 3, "required": true},
    ]});
    let cash = json!({"kind": "object", "extra": "refuse", "fields": [
        {"name": "type", "shape": 4, "required": true},
    ]});
    let variants = json!([["card", 1], ["cash", 2], ["more", 5]]);
    table(
        json!([
            {"kind": "tagged_union", "tag": "type", "variants": variants},
            card, cash,
            {"kind": "string"},
            {"kind": "literal", "values": ["card", "cash", "more"]},
            {"kind": "tagged_union", "tag": "kind", "variants": [["card", 1]]},
        ]),
        &[
            (
                r#"{"type":"card","digits":"1","x":0}"#,
                Ok(r#"{"type":"card","digits":"1"}"#),
            ),
            (
                r#"{"x":{"type":"cash"},"digits":"1","type":"card"}"#,
                Ok(r#"{"digits":"1","type":"card"}"#),
            ),
            (
                r#"{"t\u0079pe":"c\u0061sh"}"#,
                Ok(r#"{"t\u0079pe":"c\u0061sh"}"#),
            ),
            (
                r#"{"type":"more","digits":"2","kind":"card"}"#,
                Ok(r#"{"type":"more","digits":"2"}"#),
            ),
            (r#"{"type":"cash","x":0}"#, Err(ExtraField)),
            (r#"{"type":"coin"}"#, Err(UnknownTag)),
            (r#"{"type":1}"#, Err(WrongType)),
            (
                r#"{"type":"card","type":"cash","digits":""}"#,
                Err(DuplicateKey),
            ),
            ("{}", Err(MissingField)),
            (r#"{"digits":"1"}"#, Err(MissingField)),
            ("{\"digits\":\"1\"", Err(Syntax)),
            ("{\"digits\"", Err(Syntax)),
            ("[]", Err(WrongType)),
        ],
    );
}

#[test]
fn recursive_models_end_at_the_depth_limit() {
    let shapes = compile(json!([
        {"kind": "object", "extra": "drop", "fields": [
            {"name": "n", "shape": 1, "required": true},
        ]},
        {"kind": "optional", "inner": 0},
    ]));
    let nested = |depth: usize| format!("{}null{}", "{\"n\":".repeat(depth), "}".repeat(depth));
    assert!(project(&shapes, &nested(64)).is_ok());
    assert_eq!(project(&shapes, &nested(65)).unwrap_err().code, Depth);
}

#[test]
fn refusals_name_the_place() {
    let shapes = compile(json!([
        {"kind": "object", "extra": "drop", "fields": [
            {"name": "items", "shape": 1, "required": true},
        ]},
        {"kind": "array", "items": 2},
        {"kind": "object", "extra": "drop", "fields": [
            {"name": "price", "shape": 3, "required": true},
            {"name": "size", "from": ["Size"], "shape": 4, "required": false},
        ]},
        {"kind": "integer"},
        {"kind": "dict", "values": 3},
    ]));
    let rows = [
        (
            r#"{"items":[{"price":1},{"price":2},{"price":"3"}]}"#,
            "items[2].price: expected integer",
        ),
        (
            r#"{"items":[{"price":1},{}]}"#,
            "items[1].price: missing field",
        ),
        (
            r#"{"items":[{"price":1,"Size":{"a b":2,"x\u0000y":1.5}}]}"#,
            "items[0].Size.x?u0000y: expected integer",
        ),
        (r#"{"x":{"y":[0,nul]}}"#, "x.y[1]: invalid JSON at byte 13"),
        (r#"{"items":7}"#, "items: expected array"),
        ("[]", "expected object"),
        ("", "invalid JSON at byte 0"),
        (r#"{"items":[]} x"#, "bytes after the JSON value at byte 13"),
    ];
    for (body, message) in rows {
        assert_eq!(
            project(&shapes, body).unwrap_err().to_string(),
            message,
            "for body {body}"
        );
    }
    let forged = "{\"a\\n\u{202e}\u{85}b\":x}";
    assert_eq!(project(&shapes, forged).unwrap_err().path, "a?n??b");
    let long = format!("{{\"{}\":{{\"{}\":x}}}}", "k".repeat(100), "ä".repeat(100));
    let refusal = project(&shapes, &long).unwrap_err();
    assert!(
        refusal.path.len() <= PATH_MAX && refusal.path.ends_with('…'),
        "{}",
        refusal.path
    );
}

#[test]
fn bodies_that_are_not_utf8_are_refused_in_dropped_fields_too() {
    let shapes = compile(person("drop"));
    let mut out = Vec::new();
    let refusal = shapes
        .project(0, b"{\"id\":1,\"x\":\"\xc3\x28\"}", &mut out)
        .unwrap_err();
    assert_eq!((refusal.code, refusal.offset, out.len()), (Utf8, 13, 0));
    let refusal = shapes.project(99, b"{}", &mut out).unwrap_err();
    assert_eq!(refusal.code, UnknownShape);
}
