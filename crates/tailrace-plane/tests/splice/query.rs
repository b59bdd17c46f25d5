//! Reading values out of projected bytes.

use tailrace_plane::splice::{escape_into, items, lookup, scalar_text};

const ORDER: &[u8] = br#" { "id" : "o-1", "us\u0065r": {"id": 7, "tags": ["a", {"b": "]}"}, [1]] },
    "empty": [], "none": null, "text": "a\"\u00e9\ud83d\ude00\/", "big": 1.50e3, "": true } "#;

fn text(path: &[&str]) -> Option<String> {
    lookup(ORDER, path).map(|raw| String::from_utf8_lossy(raw).into_owned())
}

#[test]
fn lookup_walks_nested_objects() {
    let rows: &[(&[&str], Option<&str>)] = &[
        (&["id"], Some("\"o-1\"")),
        (&["user", "id"], Some("7")),
        (&["user", "tags"], Some(r#"["a", {"b": "]}"}, [1]]"#)),
        (&["none"], Some("null")),
        (&["big"], Some("1.50e3")),
        (&[""], Some("true")),
        (&["user", "tags", "b"], None),
        (&["id", "x"], None),
        (&["nothing"], None),
        (&["user", "tags", "0"], None),
    ];
    for (path, expected) in rows {
        assert_eq!(text(path).as_deref(), *expected, "{path:?}");
    }
    assert_eq!(lookup(ORDER, &[] as &[&str]), Some(ORDER.trim_ascii()));
    assert_eq!(lookup(b" 12 ", &[] as &[&str]), Some(&b"12"[..]));
    assert_eq!(lookup(b"{}", &["a"]), None);
}

#[test]
fn items_are_raw_slices() {
    let tags = lookup(ORDER, &["user", "tags"]).unwrap();
    let all: Vec<&[u8]> = items(tags).unwrap().collect();
    assert_eq!(all, [&b"\"a\""[..], br#"{"b": "]}"}"#, b"[1]"]);
    assert_eq!(items(b" [ ] ").unwrap().count(), 0);
    assert_eq!(items(b"[1 , -2.5,true,null ]").unwrap().count(), 4);
    assert!(items(b"{}").is_none() && items(b"").is_none());
}

#[test]
fn scalars_as_text() {
    let mut scratch = b"old".to_vec();
    let rows: &[(&str, Option<&str>)] = &[
        ("\"o-1\"", Some("o-1")),
        ("\"\"", Some("")),
        (
            r#""a\"\u00e9\ud83d\ude00\/\n\t\b\f\r\\""#,
            Some("a\"é😀/\n\t\u{8}\u{c}\r\\"),
        ),
        (" -1.5e3 ", Some("-1.5e3")),
        ("true", Some("true")),
        ("null", None),
        ("{}", None),
        ("[]", None),
        ("", None),
    ];
    for (raw, expected) in rows {
        let text = scalar_text(raw.as_bytes(), &mut scratch);
        assert_eq!(text, expected.map(str::as_bytes), "{raw}");
    }
}

#[test]
fn broken_input_never_panics() {
    let broken: &[&[u8]] = &[
        b"",
        b"{",
        b"[",
        b"\"",
        b"{\"a\"",
        b"{\"a\":",
        b"{\"a\":{",
        b"[1",
        b"[1,",
        b"{\"a\":[\"",
        b"\"\\",
        b"\"\\u",
        b"}",
        b"]",
        b"{\"a\":1]",
        b"-",
        b"\xff",
        b"{\"a\\",
    ];
    let mut scratch = Vec::new();
    for json in broken {
        assert_eq!(lookup(json, &["b"]), None);
        assert!(items(json).map_or(0, Iterator::count) <= 1);
        let _ = scalar_text(json, &mut scratch);
    }
    // Every prefix of a real document.
    for end in 0..ORDER.len() {
        let _ = lookup(&ORDER[..end], &["user", "tags"]);
        let _ = scalar_text(&ORDER[..end], &mut scratch);
    }
}

#[test]
fn escaping_is_undone_by_any_json_reader() {
    let all: String = (0..0x250u32)
        .chain([0x2028, 0xfffd, 0x1f600])
        .filter_map(char::from_u32)
        .collect();
    let mut out = b"x".to_vec();
    escape_into(&all, &mut out);
    let read: String = serde_json::from_slice(&out[1..]).unwrap();
    assert_eq!(read, all);
    let mut scratch = Vec::new();
    assert_eq!(scalar_text(&out[1..], &mut scratch), Some(all.as_bytes()));
}
