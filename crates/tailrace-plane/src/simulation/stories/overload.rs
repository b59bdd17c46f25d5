//! More than can be served: a spike that outlives its cause, and the herd after an outage.

use super::USERS;
use super::{between, fair, tell, Fate, Service, Weather};
use serde_json::json;

/// An upstream of 16 servers at 20 ms, 800 calls a second, gets several times that for a second.
/// Without bounds it would go on answering requests nobody waits for: that is the metastable state.
/// Goodput must be back within two seconds of the spike's end (A06).
#[test]
fn metastable() {
    spike("metastable", 32, 0.98);
}

/// The same with a bulkhead that lets in more than its upstream can answer in time: every call of
/// the spike times out, and the throttle has to forget that as soon as calls are answered again.
#[test]
fn oversized() {
    spike("oversized", 64, 0.6);
}

/// How much must be answered again two seconds after the spike depends on how deep it went.
fn spike(name: &str, limit: u32, soon_min: f64) {
    let declared = json!({"retry": {}, "bulkhead": {"limit": limit}});
    let service = || Service::new().with(USERS, declared.clone());
    let weather = |upstream, _| match upstream {
        USERS => Weather::of(|_, random| Fate::Fine(random.u64(15_000..25_000))).servers(16),
        _ => Weather::fair(),
    };
    tell(
        &format!("overload::{name}"),
        |seed| service().story(seed, &[(500, 300), (1_200, 2_400), (5_500, 300)], weather),
        |_, run| {
            // Two seconds after the spike's end, and three.
            let (soon, after) = (between(run, 3_200, 3_700), between(run, 4_200, 5_500));
            assert!(
                soon.good() >= soon_min,
                "{:.3} of {name} is answered soon",
                soon.good()
            );
            assert!(
                after.good() >= 0.97,
                "{:.3} of {name} is answered after",
                after.good()
            );
        },
    );
}

/// An upstream is away for a while and then back, with room for little more than usual: those who
/// waited for it must not keep it down.
#[test]
fn herd() {
    let service = || Service::new().with(USERS, json!({"retry": {}}));
    let weather = |upstream, _| match upstream {
        USERS => Weather::of(|since_ms, random| match since_ms {
            500..2_000 => Fate::Hang,
            _ => Fate::Fine(random.u64(15_000..25_000)),
        })
        .servers(16),
        _ => Weather::of(|_, random| Fate::Fine(fair(random))),
    };
    tell(
        "overload::herd",
        |seed| service().story(seed, &[(5_500, 300)], weather),
        |_, run| {
            let (soon, then) = (between(run, 4_000, 4_500), between(run, 5_000, 5_500));
            assert!(
                soon.good() >= 0.8,
                "{:.3} two seconds after the outage",
                soon.good()
            );
            assert!(
                then.good() >= 0.97,
                "{:.3} three seconds after it",
                then.good()
            );
        },
    );
}
