//! RELIABILITY S27: what a caller says about its own deadline is believed only where it asks for
//! less than the view gives (req 4.5, ALGORITHMS 3).

use crate::counts::count;
use crate::service::{strong, Service};
use crate::upstream::Upstream;
use serde_json::json;

const SEED: u64 = 0x5027;
const DEADLINE_MS: u64 = 400;

/// One header line with a time that is anything from nonsense to a century, or none.
fn spoofed(random: &mut fastrand::Rng) -> String {
    let digits = "9".repeat(random.usize(1..=24));
    let number = match random.u32(0..6) {
        0 => random.u64(..).to_string(),
        1 => random.u64(DEADLINE_MS..100 * DEADLINE_MS).to_string(),
        2 => format!("-{}", random.u32(..)),
        3 => format!("{}.{}", random.u16(..), random.u16(..)),
        4 => "0".to_owned(),
        _ => digits,
    };
    match random.u32(0..5) {
        0 => {
            let unit = ["H", "M", "S", "m", "u", "n", "", "d"][random.usize(..8)];
            format!("grpc-timeout: {number}{unit}\r\n")
        }
        1 => format!("x-envoy-expected-rq-timeout-ms: {number}\r\n"),
        2 => format!("connect-timeout-ms: {number}\r\n"),
        3 => format!("x-request-timeout-ms: {number}\r\ntimeout: {number}\r\n"),
        _ => String::new(),
    }
}

#[test]
fn no_header_makes_a_deadline_longer() {
    let upstream = Upstream::echo();
    let parts = vec![strong("it", "/{n}")];
    let plane = Service::new()
        .upstream("up", &upstream)
        .view_with(
            "x",
            "/x/{n}",
            parts,
            json!({"deadline_ms": DEADLINE_MS as f64}),
        )
        .start();
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut client = plane.client();
    let rounds = count(500, 10_000);
    let (mut told_most, mut asked) = (0, 0);
    for round in 0..rounds {
        let lines = spoofed(&mut random) + &spoofed(&mut random) + &spoofed(&mut random);
        let before = upstream.count();
        client.send(format!("GET /x/{round} HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
        let reply = client.reply();
        // A header that asks for next to nothing gets it.
        assert!([200, 504].contains(&reply.status), "{lines:?}: {reply:?}");
        if upstream.count() == before {
            assert_eq!(reply.status, 504, "{lines:?}");
            continue;
        }
        asked += 1;
        let seen = upstream.seen();
        let told = seen[before].header("x-envoy-expected-rq-timeout-ms");
        let told: u64 = told.and_then(|ms| ms.parse().ok()).expect("a number");
        assert!(told < DEADLINE_MS, "{lines:?} told the upstream {told} ms");
        for name in [
            "grpc-timeout",
            "connect-timeout-ms",
            "timeout",
            "x-request-timeout-ms",
        ] {
            assert_eq!(seen[before].header(name), None, "{name} was passed on");
        }
        told_most = told_most.max(told);
    }
    println!(
        "S27: seed {SEED}: {rounds} spoofed deadlines, {asked} calls, none told more than \
         {told_most} of {DEADLINE_MS} ms"
    );
    assert!(asked * 2 > rounds, "too few calls to say anything: {asked}");
}
