//! Answers that are kept: one fetch for a herd, and an upstream whose outage nobody has to notice
//! (req 16.5, 8.3).

use super::{between, tell_with, whole_of, Fate, Run, Service, Story, Weather, USERS};
use crate::simulation::client::{End, Reply};
use crate::simulation::world::play;
use serde_json::{json, Value};

/// Orders that all requests ask for: a few hot keys.
const HOT: u64 = 8;

fn hot(id: u64) -> String {
    format!("/orders/o{}", id % HOT)
}

fn whole(id: u64, reply: &Reply) {
    whole_of(id % HOT, reply);
}

/// The service with users kept as `cache` says, under `load` for hot keys.
fn story(seed: u64, cache: &Value, load: (u64, u64), users: impl Fn() -> Weather) -> Story {
    let service = Service::new().with(USERS, json!({"cache": cache}));
    let weather = |upstream, _| match upstream {
        USERS => users(),
        _ => Weather::fair(),
    };
    let mut story = service.story(seed, &[load], weather);
    story.target = hot;
    story
}

/// How often users were asked for between two times.
fn asked(run: &Run, from_ms: u64, to_ms: u64) -> usize {
    let since = |at: &u64| (at - run.started) / crate::clock::MILLI;
    let users = run.upstreams.iter().filter(|one| one.index == USERS);
    let counts = users.map(|one| {
        let arrivals = one.record.arrivals.borrow();
        let within = arrivals
            .iter()
            .filter(|at| (from_ms..to_ms).contains(&since(at)));
        within.count()
    });
    counts.sum()
}

/// An upstream with room for half of the load. Everybody asks for the same few users, whose
/// entries expire without a stale answer to bridge it: a herd at every expiry. One fetch serves
/// all who wait, so the upstream sees its keys and not its readers.
#[test]
fn hot_keys() {
    let cache = json!({"ttl_ms": 250.0, "stale_ms": 0.0, "stale_if_error_ms": 0.0});
    let users = || Weather::of(|_, random| Fate::Fine(random.u64(15_000..25_000))).servers(4);
    tell_with(
        "kept::hot_keys",
        whole,
        |seed| story(seed, &cache, (3_000, 400), users),
        |seed, run| {
            let all = between(run, 0, 3_000);
            assert!(all.good() >= 0.99, "{:.3} answered", all.good());
            // A life of at least nine tenths of its time, then a fetch; what is hot may be fetched
            // early, which is once more in a life.
            let lives = 3_000_u64.div_ceil(225) as usize;
            let fetches = asked(run, 0, 3_000);
            let most = 2 * lives * HOT as usize;
            assert!(
                fetches <= most,
                "{fetches} fetches of {HOT} keys, at most {most}"
            );
            if seed == 0 {
                let mut bare = story(seed, &cache, (3_000, 400), users);
                bare.blueprint["upstreams"][USERS]["cache"] = Value::Null;
                let bare = play(bare, seed);
                let good = between(&bare, 0, 3_000).good();
                assert!(good < 0.7, "{good:.3} answered without a cache: no herd");
            }
        },
    );
}

/// An upstream hangs, then fails fast, for a second and a half. What is kept stands in, is named
/// with its age, and nobody waits longer than one timeout; afterwards answers are fresh again.
#[test]
fn outage() {
    let cache = json!({"ttl_ms": 200.0, "stale_ms": 200.0, "stale_if_error_ms": 5_000.0});
    let users = || {
        Weather::of(|since_ms, random| match since_ms {
            800..1_400 => Fate::Hang,
            1_400..2_300 => Fate::Status(503, random.u64(500..2_000)),
            _ => Fate::Fine(random.u64(2_000..8_000)),
        })
    };
    tell_with(
        "kept::outage",
        whole,
        |seed| story(seed, &cache, (4_600, 150), users),
        |_, run| {
            let all = between(run, 0, 4_600);
            assert!(all.good() >= 0.99, "{:.4} answered", all.good());
            let (stale, offered) = stood_in(run, 1_400, 2_300);
            assert!(stale * 2 > offered, "{stale} of {offered} said so");
            // The throttle lets calls through again, and the next fetch is good.
            let (stale, offered) = stood_in(run, 4_200, 4_600);
            assert!(stale * 10 <= offered, "{stale} of {offered} after it");
        },
    );
}

/// Of the requests that left between two times, how many were given a user that was kept because
/// its own call had failed. Each says why, what stands in and how old it is: never older than what
/// may be served.
fn stood_in(run: &Run, from_ms: u64, to_ms: u64) -> (u64, u64) {
    let (mut stale, mut offered) = (0, 0);
    for record in &run.records {
        let since = (record.at - run.started) / crate::clock::MILLI;
        if !(from_ms..to_ms).contains(&since) {
            continue;
        }
        offered += 1;
        let End::Answered(reply) = &record.end else {
            continue;
        };
        let mut entries = reply.degraded().into_iter();
        let Some((_, said)) = entries.find(|entry| entry.0 == "user") else {
            continue;
        };
        let age = said
            .split_once(";served=stale;age=")
            .and_then(|(_, age)| age.parse().ok());
        let age: u64 = age.unwrap_or_else(|| panic!("request {}: {said}", record.id));
        assert!(age <= 6, "request {}: {said}", record.id);
        stale += 1;
    }
    (stale, offered)
}
