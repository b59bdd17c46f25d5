//! What policies make of a random draw.
//!
//! The failure prevented is a modulo that favours small numbers, written anew in each policy.

/// A number below `bound`; 0 when there is none.
pub fn below(draw: u64, bound: u64) -> u64 {
    ((u128::from(draw) * u128::from(bound)) >> 64) as u64
}

/// A fraction in [0, 1).
pub fn fraction(draw: u64) -> f64 {
    // 53 bits are what a float holds exactly: 1 is never reached.
    (draw >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::{below, fraction};
    use proptest::prelude::*;

    #[test]
    fn draws_cover_their_range_and_stop_before_its_end() {
        assert_eq!((below(0, 10), below(u64::MAX, 10), below(7, 0)), (0, 9, 0));
        assert!(fraction(0) <= 0.0 && fraction(u64::MAX) < 1.0);
        assert_eq!(
            ((fraction(1 << 63) * 4.0) as u32, below(1 << 63, 10)),
            (2, 5)
        );
    }

    proptest! {
        #[test]
        fn no_draw_leaves_the_range(draw: u64, bound in 1_u64..) {
            prop_assert!(below(draw, bound) < bound);
            prop_assert!((0.0..1.0).contains(&fraction(draw)));
        }
    }
}
