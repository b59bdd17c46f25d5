//! More than can be served: a spike that outlives its cause, and the herd after an outage.

use super::{between, fair, tell, Fate, Run, Service, Slice, Weather};
use super::{RECS, USERS};
use crate::simulation::client::End;
use crate::simulation::world::{play, Story};
use serde_json::{json, Value};

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

/// More requests than there are permits for all their calls, of which those to a slow weak upstream
/// hold them longest. Without them all fit: weak parts go first, in their order, before requests
/// are refused, and come back when the load is gone (req 9.1c).
#[test]
fn brownout() {
    let ladder = json!({"start": 0.5, "full": 0.9, "band": 0.1, "dwell_ms": 1_200.0});
    tell(
        "overload::brownout",
        |seed| crowd(seed, &ladder),
        |seed, run| {
            // A worker looks twice a second.
            let spike = between(run, 1_600, 2_500);
            assert_eq!(spike.with(503), 0, "refused of {}", spike.offered);
            assert!(spike.good() >= 0.98, "{:.3} answered", spike.good());
            in_order(run);
            let (calm, after) = (between(run, 0, 900), between(run, 5_600, 6_000));
            assert_eq!((calm.degraded, after.degraded), (0, 0));
            if seed == 0 {
                let bare: Slice = between(&play(crowd(seed, &Value::Null), seed), 1_600, 2_500);
                assert!(bare.with(503) > bare.offered / 10, "nothing to prevent");
            }
        },
    );
}

fn crowd(seed: u64, brownout: &Value) -> Story {
    let service = Service::new();
    let admission = json!({"calls_max": 150, "brownout": brownout});
    let service = (0..=RECS).fold(service.admission(admission), |service, upstream| {
        service.with(upstream, json!({"bulkhead": {"limit": 256}}))
    });
    let weather = |upstream, _| match upstream {
        RECS => Weather::of(|_, random| Fate::Fine(random.u64(32_000..38_000))),
        _ => Weather::of(|_, random| Fate::Fine(random.u64(2_000..5_000))),
    };
    service.story(seed, &[(1_000, 100), (2_500, 750), (6_000, 100)], weather)
}

/// The last declared part goes first: no coupon is left out of a reply that has the other.
fn in_order(run: &Run) {
    let mut left_out = 0;
    for record in &run.records {
        let End::Answered(reply) = &record.end else {
            continue;
        };
        let gone = |part: &str| {
            let mut entries = reply.degraded().into_iter();
            entries.any(|(name, why)| name == part && why.starts_with("brownout"))
        };
        assert!(gone("recommend") || !gone("coupon"), "{reply:?}");
        left_out += u64::from(gone("recommend"));
    }
    assert!(left_out > 250, "{left_out} left out");
}
