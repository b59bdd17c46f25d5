//! One table of cases per scalar shape, in bodies and as parameters (DESIGN 4, *Shape*).

use serde_json::json;
use tailrace_plane::splice::MismatchCode::{
    self, Format, Length, NumberTooLong, OutOfRange, Pattern, StringTooLong, Syntax, Trailing,
    UnknownLiteral, UnknownShape, WrongType,
};

use super::{compile, project, table};

#[test]
fn null_and_booleans() {
    table(
        json!([{"kind": "null"}]),
        &[
            ("null", Ok("null")),
            ("0", Err(WrongType)),
            ("nul", Err(Syntax)),
            ("", Err(Syntax)),
        ],
    );
    table(
        json!([{"kind": "boolean"}]),
        &[
            (" true\n", Ok("true")),
            ("false", Ok("false")),
            ("null", Err(WrongType)),
            ("1", Err(WrongType)),
            ("\"true\"", Err(WrongType)),
            ("tru", Err(Syntax)),
            ("truey", Err(Trailing)),
            ("True", Err(Syntax)),
        ],
    );
}

#[test]
fn integers_are_tokens_without_fraction_or_exponent() {
    table(
        json!([{"kind": "integer"}]),
        &[
            ("0", Ok("0")),
            ("-0", Ok("-0")),
            ("12345678901234567890123", Ok("12345678901234567890123")),
            ("1.0", Err(WrongType)),
            ("1e2", Err(WrongType)),
            ("\"1\"", Err(WrongType)),
            ("true", Err(WrongType)),
            ("01", Err(Trailing)),
            ("-", Err(Syntax)),
            ("+1", Err(Syntax)),
        ],
    );
}

#[test]
fn numbers_pass_as_the_bytes_that_came() {
    table(
        json!([{"kind": "number"}]),
        &[
            ("1.50", Ok("1.50")),
            ("-1E+0", Ok("-1E+0")),
            ("1e999", Ok("1e999")),
            ("1.", Err(Syntax)),
            (".5", Err(Syntax)),
            ("1e", Err(Syntax)),
            ("null", Err(WrongType)),
        ],
    );
    let shapes = compile(json!([{"kind": "number"}]));
    assert!(project(&shapes, &"7".repeat(64)).is_ok());
    assert!(project(
        &shapes,
        &format!("-{}.{}e+1", "7".repeat(32), "7".repeat(31))
    )
    .is_ok());
    let refusal = project(&shapes, &"7".repeat(65)).unwrap_err();
    assert_eq!(refusal.code, NumberTooLong);
}

#[test]
fn number_limits() {
    let limits = json!({"ge": -1.0, "lt": 10.0, "multiple_of": 0.1});
    table(
        json!([{"kind": "number", "limits": limits}]),
        &[
            ("0.3", Ok("0.3")),
            ("-1", Ok("-1")),
            ("10", Err(OutOfRange)),
            ("-1.1", Err(OutOfRange)),
            ("0.35", Err(OutOfRange)),
            ("1e999", Err(OutOfRange)),
        ],
    );
    let limits = json!({"gt": 0.0, "le": 9.0, "multiple_of": 3.0});
    table(
        json!([{"kind": "integer", "limits": limits}]),
        &[
            ("9", Ok("9")),
            ("0", Err(OutOfRange)),
            ("4", Err(OutOfRange)),
            ("12", Err(OutOfRange)),
        ],
    );
}

#[test]
fn strings() {
    table(
        json!([{"kind": "string"}]),
        &[
            (r#""""#, Ok(r#""""#)),
            (
                r#" "a\u00e9\ud83d\ude00\n" "#,
                Ok(r#""a\u00e9\ud83d\ude00\n""#),
            ),
            (
                "\"grüße, a longer string than two words\"",
                Ok("\"grüße, a longer string than two words\""),
            ),
            (r#""\ud83d""#, Err(Syntax)),
            (r#""\ude00\ud83d""#, Err(Syntax)),
            (r#""\x""#, Err(Syntax)),
            ("\"tab\there\"", Err(Syntax)),
            ("\"open", Err(Syntax)),
            ("'a'", Err(Syntax)),
            ("1", Err(WrongType)),
            ("null", Err(WrongType)),
        ],
    );
    let shapes = compile(json!([{"kind": "string"}]));
    assert!(project(&shapes, &format!("\"{}\"", "a".repeat(1 << 20))).is_ok());
    let refusal = project(&shapes, &format!("\"{}\"", "a".repeat((1 << 20) + 1))).unwrap_err();
    assert_eq!(refusal.code, StringTooLong);
}

#[test]
fn lengths_count_characters_of_the_decoded_text() {
    table(
        json!([{"kind": "string", "length_min": 2, "length_max": 3}]),
        &[
            ("\"ab\"", Ok("\"ab\"")),
            ("\"äöü\"", Ok("\"äöü\"")),
            (r#""\u00e4\ud83d\ude00\n""#, Ok(r#""\u00e4\ud83d\ude00\n""#)),
            ("\"a\"", Err(Length)),
            ("\"😀\"", Err(Length)),
            ("\"abcd\"", Err(Length)),
        ],
    );
}

#[test]
fn patterns_search_decoded_text() {
    table(
        json!([{"kind": "string", "pattern": "^[a-z]+-[0-9]{2}$|ß"}]),
        &[
            ("\"sku-10\"", Ok("\"sku-10\"")),
            (r#""sk\u0075-10""#, Ok(r#""sk\u0075-10""#)),
            ("\"Straße\"", Ok("\"Straße\"")),
            ("\"sku-1\"", Err(Pattern)),
            ("\"\"", Err(Pattern)),
        ],
    );
}

fn formats(format: &str, good: &[&str], bad: &[&str]) {
    let shapes = compile(json!([{"kind": "string", "format": format}]));
    for text in good {
        let body = serde_json::to_string(text).expect("a string is JSON");
        assert!(project(&shapes, &body).is_ok(), "{format}: {text}");
        assert!(
            shapes.accept_scalar(0, text.as_bytes()).is_ok(),
            "{format}: {text}"
        );
    }
    for text in bad {
        let body = serde_json::to_string(text).expect("a string is JSON");
        let code = project(&shapes, &body).map_err(|mismatch| mismatch.code);
        assert_eq!(code, Err(Format), "{format}: {text}");
    }
}

#[test]
fn dates_and_times() {
    formats(
        "date",
        &[
            "2026-03-14",
            "2024-02-29",
            "0001-01-01",
            "9999-12-31",
            "2000-02-29",
        ],
        &[
            "2026-3-14",
            "2023-02-29",
            "1900-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-04-31",
            "0000-01-01",
            "2026-03-14T00:00:00",
            "20260314",
            "",
            "2026/03/14",
            "１２３４-01-01",
        ],
    );
    formats(
        "date_time",
        &[
            "2026-03-14T09:26:53Z",
            "2026-03-14t09:26:53z",
            "2026-03-14 09:26:53",
            "2026-03-14_09:26",
            "2026-03-14T09:26:53.5+02:00",
            "2026-03-14T09:26:53,123456-0230",
            "2026-03-14T09:26:53.123456789Z",
            "2026-03-14T09:26:53\u{2212}01:00",
        ],
        &[
            "2026-03-14",
            "1773480413",
            "2026-03-14T24:00:00Z",
            "2026-03-14T09:60Z",
            "2026-03-14T09:26:60Z",
            "2026-03-14T09:26:53.Z",
            "2026-03-14T09:26:53+24:00",
            "2026-03-14T09:26:53+02",
            "2026-03-14T09:26:53 Z",
            "2026-03-14T",
            "2026-02-30T09:26:53Z",
            "2026-03-14T9:26:53Z",
            "2026-03-14X09:26:53Z",
            "2026-03-14T09:26:53+02:60",
        ],
    );
    formats(
        "time",
        &["09:26", "09:26:53", "23:59:59.999999Z", "00:00+01:00"],
        &[
            "9:26",
            "24:00",
            "09:26:",
            "09",
            "",
            "09:26:53.",
            "09-26",
            "09:26:53ZZ",
        ],
    );
}

#[test]
fn uuids_and_decimals() {
    formats(
        "uuid",
        &[
            "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
            "F81D4FAE7DEC11D0A76500A0C91E6BF6",
            "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
            "{f81d4fae-7dec-11d0-a765-00a0c91e6bf6}",
        ],
        &[
            "f81d4fae-7dec-11d0-a765-00a0c91e6bf",
            "f81d4fae-7dec-11d0-a76500a0c91e-6bf6",
            "",
            "g81d4fae-7dec-11d0-a765-00a0c91e6bf6",
            "{f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
            "f81d4fae7dec-11d0-a765-00a0c91e6bf6",
        ],
    );
    formats(
        "decimal",
        &["0", "-12.50", "+1", ".5", "5.", "1e-3", "1.5E+10"],
        &[
            "", "-", ".", "1.2.3", "1e", "e1", "NaN", "Infinity", "1 ", "0x1", "1,5", "1e1.0",
            "--1",
        ],
    );
    table(
        json!([{"kind": "string", "format": "decimal"}]),
        &[
            ("12.50", Ok("12.50")),
            ("-1e3", Ok("-1e3")),
            ("\"12.50\"", Ok("\"12.50\"")),
            ("true", Err(WrongType)),
            ("1.", Err(Syntax)),
        ],
    );
}

#[test]
fn literals_keep_their_json_type() {
    table(
        json!([{"kind": "literal", "values": ["paid", 1, -2, 2.5, true, null, "ä"]}]),
        &[
            ("\"paid\"", Ok("\"paid\"")),
            (r#""p\u0061id""#, Ok(r#""p\u0061id""#)),
            (r#""\u00e4""#, Ok(r#""\u00e4""#)),
            ("1", Ok("1")),
            ("-2", Ok("-2")),
            ("2.5", Ok("2.5")),
            ("25e-1", Ok("25e-1")),
            ("true", Ok("true")),
            ("null", Ok("null")),
            ("\"1\"", Err(UnknownLiteral)),
            ("1.0", Err(UnknownLiteral)),
            ("false", Err(UnknownLiteral)),
            ("\"Paid\"", Err(UnknownLiteral)),
            ("[]", Err(WrongType)),
            ("{}", Err(WrongType)),
            ("\"paid", Err(Syntax)),
        ],
    );
}

#[test]
fn parameters_are_text_for_strings_and_tokens_otherwise() {
    let shapes = compile(json!([
        {"kind": "string", "length_min": 1},
        {"kind": "integer", "limits": {"ge": 1.0}},
        {"kind": "number"},
        {"kind": "boolean"},
        {"kind": "literal", "values": ["gold", 7, null]},
        {"kind": "optional", "inner": 1},
        {"kind": "union", "variants": [3, 1]},
        {"kind": "array", "items": 0},
        {"kind": "any"},
    ]));
    let rows: &[(u32, &str, Result<(), MismatchCode>)] = &[
        (0, "null", Ok(())),
        (0, "\"", Ok(())),
        (0, "", Err(Length)),
        (1, "12", Ok(())),
        (1, "0", Err(OutOfRange)),
        (1, "1.0", Err(WrongType)),
        (1, " 1", Err(WrongType)),
        (1, "1 ", Err(WrongType)),
        (1, "012", Err(WrongType)),
        (1, "٣", Err(WrongType)),
        (1, "", Err(WrongType)),
        (2, "-1.5e3", Ok(())),
        (2, "nan", Err(WrongType)),
        (2, "1_0", Err(WrongType)),
        (3, "true", Ok(())),
        (3, "True", Err(WrongType)),
        (3, "1", Err(WrongType)),
        (4, "gold", Ok(())),
        (4, "7", Ok(())),
        (4, "7.0", Err(UnknownLiteral)),
        (4, "null", Err(UnknownLiteral)),
        (4, "\"gold\"", Err(UnknownLiteral)),
        (5, "3", Ok(())),
        (5, "null", Err(WrongType)),
        (6, "true", Ok(())),
        (6, "5", Ok(())),
        (6, "0", Err(OutOfRange)),
        (6, "x", Err(WrongType)),
        (7, "a", Err(WrongType)),
        (8, "anything", Ok(())),
        (99, "a", Err(UnknownShape)),
    ];
    for (shape, text, expected) in rows {
        let got = shapes
            .accept_scalar(*shape, text.as_bytes())
            .map_err(|mismatch| mismatch.code);
        assert_eq!(got, *expected, "shape {shape}, text {text}");
    }
    let refusal = shapes.accept_scalar(0, b"\xff").unwrap_err();
    assert_eq!(refusal.code, MismatchCode::Utf8);
    let refusal = shapes.accept_scalar(1, b"x").unwrap_err();
    assert_eq!(refusal.to_string(), "expected integer");
}
