//! What must hold for any input: no panic, no dependence on how reads are cut, exact round trips.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tailrace_plane::h1::{
    decode_query_value, decode_segment, encode_query, encode_segment, parse_request, BodyDecoder,
    Framing, HeadLimits, Parsed, RequestHead,
};

use super::oracle;

/// No file of past failures: a failing case becomes a row of a corpus.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Pieces that get past the first checks more often than random bytes do.
fn request_pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(vec![
        "GET ",
        "POST ",
        "/",
        "/a?b",
        "%2f",
        "%",
        " HTTP/1.1\r\n",
        " HTTP/1.0\r\n",
        "Host: a\r\n",
        "Content-Length: 3\r\n",
        "Content-Length: ",
        "Transfer-Encoding: chunked\r\n",
        "Connection: close\r\n",
        "Expect: 100-continue\r\n",
        "X: y\r\n",
        "X:",
        " ",
        "\t",
        "\r",
        "\n",
        "\r\n",
        "\r\n\r\n",
        "\0",
        "\u{e9}",
        ":",
        ",",
        "abc",
    ]);
    vec(piece, 0..14).prop_map(|pieces| pieces.concat().into_bytes())
}

fn good_requests() -> impl Strategy<Value = Vec<u8>> {
    let header = ("[A-Za-z!#$%&'*+.^_`|~-]{1,12}", "[ -~\t]{0,24}");
    ("/[a-z0-9/._~-]{0,30}", vec(header, 0..10)).prop_map(|(path, headers)| {
        let lines: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("X{name}: {value}\r\n"))
            .collect();
        format!("GET {path} HTTP/1.1\r\nHost: a\r\n{}\r\n", lines.concat()).into_bytes()
    })
}

fn response_pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(vec![
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 304\r\n",
        "HTTP/1.1 ",
        "204",
        " \r\n",
        "X: y\r\n",
        "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: keep-alive\r\n",
        "Content-Type: application/json\r\n",
        "\r\n",
        "\r",
        "\n",
        " ",
        "\0",
        "abc",
    ]);
    vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
}

fn chunk_pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(vec![
        "1\r\na\r\n",
        "3\r\nabc\r\n",
        "0\r\n",
        "\r\n",
        "0",
        "5",
        "f",
        ";a=b",
        ";a=\"",
        "\"",
        "\\",
        "\r",
        "\n",
        "X: y\r\n",
        "Host: a\r\n",
        "abc",
        " ",
        "\0",
        "800\r\n",
    ]);
    (any::<[u8; 2]>(), vec(piece, 0..14))
        .prop_map(|(start, pieces)| [&start, pieces.concat().as_bytes()].concat())
}

proptest! {
    #![proptest_config(cases(4000))]

    #[test]
    fn any_bytes_have_one_verdict(data in vec(any::<u8>(), 0..300)) {
        oracle::request(&data);
        oracle::response(&data);
        oracle::body(&data);
    }

    #[test]
    fn any_pieces_of_requests_have_one_verdict(data in request_pieces()) {
        oracle::request(&data);
    }

    #[test]
    fn any_pieces_of_responses_have_one_verdict(data in response_pieces()) {
        oracle::response(&data);
    }

    #[test]
    fn any_pieces_of_bodies_have_one_verdict(data in chunk_pieces()) {
        oracle::body(&data);
    }

    /// The strict checks do not refuse what the grammar allows.
    #[test]
    fn well_formed_requests_are_accepted(data in good_requests()) {
        let limits = HeadLimits { head_max_bytes: 4096, headers_max: 20, uri_max_bytes: 64 };
        let mut head = RequestHead::default();
        prop_assert_eq!(parse_request(&data, &limits, &mut head), Ok(Parsed::Complete));
        prop_assert_eq!(head.head_len, data.len());
        let lines: Vec<&[u8]> = data.split(|&byte| byte == b'\n').skip(1).collect();
        for ((name, value), line) in head.headers(&data).zip(lines) {
            let colon = line.iter().position(|&byte| byte == b':').expect("a header line");
            prop_assert_eq!(name, &line[..colon]);
            prop_assert_eq!(value, line[colon + 1..].trim_ascii());
        }
    }

    /// One changed byte in a good head is refused, or the head is still made of legal lines.
    #[test]
    fn a_flipped_byte_never_slips_through(
        mut data in good_requests(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let at = at.index(data.len());
        data[at] = byte;
        oracle::request(&data);
    }

    #[test]
    fn chunked_bodies_come_back_whole(
        parts in vec((vec(any::<u8>(), 1..60), "(;[a-z]{1,5}(=[a-z]{1,5})?)?"), 0..20),
        cuts in vec(1usize..40, 1..20),
    ) {
        let mut wire = Vec::new();
        let mut content = Vec::new();
        for (part, extension) in &parts {
            wire.extend(format!("{:x}{extension}\r\n", part.len()).bytes());
            wire.extend_from_slice(part);
            wire.extend_from_slice(b"\r\n");
            content.extend_from_slice(part);
        }
        wire.extend_from_slice(b"0\r\n\r\n");
        let body_len = wire.len();
        wire.extend_from_slice(b"GET /next");
        let mut decoder = BodyDecoder::new(Framing::Chunked, content.len() as u64).expect("fits");
        let (mut out, mut consumed) = (Vec::new(), 0);
        let mut rest = &wire[..];
        for cut in cuts.iter().cycle() {
            let (read, after) = rest.split_at((*cut).min(rest.len()));
            let decoded = decoder.decode(read, &mut out).expect("a good body");
            consumed += decoded.consumed;
            rest = after;
            if decoded.done {
                break;
            }
        }
        prop_assert_eq!(out, content);
        prop_assert_eq!(consumed, body_len);
    }

    #[test]
    fn a_length_takes_exactly_its_bytes(length in 0u64..200, step in 1usize..50) {
        let wire = vec![7u8; 300];
        let mut decoder = BodyDecoder::new(Framing::Length(length), 200).expect("fits");
        let (mut out, mut consumed) = (Vec::new(), 0);
        for read in wire.chunks(step) {
            consumed += decoder.decode(read, &mut out).expect("any bytes will do").consumed;
        }
        prop_assert!(decoder.is_done());
        prop_assert_eq!((out.len() as u64, consumed as u64), (length, length));
    }
}

proptest! {
    #![proptest_config(cases(10_000))]

    /// Whatever text a parameter holds, it lands inside one segment and comes back the same (S07).
    #[test]
    fn segments_come_back_and_stay_inside(value in "\\PC{0,40}") {
        let mut encoded = Vec::new();
        encode_segment(value.as_bytes(), &mut encoded);
        let inside = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(byte);
        prop_assert!(encoded.iter().all(inside));
        let mut decoded = Vec::new();
        if decode_segment(&encoded, &mut decoded).is_ok() {
            prop_assert_eq!(decoded, value.as_bytes());
        } else {
            prop_assert!(value.chars().any(|ch| ch.is_ascii_control()));
        }
        let (mut query, mut back) = (Vec::new(), Vec::new());
        encode_query(value.as_bytes(), &mut query);
        if decode_query_value(&query, &mut back).is_ok() {
            prop_assert_eq!(back, value.as_bytes());
        }
    }

    /// What decodes is text without control bytes, and an error leaves the output alone.
    #[test]
    fn decoding_any_bytes_gives_clean_text(raw in vec(any::<u8>(), 0..40)) {
        for decode in [decode_segment, decode_query_value] {
            let mut out = b"kept".to_vec();
            let verdict = decode(&raw, &mut out);
            prop_assert_eq!(&out[..4], b"kept");
            prop_assert!(verdict.is_ok() || out.len() == 4);
            let text = std::str::from_utf8(&out);
            prop_assert!(text.is_ok_and(|text| !text.chars().any(|ch| ch.is_ascii_control())));
        }
    }
}
