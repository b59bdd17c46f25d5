//! Retry: whether a failed attempt may be followed by another, and after which wait (req 9.4).
//!
//! The failure prevented is the blind retry: one that applies a payment twice, that asks an
//! overloaded peer again, that waits past the deadline, or that repeats what cannot change. Asked
//! in order: are attempts left, would another one help, is it safe, did the peer say when, is there
//! time for the wait and for a usual answer after it. Only then do the request's purse and the
//! upstream's budget pay, before any wait (ALGORITHMS 4). The next attempt goes to another address.
//!
//! Limits: a failure of the model or of framing is not retried, nor is 500, which repeats itself.

use crate::backoff::Backoff;
use crate::Nanos;
use std::fmt;

/// Limits of the retries of one upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    /// Attempts in all; 1 means no retry.
    pub attempts: u32,
    pub backoff: Backoff,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            attempts: 2,
            backoff: Backoff::default(),
        }
    }
}

impl Params {
    /// What is wrong with these limits, if anything.
    pub fn check(&self) -> Result<(), &'static str> {
        if !(1..=5).contains(&self.attempts) {
            return Err("attempts counts the first one: between 1 (no retry) and 5");
        }
        self.backoff.check()
    }
}

/// How an attempt failed, as far as a retry cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection, or the peer said that it did not begin: HTTP/2's refused stream, a GOAWAY
    /// below the stream. Nothing was applied.
    NotSent,
    /// The connection ended before the answer did.
    Reset,
    /// The attempt's own time passed.
    Timeout,
    /// An answer with this status.
    Status(u16),
    /// Broken framing, too large, not the declared model.
    Invalid,
}

/// One failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// 1 is the first.
    pub number: u32,
    /// The method says so, or the declaration does.
    pub idempotent: bool,
    pub failure: Failure,
    /// What the peer asked for; counts on 429 and 503 only.
    pub retry_after: Option<Nanos>,
}

/// Why there is no other attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryRefused {
    /// Every attempt is used.
    Attempts,
    /// Another attempt would end the same way.
    NotRetriable,
    /// It may have been applied, and must not be applied twice.
    NotIdempotent,
    /// The peer asked for a longer wait than there is time.
    RetryAfter,
    /// The wait and a usual answer do not fit what is left.
    NoTime,
}

impl RetryRefused {
    pub fn code(self) -> &'static str {
        match self {
            Self::Attempts => "attempts",
            Self::NotRetriable => "not_retriable",
            Self::NotIdempotent => "not_idempotent",
            Self::RetryAfter => "retry_after",
            Self::NoTime => "no_time",
        }
    }
}

impl fmt::Display for RetryRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attempts => "every attempt of the call is used",
            Self::NotRetriable => "another attempt would end the same way",
            Self::NotIdempotent => {
                "the call may have been applied; declare it idempotent to retry it"
            }
            Self::RetryAfter => "the upstream asked for a longer wait than there is time",
            Self::NoTime => "the wait and a usual answer do not fit the call's remaining time",
        })
    }
}

impl std::error::Error for RetryRefused {}

/// RFC 9110 9.2.2: sending it twice is meant to have the effect of sending it once.
pub fn is_idempotent(method: &[u8]) -> bool {
    matches!(
        method,
        b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE"
    )
}

/// The retry policy of one upstream. It has no state: what is counted lives in purse and budget.
#[derive(Debug, Clone, Copy)]
pub struct Retry(Params);

impl Retry {
    pub fn new(params: Params) -> Self {
        Self(params)
    }

    /// The wait before the next attempt, when there may be one. `left` is what remains of the
    /// call's time, `p50` what an answer usually takes.
    pub fn decide(
        &self,
        attempt: Attempt,
        left: Nanos,
        p50: Nanos,
        draw: u64,
    ) -> Result<Nanos, RetryRefused> {
        if attempt.number >= self.0.attempts {
            return Err(RetryRefused::Attempts);
        }
        let asked = attempt.retry_after.filter(|_| is_told(attempt.failure));
        if !is_retriable(attempt.failure, asked.is_some()) {
            return Err(RetryRefused::NotRetriable);
        }
        if !attempt.idempotent && attempt.failure != Failure::NotSent {
            return Err(RetryRefused::NotIdempotent);
        }
        if asked.is_some_and(|asked| asked >= left) {
            return Err(RetryRefused::RetryAfter);
        }
        // Jitter is added to what the peer asked for: it told everybody the same.
        let backoff = self.0.backoff.wait(attempt.number, draw);
        let wait = asked.unwrap_or(0).saturating_add(backoff);
        if left <= wait.saturating_add(p50) {
            return Err(RetryRefused::NoTime);
        }
        Ok(wait)
    }
}

/// The answers on which `Retry-After` speaks of the peer's load.
fn is_told(failure: Failure) -> bool {
    matches!(failure, Failure::Status(429 | 503))
}

/// A 429 is asked again only when the peer said when: without that it would be the same question.
fn is_retriable(failure: Failure, told: bool) -> bool {
    match failure {
        Failure::NotSent | Failure::Reset | Failure::Timeout => true,
        Failure::Status(status) => matches!(status, 502..=504) || (status == 429 && told),
        Failure::Invalid => false,
    }
}

#[cfg(test)]
mod tests;
