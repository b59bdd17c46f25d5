//! Counters that are worked out of others never go back.
//!
//! The failure prevented: `fresh = ok - kept`, read while a request counts one of them and not yet
//! the other, is one less than at the last scrape. Prometheus takes that for a restart and adds the
//! whole number again: one torn read shows as a spike of millions. The highest number shown so far
//! is kept and shown instead, until the numbers have caught up.

use crate::events::Metric;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The highest numbers shown, by metric and place in its list; both are fixed at start.
#[derive(Debug, Default)]
pub struct Floors(Mutex<HashMap<&'static str, Vec<u64>>>);

impl Floors {
    /// Raises what is lower than it was.
    pub fn hold<L>(&self, metric: &Metric, series: &mut [(L, u64)]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(metric.name).or_default();
        known.resize(series.len(), 0);
        for (floor, (_, value)) in known.iter_mut().zip(series) {
            *value = (*value).max(*floor);
            *floor = *value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Floors;
    use crate::events;

    #[test]
    fn a_number_that_was_shown_is_the_least_that_is_shown() {
        let floors = Floors::default();
        let shown = |values: [u64; 2]| {
            let mut series = values.map(|value| ((), value));
            floors.hold(&events::PART_SOURCE, &mut series);
            series.map(|((), value)| value)
        };
        assert_eq!(shown([5, 7]), [5, 7]);
        assert_eq!(shown([4, 8]), [5, 8]);
        assert_eq!(shown([6, 2]), [6, 8]);
    }
}
