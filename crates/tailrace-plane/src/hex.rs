//! Numbers as hexadecimal text: request ids, and the ids of traces and spans.

/// In small letters, as W3C trace context has them.
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Appends the last `digits` digits of `value`, at most 32.
pub fn push(value: u128, digits: usize, out: &mut Vec<u8>) {
    let mut text = [0; 32];
    let text = &mut text[..digits.min(32)];
    fill(value, text);
    out.extend_from_slice(text);
}

/// Writes the last digits of `value`, as many as there is room for.
pub fn fill(mut value: u128, text: &mut [u8]) {
    // Half of it at a time, for which one register is enough.
    for half in text.rchunks_mut(16) {
        let mut low = value as u64;
        for place in half.iter_mut().rev() {
            *place = DIGITS[(low & 15) as usize];
            low >>= 4;
        }
        value >>= 64;
    }
}

#[cfg(test)]
mod tests {
    use super::push;

    #[test]
    fn the_last_digits_are_those_that_the_standard_library_writes() {
        let value = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210_u128;
        let all = format!("{value:032x}");
        for digits in 0..=32 {
            let mut out = b"-".to_vec();
            push(value, digits, &mut out);
            assert_eq!(out, format!("-{}", &all[32 - digits..]).into_bytes());
        }
    }
}
