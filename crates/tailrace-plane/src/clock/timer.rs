//! The one timer of a request.
//!
//! On a worker's thread it waits among the worker's alarms ([`super::alarms`]). Elsewhere, in
//! tests with a paused clock and on systems without them, it waits in the runtime: there it is kept
//! from request to request and only moved when it would fire too late, for firing early costs one
//! look and moving it costs a lock.

use super::alarms::{self, Place};
use super::manual::{self, Alarm};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tailrace_policy::Nanos;
use tokio::time::Sleep;

#[derive(Debug, Default)]
pub struct Timer {
    place: Option<Place>,
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Nanos,
    /// Instead of the two, where a test moves the clock.
    alarm: Alarm,
}

impl Timer {
    /// Ready at `next` or, rarely, a little before the caller expects to be polled again.
    pub fn poll_until(&mut self, next: Nanos, context: &mut Context<'_>) -> Poll<()> {
        if manual::is_on() {
            return self.alarm.poll_until(next, context);
        }
        if self.place.is_none() && self.sleep.is_none() {
            self.place = alarms::place();
        }
        match &mut self.place {
            Some(place) => place.poll_until(next, context.waker()),
            None => self.poll_sleep(next, context),
        }
    }

    /// Waits for nothing any more: who has ended is not woken.
    pub fn stop(&mut self) {
        self.place = None;
    }

    fn poll_sleep(&mut self, next: Nanos, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| {
            self.armed = next;
            Box::pin(tokio::time::sleep_until(super::instant(next)))
        });
        if self.armed > next {
            self.armed = next;
            sleep.as_mut().reset(super::instant(next));
        }
        while sleep.as_mut().poll(context).is_ready() {
            if self.armed >= next {
                self.armed = Nanos::MAX;
                return Poll::Ready(());
            }
            self.armed = next;
            sleep.as_mut().reset(super::instant(next));
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::Timer;
    use crate::clock::{self, MILLI};
    use std::future::poll_fn;
    use std::task::Poll;
    use std::time::Duration;

    // req 4.5: whatever the timer was armed for before, it fires at the time asked for.
    #[tokio::test(start_paused = true)]
    async fn it_fires_at_the_time_asked_for_whether_earlier_or_later_than_before() {
        let mut timer = Timer::default();
        let start = clock::now();
        for after_ms in [50, 10, 80] {
            let from = clock::now();
            let next = from + after_ms * MILLI;
            poll_fn(|cx| timer.poll_until(next, cx)).await;
            let passed = clock::now() - from;
            assert!(passed >= after_ms * MILLI, "{after_ms} ms: {passed} ns");
            assert!(
                passed < (after_ms + 2) * MILLI,
                "{after_ms} ms: {passed} ns"
            );
        }
        // A request that ended early leaves its timer armed; the next one must not be woken by it.
        let early = clock::now() + 5 * MILLI;
        poll_fn(|cx| {
            assert!(timer.poll_until(early, cx).is_pending());
            Poll::Ready(())
        })
        .await;
        let later = clock::now() + 40 * MILLI;
        poll_fn(|cx| timer.poll_until(later, cx)).await;
        assert!(clock::now() >= later);
        assert!(clock::now() - start < 200 * MILLI);
        tokio::time::advance(Duration::ZERO).await;
    }
}
