//! Stories of an upstream that serves `servers` calls at once: what the limit does over minutes.
//!
//! Calls beyond `servers` wait inside the upstream, so latency grows with what is in flight and
//! throughput does not. Demand is endless unless said otherwise: the limit decides what is in
//! flight. Latencies carry seeded noise.

use super::{Law, Machine, Params, Seen};
use crate::Nanos;

const MILLI: Nanos = 1_000_000;

struct Upstream {
    servers: f64,
    service: f64,
    demand: u32,
    timeout: f64,
    random: fastrand::Rng,
}

impl Upstream {
    fn new(servers: f64) -> Self {
        Self {
            servers,
            service: 20.0,
            demand: u32::MAX,
            timeout: 1_000.0,
            random: fastrand::Rng::with_seed(17),
        }
    }

    fn window(&mut self, limit: u32) -> Seen {
        let in_flight = limit.min(self.demand);
        let queueing = (f64::from(in_flight) / self.servers).max(1.0);
        let noise = 0.95 + 0.1 * self.random.f64();
        let rtt = self.service * queueing * noise;
        let late = rtt > self.timeout;
        Seen {
            rtt: (!late).then_some((rtt * MILLI as f64) as Nanos),
            in_flight,
            drops: f64::from(u8::from(late)),
        }
    }
}

fn run(machine: &mut Machine, upstream: &mut Upstream, seconds: usize) -> Vec<u32> {
    let mut limit = machine.limit as u32;
    let mut step = || {
        limit = machine.close(&upstream.window(limit), 400);
        limit
    };
    (0..seconds).map(|_| step()).collect()
}

fn vegas() -> Machine {
    Machine::new(Params {
        max: 400,
        ceiling: Some(800 * MILLI),
        law: Law::Vegas,
        ..Params::default()
    })
}

/// Mean of the last `count` limits.
fn settled(limits: &[u32], count: usize) -> f64 {
    let last = &limits[limits.len() - count..];
    f64::from(last.iter().sum::<u32>()) / count as f64
}

// Ten minutes of endless demand, then half of the servers, four times as many, and slower ones.
#[test]
fn the_limit_finds_the_knee_and_stays_there() {
    for seed in 0..8 {
        let (mut machine, mut upstream) = (vegas(), Upstream::new(50.0));
        upstream.random = fastrand::Rng::with_seed(seed);
        let mut follow = |servers, service, seconds, from: f64, to: f64| {
            (upstream.servers, upstream.service) = (servers, service);
            let limits = run(&mut machine, &mut upstream, seconds);
            let mean = settled(&limits, 60);
            assert!(
                (from..to).contains(&mean),
                "{mean} for {servers} of {service} ms"
            );
            limits
        };
        let limits = follow(50.0, 20.0, 600, 50.0, 65.0);
        assert!(limits[..15].iter().any(|limit| *limit >= 50), "and quickly");
        follow(25.0, 20.0, 300, 25.0, 40.0);
        follow(100.0, 20.0, 300, 95.0, 130.0);
        follow(100.0, 40.0, 300, 85.0, 130.0);
    }
}

// An hour at the knee, also of an upstream that became slower for good: nothing creeps up while
// averages learn the overload (ALGORITHMS 1, pitfalls).
#[test]
fn lasting_pressure_does_not_ratchet_the_limit() {
    for service in [20.0, 30.0, 60.0] {
        let (mut machine, mut upstream) = (vegas(), Upstream::new(50.0));
        run(&mut machine, &mut upstream, 60);
        upstream.service = service;
        let limits = run(&mut machine, &mut upstream, 3_600);
        let quarter = |from: usize| settled(&limits[..from + 900], 900);
        for from in [0, 900, 1_800, 2_700] {
            assert!((45.0..65.0).contains(&quarter(from)), "{}", quarter(from));
        }
    }
}

#[test]
fn idle_time_neither_inflates_nor_starves() {
    let (mut machine, mut upstream) = (vegas(), Upstream::new(50.0));
    upstream.demand = 8;
    assert_eq!(run(&mut machine, &mut upstream, 600).pop(), Some(20));
    upstream.demand = 12;
    let limit = run(&mut machine, &mut upstream, 600).pop();
    assert!((24..=36).contains(&limit.unwrap()), "{limit:?}");
}

// The upstream hangs: every attempt ends at the timeout. Then it is back.
#[test]
fn a_hang_shrinks_the_limit_to_its_least_and_recovery_is_quick() {
    let (mut machine, mut upstream) = (vegas(), Upstream::new(50.0));
    run(&mut machine, &mut upstream, 60);
    upstream.service = 2_000.0;
    let limits = run(&mut machine, &mut upstream, 30);
    assert_eq!(limits[29], 4, "{limits:?}");
    upstream.service = 20.0;
    let limits = run(&mut machine, &mut upstream, 60);
    let back = limits.iter().position(|limit| *limit >= 45);
    assert!(back.is_some_and(|seconds| seconds <= 20), "{limits:?}");
}
