//! What one simulated upstream is doing now: its law, its fault, its draws and its counters.
//! Everything lives on one thread, so cells are enough and every number read is consistent.

use crate::fault::{Fault, Kind};
use crate::law::Law;
use crate::scenario::UpstreamSpec;
use serde_json::{json, Value};
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;

pub(crate) struct Upstream {
    pub(crate) spec: UpstreamSpec,
    pub(crate) address: SocketAddr,
    latency: RefCell<Law>,
    fault: Cell<Option<Fault>>,
    /// Hanging requests look again when the fault changes.
    changed: Notify,
    seed: u64,
    latency_draws: RefCell<fastrand::Rng>,
    fault_draws: RefCell<fastrand::Rng>,
    requests: Cell<u64>,
    in_flight: Rc<Cell<u64>>,
    connections: Rc<Cell<u64>>,
}

#[derive(Clone, Copy)]
pub(crate) enum Change<T> {
    Keep,
    To(T),
}

/// Counts one up while it lives.
pub(crate) struct Counted(Rc<Cell<u64>>);

impl Counted {
    fn new(counter: &Rc<Cell<u64>>) -> Self {
        counter.set(counter.get() + 1);
        Self(Rc::clone(counter))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Upstream {
    pub(crate) fn new(spec: UpstreamSpec, seed: u64, address: SocketAddr) -> Self {
        let seed = seed ^ name_hash(&spec.name);
        Self {
            latency: RefCell::new(spec.latency.clone()),
            fault: Cell::new(spec.fault),
            changed: Notify::new(),
            seed,
            latency_draws: RefCell::new(fastrand::Rng::with_seed(seed)),
            fault_draws: RefCell::new(fastrand::Rng::with_seed(!seed)),
            requests: Cell::new(0),
            in_flight: Rc::default(),
            connections: Rc::default(),
            spec,
            address,
        }
    }

    pub(crate) fn connected(&self) -> Counted {
        Counted::new(&self.connections)
    }

    pub(crate) fn started(&self) -> Counted {
        self.requests.set(self.requests.get() + 1);
        Counted::new(&self.in_flight)
    }

    /// The delay of the next request and the fault it meets, if any.
    pub(crate) fn draw(&self) -> (Duration, Option<Kind>) {
        let delay = self
            .latency
            .borrow()
            .draw(self.latency_draws.borrow_mut().f64());
        let Some(fault) = self.fault.get() else {
            return (delay, None);
        };
        if self.fault_draws.borrow_mut().f64() >= fault.probability {
            return (delay, None);
        }
        match fault.kind {
            Kind::Jitter { adds_ms } | Kind::Delay { adds_ms } => {
                (delay + Duration::from_nanos((adds_ms * 1e6) as u64), None)
            }
            kind => (delay, Some(kind)),
        }
    }

    /// Waits until the upstream no longer hangs.
    pub(crate) async fn hangs(&self) {
        loop {
            let changed = self.changed.notified();
            if self
                .fault
                .get()
                .is_none_or(|fault| fault.kind != Kind::Hang)
            {
                return;
            }
            changed.await;
        }
    }

    pub(crate) fn change(&self, fault: Change<Option<Fault>>, latency: Change<Law>) {
        if let Change::To(fault) = fault {
            self.fault.set(fault);
        }
        if let Change::To(latency) = latency {
            *self.latency.borrow_mut() = latency;
        }
        self.changed.notify_waiters();
    }

    /// Back to the scenario: law, fault, draws and the request count start again.
    pub(crate) fn reset(&self) {
        *self.latency_draws.borrow_mut() = fastrand::Rng::with_seed(self.seed);
        *self.fault_draws.borrow_mut() = fastrand::Rng::with_seed(!self.seed);
        self.requests.set(0);
        self.change(
            Change::To(self.spec.fault),
            Change::To(self.spec.latency.clone()),
        );
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "name": self.spec.name,
            "address": self.address.to_string(),
            "port": self.address.port(),
            "latency": self.latency.borrow().to_json(),
            "fault": self.fault.get().map(Fault::to_json),
            "requests": self.requests.get(),
            "in_flight": self.in_flight.get(),
            "connections": self.connections.get(),
        })
    }
}

/// FNV-1a: the draws of an upstream must not depend on a hasher's random state.
fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::listen::loopback;
    use crate::scenario::{Scenario, ORDERS};

    fn upstream(index: usize, seed: u64) -> Upstream {
        let spec = Scenario::from_text(ORDERS)
            .unwrap()
            .upstreams
            .swap_remove(index);
        let upstream = Upstream::new(spec, seed, loopback(1));
        let law = Law::from_json(&json!({"uniform_ms": [1, 9]})).unwrap();
        upstream.change(Change::Keep, Change::To(law));
        upstream
    }

    fn draws(upstream: &Upstream) -> Vec<Duration> {
        (0..50).map(|_| upstream.draw().0).collect()
    }

    #[test]
    fn draws_depend_on_seed_and_name_only() {
        let first = draws(&upstream(0, 1));
        assert_eq!(first, draws(&upstream(0, 1)));
        assert_ne!(first, draws(&upstream(0, 2)));
        assert_ne!(first, draws(&upstream(1, 1)));
    }

    #[test]
    fn a_fault_meets_its_share_and_leaves_the_latency_sequence_alone() {
        let calm = draws(&upstream(0, 1));
        let faulty = upstream(0, 1);
        let fault = Fault {
            kind: Kind::Garbage,
            probability: 0.25,
        };
        faulty.change(Change::To(Some(fault)), Change::Keep);
        assert_eq!(calm, draws(&faulty));
        let met = (0..8000)
            .filter(|_| faulty.draw().1 == Some(Kind::Garbage))
            .count();
        assert!(
            (1800..2200).contains(&met),
            "{met} of 8000 at probability 0.25"
        );
    }

    #[test]
    fn jitter_adds_its_delay_to_its_share() {
        let upstream = upstream(0, 1);
        upstream.change(Change::Keep, Change::To(Law::Constant(5.0)));
        let jitter = Fault::from_json(&json!({"kind": "jitter"})).unwrap();
        upstream.change(Change::To(Some(jitter)), Change::Keep);
        let slow = (0..10_000)
            .filter(|_| upstream.draw().0 == Duration::from_millis(125))
            .count();
        assert!(
            (150..250).contains(&slow),
            "{slow} of 10000 at probability 0.02"
        );
        upstream.reset();
        assert!((0..1000).all(|_| upstream.draw().0 == Duration::from_millis(5)));
    }
}
