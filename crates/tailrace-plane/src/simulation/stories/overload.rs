//! More than can be served: a spike that outlives its cause, and the herd after an outage.

use super::USERS;
use super::{between, fair, tell, Fate, Service, Weather};
use serde_json::json;

/// An upstream of 16 servers at 20 ms, 800 calls a second, gets several times that for a second.
/// Without bounds it would go on answering requests nobody waits for: that is the metastable state.
/// Goodput must be back within two seconds of the spike's end (A06).
#[test]
fn metastable() {
    let service = || Service::new().with(USERS, json!({"retry": {}, "bulkhead": {"limit": 32}}));
    let weather = |upstream, _| match upstream {
        USERS => Weather::of(|_, random| Fate::Fine(random.u64(15_000..25_000))).servers(16),
        _ => Weather::fair(),
    };
    tell(
        "overload::metastable",
        |seed| service().story(seed, &[(500, 300), (1_200, 2_400), (3_500, 300)], weather),
        |_, run| {
            let (spike, after) = (between(run, 500, 1_200), between(run, 1_700, 3_500));
            // A third of the spike is what the upstream can do at all.
            assert!(
                spike.good() >= 0.25,
                "{:.3} of the spike is answered",
                spike.good()
            );
            assert!(after.good() >= 0.98, "{:.3} after the spike", after.good());
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
