//! Additive increase, multiplicative decrease: one more while calls pass, a tenth less when they
//! are dropped.
//!
//! The failure prevented is a law that is too clever: this one needs nothing but drops. Its price
//! is that it finds the limit by crossing it.

const KEPT: f64 = 0.9;

/// The limit after a window.
pub(super) fn next(limit: f64, in_flight: u32, dropped: bool) -> f64 {
    if dropped {
        (limit * KEPT).floor()
    } else if f64::from(in_flight) * 2.0 >= limit {
        limit + 1.0
    } else {
        limit
    }
}

#[cfg(test)]
mod tests {
    use super::next;

    // ALGORITHMS 1: 30 and a drop: 27.
    #[test]
    fn a_tenth_less_or_one_more_or_nothing() {
        let cases = [
            (15, true, 27),
            (0, true, 27),
            (15, false, 31),
            (14, false, 30),
        ];
        for (in_flight, dropped, limit) in cases {
            assert_eq!(next(30.0, in_flight, dropped) as u32, limit);
        }
    }
}
