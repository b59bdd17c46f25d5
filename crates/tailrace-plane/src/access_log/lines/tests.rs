//! Lines hold what the catalogue lists, and nothing that a reader of lines takes for more.

use super::{secrets, shown_path, Lines};
use crate::access_log::said::Said;
use crate::access_log::{PartEnd, PythonTime, Record, ShortText, PARTS_SHOWN};
use crate::events;
use crate::program::Program;
use crate::reason::Reason;
use crate::source::Source;
use serde_json::Value;
use std::collections::BTreeSet;
use tailrace_blueprint::LogFormat;

fn program() -> Program {
    let source = serde_json::json!({"format_version": 1, "service": "log", "listen": {},
        "access_log": {}, "limits": {}, "shapes": [{"kind": "string"}],
        "upstreams": [{"name": "up", "addresses": ["http://127.0.0.1:1"], "timeout_ms": 50.0,
            "bulkhead": {"limit": 4}}],
        "views": [{"name": "one", "method": "GET", "path": "/one/{reset_token}",
            "deadline_ms": 100.0, "fanout": 1,
            "parameters": [{"name": "reset_token", "in": "path", "shape": 0,
                "required": true}],
            "parts": [{"name": "it", "upstream": "up", "method": "GET", "path": [{"text": "/it"}],
                "strength": "strong", "shape": 0}]}]});
    let declared: tailrace_blueprint::Blueprint = serde_json::from_value(source).unwrap();
    Program::compile(&declared).unwrap()
}

/// A record in which everything that can be said is said.
fn record(path: &[u8], id: &[u8]) -> Record {
    let mut parts = [PartEnd::default(); PARTS_SHOWN];
    parts[0] = PartEnd {
        us: 7,
        age_s: 3,
        failed: Some(Reason::Timeout),
        source: Source::Stale,
    };
    Record {
        epoch_ms: 1_700_000_000_000,
        duration_us: 12,
        status: 499,
        view: 0,
        method: "GET",
        bytes: 5,
        request_id: ShortText::new(id),
        trace: 0x4bf9_2f35_77b3_4da6,
        path: ShortText::new(path),
        code: "client_gone",
        parts,
        parts_shown: 1,
        python: PythonTime {
            us: 2,
            wait_us: 3,
            lock_us: 1,
        },
        client_gone: true,
    }
}

fn said(text: &str) -> Said {
    Said {
        epoch_ms: 1_700_000_000_000,
        level: text.to_owned(),
        logger: text.to_owned(),
        message: text.to_owned(),
        request_id: text.to_owned(),
        exception: text.to_owned(),
    }
}

fn fields(name: &str) -> BTreeSet<String> {
    let event = events::all().find(|event| event.name == name).unwrap();
    event.fields.iter().map(|one| one.name.to_owned()).collect()
}

fn keys(object: &Value) -> BTreeSet<String> {
    object.as_object().unwrap().keys().cloned().collect()
}

// req 12.1: the catalogue names every field of a line, and a line has every field it names.
#[test]
fn the_fields_of_lines_are_those_of_the_catalogue() {
    let (program, mut lines) = (program(), Lines::new(&program()));
    lines.request(LogFormat::Json, &record(b"/one/x", b"id"), &program);
    let line: Value = serde_json::from_slice(lines.bytes()).unwrap();
    assert_eq!(keys(&line), fields("request"));
    assert_eq!(keys(&line["parts"]["it"]), fields("part"));
    assert_eq!(keys(&line["python"]), fields("computed"));
    lines.clear();
    lines.said(LogFormat::Json, &said("x"));
    let line: Value = serde_json::from_slice(lines.bytes()).unwrap();
    assert_eq!(keys(&line), fields("log"));
}

/// Texts that mean something to a terminal, a log reader or a person.
fn hostile() -> Vec<String> {
    let mut found: Vec<String> = (0..=0x9f_u8)
        .filter(|code| char::from(*code).is_control())
        .map(|code| format!("a{}b", char::from(code)))
        .collect();
    for text in [
        "\u{2028}",
        "\u{2029}",
        "\u{061c}",
        "\u{200e}",
        "\u{200f}",
        "\u{202a}",
        "\u{202e}",
        "\u{2066}",
        "\u{2069}",
        "\u{feff}",
        "\u{1b}[2J",
        "\u{9b}2J",
        "\r\n",
        "\n",
        "\\n",
        "\"}",
        "\"}\n{\"status\":200",
        "\u{1b}]0;x\u{7}",
        "\\u000a",
        "%0a",
        "\u{fffd}",
        "é",
        "\u{1f600}",
    ] {
        found.push(text.to_owned());
        found.push(format!("/one/{text}"));
        found.push(format!("{text}{text}"));
        found.push(format!(
            "1700000000000 GET \"/\" one 200 1us 1B{text}id=\"x\""
        ));
    }
    let short = found.clone();
    let more = short.iter().zip(short.iter().skip(7));
    found.extend(more.map(|(one, other)| format!("{one}{other}")));
    let more = short.iter().zip(short.iter().skip(31));
    found.extend(more.map(|(one, other)| format!("{one} {other}")));
    found
}

fn harmless(line: &str) {
    let harmful = line.chars().find(|char| super::is_harmful(*char));
    assert_eq!(harmful, None, "in {line:?}");
}

// RELIABILITY S21: as many lines as requests, none with a raw control character, all of them JSON.
#[test]
fn no_text_forges_a_line() {
    let (program, mut lines) = (program(), Lines::new(&program()));
    let mut texts = hostile();
    assert!(texts.len() >= 400, "{}", texts.len());
    // Bytes that are no text at all, as a path may have them.
    let raw: Vec<Vec<u8>> = (0x80..=0xff_u8)
        .map(|byte| vec![b'/', byte, b'x'])
        .collect();
    texts.truncate(500);
    let paths = texts.iter().map(|text| text.as_bytes().to_vec()).chain(raw);
    let paths: Vec<Vec<u8>> = paths.collect();
    for path in &paths {
        for format in [LogFormat::Json, LogFormat::Text] {
            lines.clear();
            lines.request(format, &record(path, path), &program);
            let text = std::str::from_utf8(lines.bytes()).unwrap();
            let line = text.strip_suffix('\n').unwrap();
            harmless(line);
            if format == LogFormat::Json {
                let parsed: Value = serde_json::from_str(line).unwrap();
                assert_eq!(parsed["status"], 499);
            }
        }
    }
    for text in &texts {
        lines.clear();
        lines.said(LogFormat::Json, &said(text));
        let line = std::str::from_utf8(lines.bytes()).unwrap();
        harmless(line.strip_suffix('\n').unwrap());
        let parsed: Value = serde_json::from_str(line).unwrap();
        assert_eq!(parsed["message"], Value::from(text.as_str()));
        lines.clear();
        lines.said(LogFormat::Text, &said(text));
        let shown = std::str::from_utf8(lines.bytes()).unwrap();
        for (index, line) in shown.trim_end_matches('\n').split('\n').enumerate() {
            harmless(line);
            assert_eq!(index > 0, line.starts_with("  | "), "{line:?}");
        }
    }
    println!(
        "S21: {} paths and ids and {} log messages, as many lines, 0 raw control characters",
        paths.len(),
        texts.len()
    );
}

// RELIABILITY S22: what a path parameter's name calls a secret is not kept.
#[test]
fn a_secret_in_a_path_is_left_out() {
    for (route, path, shown) in [
        ("/one/{reset_token}", "/one/hunter2", "/one/[secret]"),
        ("/a/{api_key}/b/{id}", "/a/hunter2/b/7", "/a/[secret]/b/7"),
        ("/a/{Session}/x", "/a/hunter2/x", "/a/[secret]/x"),
        ("/{author}/{key}/{monkey}", "/a/b/c", "/a/b/c"),
        ("/token/{id}", "/token/7", "/token/7"),
    ] {
        assert_eq!(shown_path(path, secrets(route)), shown, "{route}");
    }
    let (program, mut lines) = (program(), Lines::new(&program()));
    for format in [LogFormat::Json, LogFormat::Text] {
        lines.request(format, &record(b"/one/hunter2", b"id"), &program);
    }
    let text = String::from_utf8_lossy(lines.bytes()).into_owned();
    assert!(text.matches("/one/[secret]").count() == 2 && !text.contains("hunter2"));
}

/// Sixteen bytes at a time must see what one at a time sees, at each offset, for each byte.
#[test]
fn a_byte_that_needs_an_escape_is_seen_wherever_it_stands() {
    for byte in 0..=255_u8 {
        for at in 0..40 {
            let mut text = [b'a'; 40];
            text[at] = byte;
            let plain = matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
            assert_eq!(super::is_plain(&text), plain, "byte {byte:#x} at {at}");
        }
    }
}
