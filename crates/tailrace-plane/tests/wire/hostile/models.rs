//! JSON, or nearly, that is not the declared model.

use super::{hostile, Hostile};
use crate::upstream::{json, Step};

type Texts = Vec<(&'static str, String)>;

/// JSON that is whole, but of another model.
fn models() -> Texts {
    vec![
        ("empty", String::new()),
        ("space", "  ".to_owned()),
        ("cut", r#"{"id":"a""#.to_owned()),
        ("missing_field", r#"{"other":"a"}"#.to_owned()),
        ("number_for_text", r#"{"id":7}"#.to_owned()),
        ("null_for_text", r#"{"id":null}"#.to_owned()),
        ("list_for_object", r#"[{"id":"a"}]"#.to_owned()),
        ("text_for_object", r#""a""#.to_owned()),
        ("duplicate_key", r#"{"id":"a","id":"b"}"#.to_owned()),
        (
            "duplicate_escaped_key",
            r#"{"id":"a","\u0069d":"b"}"#.to_owned(),
        ),
        (
            "duplicate_skipped_key",
            r#"{"id":"a","x":1,"x":2}"#.to_owned(),
        ),
    ]
}

/// What is not JSON, or deeper than any model.
fn syntax() -> Texts {
    let deep = |open: &str, close: &str, depth: usize| {
        format!(
            r#"{{"id":"a","skipped":{}1{}}}"#,
            open.repeat(depth),
            close.repeat(depth)
        )
    };
    vec![
        ("two_values", r#"{"id":"a"}{"id":"b"}"#.to_owned()),
        ("trailing_comma", r#"{"id":"a",}"#.to_owned()),
        ("trailing_word", r#"{"id":"a"} foreign"#.to_owned()),
        ("trailing_nul", "{\"id\":\"a\"}\0".to_owned()),
        ("byte_order_mark", "\u{feff}{\"id\":\"a\"}".to_owned()),
        ("comment", r#"{"id":"a"/* x */}"#.to_owned()),
        ("single_quotes", "{'id':'a'}".to_owned()),
        ("bare_key", r#"{id:"a"}"#.to_owned()),
        ("raw_line_end", "{\"id\":\"a\nb\"}".to_owned()),
        ("raw_nul", "{\"id\":\"a\0b\"}".to_owned()),
        ("bad_escape", r#"{"id":"\x41"}"#.to_owned()),
        ("lone_surrogate", r#"{"id":"\ud800"}"#.to_owned()),
        ("not_a_number", r#"{"id":"a","x":NaN}"#.to_owned()),
        ("leading_zero", r#"{"id":"a","x":01}"#.to_owned()),
        ("plus", r#"{"id":"a","x":+1}"#.to_owned()),
        ("capital_true", r#"{"id":"a","x":True}"#.to_owned()),
        ("deep_skipped_lists", deep("[", "]", 65)),
        ("deep_skipped_objects", deep(r#"{"a":"#, "}", 65)),
        (
            "deep_unclosed",
            format!(r#"{{"id":"a","x":{}"#, "[".repeat(4_000)),
        ),
        (
            "deep_instead_of_text",
            format!(r#"{{"id":{}"#, "[".repeat(4_000)),
        ),
    ]
}

/// JSON, or nearly, that is not the declared model. The bound of a body is 4 KiB here.
pub(super) fn all() -> Vec<Hostile> {
    let json_body = |(name, text): (&str, String)| {
        hostile(name, "model_mismatch", vec![Step::Send(json(text))])
    };
    let mut all: Vec<_> = models()
        .into_iter()
        .chain(syntax())
        .map(json_body)
        .collect();
    let raw: [(&str, &[u8]); 6] = [
        ("invalid_utf8", b"{\"id\":\"\xff\"}"),
        ("overlong_utf8", b"{\"id\":\"\xc0\xaf\"}"),
        ("surrogate_utf8", b"{\"id\":\"\xed\xa0\x80\"}"),
        ("cut_utf8", b"{\"id\":\"\xe2\x82\"}"),
        ("invalid_utf8_skipped", b"{\"id\":\"a\",\"x\":\"\xff\"}"),
        ("invalid_utf8_key", b"{\"id\":\"a\",\"\xff\":1}"),
    ];
    for (name, body) in raw {
        all.push(hostile(
            name,
            "model_mismatch",
            vec![Step::Send(json(body))],
        ));
    }
    all
}
