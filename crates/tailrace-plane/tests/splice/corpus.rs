//! A corpus of small documents at the edges of the grammar (RELIABILITY S16): every row is accepted
//! or refused as a whole body, as an array element, and as the value of a dropped field.

use serde_json::{json, Value};

use super::compile;

/// Valid documents, each one value.
#[rustfmt::skip] // One row a line would hide the table.
const ACCEPT: &[&[u8]] = &[
    b"0", b"-0", b"1", b"-1", b"9", b"10", b"123456789", b"0.0", b"-0.0", b"0.5", b"1.25", b"10.01",
    b"0e0", b"0E0", b"1e1", b"1E1", b"1e+1", b"1e-1", b"1E+01", b"1e00", b"-1.5e-7", b"0.1e1",
    b"1.0E+2", b"123e65", b"1e-400", b"9007199254740993", b"18446744073709551616",
    b"0.000000000000000000000000000001", b"true", b"false", b"null", b" 1", b"1 ", b"\n1",
    b"\t1\r\n", b"    null    ", b"                 1                 ", b"\"\"", b"\"a\"",
    b"\" \"", b"\"abcdefg\"", b"\"abcdefgh\"", b"\"abcdefghi\"", b"\"abcdefghijklmno\"",
    b"\"abcdefghijklmnop\"", b"\"abcdefghijklmnopq\"", b"\"abcdefghijklmnopqrstuvwxyz0123456789\"",
    b"\"\\\"\"", b"\"\\\\\"", b"\"\\/\"", b"\"/\"", b"\"\\b\\f\\n\\r\\t\"", b"\"\\u0000\"",
    b"\"\\u0022\"", b"\"\\u005C\"", b"\"\\u00e9\"", b"\"\\u00E9\"", b"\"\\uFFFF\"", b"\"\\uFFFE\"",
    b"\"\\uFDD0\"", b"\"\\ud7ff\"", b"\"\\ue000\"", b"\"\\uD83D\\uDE00\"", b"\"\\uDBFF\\uDFFF\"",
    b"\"\\ud800\\udc00\"", b"\"\\\\u0041\"", b"\"\\\\\\\"\"", b"\"a\\u0062c\"", b"\"1234567\\n\"",
    b"\"12345678\\n\"", b"\"\x7f\"", b"\"\xc3\xa9\"", b"\"\xe2\x82\xac\"", b"\"\xf0\x9f\x98\x80\"",
    b"\"\xef\xbf\xbf\"", b"\"\xf4\x8f\xbf\xbf\"", b"\"\xe2\x80\xa8\xe2\x80\xa9\"",
    b"\"\xef\xbb\xbf\"", b"\"'\"", b"\"// no comment\"", b"\"{}[],:\"", b"[]", b"[ ]", b"[\n]",
    b"[1]", b"[1,2]", b"[1 , 2]", b"[[]]", b"[[],[]]", b"[null,true,false]", b"[\"\"]", b"[{}]",
    b"[1e1,-0]", b"{}", b"{ }", b"{\"\":0}", b"{\"a\":1}", b"{ \"a\" : 1 }", b"{\"a\":1,\"b\":2}",
    b"{\"a\":{\"a\":{}}}", b"{\"a\":[]}", b"{\"a\\u0000b\":1}", b"{\"\\u0061\":1,\"b\":1}",
    b"{\"a\":1,\"A\":1,\"aa\":1}",
];

/// Documents that are not JSON, or not one value.
#[rustfmt::skip] // One row a line would hide the table.
const REFUSE: &[&[u8]] = &[
    b"", b" ", b"\n", b"\0", b"1\0", b"\x0b1", b"\x0c1", b"1\x0c", b"\xc2\xa01", b"\xef\xbb\xbf1",
    b"\xff", b"\xef\xbb\xbf{}", b"/", b"//", b"1//", b"1/**/", b"/**/1", b"#", b"1 # a", b";",
    b"1;", b"1 2", b"1 true", b"truefalse", b"nullnull", b"\"a\"\"b\"", b"[][]", b"{}{}", b"{}[]",
    b"1]", b"1}", b"]", b"}", b",", b":", b",1", b"1,", b"1,2", b"\"a\":1", b"a", b"undefined",
    b"NaN", b"nan", b"-NaN", b"Infinity", b"-Infinity", b"inf", b"Inf", b"None", b"True", b"FALSE",
    b"Null", b"t", b"tr", b"tru", b"truee", b"trueX", b"f", b"fals", b"falsey", b"n", b"nul",
    b"nulll", b"nil", b"+1", b"++1", b"-", b"--1", b"-+1", b"- 1", b"-a", b"-\"\"", b"-true", b"00",
    b"01", b"-01", b"-00", b"012", b"0 1", b"0x1", b"0xF", b"0b1", b"0o7", b"1_000", b"1,000.0",
    b"1'000", b".", b".1", b"-.1", b"0.", b"1.", b"-1.", b"1..2", b"1.2.3", b"1.e1", b".e1",
    b"0.e1", b"e1", b"E", b"1e", b"1E", b"1e+", b"1e-", b"1e+-1", b"1ee1", b"1e1e1", b"1e1.5",
    b"1e 1", b"1 e1", b"1.5f", b"1L", b"1a", b"1e1a", b"$1", b"1%", b"\xef\xbc\x91", b"\xd9\xa3",
    b"\"", b"\"a", b"a\"", b"'a'", b"`a`", b"\"a'", b"\"\\\"", b"\"\\", b"\"\\a\"", b"\"\\0\"",
    b"\"\\x41\"", b"\"\\'\"", b"\"\\U0041\"", b"\"\\ \"", b"\"\\\n\"", b"\"\\u\"", b"\"\\u0\"",
    b"\"\\u00\"", b"\"\\u004\"", b"\"\\u004g\"", b"\"\\u+041\"", b"\"\\u{41}\"", b"\"\\u 041\"",
    b"\"\\ud800\"", b"\"\\udc00\"", b"\"\\udfff\"", b"\"\\ud800a\"", b"\"\\ud800\\n\"",
    b"\"\\ud800\\u0041\"", b"\"\\ud800\\ud800\"", b"\"\\udc00\\ud800\"", b"\"\\ud800\\udc0\"",
    b"\"\\ud800\\\"", b"\"\\ud800udc00\"", b"\"\n\"", b"\"\t\"", b"\"\0\"", b"\"\x1f\"", b"\"\r\"",
    b"\"abcdefgh\n\"", b"\"abcdefghijklmnopqrstuvw\t\"", b"\"\x80\"", b"\"\xc3\"", b"\"\xc0\xaf\"",
    b"\"\xed\xa0\x80\"", b"\"\xf4\x90\x80\x80\"", b"\"\xf8\x88\x80\x80\x80\"", b"\"\xe2\x82\"",
    b"[", b"[1", b"[1,", b"[1,]", b"[,]", b"[,1]", b"[1,,2]", b"[1 2]", b"[1:2]", b"[1}", b"[\"a\"",
    b"[\"a", b"[[]", b"[]]", b"(1)", b"[a]", b"[1;2]", b"{", b"{\"a\"", b"{\"a\":", b"{\"a\":1",
    b"{\"a\":1,", b"{\"a\":1,}", b"{,}", b"{\"a\"}", b"{\"a\",1}", b"{\"a\" 1}", b"{\"a\"::1}",
];

#[test]
fn valid_documents_pass_unchanged() {
    assert!(ACCEPT.len() >= 95);
    let shapes = compile(shapes());
    for row in ACCEPT {
        let text = String::from_utf8_lossy(row);
        let mut out = Vec::new();
        assert_eq!(shapes.project(0, row, &mut out), Ok(()), "{text}");
        assert_eq!(out, row.trim_ascii(), "{text}");
        assert!(
            serde_json::from_slice::<Value>(row).is_ok(),
            "the row is wrong: {text}"
        );
        for (shape, body, expected) in wrapped(row) {
            out.clear();
            assert_eq!(shapes.project(shape, &body, &mut out), Ok(()), "{text}");
            assert_eq!(out, expected.unwrap_or(body), "{text}");
        }
    }
}

#[test]
fn everything_else_is_refused() {
    assert!(REFUSE.len() >= 188);
    let shapes = compile(shapes());
    for row in REFUSE.iter().chain(MORE_REFUSED) {
        let text = String::from_utf8_lossy(row);
        let mut out = Vec::new();
        assert!(shapes.project(0, row, &mut out).is_err(), "{text}");
        assert!(
            serde_json::from_slice::<Value>(row).is_err(),
            "the row is wrong: {text}"
        );
        // A list inside brackets, or a space inside them, may become valid there: as a member it
        // cannot.
        for (shape, body, _) in wrapped(row).into_iter().skip(1) {
            assert!(shapes.project(shape, &body, &mut out).is_err(), "{text}");
        }
        assert!(out.is_empty(), "{text}");
    }
}

/// Objects have more ways to be wrong than the table above has rows.
#[rustfmt::skip] // One row a line would hide the table.
const MORE_REFUSED: &[&[u8]] = &[
    b"{\"a\":}", b"{:1}", b"{1:1}", b"{a:1}", b"{'a':1}", b"{null:1}", b"{\"a\":1 \"b\":2}",
    b"{\"a\":1,,\"b\":2}", b"{\"a\":1;\"b\":2}", b"{\"a\":1]", b"{\"a", b"{\"a\\\":1}",
    b"{\"a\n\":1}", b"{\"\\ud800\":1}", b"{\"a\":1}}", b"{[]:1}",
];

fn shapes() -> Value {
    json!([
        {"kind": "any"},
        {"kind": "array", "items": 0},
        {"kind": "object", "extra": "drop", "fields": [
            {"name": "k", "shape": 0, "required": false},
        ]},
    ])
}

/// The row as an array element, a declared member and a dropped member, with the projection where
/// it differs from the body.
fn wrapped(row: &[u8]) -> [(u32, Vec<u8>, Option<Vec<u8>>); 3] {
    let around = |before: &[u8], after: &[u8]| [before, row, after].concat();
    [
        (1, around(b"[", b"]"), None),
        (2, around(b"{\"k\":", b"}"), None),
        (2, around(b"{\"x\":", b"}"), Some(b"{}".to_vec())),
    ]
}
