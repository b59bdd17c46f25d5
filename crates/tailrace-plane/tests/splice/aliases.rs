//! Fields that arrive under other names, and fields that do not arrive.

use serde_json::json;
use tailrace_plane::splice::MismatchCode::{DuplicateKey, ExtraField, MissingField, WrongType};

use super::table;

fn shapes(extra: &str) -> serde_json::Value {
    json!([
        {"kind": "object", "extra": extra, "fields": [
            {"name": "id", "from": ["ID", "identifier", "id"], "shape": 1, "required": true},
            {"name": "new \"name\"", "from": ["n"], "shape": 1, "required": false},
        ]},
        {"kind": "integer"},
    ])
}

#[test]
fn an_alias_leaves_under_the_name() {
    table(
        shapes("drop"),
        &[
            (r#"{"ID":1}"#, Ok(r#"{"id":1}"#)),
            (
                r#"{"x":0,"identifier" : 1,"n":2}"#,
                Ok(r#"{"id" : 1,"new \"name\"":2}"#),
            ),
            (r#"{"\u0049D":1}"#, Ok(r#"{"id":1}"#)),
            (
                r#"{"id":1,"ID":2,"n":3}"#,
                Ok(r#"{"id":1,"new \"name\"":3}"#),
            ),
            (r#"{"ID":1,"id":2,"identifier":"x"}"#, Ok(r#"{"id":1}"#)),
            (r#"{"ID":1,"ID":2}"#, Err(DuplicateKey)),
            (r#"{"id":1,"ID":2,"ID":2}"#, Err(DuplicateKey)),
            (r#"{"ID":"1"}"#, Err(WrongType)),
            (r#"{"n":1}"#, Err(MissingField)),
        ],
    );
}

#[test]
fn kept_keys_never_collide_with_a_name() {
    table(
        shapes("keep"),
        &[
            (
                r#"{"ID":1,"id":2,"identifier":3,"x":4}"#,
                Ok(r#"{"id":1,"identifier":3,"x":4}"#),
            ),
            (
                r#"{"ID":1,"new \"name\"":2,"y":3}"#,
                Ok(r#"{"id":1,"y":3}"#),
            ),
        ],
    );
    table(shapes("refuse"), &[(r#"{"ID":1,"id":2}"#, Err(ExtraField))]);
}

#[test]
fn defaults_follow_what_arrived() {
    let deep = json!({"deep": [null, "ä\n"]});
    let fields = json!([
        {"name": "a", "shape": 1, "required": false, "default": 7},
        {"name": "b", "shape": 1, "required": false},
        {"name": "c", "from": ["C"], "shape": 1, "required": false, "default": deep},
    ]);
    table(
        json!([{"kind": "object", "extra": "drop", "fields": fields}, {"kind": "any"}]),
        &[
            ("{}", Ok(r#"{"a":7,"c":{"deep":[null,"ä\n"]}}"#)),
            ("{ }", Ok(r#"{"a":7,"c":{"deep":[null,"ä\n"]}}"#)),
            (
                r#"{"b":1}"#,
                Ok(r#"{"b":1,"a":7,"c":{"deep":[null,"ä\n"]}}"#),
            ),
            (r#"{"x":0,"C":1 }"#, Ok(r#"{"c":1,"a":7}"#)),
            (r#"{"C":null,"a":2,"x":0}"#, Ok(r#"{"c":null,"a":2}"#)),
        ],
    );
}

#[test]
fn fields_without_aliases_count_beside_those_with() {
    let fields = json!([
        {"name": "id", "from": ["ID", "id"], "shape": 1, "required": true},
        {"name": "size", "shape": 1, "required": true},
        {"name": "last", "shape": 1, "required": false, "default": 0},
    ]);
    table(
        json!([{"kind": "object", "extra": "drop", "fields": fields}, {"kind": "integer"}]),
        &[
            (
                r#"{"id":1,"size":2,"last":3}"#,
                Ok(r#"{"id":1,"size":2,"last":3}"#),
            ),
            (
                r#"{"ID":1,"id":9,"size":2}"#,
                Ok(r#"{"id":1,"size":2,"last":0}"#),
            ),
            (r#"{"id":1,"size":2,"size":2}"#, Err(DuplicateKey)),
            (r#"{"id":1,"last":2}"#, Err(MissingField)),
        ],
    );
}
