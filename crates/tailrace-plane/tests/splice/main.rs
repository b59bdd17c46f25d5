//! What the splice promises, from outside: per shape kind, by grammar, against a reference, under
//! attack.

// A test that cannot go on says so by panicking, in the functions tests share as well.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod aliases;
mod attack;
mod corpus;
mod differential;
mod generate;
mod objects;
mod problems;
mod query;
mod reference;
mod scalars;

use serde_json::Value;
use tailrace_blueprint::Shape;
use tailrace_plane::splice::{Mismatch, MismatchCode, Shapes};

/// Compiles declared shapes written as JSON.
fn compile(shapes: Value) -> Shapes {
    let declared: Vec<Shape> = serde_json::from_value(shapes).expect("the test's shapes are valid");
    Shapes::compile(&declared, 64).expect("the test's shapes compile")
}

/// The projection of `body` by shape 0, as text.
fn project(shapes: &Shapes, body: &str) -> Result<String, Mismatch> {
    let mut out = b"before".to_vec();
    let result = shapes.project(0, body.as_bytes(), &mut out);
    let appended = out
        .strip_prefix(b"before")
        .expect("what stood in the buffer stays")
        .to_vec();
    if result.is_err() {
        assert!(
            appended.is_empty(),
            "a refusal leaves nothing behind: {appended:?}"
        );
    }
    result.map(|()| String::from_utf8(appended).expect("projections are UTF-8"))
}

/// Asserts what becomes of each body: the projection, or the refusal's code.
fn table(shapes: Value, rows: &[(&str, Result<&str, MismatchCode>)]) {
    let shapes = compile(shapes);
    for (body, expected) in rows {
        let got = project(&shapes, body);
        let got = got
            .as_ref()
            .map(String::as_str)
            .map_err(|mismatch| mismatch.code);
        assert_eq!(got, *expected, "for body {body}");
    }
}
