//! What happened to every request: each scheduled one ends as done, failed, timed out, unsent or
//! abandoned, and the sums must agree. Latencies go into HDR histograms; a request that was given
//! up enters at the age at which it was given up, so that a dead service cannot have a good tail.

use hdrhistogram::Histogram;
use serde_json::{json, Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

use super::replies::Replies;
use super::validity::LATE;

/// Microseconds; longer values are counted as this.
pub(crate) const LONGEST_US: u64 = 3_600_000_000;
/// Fewer samples say nothing about one in a thousand.
const SAMPLES_FOR_P999: u64 = 10_000;

/// How a request ended without a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Its connection broke or the reply was not HTTP.
    Failed,
    /// On the wire, and no complete reply in time.
    TimedOut,
    /// Never on the wire: every connection stayed busy until it was too old, or the queue was full.
    Unsent,
    /// Under way when the run itself was stopped: says nothing about the service.
    Abandoned,
}

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) scheduled: u64,
    pub(crate) sent: u64,
    pub(crate) done: u64,
    pub(crate) degraded: u64,
    pub(crate) bad_status: u64,
    /// Replies below 400 within `--within-ms` of their intended start.
    pub(crate) good: u64,
    pub(crate) failed: u64,
    pub(crate) timed_out: u64,
    pub(crate) unsent: u64,
    pub(crate) abandoned: u64,
    pub(crate) late: u64,
    pub(crate) late_own: u64,
    pub(crate) body_bytes: u64,
    pub(crate) statuses: BTreeMap<u16, u64>,
}

pub(crate) struct Tally {
    pub(crate) counts: Counts,
    pub(crate) latency: Histogram<u64>,
    /// Only where it is shown: an interval does without.
    pub(crate) replies: Option<Replies>,
    within: Duration,
}

impl Counts {
    /// Everything that is not a reply with a status below 400.
    pub(crate) fn errors(&self) -> u64 {
        self.bad_status + self.failed + self.timed_out + self.unsent
    }
}

impl Tally {
    /// A reply is good when it comes within `within` of its intended start.
    pub(crate) fn new(within: Duration) -> Result<Self, String> {
        let latency = Histogram::new_with_bounds(1, LONGEST_US, 3).map_err(|e| e.to_string())?;
        Ok(Self {
            counts: Counts::default(),
            latency,
            replies: None,
            within,
        })
    }

    /// As `new`, with the latency of each status by itself.
    pub(crate) fn by_status(within: Duration) -> Result<Self, String> {
        let mut tally = Self::new(within)?;
        tally.replies = Some(Replies::default());
        Ok(tally)
    }

    pub(crate) fn clear(&mut self) {
        self.counts = Counts::default();
        self.latency.reset();
    }

    pub(crate) fn sent(&mut self, after: Duration, waited_for_connection: bool) {
        let counts = &mut self.counts;
        counts.sent += 1;
        if after > LATE {
            counts.late += 1;
            counts.late_own += u64::from(!waited_for_connection);
        }
    }

    pub(crate) fn done(&mut self, age: Duration, status: u16, degraded: bool, body_bytes: u64) {
        let counts = &mut self.counts;
        counts.done += 1;
        counts.degraded += u64::from(degraded);
        counts.bad_status += u64::from(status >= 400);
        counts.good += u64::from(status < 400 && age <= self.within);
        counts.body_bytes += body_bytes;
        *counts.statuses.entry(status).or_insert(0) += 1;
        if let Some(replies) = &mut self.replies {
            replies.record(status, microseconds(age));
        }
        self.record(age);
    }

    pub(crate) fn lost(&mut self, how: Lost, age: Duration) {
        match how {
            Lost::Failed => self.counts.failed += 1,
            Lost::TimedOut => self.counts.timed_out += 1,
            Lost::Unsent => self.counts.unsent += 1,
            Lost::Abandoned => {
                self.counts.abandoned += 1;
                return;
            }
        }
        self.record(age);
    }

    fn record(&mut self, age: Duration) {
        self.latency.saturating_record(microseconds(age));
    }

    pub(crate) fn quantile_ms(&self, q: f64) -> Option<f64> {
        (!self.latency.is_empty()).then(|| us_to_ms(self.latency.value_at_quantile(q)))
    }

    pub(crate) fn p999_ms(&self) -> Option<f64> {
        (self.latency.len() >= SAMPLES_FOR_P999)
            .then(|| self.quantile_ms(0.999))
            .flatten()
    }

    pub(crate) fn max_ms(&self) -> Option<f64> {
        (!self.latency.is_empty()).then(|| us_to_ms(self.latency.max()))
    }

    /// The fields that an interval and the summary share.
    pub(crate) fn fields(&self, wall: Duration, in_flight: u64) -> Map<String, Value> {
        let counts = &self.counts;
        let seconds = wall.as_secs_f64();
        let rate = if seconds > 0.0 {
            counts.done as f64 / seconds
        } else {
            0.0
        };
        let value = json!({
            "scheduled": counts.scheduled,
            "sent": counts.sent,
            "done": counts.done,
            "good": counts.good,
            "errors": counts.errors(),
            "failed": counts.failed,
            "timed_out": counts.timed_out,
            "unsent": counts.unsent,
            "abandoned": counts.abandoned,
            "late": counts.late,
            "late_own": counts.late_own,
            "degraded": counts.degraded,
            "in_flight": in_flight,
            "rate": (rate * 10.0).round() / 10.0,
            "body_bytes": counts.body_bytes,
            "samples": self.latency.len(),
            "p50_ms": self.quantile_ms(0.50),
            "p95_ms": self.quantile_ms(0.95),
            "p99_ms": self.quantile_ms(0.99),
            "max_ms": self.max_ms(),
        });
        match value {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }

    /// The recorded buckets as [milliseconds, count].
    pub(crate) fn buckets(&self) -> Value {
        self.latency
            .iter_recorded()
            .map(|entry| {
                json!([
                    us_to_ms(entry.value_iterated_to()),
                    entry.count_since_last_iteration()
                ])
            })
            .collect()
    }
}

fn microseconds(age: Duration) -> u64 {
    (age.as_micros() as u64).max(1)
}

pub(crate) fn us_to_ms(us: u64) -> f64 {
    us as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn tally() -> Tally {
        Tally::new(ms(5000)).unwrap()
    }

    #[test]
    fn every_request_ends_once_and_enters_the_histogram() {
        let mut tally = tally();
        tally.counts.scheduled = 5;
        for _ in 0..4 {
            tally.sent(ms(0), false);
        }
        tally.done(ms(10), 200, true, 300);
        tally.done(ms(20), 503, false, 100);
        tally.lost(Lost::Failed, ms(5));
        tally.lost(Lost::TimedOut, ms(5000));
        tally.lost(Lost::Unsent, ms(5000));
        let counts = &tally.counts;
        assert_eq!(counts.scheduled, counts.sent + counts.unsent);
        assert_eq!(counts.sent, counts.done + counts.failed + counts.timed_out);
        assert_eq!(
            (counts.errors(), counts.degraded, counts.body_bytes),
            (4, 1, 400)
        );
        assert_eq!(tally.latency.len(), 5);
        // What was given up after 5 s must not look like a fast reply.
        assert!(tally.quantile_ms(0.99).unwrap() >= 4990.0);
        tally.clear();
        assert_eq!(
            (tally.counts.done, tally.latency.len(), tally.max_ms()),
            (0, 0, None)
        );
    }

    #[test]
    fn good_is_a_reply_below_400_in_time() {
        let mut tally = Tally::by_status(ms(150)).unwrap();
        tally.done(ms(150), 200, true, 0);
        tally.done(ms(151), 200, false, 0);
        tally.done(ms(1), 503, false, 0);
        tally.lost(Lost::Failed, ms(1));
        assert_eq!(tally.fields(ms(1000), 0)["good"], 1);
        let replies = tally.replies.unwrap().to_json();
        assert_eq!(
            (
                replies["200"]["count"].clone(),
                replies["503"]["count"].clone()
            ),
            (2.into(), 1.into())
        );
    }

    #[test]
    fn late_is_more_than_a_millisecond_and_own_only_with_a_free_connection() {
        let mut tally = tally();
        tally.sent(ms(1), false);
        tally.sent(ms(2), false);
        tally.sent(ms(2), true);
        assert_eq!((tally.counts.late, tally.counts.late_own), (2, 1));
    }

    #[test]
    fn one_in_a_thousand_needs_ten_thousand_samples() {
        let mut tally = tally();
        for _ in 0..9_999 {
            tally.done(ms(5), 200, false, 0);
        }
        assert_eq!(tally.p999_ms(), None);
        tally.done(ms(5), 200, false, 0);
        assert!((tally.p999_ms().unwrap() - 5.0).abs() < 0.01);
    }

    #[test]
    fn a_corrected_record_adds_the_requests_that_were_not_sent() {
        // ALGORITHMS 11: record_correct(100, 10) gives 100, 90, ... 10.
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        histogram.record_correct(100, 10).unwrap();
        assert_eq!(histogram.len(), 10);
        let values: Vec<u64> = histogram
            .iter_recorded()
            .map(|entry| entry.value_iterated_to())
            .collect();
        assert_eq!(values, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    }

    #[test]
    fn a_stall_shows_only_when_latency_counts_from_the_intended_start() {
        // ALGORITHMS 11: 100 requests/s; 100 s of 1 ms replies, then one stall of 100 s.
        let mut naive = tally();
        let mut open = tally();
        for _ in 0..10_000 {
            naive.done(ms(1), 200, false, 0);
            open.done(ms(1), 200, false, 0);
        }
        naive.done(ms(100_000), 200, false, 0);
        for waiting in 0..10_000_u64 {
            open.done(ms(100_000 - waiting * 10), 200, false, 0);
        }
        let near = |value: Option<f64>, expected: f64| {
            let value = value.unwrap();
            assert!(
                (value / expected - 1.0).abs() < 0.002,
                "{value}, not {expected}"
            );
        };
        near(naive.quantile_ms(0.99), 1.0);
        near(open.quantile_ms(0.50), 1.0);
        near(open.quantile_ms(0.75), 50_000.0);
        near(open.quantile_ms(0.99), 98_000.0);
        // The after-the-fact correction of HDR reaches the same figures from the naive records.
        let mut corrected = Histogram::<u64>::new_with_bounds(1, LONGEST_US, 3).unwrap();
        for _ in 0..10_000 {
            corrected.record_correct(1_000, 10_000).unwrap();
        }
        corrected.record_correct(100_000_000, 10_000).unwrap();
        near(Some(us_to_ms(corrected.value_at_quantile(0.50))), 1.0);
        near(Some(us_to_ms(corrected.value_at_quantile(0.75))), 50_000.0);
        near(Some(us_to_ms(corrected.value_at_quantile(0.99))), 98_000.0);
    }
}
