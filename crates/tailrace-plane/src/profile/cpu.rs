//! A CPU profile of our own threads, by what their processor time is spent in (req 12.2).
//!
//! The failure prevented: a profiler that breaks what it looks at. Each thread has a timer on its
//! *own* processor clock, which sends one signal of a free real-time number to that thread only;
//! Python's threads and signals are not touched. The handler (`signal`) copies registers and the
//! upper end of the stack into memory that is there already, and nothing else. Unwinding
//! (`unwind`, by the tables that every build carries, so no frame pointers are needed) and naming
//! (`elf`) happen in a thread of the profile.
//!
//! A thread that waits uses no processor and gives no sample: what it waits for is in the task dump
//! and in the trace.
//!
//! *Bounds.* [`HZ`] samples per second of processor time, `signal::THREADS_MAX` threads,
//! `signal::STACK_BYTES` of each stack, [`unwind::FRAMES_MAX`] frames, [`STACKS_MAX`] different
//! stacks. The memory for samples is kept for the next profile: its handler may run late.

mod elf;
mod flame;
mod modules;
mod signal;
mod unwind;

pub use flame::{collapsed, svg};
pub use signal::own_stack;

use super::threads::Known;
use crate::clock;
use modules::Modules;
use serde_json::{json, Value};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tailrace_policy::Nanos;
use unwind::Unwinder;

/// Samples per second of processor time; no divisor of what runs once a millisecond.
pub const HZ: u32 = 99;
/// Different stacks that are kept; what else is sampled is summed as one.
pub const STACKS_MAX: usize = 10_000;
/// Between two emptyings of the samples' memory.
const LOOK: Duration = Duration::from_millis(20);

/// One stack, the root first, and its processor time in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    pub frames: Vec<String>,
    pub us: u64,
}

/// What was sampled of one thread.
#[derive(Debug, Default)]
struct Sampled {
    name: String,
    samples: u64,
    lost: u64,
}

/// A profile that is over.
#[derive(Debug, Default)]
pub struct Recorded {
    pub seconds: f64,
    threads: Vec<Sampled>,
    pub stacks: Vec<Stack>,
    /// Samples whose stack was longer than what is copied of it.
    cut: u64,
    /// Samples beyond [`STACKS_MAX`] different stacks.
    unsorted: u64,
    pub notes: Vec<String>,
}

impl Recorded {
    pub fn json(&self) -> Value {
        let threads = self.threads.iter();
        let stacks = self.stacks.iter();
        json!({
            "hz": HZ,
            "seconds": self.seconds,
            "unit": "microseconds of processor time",
            "threads": threads.map(|one| json!({
                "name": one.name, "samples": one.samples, "lost": one.lost,
            })).collect::<Vec<_>>(),
            "stacks_cut": self.cut,
            "stacks_left_out": self.unsorted,
            "stacks": stacks
                .map(|one| json!({"frames": one.frames, "us": one.us}))
                .collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

/// Stacks as they were met: addresses are named once, at the end.
#[derive(Debug, Default)]
struct Folded {
    stacks: HashMap<(usize, Vec<u64>), u64>,
    cut: u64,
    unsorted: u64,
}

impl Folded {
    fn add(&mut self, thread: usize, addresses: Vec<u64>, cut: bool) {
        self.cut += u64::from(cut);
        let full = self.stacks.len() >= STACKS_MAX;
        match self.stacks.get_mut(&(thread, addresses.clone())) {
            Some(count) => *count += 1,
            None if full => self.unsorted += 1,
            None => {
                self.stacks.insert((thread, addresses), 1);
            }
        }
    }
}

/// Samples `threads` for `lasts`, or until `stop`. Blocks; not for a thread that has other work.
pub fn record(threads: &[Known], lasts: Duration, stop: &AtomicBool) -> Result<Recorded, String> {
    let lasts = u64::try_from(lasts.as_nanos()).unwrap_or(Nanos::MAX);
    let sampling = signal::Sampling::begin(threads, HZ)?;
    let modules = Modules::read();
    let mut unwinder = Unwinder::new(&modules);
    let mut folded = Folded::default();
    let mut counted: Vec<Sampled> = threads
        .iter()
        .take(sampling.threads())
        .map(sampled)
        .collect();
    let began = clock::now();
    let mut left = lasts;
    while left > 0 && !stop.load(Ordering::Acquire) {
        std::thread::park_timeout(LOOK.min(Duration::from_nanos(left)));
        empty(&sampling, &mut unwinder, &mut folded, &mut counted);
        left = lasts.saturating_sub(clock::now().saturating_sub(began));
    }
    let lost = sampling.end();
    for (thread, lost) in counted.iter_mut().zip(lost) {
        thread.lost = lost;
    }
    let mut recorded = Recorded {
        seconds: clock::now().saturating_sub(began) as f64 / 1e9,
        cut: folded.cut,
        unsorted: folded.unsorted,
        notes: modules.notes(),
        ..Recorded::default()
    };
    recorded.stacks = named(folded, &modules, &counted);
    recorded.threads = counted;
    Ok(recorded)
}

fn sampled(known: &Known) -> Sampled {
    Sampled {
        name: known.name.clone(),
        ..Sampled::default()
    }
}

fn empty(
    sampling: &signal::Sampling,
    unwinder: &mut Unwinder<'_>,
    folded: &mut Folded,
    counted: &mut [Sampled],
) {
    for (thread, counted) in counted.iter_mut().enumerate() {
        sampling.take(thread, |sample| {
            counted.samples += 1;
            let (addresses, cut) = unwinder.addresses(sample);
            folded.add(thread, addresses, cut);
        });
    }
}

/// Stacks by name, those of the same names added up, the heaviest first.
fn named(folded: Folded, modules: &Modules, threads: &[Sampled]) -> Vec<Stack> {
    let us = |samples: u64| samples * 1_000_000 / u64::from(HZ);
    let mut names: HashMap<u64, String> = HashMap::new();
    let mut sums: HashMap<Vec<String>, u64> = HashMap::new();
    for ((thread, addresses), count) in folded.stacks {
        let mut frames = vec!["native".to_owned(), threads[thread].name.clone()];
        for address in addresses.iter().rev() {
            let name = names
                .entry(*address)
                .or_insert_with(|| modules.name(*address));
            frames.push(name.clone());
        }
        *sums.entry(frames).or_default() += count;
    }
    if folded.unsorted > 0 {
        let frames = vec!["native".to_owned(), "[other stacks]".to_owned()];
        sums.insert(frames, folded.unsorted);
    }
    let stacks = sums.into_iter().map(|(frames, count)| Stack {
        frames,
        us: us(count),
    });
    let mut stacks: Vec<Stack> = stacks.collect();
    stacks.sort_by(|a, b| b.us.cmp(&a.us).then_with(|| a.frames.cmp(&b.frames)));
    stacks
}

#[cfg(test)]
mod tests;
