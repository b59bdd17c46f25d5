//! Time that a test moves: the plane's clock stands still until it is told to go on.
//!
//! The failure prevented: a user's test of a timeout, a breaker or a cached answer that waits for
//! the wall clock, and whose result depends on how fast its machine is. While the clock is manual,
//! `clock::now` is one word that only [`advance`] changes; timers wait here instead of in the
//! runtime, and [`next`] says which of them is due first. Sockets stay real. So that time never
//! overtakes a byte that has been sent, [`settle`] sends every worker once round its loop: what
//! its sockets held before has then been read. [`reads`] tells whether that was anything.
//!
//! The clock is the process's, for one process runs one test at a time, and is never manual in
//! production: then all that is left of this file is one load of a word that no one writes.
//! Bounds: an alarm per timer, a waiting task per worker.

use super::MILLI;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tailrace_policy::Nanos;
use tokio::sync::Notify;

/// 0 while time is the machine's.
static NOW: AtomicU64 = AtomicU64::new(0);
static READS: AtomicU64 = AtomicU64::new(0);
/// Wall time when the clock became manual, and what the clock said then.
static BEGAN: Mutex<(u64, Nanos)> = Mutex::new((0, 0));
/// Worker threads of this process, whatever their clock.
static WORKERS: AtomicUsize = AtomicUsize::new(0);
static WAITING: Mutex<Waiting> = Mutex::new(Waiting {
    alarms: BTreeMap::new(),
    made: 0,
    helpers: Vec::new(),
    rounds: Vec::new(),
});

#[derive(Debug)]
struct Waiting {
    /// When each is due, and who is to be woken.
    alarms: BTreeMap<u64, (Nanos, Waker)>,
    made: u64,
    /// Work beside the requests: told whenever time moves, and never a reason to stop there.
    helpers: Vec<Waker>,
    rounds: Vec<Weak<Round>>,
}

fn waiting() -> MutexGuard<'static, Waiting> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The time, while the clock is manual.
#[inline]
pub(super) fn now() -> Option<Nanos> {
    let now = NOW.load(Ordering::Relaxed);
    if now == 0 {
        return None;
    }
    READS.fetch_add(1, Ordering::Relaxed);
    Some(now)
}

/// Milliseconds since the epoch, while the clock is manual.
pub(super) fn epoch_ms() -> Option<u64> {
    let (epoch_ms, began) = *BEGAN.lock().unwrap_or_else(PoisonError::into_inner);
    now().map(|now| epoch_ms + now.saturating_sub(began) / MILLI)
}

/// Whether time stands still until it is moved.
#[inline]
pub fn is_on() -> bool {
    NOW.load(Ordering::Relaxed) != 0
}

/// How often the manual clock was read. Whatever a worker does for a request or a connection
/// begins with that, so the same number before and after `settle` means that nothing was left.
pub fn reads() -> u64 {
    READS.load(Ordering::Acquire)
}

/// Time stands still from here on. Refused, with the reason, while workers run on the machine's.
pub fn start() -> Result<(), &'static str> {
    if is_on() {
        return Err("the clock is manual already");
    }
    if WORKERS.load(Ordering::Acquire) > 0 {
        return Err("a plane or a client of this process runs on the machine's clock");
    }
    let now = super::now();
    *BEGAN.lock().unwrap_or_else(PoisonError::into_inner) = (super::epoch_ms(), now);
    NOW.store(now, Ordering::Release);
    Ok(())
}

/// Time is the machine's again; for when every worker has ended.
pub fn stop() {
    NOW.store(0, Ordering::Release);
    let mut waiting = waiting();
    // What a waker keeps alive may have an alarm of its own: it goes when the lock has.
    let gone = (
        std::mem::take(&mut waiting.alarms),
        std::mem::take(&mut waiting.helpers),
    );
    drop(waiting);
    drop(gone);
}

/// When the first timer is due.
pub fn next() -> Option<Nanos> {
    waiting().alarms.values().map(|(due, _)| *due).min()
}

/// What the clock says; on the machine's, too.
pub fn read() -> Nanos {
    super::now()
}

/// Moves time forward to `to` and wakes whoever waited for it; never back.
pub fn advance(to: Nanos) {
    let mut waiting = waiting();
    if !is_on() || NOW.load(Ordering::Relaxed) > to {
        return;
    }
    NOW.store(to, Ordering::Release);
    let helpers = std::mem::take(&mut waiting.helpers);
    let (due, left) = std::mem::take(&mut waiting.alarms)
        .into_iter()
        .partition(|(_, (due, _))| *due <= to);
    waiting.alarms = left;
    drop(waiting);
    let due: BTreeMap<u64, (Nanos, Waker)> = due;
    let alarmed = due.into_values().map(|(_, waker)| waker);
    helpers.into_iter().chain(alarmed).for_each(Waker::wake);
}

/// Sends each of the process's `workers` once round its loop; `false` when that took longer than
/// `patience`, of the machine's time.
pub fn settle(workers: usize, patience: Duration) -> bool {
    let end = Instant::now() + patience;
    let rounds = loop {
        let mut rounds = Vec::new();
        waiting().rounds.retain(|one| {
            rounds.extend(one.upgrade());
            one.strong_count() > 0
        });
        if rounds.len() >= workers {
            break rounds;
        }
        // A thread that was spawned has not come here yet.
        if Instant::now() > end {
            return false;
        }
        std::thread::park_timeout(Duration::from_millis(1));
    };
    for one in &rounds {
        one.ask();
    }
    rounds
        .iter()
        .all(|one| one.done(end.saturating_duration_since(Instant::now())))
}

/// A timer's place among those that wait; dropping it gives it back.
#[derive(Debug, Default)]
pub struct Alarm(Option<u64>);

impl Alarm {
    /// Ready at `at`.
    pub fn poll_until(&mut self, at: Nanos, context: &Context<'_>) -> Poll<()> {
        let mut waiting = waiting();
        if super::now() >= at {
            let rung = self.0.take().map(|id| waiting.alarms.remove(&id));
            drop(waiting);
            drop(rung);
            return Poll::Ready(());
        }
        let id = *self.0.get_or_insert_with(|| {
            waiting.made += 1;
            waiting.made
        });
        let before = waiting.alarms.insert(id, (at, context.waker().clone()));
        drop(waiting);
        drop(before);
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            let gone = waiting().alarms.remove(&id);
            drop(gone);
        }
    }
}

/// Returns once time has moved to `past` or beyond; for work beside the requests.
pub async fn moved(past: Nanos) {
    poll_fn(|context| {
        let mut waiting = waiting();
        if super::now() >= past {
            return Poll::Ready(());
        }
        waiting.helpers.push(context.waker().clone());
        Poll::Pending
    })
    .await;
}

/// One worker's loop, as `settle` watches it.
#[derive(Debug, Default)]
pub struct Round {
    beat: Mutex<Beat>,
    parked: Condvar,
    asked: Notify,
}

#[derive(Debug, Default)]
struct Beat {
    asked: u64,
    answered: u64,
    /// How often it went to sleep, and how often it had when it answered.
    parks: u64,
    parks_then: u64,
    is_parked: bool,
    has_ended: bool,
}

impl Round {
    fn beat(&self) -> MutexGuard<'_, Beat> {
        self.beat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self) {
        self.beat().asked += 1;
        self.asked.notify_one();
    }

    /// Whether it has answered, and gone to sleep after that, within `patience`.
    fn done(&self, patience: Duration) -> bool {
        let running = |beat: &mut Beat| {
            let asleep = beat.is_parked && beat.parks > beat.parks_then;
            !(beat.has_ended || asleep && beat.answered == beat.asked)
        };
        let waited = self
            .parked
            .wait_timeout_while(self.beat(), patience, running);
        let (_beat, result) = waited.unwrap_or_else(PoisonError::into_inner);
        !result.timed_out()
    }

    /// For the runtime: nothing is left to do but to wait.
    pub fn parks(&self) {
        let mut beat = self.beat();
        beat.parks += 1;
        beat.is_parked = true;
        self.parked.notify_all();
    }

    /// For the runtime: something has come.
    pub fn unparks(&self) {
        self.beat().is_parked = false;
    }

    /// Answers `settle` as long as the worker runs.
    pub async fn answer(self: Arc<Self>) {
        loop {
            self.asked.notified().await;
            let mut beat = self.beat();
            beat.answered = beat.asked;
            beat.parks_then = beat.parks;
        }
    }
}

/// Held by a worker thread while it runs.
#[derive(Debug)]
pub struct Running(Option<Arc<Round>>);

impl Running {
    pub fn enter() -> Self {
        WORKERS.fetch_add(1, Ordering::AcqRel);
        let round = is_on().then(Arc::<Round>::default);
        if let Some(round) = &round {
            waiting().rounds.push(Arc::downgrade(round));
        }
        Self(round)
    }

    /// What `settle` watches; `None` on the machine's clock.
    pub fn round(&self) -> Option<&Arc<Round>> {
        self.0.as_ref()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        WORKERS.fetch_sub(1, Ordering::AcqRel);
        if let Some(round) = &self.0 {
            round.beat().has_ended = true;
            round.parked.notify_all();
        }
    }
}
