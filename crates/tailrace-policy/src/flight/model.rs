//! Random interleavings against a world in which everything is written down: who waits, which
//! fetches run, what the upstream's value was when each began.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

const KEYS: u8 = 3;
const LIMIT: usize = 5;

#[derive(Debug, Clone)]
enum Step {
    Join(u8),
    Refresh(u8),
    /// One of those that wait goes away.
    Leave(usize),
    /// One of the fetches ends, aborted ones too: an abort may come too late.
    Land(usize, bool),
    /// The upstream's value changes, and then the cache is told.
    Change(u8),
    /// The connection that tells of changes broke: everything may have changed.
    ChangeAll,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..KEYS).prop_map(Step::Join),
        1 => (0..KEYS).prop_map(Step::Refresh),
        4 => any::<usize>().prop_map(Step::Leave),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(which, ok)| Step::Land(which, ok)),
        1 => (0..KEYS).prop_map(Step::Change),
        1 => Just(Step::ChangeAll),
    ]
}

/// A fetch that runs.
#[derive(Debug)]
struct Fetch {
    flight: Flight,
    key: u8,
    /// The value it reads.
    read: u32,
    refresh: bool,
    aborted: bool,
}

/// Somebody who waits, and the value it must not get less than.
#[derive(Debug)]
struct Waiter {
    flight: Flight,
    asked: u32,
}

struct World {
    flights: Flights<u8>,
    value: HashMap<u8, u32>,
    fetches: Vec<Fetch>,
    waiters: Vec<Waiter>,
    stored: HashMap<u8, u32>,
}

impl World {
    fn new() -> Self {
        Self {
            flights: Flights::new(LIMIT),
            value: (0..KEYS).map(|key| (key, 0)).collect(),
            fetches: Vec::new(),
            waiters: Vec::new(),
            stored: HashMap::new(),
        }
    }

    fn start(&mut self, flight: Flight, key: u8, refresh: bool) {
        let read = self.value[&key];
        let same = |one: &&Fetch| one.key == key && one.read == read && !one.aborted;
        assert_eq!(
            self.fetches.iter().find(same).map(|one| one.flight),
            None,
            "one call"
        );
        assert!(
            self.fetches.iter().all(|one| one.flight != flight),
            "a new number"
        );
        self.fetches.push(Fetch {
            flight,
            key,
            read,
            refresh,
            aborted: false,
        });
    }

    fn live(&self) -> usize {
        self.fetches.iter().filter(|one| !one.aborted).count()
    }

    fn join(&mut self, key: u8) {
        let asked = self.value[&key];
        match self.flights.join(&key) {
            Joined::Lead(flight) => {
                self.start(flight, key, false);
                self.waiters.push(Waiter { flight, asked });
            }
            Joined::Follow(flight) => {
                let fetch = self
                    .fetches
                    .iter()
                    .find(|one| one.flight == flight)
                    .unwrap();
                assert!(!fetch.aborted && fetch.key == key && fetch.read >= asked);
                self.waiters.push(Waiter { flight, asked });
            }
            Joined::Alone => assert_eq!(self.live(), LIMIT),
        }
    }

    fn refresh(&mut self, key: u8) {
        let read = self.value[&key];
        let same = |one: &Fetch| one.key == key && one.read == read && !one.aborted;
        let runs = self.fetches.iter().any(same);
        match self.flights.refresh(&key) {
            Some(flight) => self.start(flight, key, true),
            None => assert!(runs || self.live() == LIMIT),
        }
    }

    fn leave(&mut self, which: usize) {
        if self.waiters.is_empty() {
            return;
        }
        let waiter = self.waiters.swap_remove(which % self.waiters.len());
        let alone = self
            .waiters
            .iter()
            .all(|other| other.flight != waiter.flight);
        let of = |one: &&mut Fetch| one.flight == waiter.flight;
        let fetch = self.fetches.iter_mut().find(of).unwrap();
        let expected = if alone && !fetch.refresh {
            fetch.aborted = true;
            Left::Abort
        } else {
            Left::Flying
        };
        assert_eq!(self.flights.leave(waiter.flight), expected);
    }

    fn land(&mut self, which: usize, answered: bool) {
        if self.fetches.is_empty() {
            return;
        }
        let fetch = self.fetches.swap_remove(which % self.fetches.len());
        let mut woken = Vec::new();
        self.waiters.retain(|waiter| {
            let waits = waiter.flight == fetch.flight;
            woken.extend(waits.then_some(waiter.asked));
            !waits
        });
        let landing = self.flights.land(fetch.flight, answered);
        assert_eq!(landing.is_none(), fetch.aborted);
        let Some(landing) = landing else { return };
        assert_eq!(landing.waiters as usize, woken.len());
        assert!(
            woken.iter().all(|asked| *asked <= fetch.read),
            "older than asked for"
        );
        assert_eq!(
            landing.store,
            answered && fetch.read == self.value[&fetch.key]
        );
        if landing.store {
            self.stored.insert(fetch.key, fetch.read);
        }
    }

    fn change(&mut self, key: u8) {
        *self.value.entry(key).or_default() += 1;
        self.stored.remove(&key);
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Join(key) => self.join(key),
            Step::Refresh(key) => self.refresh(key),
            Step::Leave(which) => self.leave(which),
            Step::Land(which, answered) => self.land(which, answered),
            Step::Change(key) => {
                self.change(key);
                self.flights.invalidate(&key);
            }
            Step::ChangeAll => {
                (0..KEYS).for_each(|key| self.change(key));
                self.flights.invalidate_all();
            }
        }
        assert_eq!(self.flights.flying(), self.live());
        for (key, stored) in &self.stored {
            assert_eq!(
                *stored, self.value[key],
                "the cache holds what the upstream has"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn every_interleaving_keeps_its_promises(steps in prop::collection::vec(step(), 0..120)) {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
        }
        while !world.fetches.is_empty() {
            world.land(0, true);
        }
        prop_assert!(world.waiters.is_empty(), "somebody waits for ever");
        prop_assert_eq!(world.flights.flying(), 0);
        prop_assert!(world.flights.current.is_empty(), "a key stays in the table");
    }
}
