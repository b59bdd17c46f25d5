//! RELIABILITY S10: sockets that send nothing, or a byte now and then, end in time and cost an
//! honest client nothing.

use crate::client::Client;
use crate::counts::{count, is_full};
use crate::patience::{eventually, now};
use crate::service::{Running, Service};
use crate::upstream::Upstream;
use std::time::Duration;

const LIMIT: Duration = Duration::from_millis(1_500);

/// One way to be slow.
fn be_slow(plane: &Running, kind: usize) -> Client {
    let mut client = plane.client();
    match kind % 5 {
        0 => {}
        1 => client.send("G"),
        2 => client.send("GET /one/7 HTTP/1.1\r\nHost: a\r\nX-A: "),
        3 => client.send("POST /one/7 HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc"),
        _ => client
            .send("POST /one/7 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\na"),
    }
    client
}

/// An honest client, and what its requests took.
struct Honest {
    client: Client,
    took: Vec<Duration>,
}

impl Honest {
    fn ask(&mut self) {
        let sent = now();
        let reply = self.client.get(&format!("/one/{}", self.took.len()));
        assert_eq!(reply.status, 200);
        self.took.push(sent.elapsed());
    }

    /// The 99th percentile and the slowest since `from`.
    fn slowest(&self, from: usize) -> (Duration, Duration) {
        let mut took = self.took[from..].to_vec();
        took.sort_unstable();
        (took[took.len() * 99 / 100], took[took.len() - 1])
    }
}

/// One wave of slow sockets, some of which trickle; how long until the plane is rid of all.
fn wave(plane: &Running, slow: usize, honest: &mut Honest) -> Duration {
    let started = now();
    let mut all: Vec<_> = (0..slow).map(|kind| be_slow(plane, kind)).collect();
    let opened = now();
    let before = honest.took.len();
    while opened.elapsed() < LIMIT || honest.took.len() < before + 200 {
        honest.ask();
        let asked = honest.took.len();
        if asked.is_multiple_of(10) {
            for client in all
                .iter_mut()
                .skip(asked % 7)
                .step_by(7 * slow.div_ceil(300))
            {
                // Some were closed by now.
                client.send_lossy("y");
            }
        }
    }
    eventually("every slow socket is closed", || plane.connections() == 1);
    let took = opened.elapsed();
    assert!(
        took < LIMIT + Duration::from_secs(6),
        "{took:?} after {:?}",
        started.elapsed()
    );
    took
}

#[test]
fn slow_sockets_do_not_disturb_an_honest_client() {
    let slow = count(300, 4_000);
    let length = Duration::from_secs(if is_full() { 60 } else { 0 });
    let upstream = Upstream::echo();
    let limit_ms = LIMIT.as_millis() as u32;
    let plane = Service::one(&upstream)
        .workers(2)
        .limit("head_read_ms", limit_ms)
        .limit("body_read_ms", limit_ms)
        .start();
    let mut honest = Honest {
        client: plane.client(),
        took: Vec::new(),
    };
    (0..count(100, 1_000)).for_each(|_| honest.ask());
    let (idle, _) = honest.slowest(0);
    let idle_count = honest.took.len();
    let started = now();
    let (mut waves, mut last) = (0, Duration::ZERO);
    while waves == 0 || started.elapsed() < length {
        last = last.max(wave(&plane, slow, &mut honest));
        waves += 1;
    }
    let (p99, slowest) = honest.slowest(idle_count);
    let asked = honest.took.len();
    println!(
        "S10: {waves} x {slow} slow sockets gone at most {last:?} after they were open (limit \
         {LIMIT:?}); {asked} of {asked} honest requests answered, P99 {p99:?} (idle {idle:?}), \
         slowest {slowest:?}"
    );
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert_eq!(
        upstream.count(),
        asked,
        "a slow request reached the upstream"
    );
}
