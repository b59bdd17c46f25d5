//! Exemplars: one request's name beside each bucket of the request durations.
//!
//! The failure prevented: a slow bucket, and nobody knows which request was in it. The log thread
//! sees every request's record off the request path and keeps the last one of each bucket; what it
//! costs a request is nothing. Without an access log there are no exemplars.

use super::histogram::{bucket, BOUNDS_S};
use std::sync::{Mutex, PoisonError};

const BUCKETS: usize = BOUNDS_S.len() + 1;
/// OpenMetrics allows 128 characters for an exemplar's labels, names included.
const ID_MAX: usize = 64;

/// One request.
#[derive(Debug, Clone, Copy)]
pub struct Exemplar {
    id: [u8; ID_MAX],
    id_len: u8,
    us: u32,
    pub epoch_ms: u64,
}

impl Exemplar {
    /// `None` when the request's name is too long to be shown.
    pub fn new(request_id: &str, us: u32, epoch_ms: u64) -> Option<Self> {
        let mut id = [0; ID_MAX];
        id.get_mut(..request_id.len())?
            .copy_from_slice(request_id.as_bytes());
        Some(Self {
            id,
            id_len: request_id.len() as u8,
            us,
            epoch_ms,
        })
    }

    pub fn request_id(&self) -> &str {
        std::str::from_utf8(&self.id[..usize::from(self.id_len)]).unwrap_or_default()
    }

    pub fn seconds(&self) -> f64 {
        f64::from(self.us) / 1e6
    }
}

/// Which series a request belongs to, within its view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Of {
    pub method: &'static str,
    pub status: u16,
}

/// The last request of each bucket of each view.
#[derive(Debug)]
pub struct Exemplars(Mutex<Vec<Option<(Of, Exemplar)>>>);

impl Exemplars {
    pub fn new(views: usize) -> Self {
        Self(Mutex::new(vec![None; views * BUCKETS]))
    }

    /// Keeps requests, each with its view; the last of a bucket stays.
    pub fn keep(&self, found: &mut Vec<(usize, Of, Exemplar)>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (view, of, exemplar) in found.drain(..) {
            let at = view * BUCKETS + bucket(exemplar.us.into());
            if let Some(slot) = kept.get_mut(at) {
                *slot = Some((of, exemplar));
            }
        }
    }

    /// Those of one series, by bucket.
    pub fn of(&self, view: usize, which: impl Fn(Of) -> bool) -> Vec<(usize, Exemplar)> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = kept.iter().skip(view * BUCKETS).take(BUCKETS).enumerate();
        own.filter_map(|(index, slot)| Some((index, slot.as_ref()?)))
            .filter(|(_, (of, _))| which(*of))
            .map(|(index, (_, exemplar))| (index, *exemplar))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Exemplar, Exemplars, Of};

    #[test]
    fn the_last_request_of_a_bucket_is_shown_with_its_own_series_only() {
        let exemplars = Exemplars::new(2);
        let fine = Of {
            method: "GET",
            status: 200,
        };
        let bad = Of {
            method: "GET",
            status: 502,
        };
        let one = |id: &str, us: u32| Exemplar::new(id, us, 1).unwrap();
        let mut found = vec![
            (1, fine, one("old", 1_500)),
            (1, fine, one("new", 1_600)),
            (1, bad, one("bad", 60_000)),
            (9, fine, one("no such view", 60_000)),
        ];
        exemplars.keep(&mut found);
        assert!(found.is_empty());
        let shown = exemplars.of(1, |of| of == fine);
        assert_eq!(shown.len(), 1);
        assert_eq!((shown[0].0, shown[0].1.request_id()), (1, "new"));
        assert!((shown[0].1.seconds() - 0.0016).abs() < 1e-12);
        assert_eq!(exemplars.of(1, |of| of == bad).len(), 1);
        assert!(exemplars.of(0, |_| true).is_empty());
    }

    #[test]
    fn a_name_too_long_for_an_exemplar_is_left_out() {
        assert!(Exemplar::new(&"x".repeat(64), 1, 1).is_some());
        assert!(Exemplar::new(&"x".repeat(65), 1, 1).is_none());
    }
}
