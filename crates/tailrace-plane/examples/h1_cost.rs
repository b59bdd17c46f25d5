//! What the codec costs on this machine: nanoseconds per request head, response head and chunked
//! body.
//!
//! Prevents: a slower hot path that nobody notices (promise 3: cheap). How: the median of many
//! short rounds, so that a busy neighbour moves it little. Limits: one core, warm caches; run it
//! with `cargo run --release --example h1_cost`, a debug build is refused.

use std::hint::black_box;
use std::time::Instant;

use tailrace_plane::h1::{
    head_end, parse_request, parse_response, BodyDecoder, Framing, HeadLimits, Method, RequestHead,
    ResponseHead,
};

const ROUNDS: usize = 201;
const PER_ROUND: u32 = 5_000;
const LIMITS: HeadLimits = HeadLimits {
    head_max_bytes: 16 * 1024,
    headers_max: 100,
    uri_max_bytes: 8 * 1024,
};

const REQUEST: &[u8] = b"GET /api/orders/8f14e45f-ceea-467f?fields=items,total HTTP/1.1\r\n\
    Host: orders.internal:8080\r\n\
    User-Agent: tailrace-bench/1.0\r\n\
    Accept: application/json\r\n\
    Accept-Encoding: gzip, br\r\n\
    X-Request-Id: 3c9a1f0e5b7d4e21\r\n\
    Traceparent: 00-4bf92f3577b34da6-00f067aa0ba902b7-01\r\n\
    Cache-Control: no-cache\r\n\
    Connection: keep-alive\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 512\r\n\
    Date: Tue, 24 Nov 2026 15:00:00 GMT\r\n\
    Server: stock/4.2\r\n\
    Cache-Control: max-age=2\r\n\
    Etag: \"5f3e-9a1b\"\r\n\r\n";

/// The median, over all rounds, of the nanoseconds that one call takes.
#[allow(clippy::disallowed_methods)] // A measurement is the one thing here that reads time.
fn measure(what: &str, mut call: impl FnMut()) {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..PER_ROUND {
                call();
            }
            start.elapsed().as_nanos() as f64 / f64::from(PER_ROUND)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    println!(
        "{what:<52} {:>8.1} ns (best {:.1})",
        rounds[ROUNDS / 2],
        rounds[0]
    );
}

fn chunked(chunk: usize, count: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    for _ in 0..count {
        wire.extend(format!("{chunk:x}\r\n").bytes());
        wire.extend(std::iter::repeat_n(b'x', chunk));
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    wire
}

fn measure_body(what: &str, framing: Framing, wire: &[u8]) {
    let mut out = Vec::with_capacity(wire.len());
    measure(what, || {
        out.clear();
        if let Ok(mut decoder) = BodyDecoder::new(framing, 1 << 20) {
            let _ = black_box(decoder.decode(black_box(wire), &mut out));
        }
    });
}

fn main() -> Result<(), String> {
    if cfg!(debug_assertions) {
        return Err("numbers only from a release build: add --release".into());
    }
    let mut request = RequestHead::default();
    let parsed = parse_request(REQUEST, &LIMITS, &mut request);
    parsed.map_err(|error| error.to_string())?;
    measure(
        &format!("request head, {} bytes, 8 headers", REQUEST.len()),
        || {
            let _ = black_box(parse_request(black_box(REQUEST), &LIMITS, &mut request));
        },
    );
    measure("head_end of the same", || {
        black_box(head_end(black_box(REQUEST), 0));
    });
    measure("header() that is absent", || {
        black_box(request.header(black_box(REQUEST), "authorization"));
    });
    let mut response = ResponseHead::default();
    let parsed = parse_response(RESPONSE, Method::Get, &LIMITS, &mut response);
    parsed.map_err(|error| error.to_string())?;
    measure(
        &format!("response head, {} bytes, 6 headers", RESPONSE.len()),
        || {
            let _ = black_box(parse_response(
                black_box(RESPONSE),
                Method::Get,
                &LIMITS,
                &mut response,
            ));
        },
    );
    measure_body(
        "chunked body, 1 chunk of 512",
        Framing::Chunked,
        &chunked(512, 1),
    );
    measure_body(
        "chunked body, 8 chunks of 512",
        Framing::Chunked,
        &chunked(512, 8),
    );
    measure_body(
        "chunked body, 512 chunks of 1",
        Framing::Chunked,
        &chunked(1, 512),
    );
    measure_body("length body, 512", Framing::Length(512), &[b'x'; 512]);
    Ok(())
}
