//! Durations of HTTP exchanges by method and by how they ended.
//!
//! The failure prevented: a duration that is fast because half of it are failures. OpenTelemetry
//! asks for the method, the status and the kind of error of every duration; all that is known when
//! an exchange ends, and all values come from lists that are fixed here, so no client and no
//! upstream can make a new one (RELIABILITY S23).
//!
//! A method's numbers are made when it is seen for the first time by a worker, which is its only
//! writer; from then on recording is four stores, as for any histogram.

use super::histogram::{Coarse, Fine, Merged};
use crate::client::{Answered, ExchangeError};
use crate::h1::Method;
use crate::reason::Reason;
use std::sync::OnceLock;

const METHODS: [Method; 8] = [
    Method::Get,
    Method::Head,
    Method::Post,
    Method::Put,
    Method::Patch,
    Method::Delete,
    Method::Options,
    Method::Other,
];

/// How an exchange ended: the label values it gives.
pub trait Ending: Copy + 'static {
    /// Every ending there is.
    const COUNT: usize;
    /// Below `COUNT`.
    fn index(self) -> usize;
    /// Status code and kind of error of an index; one of them at least.
    fn labels(index: usize) -> (Option<&'static str>, Option<&'static str>);
}

/// Statuses the plane itself can answer with; anything else counts as the last.
pub const STATUSES: [u16; 19] = [
    200, 204, 400, 404, 405, 408, 410, 413, 414, 417, 429, 431, 500, 501, 502, 503, 504, 505, 0,
];
const STATUS_NAMES: [&str; STATUSES.len()] = [
    "200", "204", "400", "404", "405", "408", "410", "413", "414", "417", "429", "431", "500",
    "501", "502", "503", "504", "505", "other",
];
/// No reply: the client had left.
const GONE: u16 = 499;

/// The name of a status by its place in `STATUSES`.
pub fn status_name(index: usize) -> &'static str {
    STATUS_NAMES[index]
}

/// How a request ended, by the status that its client was sent.
#[derive(Debug, Clone, Copy)]
pub struct Replied(pub u16);

impl Ending for Replied {
    const COUNT: usize = STATUSES.len() + 1;

    fn index(self) -> usize {
        if self.0 == GONE {
            return STATUSES.len();
        }
        let known = STATUSES.iter().position(|known| *known == self.0);
        known.unwrap_or(STATUSES.len() - 1)
    }

    fn labels(index: usize) -> (Option<&'static str>, Option<&'static str>) {
        let Some(name) = STATUS_NAMES.get(index) else {
            return (None, Some("client_gone"));
        };
        // What a client did wrong is no error of the server.
        let failed = STATUSES[index] >= 500;
        (Some(name), failed.then_some(*name))
    }
}

/// Statuses of upstreams that are told apart; anything else counts as the last.
const ANSWERS: [u16; 24] = [
    200, 201, 202, 203, 204, 206, 301, 302, 304, 307, 308, 400, 401, 403, 404, 409, 410, 422, 429,
    500, 502, 503, 504, 0,
];
const ANSWER_NAMES: [&str; ANSWERS.len()] = [
    "200", "201", "202", "203", "204", "206", "301", "302", "304", "307", "308", "400", "401",
    "403", "404", "409", "410", "422", "429", "500", "502", "503", "504", "other",
];

/// How an attempt ended: with a status, or without an answer.
#[derive(Debug, Clone, Copy)]
pub enum Ended {
    Status(u16),
    Not(Reason),
}

impl Ended {
    /// How an attempt ended; `None` is one that ran out of time.
    pub fn of<T: Answered>(answered: Option<&Result<T, ExchangeError>>) -> Self {
        match answered {
            None => Self::Not(Reason::Timeout),
            Some(Err(error)) => Self::Not(Reason::from(*error)),
            Some(Ok(answer)) => Self::Status(answer.status()),
        }
    }
}

impl Ending for Ended {
    const COUNT: usize = ANSWERS.len() + Reason::ALL.len();

    fn index(self) -> usize {
        match self {
            Self::Status(status) => {
                let known = ANSWERS.iter().position(|known| *known == status);
                known.unwrap_or(ANSWERS.len() - 1)
            }
            Self::Not(reason) => ANSWERS.len() + reason.index(),
        }
    }

    fn labels(index: usize) -> (Option<&'static str>, Option<&'static str>) {
        match ANSWER_NAMES.get(index) {
            None => (None, Some(Reason::ALL[index - ANSWERS.len()].code())),
            // For a client an answer of 400 or more is an error.
            Some(name) if ANSWERS[index] >= 400 => (Some(name), Some(name)),
            Some(name) => (Some(name), None),
        }
    }
}

/// One worker's durations of one kind of exchange.
#[derive(Debug)]
pub struct Split<E> {
    methods: [OnceLock<Box<[Coarse]>>; METHODS.len()],
    /// Over all of them, for percentiles.
    pub fine: Fine,
    ending: std::marker::PhantomData<E>,
}

impl<E> Default for Split<E> {
    fn default() -> Self {
        Self {
            methods: Default::default(),
            fine: Fine::default(),
            ending: std::marker::PhantomData,
        }
    }
}

impl<E: Ending> Split<E> {
    /// Only the owning worker may call this.
    pub fn record(&self, method: Method, ending: E, nanos: u64) {
        if super::MUTED {
            return;
        }
        let us = nanos / 1_000;
        let own = self.methods[method as usize].get_or_init(endings::<E>);
        own[ending.index()].record(us);
        self.fine.record(us);
    }

    /// How many ended so, over all methods.
    pub fn count(&self, index: usize) -> u64 {
        let methods = self.methods.iter().filter_map(OnceLock::get);
        methods.map(|endings| endings[index].count()).sum()
    }
}

fn endings<E: Ending>() -> Box<[Coarse]> {
    (0..E::COUNT).map(|_| Coarse::default()).collect()
}

/// Durations of one method that ended in one way, over all workers.
#[derive(Debug)]
pub struct Row {
    pub method: &'static str,
    pub status: Option<&'static str>,
    pub error: Option<&'static str>,
    pub merged: Merged,
}

/// What has been recorded: one row for each method and ending that there was, and `first` whether
/// there was any or not.
pub fn rows<'a, E: Ending>(
    parts: impl Iterator<Item = &'a Split<E>>,
    first: Option<(Method, E)>,
) -> Vec<Row> {
    let mut sums = vec![Merged::default(); METHODS.len() * E::COUNT];
    for part in parts {
        for (method, endings) in part.methods.iter().enumerate() {
            let endings = endings.get().into_iter().flat_map(|endings| endings.iter());
            for (index, coarse) in endings.enumerate() {
                sums[method * E::COUNT + index].add(coarse);
            }
        }
    }
    let always = first.map(|(method, ending)| method as usize * E::COUNT + ending.index());
    let rows = sums.into_iter().enumerate();
    rows.filter(|(at, merged)| Some(*at) == always || merged.count() > 0)
        .map(|(at, merged)| {
            let (status, error) = E::labels(at % E::COUNT);
            Row {
                method: METHODS[at / E::COUNT].as_str(),
                status,
                error,
                merged,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{rows, Ended, Ending, Replied, Split, ANSWERS, METHODS, STATUSES};
    use crate::h1::Method;
    use crate::reason::Reason;

    #[test]
    fn a_method_is_its_place_and_a_status_its_name() {
        for (index, method) in METHODS.into_iter().enumerate() {
            assert_eq!(method as usize, index);
        }
        for status in &STATUSES[..STATUSES.len() - 1] {
            let (name, error) = Replied::labels(Replied(*status).index());
            assert_eq!(name, Some(status.to_string().as_str()));
            assert_eq!(error.is_some(), *status >= 500);
        }
        for status in &ANSWERS[..ANSWERS.len() - 1] {
            let (name, error) = Ended::labels(Ended::Status(*status).index());
            assert_eq!(name, Some(status.to_string().as_str()));
            assert_eq!(error.is_some(), *status >= 400);
        }
        assert_eq!(Replied::labels(Replied(299).index()).0, Some("other"));
        let gone = Replied::labels(Replied(499).index());
        assert_eq!(gone, (None, Some("client_gone")));
        let silent = Ended::labels(Ended::Not(Reason::Timeout).index());
        assert_eq!(silent, (None, Some("timeout")));
    }

    // RELIABILITY S23: whatever comes, there are no more rows than methods and endings.
    #[test]
    fn rows_are_what_there_was_and_the_first() {
        let split = Split::<Replied>::default();
        let first = Some((Method::Get, Replied(200)));
        assert_eq!(rows(std::iter::once(&split), first).len(), 1);
        for status in 0..=u16::MAX {
            split.record(Method::Post, Replied(status), 1_000);
        }
        let found = rows([&split, &split].into_iter(), first);
        assert_eq!(found.len(), 1 + Replied::COUNT);
        let count: u64 = found.iter().map(|row| row.merged.count()).sum();
        assert_eq!(count, 2 * 65_536);
        assert_eq!(split.count(Replied(200).index()), 1);
    }
}
