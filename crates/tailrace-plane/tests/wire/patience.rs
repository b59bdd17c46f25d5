//! Time as the tests see it: one bound for every wait, and the only reading of the clock.

use std::time::{Duration, Instant};

/// No wait of a test is longer; a machine shared by several test runs needs room.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How often a number that nobody announces is looked at.
const LOOK: Duration = Duration::from_millis(2);

#[allow(clippy::disallowed_methods)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits until `ready`, and fails with `what` when that takes longer than any machine should need.
pub(crate) fn eventually(what: &str, mut ready: impl FnMut() -> bool) {
    let started = now();
    while !ready() {
        assert!(started.elapsed() < PATIENCE, "never came true: {what}");
        std::thread::park_timeout(LOOK);
    }
}
