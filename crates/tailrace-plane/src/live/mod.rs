//! Live configuration: limits change while requests run.
//!
//! The failures prevented: a limit that can only be changed by dropping every request in flight, a
//! bad file that replaces a good one, and a change that silently resets what the policies learned.
//! A change is a whole blueprint. It is compared with the one in force (`diff.rs`); only limits may
//! differ, anything else is refused and needs a restart. It is compiled beside the program in
//! force, over the same bulkheads, breakers, budgets, windows and pools, and published by raising
//! one number: a worker looks at it between requests, so a request keeps the program it began with
//! (`worker.rs`). Whatever fails before that changes nothing.
//!
//! Whoever owns the plane decides what a change is made of; those who ask for one, the admin port
//! among them, put a request into a bounded queue (`asks.rs`). What changed, when, and the last
//! refusal are kept for `/config` (`journal.rs`).

mod asks;
mod diff;
mod journal;

pub use asks::{Ask, Asks, Next, Reply, Wanted};
pub use diff::Change;
pub use journal::Journal;

use crate::descriptors::make_room;
use crate::program::Program;
use crate::resolve;
use crate::shared::Pages;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tailrace_blueprint::{Blueprint, LogFormat};

/// What is in force.
#[derive(Debug)]
pub struct Current {
    pub program: Arc<Program>,
    /// The blueprint as it was handed over, for the admin port.
    pub blueprint: Vec<u8>,
    /// Where each value came from, as JSON, for the admin port.
    pub origins: Vec<u8>,
}

/// Read by every worker between requests and written once per change: a cache line of its own, so
/// that it stays in every core's cache.
#[derive(Debug)]
#[repr(align(128))]
struct Revision(AtomicU64);

#[derive(Debug)]
pub struct Live {
    revision: Revision,
    current: Mutex<Arc<Current>>,
    /// Held during a change: there is one at a time.
    changing: Mutex<()>,
    journal: Mutex<Journal>,
    /// The service's reference for its callers, for the admin port.
    pages: Mutex<Arc<Pages>>,
    /// What the lab around this service does, as JSON; empty outside of one.
    lab: Mutex<Arc<Vec<u8>>>,
    /// There was an access log at the start.
    logs: bool,
    workers: usize,
    pub asks: Asks,
}

impl Live {
    pub fn new(current: Current, workers: usize) -> Self {
        make_room(&current.program, workers);
        Self {
            workers,
            logs: current.program.declared.access_log.format != LogFormat::Off,
            revision: Revision(AtomicU64::new(current.program.revision)),
            current: Mutex::new(Arc::new(current)),
            changing: Mutex::new(()),
            journal: Mutex::default(),
            pages: Mutex::default(),
            lab: Mutex::default(),
            asks: Asks::default(),
        }
    }

    /// The revision in force; asked between requests.
    pub fn revision(&self) -> u64 {
        self.revision.0.load(Ordering::Acquire)
    }

    pub fn current(&self) -> Arc<Current> {
        Arc::clone(&held(&self.current))
    }

    pub fn pages(&self) -> Arc<Pages> {
        Arc::clone(&held(&self.pages))
    }

    pub fn show(&self, pages: Pages) {
        *held(&self.pages) = Arc::new(pages);
    }

    pub fn lab(&self) -> Arc<Vec<u8>> {
        Arc::clone(&held(&self.lab))
    }

    /// From here on the admin port shows `state` and takes wishes for the lab.
    pub fn show_lab(&self, state: Vec<u8>) {
        *held(&self.lab) = Arc::new(state);
    }

    pub fn journal(&self) -> MutexGuard<'_, Journal> {
        held(&self.journal)
    }

    /// Puts another blueprint in force; `source` says who asked, `effect` declares it to what no
    /// program holds. Returns what changed, or why nothing did. Blocks while new names are looked
    /// up.
    pub fn change(
        &self,
        blueprint: Vec<u8>,
        origins: Vec<u8>,
        source: &str,
        effect: impl FnOnce(&Program),
    ) -> Result<Vec<Change>, String> {
        let _one_at_a_time = held(&self.changing);
        let made = self.prepare(&blueprint);
        let (program, changes) = match made {
            Ok(made) => made,
            Err(error) => {
                self.journal().refused(source, &error);
                return Err(error);
            }
        };
        let revision = self.revision() + u64::from(program.is_some());
        let program = program.map_or_else(|| Arc::clone(&self.current().program), Arc::new);
        effect(&program);
        *held(&self.current) = Arc::new(Current {
            program,
            blueprint,
            origins,
        });
        self.journal().changed(revision, source, &changes);
        self.revision.0.store(revision, Ordering::Release);
        Ok(changes)
    }

    /// The next program, already in effect for what all revisions share; none when nothing differs.
    fn prepare(&self, blueprint: &[u8]) -> Result<(Option<Program>, Vec<Change>), String> {
        let before = &self.current().program;
        let declared = Blueprint::from_json(blueprint).map_err(|problems| {
            let lines = problems.iter();
            let lines = lines.map(|p| format!("{}: {} ({})", p.path, p.message, p.help));
            lines.collect::<Vec<_>>().join("\n")
        })?;
        let changes = diff::changes(&before.declared, &declared, self.logs)?;
        if changes.is_empty() {
            return Ok((None, changes));
        }
        let program = before.renewed(&declared)?;
        let mut moved = Vec::new();
        for (old, new) in before.upstreams.iter().zip(&program.upstreams) {
            if old.origins != new.origins {
                let at = |error| format!("upstreams.{}.addresses: {error}", new.name);
                moved.push((new, resolve::look_up(&new.origins).map_err(at)?));
            }
        }
        // From here on nothing fails. Higher limits let calls in at once.
        make_room(&program, self.workers);
        for (upstream, answers) in moved {
            upstream.known.relocate(&upstream.origins, answers);
        }
        program.take_effect();
        Ok((Some(program), changes))
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
