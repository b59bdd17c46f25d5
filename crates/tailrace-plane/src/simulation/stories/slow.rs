//! Answers that take too long: jitter, one slow address among good ones, one upstream that hangs.

use super::{attempts, between, fair, share, tell, Fate, Service, Weather};
use super::{COUPONS, ORDERS, STOCK, USERS};
use crate::simulation::client::End;
use crate::simulation::world::{play, Run};
use serde_json::json;
use tailrace_policy::Nanos;

/// One call in fifty comes after its timeout. A second attempt beside it saves most of the requests
/// it would fail, at a few per cent of extra load (req 8.3).
#[test]
fn jitter() {
    // What is slow is looked at every three seconds, so the first look finds something here.
    let load = [(3_200, 60), (5_500, 200)];
    let service = |hedged: bool| {
        let strong = [ORDERS, USERS, STOCK].into_iter();
        strong.fold(Service::new(), |service, upstream| {
            let service = service.addresses(upstream, 2);
            if hedged {
                service.with(upstream, json!({"hedge": {}}))
            } else {
                service
            }
        })
    };
    let weather = |upstream, _| {
        Weather::of(move |_, random| match random.u64(..50) {
            0 if upstream <= STOCK => Fate::Fine(100_000),
            _ => Fate::Fine(random.u64(2_000..9_000)),
        })
    };
    let failed = |run: &Run| 1.0 - between(run, 3_300, 5_500).good();
    tell(
        "slow::jitter",
        |seed| service(true).story(seed, &load, weather),
        |seed, run| {
            for upstream in [ORDERS, USERS, STOCK] {
                let (attempts, calls) = attempts(run, upstream);
                // A twentieth of the calls, and one a second that is always allowed.
                let most = calls as f64 * 1.05 + 10.0;
                assert!(
                    attempts as f64 <= most,
                    "{attempts} attempts for {calls} calls"
                );
            }
            let without = play(service(false).story(seed, &load, weather), seed);
            let (with, without) = (failed(run), failed(&without));
            assert!(
                with <= without / 2.0,
                "{with:.3} fail with hedges, {without:.3} without"
            );
        },
    );
}

/// One of three addresses becomes slow, then fails at once, which is the worse trap: who fails
/// fastest looks idle. Load moves to the others, with the breaker's help the second time.
#[test]
fn slow_address() {
    let service = || {
        let retried = json!({"retry": {}});
        Service::new().with(USERS, retried).addresses(USERS, 3)
    };
    let weather = |upstream, machine| {
        Weather::of(move |since_ms, random| match (upstream, machine) {
            (USERS, 1) if since_ms >= 2_000 => Fate::Status(500, 500),
            (USERS, 1) if since_ms >= 500 => Fate::Fine(random.u64(40_000..55_000)),
            _ => Fate::Fine(fair(random)),
        })
    };
    tell(
        "slow::slow_address",
        |seed| service().story(seed, &[(3_500, 200)], weather),
        |_, run| {
            let (slow, broken) = (
                share(run, USERS, 1, 800, 2_000),
                share(run, USERS, 1, 2_200, 3_500),
            );
            let good = (
                between(run, 500, 2_000).good(),
                between(run, 2_000, 3_500).good(),
            );
            assert!(slow <= 0.15, "the slow address gets {slow:.3} of the calls");
            assert!(
                broken <= 0.05,
                "the failing address gets {broken:.3} of the calls"
            );
            assert!(
                good.0 >= 0.97 && good.1 >= 0.95,
                "{good:?} of the requests are answered"
            );
        },
    );
}

/// One of five upstreams hangs (A05, req 9.1b). Where it is weak, every reply comes without it,
/// within its timeout; where it is strong, requests fail within the deadline; and a view that does
/// not need it answers as if nothing were.
#[test]
fn hang() {
    let service = |hung: usize| Service::new().with(hung, json!({"bulkhead": {"limit": 8}}));
    let hung = |seed: u64| {
        if seed.is_multiple_of(2) {
            COUPONS
        } else {
            USERS
        }
    };
    let weather = |hung: Option<usize>| {
        move |upstream, _| {
            Weather::of(move |since_ms, random| match hung {
                Some(hung) if upstream == hung && since_ms >= 500 => Fate::Hang,
                _ => Fate::Fine(fair(random)),
            })
        }
    };
    let story = move |seed: u64, hung: Option<usize>, of: usize| {
        let mut story = service(of).story(seed, &[(3_000, 200)], weather(hung));
        story.target = |id| match id % 2 {
            0 => format!("/orders/o{id}"),
            _ => format!("/light/o{id}"),
        };
        story
    };
    tell(
        "slow::hang",
        |seed| story(seed, Some(hung(seed)), hung(seed)),
        |seed, run| {
            let all = between(run, 500, 3_000);
            if hung(seed) == COUPONS {
                assert_eq!(all.with(200), all.offered, "a weak part failed a reply");
            } else {
                let full = between_view(run, 0, 1_000);
                assert!(full.iter().all(|(status, _)| matches!(status, 503 | 504)));
            }
            let calm = play(story(seed, None, hung(seed)), seed);
            let p99 = |run: &Run| {
                let mut took: Vec<Nanos> =
                    between_view(run, 1, 500).iter().map(|one| one.1).collect();
                took.sort_unstable();
                took[took.len() * 99 / 100]
            };
            let (now, before) = (p99(run), p99(&calm));
            assert!(
                now * 10 <= before * 11,
                "the other view's P99: {now} ns, without hang {before}"
            );
        },
    );
}

/// Status and time of the replies of one view, from a time on.
fn between_view(run: &Run, view: u64, from_ms: u64) -> Vec<(u16, Nanos)> {
    let from = run.started + from_ms * crate::clock::MILLI;
    let records = run
        .records
        .iter()
        .filter(|one| one.id % 2 == view && one.at >= from);
    let reply = |one: &crate::simulation::client::Record| match &one.end {
        End::Answered(reply) => Some((reply.status, one.took)),
        _ => None,
    };
    records.filter_map(reply).collect()
}
