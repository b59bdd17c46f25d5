//! What must hold for any bytes at all. Shared by the property tests, the seed test and the fuzz
//! targets.

use tailrace_plane::h1::{
    head_end, parse_request, parse_response, BodyDecoder, BodyError, Framing, HeadError,
    HeadLimits, Method, Parsed, RequestHead, ResponseHead,
};

const LIMITS: HeadLimits = HeadLimits {
    head_max_bytes: 1024,
    headers_max: 16,
    uri_max_bytes: 256,
};
const BODY_MAX: u64 = 2048;

/// The verdict on the shortest prefix that has one, found by growing the buffer byte by byte.
fn first_verdict(
    data: &[u8],
    mut parse: impl FnMut(&[u8]) -> Result<Parsed, HeadError>,
) -> Result<Parsed, HeadError> {
    (0..=data.len())
        .map(|len| parse(&data[..len]))
        .find(|verdict| *verdict != Ok(Parsed::Partial))
        .unwrap_or(Ok(Parsed::Partial))
}

/// A head that was accepted is CRLF lines of legal bytes up to its one blank line.
fn check_accepted(head: &[u8]) {
    assert!(head.len() <= LIMITS.head_max_bytes);
    assert!(head.ends_with(b"\r\n\r\n"));
    assert_eq!(
        head_end(head, 0),
        Some(head.len()),
        "no line before the blank one is odd"
    );
    for (at, &byte) in head.iter().enumerate() {
        match byte {
            b'\r' => assert_eq!(head.get(at + 1), Some(&b'\n')),
            b'\n' => assert_eq!(head[at - 1], b'\r'),
            _ => assert!(byte == b'\t' || (byte >= b' ' && byte != 0x7f)),
        }
    }
}

pub(crate) fn request(data: &[u8]) {
    let mut head = RequestHead::default();
    let whole = parse_request(data, &LIMITS, &mut head);
    let mut other = RequestHead::default();
    let grown = first_verdict(data, |prefix| parse_request(prefix, &LIMITS, &mut other));
    assert_eq!(whole, grown, "where reads cut the bytes decides nothing");
    if whole != Ok(Parsed::Complete) {
        return;
    }
    check_accepted(&data[..head.head_len]);
    let path = head.path.of(data);
    assert!(path.starts_with(b"/") || (path == b"*" && head.method == Method::Options));
    let hosts = head
        .headers(data)
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"host"))
        .count();
    assert!(hosts == 1 || (hosts == 0 && head.minor == 0));
    let length = head.header(data, "content-length").is_some();
    let coding = head.header(data, "transfer-encoding").is_some();
    match head.framing {
        Framing::None => assert!(!length && !coding),
        Framing::Length(_) => assert!(length && !coding),
        Framing::Chunked => assert!(!length && coding && head.minor == 1),
        Framing::UntilClose => panic!("no request ends that way"),
    }
}

pub(crate) fn response(data: &[u8]) {
    for method in [Method::Get, Method::Head] {
        let mut head = ResponseHead::default();
        let whole = parse_response(data, method, &LIMITS, &mut head);
        let mut other = ResponseHead::default();
        let grown = first_verdict(data, |prefix| {
            parse_response(prefix, method, &LIMITS, &mut other)
        });
        assert_eq!(whole, grown, "where reads cut the bytes decides nothing");
        if whole != Ok(Parsed::Complete) {
            continue;
        }
        check_accepted(&data[..head.head_len]);
        assert!((100..600).contains(&head.status) && head.status != 101);
        assert!(!head.keep_alive || head.framing != Framing::UntilClose);
        let bodiless = head.status < 200 || matches!(head.status, 204 | 304);
        assert!(head.framing == Framing::None || !(bodiless || method == Method::Head));
    }
}

/// Decodes in reads of `step` bytes: the content, the bytes consumed and the verdict at the end.
fn decode(framing: Framing, data: &[u8], step: usize) -> (Vec<u8>, usize, Result<(), BodyError>) {
    let mut out = Vec::new();
    let mut consumed = 0;
    let mut decoder = match BodyDecoder::new(framing, BODY_MAX) {
        Ok(decoder) => decoder,
        Err(error) => return (out, 0, Err(error)),
    };
    for read in data.chunks(step) {
        match decoder.decode(read, &mut out) {
            Ok(taken) => consumed += taken.consumed,
            Err(error) => {
                assert_eq!(
                    decoder.decode(b"0\r\n\r\n", &mut out),
                    Err(error),
                    "failed for good"
                );
                return (Vec::new(), 0, Err(error));
            }
        }
        if decoder.is_done() {
            break;
        }
    }
    assert!(out.len() as u64 <= BODY_MAX);
    (out, consumed, decoder.finish())
}

/// The first byte chooses the framing, the second the size of the reads; the rest is the wire.
pub(crate) fn body(data: &[u8]) {
    let [kind, step, wire @ ..] = data else {
        return;
    };
    let framing = match kind % 4 {
        0 => Framing::Length(u64::from(*kind) * 4),
        1 => Framing::UntilClose,
        _ => Framing::Chunked,
    };
    let whole = decode(framing, wire, wire.len().max(1));
    assert_eq!(whole, decode(framing, wire, usize::from(*step).max(1)));
    assert_eq!(whole, decode(framing, wire, 1));
    if whole.2.is_ok() {
        assert_eq!(
            decode(framing, &wire[..whole.1], 3),
            whole,
            "it consumed exactly the body"
        );
    }
}
