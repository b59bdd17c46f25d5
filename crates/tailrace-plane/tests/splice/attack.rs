//! Bodies made to break the process: nesting bombs in used and dropped fields, on a small stack
//! (RELIABILITY S16), and keys that would hide a duplicate (S17; its step counts are tested beside
//! the code, in splice/flood.rs).

use serde_json::json;
use tailrace_plane::splice::MismatchCode::{self, Depth, DuplicateKey, TooManyKeys};
use tailrace_plane::splice::{lookup, Shapes};

use super::{compile, project};

/// Far less than a worker's stack; unoptimised frames must fit as well.
const STACK_BYTES: usize = 384 * 1024;

fn on_small_stack(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(work);
    thread
        .expect("a thread starts")
        .join()
        .expect("the work neither panics nor overflows");
}

/// Shape 0: `used` is a recursive model, everything else is dropped. Shape 1: anything.
fn recursive() -> Shapes {
    compile(json!([
        {"kind": "object", "extra": "drop", "fields": [
            {"name": "used", "shape": 4, "required": false},
        ]},
        {"kind": "any"},
        {"kind": "union", "variants": [0, 3]},
        {"kind": "array", "items": 4},
        {"kind": "optional", "inner": 2},
    ]))
}

#[test]
fn nesting_bombs_are_refused_at_the_limit() {
    on_small_stack(|| {
        let shapes = recursive();
        for exponent in 2..=6 {
            let count = 10usize.pow(exponent);
            for (open, close) in [
                ("[", "]"),
                ("{\"used\":", "}"),
                ("{\"x\":", "}"),
                ("[{\"used\":", "}]"),
            ] {
                for end in ["null".to_owned() + &close.repeat(count), String::new()] {
                    let bomb = open.repeat(count) + &end;
                    let bodies = [format!("{{\"used\":{bomb}}}"), format!("{{\"x\":{bomb}}}")];
                    for body in bodies {
                        for shape in [0, 1] {
                            let refused = shapes.project(shape, body.as_bytes(), &mut Vec::new());
                            let refused = refused.unwrap_err();
                            assert_eq!(refused.code, Depth, "{count} x {open}");
                            assert!(refused.offset < 64 * open.len() + 8);
                        }
                    }
                    let _ = lookup(bomb.as_bytes(), &["used", "x"]);
                }
            }
        }
    });
}

#[test]
fn the_deepest_body_allowed_fits_the_small_stack() {
    on_small_stack(|| {
        let shapes = recursive();
        for (open, close) in [("[", "]"), ("{\"used\":", "}"), ("{\"x\":", "}")] {
            let body = |depth: usize| open.repeat(depth) + "null" + &close.repeat(depth);
            let deepest = format!("{{\"used\":{}}}", body(63));
            assert!(shapes
                .project(1, deepest.as_bytes(), &mut Vec::new())
                .is_ok());
            let refused = shapes.project(0, deepest.as_bytes(), &mut Vec::new());
            assert!(refused.is_ok() || open == "{\"x\":", "{refused:?}");
            let deeper = format!("{{\"used\":{}}}", body(64));
            let refused = shapes
                .project(0, deeper.as_bytes(), &mut Vec::new())
                .unwrap_err();
            assert_eq!(refused.code, Depth);
        }
    });
}

#[test]
fn the_limit_can_be_lower() {
    let shapes = Shapes::compile(&[tailrace_blueprint::Shape::Any {}], 2).expect("compiles");
    let code = |body: &str| {
        shapes
            .project(0, body.as_bytes(), &mut Vec::new())
            .map_err(|m| m.code)
    };
    assert_eq!(code("[[1],{}]"), Ok(()));
    assert_eq!(code("[[[1]]]"), Err(Depth));
    assert_eq!(code("[[{}]]"), Err(Depth));
}

#[test]
fn duplicates_are_found_at_every_level_and_distance() {
    let shapes = compile(json!([{"kind": "any"}]));
    // Each level holds ten keys, a child, and perhaps one of the ten again: the shared list spills,
    // the child's keys must be gone when its parent goes on.
    let level = |child: &str, last: &str| {
        let keys: Vec<String> = (0..10).map(|n| format!("\"key_number_{n}\":{n}")).collect();
        format!("{{{},\"child\":{child},\"last\":0{last}}}", keys.join(","))
    };
    for wrong in 0..=40 {
        let mut body = "null".to_owned();
        for depth in 1..=40 {
            let again = if depth == wrong {
                ",\"key_number_4\":0"
            } else {
                ""
            };
            body = level(&body, again);
        }
        let expected = if wrong == 0 {
            Ok(body.clone())
        } else {
            Err(DuplicateKey)
        };
        assert_eq!(
            project(&shapes, &body).map_err(|mismatch| mismatch.code),
            expected
        );
    }
    for count in [2, 15, 16, 17, 18, 40, 500] {
        let keys: Vec<String> = (0..count)
            .map(|n| format!("\"shared_prefix_{n}\":{n}"))
            .collect();
        let all = format!("{{{}}}", keys.join(","));
        assert!(project(&shapes, &all).is_ok());
        for again in [0, count / 2, count - 1] {
            let twice = all.replace('}', &format!(",{}}}", keys[again]));
            assert_eq!(project(&shapes, &twice).unwrap_err().code, DuplicateKey);
            let escaped = twice.replace(",\"shared", ",\"\\u0073hared");
            assert_eq!(project(&shapes, &escaped).unwrap_err().code, DuplicateKey);
        }
        let parent = format!("{{\"shared_prefix_1\":{all},\"b\":{all},\"shared_prefix_2\":1}}");
        assert!(project(&shapes, &parent).is_ok());
    }
}

#[test]
fn one_object_holds_ten_thousand_keys() {
    for shapes in [
        json!([{"kind": "any"}]),
        json!([{"kind": "dict", "values": 1}, {"kind": "integer"}]),
        json!([{"kind": "object", "extra": "drop", "fields": []}]),
    ] {
        let shapes = compile(shapes);
        let object = |count: usize| {
            let keys: Vec<String> = (0..count).map(|n| format!("\"k{n}\":{n}")).collect();
            format!("{{{}}}", keys.join(","))
        };
        assert!(project(&shapes, &object(10_000)).is_ok());
        let refused: MismatchCode = project(&shapes, &object(10_001)).unwrap_err().code;
        assert_eq!(refused, TooManyKeys);
    }
}
