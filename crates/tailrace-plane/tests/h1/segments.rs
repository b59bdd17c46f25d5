//! The path parameter corpus (S07): decoded once, encoded so that it cannot leave its segment.

use tailrace_plane::h1::{
    decode_query_value, decode_segment, encode_query, encode_segment, is_dot_segment, query_pairs,
    SegmentError,
};

use super::corpus::{bytes, rows};

const CORPUS: &str = include_str!("corpus/segments.txt");

#[test]
fn every_row_decodes_as_said_and_lands_inside_one_segment() {
    let corpus = rows(CORPUS, 2);
    println!("segment corpus: {} rows", corpus.len());
    assert!(corpus.len() >= 35);
    for row in corpus {
        let mut decoded = b"kept".to_vec();
        let verdict = decode_segment(row[0].as_bytes(), &mut decoded);
        if let Some(code) = row[1].strip_prefix('!') {
            assert_eq!(verdict.map_err(SegmentError::code), Err(code), "{}", row[0]);
            assert_eq!(
                decoded, b"kept",
                "an error leaves nothing behind: {}",
                row[0]
            );
            continue;
        }
        assert_eq!(verdict, Ok(()), "{}", row[0]);
        assert_eq!(decoded[4..], bytes(row[1]), "{}", row[0]);
        let mut encoded = Vec::new();
        encode_segment(&decoded[4..], &mut encoded);
        assert!(
            !encoded.iter().any(|byte| b"/\\?#;@:&=+ ".contains(byte)),
            "{}",
            row[0]
        );
        let mut again = Vec::new();
        assert_eq!(decode_segment(&encoded, &mut again), Ok(()));
        assert_eq!(again, decoded[4..], "{}", row[0]);
    }
}

#[test]
fn only_whole_dot_segments_are_dot_segments() {
    assert!(is_dot_segment(b".") && is_dot_segment(b".."));
    for other in ["", "...", ".a", "a..", "%2e", ". "] {
        assert!(!is_dot_segment(other.as_bytes()), "{other}");
    }
}

#[test]
fn a_query_falls_into_raw_pairs() {
    let pairs = |raw: &'static str| -> Vec<(&str, &str)> {
        let text = |bytes| std::str::from_utf8(bytes).expect("ASCII in, ASCII out");
        query_pairs(raw.as_bytes())
            .map(|(key, value)| (text(key), text(value)))
            .collect()
    };
    assert_eq!(pairs(""), []);
    assert_eq!(pairs("&&"), []);
    assert_eq!(pairs("a=1&b=2"), [("a", "1"), ("b", "2")]);
    assert_eq!(pairs("a&b="), [("a", ""), ("b", "")]);
    assert_eq!(pairs("a=b=c&=x"), [("a", "b=c"), ("", "x")]);
    assert_eq!(pairs("a%3D=%26"), [("a%3D", "%26")]);
}

#[test]
fn a_plus_is_a_space_in_queries_only() {
    let mut value = Vec::new();
    assert_eq!(decode_query_value(b"a+b%2Bc", &mut value), Ok(()));
    assert_eq!(value, b"a b+c");
    let mut segment = Vec::new();
    assert_eq!(decode_segment(b"a+b", &mut segment), Ok(()));
    assert_eq!(segment, b"a+b");
    let mut encoded = Vec::new();
    encode_query(b"a b+c&d=e", &mut encoded);
    assert_eq!(encoded, b"a%20b%2Bc%26d%3De");
}
