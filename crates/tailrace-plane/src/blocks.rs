//! Sixteen bytes at a time: which of them are of a kind, as bits, the first byte lowest.
//!
//! The failure prevented: readers of JSON and of heads that pay for each byte, when most of what
//! they read is text that holds nothing of interest. x86-64 has instructions for this in every
//! processor; elsewhere the plain code stands, which is also what the tests compare with.

/// What is looked at at once.
pub type Block = [u8; 16];

/// The block at `at`, when the bytes go on so far.
#[inline(always)]
pub fn block_at(bytes: &[u8], at: usize) -> Option<&Block> {
    bytes.get(at..)?.first_chunk()
}

/// What ends a plain run of JSON text: quotes, backslashes, control characters.
#[inline(always)]
pub fn text_ends(block: &Block) -> u32 {
    kinds::text_ends(block)
}

/// Control characters and DEL.
#[inline(always)]
pub fn controls(block: &Block) -> u32 {
    kinds::controls(block)
}

/// Letters, digits and hyphens: what nearly all names of headers are made of.
#[inline(always)]
pub fn name_bytes(block: &Block) -> u32 {
    kinds::name_bytes(block)
}

#[cfg(target_arch = "x86_64")]
mod kinds {
    #![expect(unsafe_code, reason = "instructions have no safe interface")]

    use super::Block;
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi8, _mm_sub_epi8,
    };

    #[inline(always)]
    pub fn text_ends(block: &Block) -> u32 {
        let bytes = load(block);
        bits(either(
            below(bytes, b' '),
            either(equal(bytes, b'"'), equal(bytes, b'\\')),
        ))
    }

    #[inline(always)]
    pub fn controls(block: &Block) -> u32 {
        let bytes = load(block);
        bits(either(below(bytes, b' '), equal(bytes, 0x7f)))
    }

    #[inline(always)]
    pub fn name_bytes(block: &Block) -> u32 {
        let bytes = load(block);
        // The bit of small letters makes a letter of no other byte.
        // SAFETY: as in `load`.
        let small = unsafe { _mm_or_si128(bytes, _mm_set1_epi8(0x20)) };
        let letters = below(minus(small, b'a'), 26);
        let digits = below(minus(bytes, b'0'), 10);
        bits(either(letters, either(digits, equal(bytes, b'-'))))
    }

    #[inline(always)]
    fn load(block: &Block) -> __m128i {
        // SAFETY: the block has the sixteen bytes that are read, at any alignment, and SSE2, here
        // and below, is a part of x86-64.
        unsafe { _mm_loadu_si128(block.as_ptr().cast()) }
    }

    #[inline(always)]
    fn equal(bytes: __m128i, byte: u8) -> __m128i {
        // SAFETY: as in `load`.
        unsafe { _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte as i8)) }
    }

    /// Bytes less than `limit`, which is not 0.
    #[inline(always)]
    fn below(bytes: __m128i, limit: u8) -> __m128i {
        // SAFETY: as in `load`.
        unsafe { _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8((limit - 1) as i8)), bytes) }
    }

    #[inline(always)]
    fn minus(bytes: __m128i, byte: u8) -> __m128i {
        // SAFETY: as in `load`.
        unsafe { _mm_sub_epi8(bytes, _mm_set1_epi8(byte as i8)) }
    }

    #[inline(always)]
    fn either(one: __m128i, other: __m128i) -> __m128i {
        // SAFETY: as in `load`.
        unsafe { _mm_or_si128(one, other) }
    }

    #[inline(always)]
    fn bits(found: __m128i) -> u32 {
        // SAFETY: as in `load`.
        unsafe { _mm_movemask_epi8(found) as u32 }
    }
}

#[cfg(not(target_arch = "x86_64"))]
use plain as kinds;

#[cfg(any(test, not(target_arch = "x86_64")))]
mod plain {
    use super::Block;

    pub fn text_ends(block: &Block) -> u32 {
        bits(block, |byte| byte < b' ' || byte == b'"' || byte == b'\\')
    }

    pub fn controls(block: &Block) -> u32 {
        bits(block, |byte| byte < b' ' || byte == 0x7f)
    }

    pub fn name_bytes(block: &Block) -> u32 {
        bits(block, |byte| byte.is_ascii_alphanumeric() || byte == b'-')
    }

    #[inline(always)]
    fn bits(block: &Block, kind: impl Fn(u8) -> bool) -> u32 {
        let bits = block.iter().enumerate();
        bits.fold(0, |bits, (at, &byte)| bits | u32::from(kind(byte)) << at)
    }
}

#[cfg(test)]
mod tests {
    use super::{block_at, controls, name_bytes, plain, text_ends, Block};

    // Each byte, at each place, among bytes of which all or none are of the kind.
    #[test]
    fn each_byte_is_of_the_kinds_that_plain_code_says() {
        for (byte, around) in (0..=255_u8).flat_map(|byte| [(byte, b'a'), (byte, 0x1f)]) {
            for at in 0..16 {
                let mut block: Block = [around; 16];
                block[at] = byte;
                let found = [text_ends(&block), controls(&block), name_bytes(&block)];
                let expected = [
                    plain::text_ends(&block),
                    plain::controls(&block),
                    plain::name_bytes(&block),
                ];
                assert_eq!(found, expected, "{byte:#x} at {at}");
            }
        }
    }

    #[test]
    fn a_block_is_sixteen_bytes_or_none() {
        let bytes = [7; 18];
        assert_eq!(block_at(&bytes, 2), Some(&[7; 16]));
        for at in [3, 18, 19, usize::MAX] {
            assert_eq!(block_at(&bytes, at), None);
        }
    }
}
