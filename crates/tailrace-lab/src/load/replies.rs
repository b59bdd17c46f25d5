//! Latency of the replies of each status by itself. One histogram over all of them hides what
//! overload is about: a refusal of 0.3 ms beside a reply of 90 ms looks like a good tail, and a
//! late refusal like a slow service.
//!
//! Limits: the first sixteen statuses that come have a histogram; replies of others are counted
//! with the totals only.

use hdrhistogram::Histogram;
use serde_json::{json, Map, Value};
use std::collections::BTreeMap;

use super::tally::{us_to_ms, LONGEST_US};

const STATUSES_MAX: usize = 16;

#[derive(Default)]
pub(crate) struct Replies {
    by_status: BTreeMap<u16, Histogram<u64>>,
}

impl Replies {
    pub(crate) fn record(&mut self, status: u16, us: u64) {
        if !self.by_status.contains_key(&status) {
            if self.by_status.len() == STATUSES_MAX {
                return;
            }
            // The bounds are constants that are known to be valid.
            let Ok(histogram) = Histogram::new_with_bounds(1, LONGEST_US, 3) else {
                return;
            };
            self.by_status.insert(status, histogram);
        }
        if let Some(histogram) = self.by_status.get_mut(&status) {
            histogram.saturating_record(us);
        }
    }

    /// `{"200": {"count": .., "p50_ms": .., "p99_ms": .., "p999_ms": .., "max_ms": ..}}`
    pub(crate) fn to_json(&self) -> Value {
        let mut statuses = Map::new();
        for (status, latency) in &self.by_status {
            let at = |q| us_to_ms(latency.value_at_quantile(q));
            let shown = json!({
                "count": latency.len(),
                "p50_ms": at(0.50),
                "p99_ms": at(0.99),
                "p999_ms": at(0.999),
                "max_ms": us_to_ms(latency.max()),
            });
            statuses.insert(status.to_string(), shown);
        }
        Value::Object(statuses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_refusal_does_not_stand_for_a_slow_reply() {
        let mut replies = Replies::default();
        for _ in 0..100 {
            replies.record(200, 90_000);
            replies.record(503, 300);
        }
        let shown = replies.to_json();
        assert_eq!(shown["200"]["count"], 100);
        assert!((shown["503"]["p99_ms"].as_f64().unwrap() - 0.3).abs() < 0.001);
        assert!((shown["200"]["p50_ms"].as_f64().unwrap() - 90.0).abs() < 0.1);
    }

    #[test]
    fn what_a_hostile_service_answers_is_bounded() {
        let mut replies = Replies::default();
        for status in 100..=999 {
            replies.record(status, 1);
        }
        assert_eq!(replies.by_status.len(), STATUSES_MAX);
    }
}
