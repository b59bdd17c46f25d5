//! Sixteen bytes at a time: which of them are of a kind, as bits, the first byte lowest.
//!
//! The failure prevented: readers of JSON and of heads that pay for each byte, when most of what
//! they read is text that holds nothing of interest. x86-64 has instructions for this in every
//! processor; elsewhere two words stand for them.

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
use words as kinds;

/// The same by two words; exact in every byte, for nothing is carried from one into the next.
#[cfg(any(test, not(target_arch = "x86_64")))]
mod words {
    use super::Block;

    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const TOPS: u64 = ONES << 7;

    pub fn text_ends(block: &Block) -> u32 {
        bits(block, |word| {
            below(word, b' ') | equal(word, b'"') | equal(word, b'\\')
        })
    }

    pub fn controls(block: &Block) -> u32 {
        bits(block, |word| below(word, b' ') | equal(word, 0x7f))
    }

    pub fn name_bytes(block: &Block) -> u32 {
        bits(block, |word| {
            let letters = within(word | (ONES * 0x20), b'a', b'z');
            letters | within(word, b'0', b'9') | equal(word, b'-')
        })
    }

    /// The top bits of bytes less than `limit`, which is at most 0x80.
    #[inline(always)]
    fn below(word: u64, limit: u8) -> u64 {
        !((word | TOPS) - ONES * u64::from(limit)) & !word & TOPS
    }

    #[inline(always)]
    fn equal(word: u64, byte: u8) -> u64 {
        below(word ^ (ONES * u64::from(byte)), 1)
    }

    #[inline(always)]
    fn within(word: u64, first: u8, last: u8) -> u64 {
        below(word, last + 1) & !below(word, first)
    }

    #[inline(always)]
    fn bits(block: &Block, kind: impl Fn(u64) -> u64) -> u32 {
        // Each product moves the bit of one byte to its place in the top byte.
        const GATHER: u64 = 0x0102_0408_1020_4080;
        let (words, _) = block.as_chunks::<8>();
        let gathered = words.iter().map(|word| {
            let tops = kind(u64::from_le_bytes(*word));
            (tops >> 7).wrapping_mul(GATHER) >> 56
        });
        gathered
            .rev()
            .fold(0, |bits, eight| bits << 8 | eight as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::{block_at, controls, name_bytes, text_ends, words, Block};

    fn plain(block: &Block, kind: impl Fn(u8) -> bool) -> u32 {
        let bytes = block.iter().enumerate();
        bytes.fold(0, |bits, (at, &byte)| bits | u32::from(kind(byte)) << at)
    }

    // Each byte, at each place, among bytes of which all or none are of the kind.
    #[test]
    fn each_byte_is_of_the_kinds_that_plain_code_says() {
        for (byte, around) in (0..=255_u8).flat_map(|byte| [(byte, b'a'), (byte, 0x1f)]) {
            for at in 0..16 {
                let mut block: Block = [around; 16];
                block[at] = byte;
                let expected = [
                    plain(&block, |one| one < b' ' || one == b'"' || one == b'\\'),
                    plain(&block, |one| one.is_ascii_control()),
                    plain(&block, |one| one.is_ascii_alphanumeric() || one == b'-'),
                ];
                let found = [text_ends(&block), controls(&block), name_bytes(&block)];
                assert_eq!(found, expected, "{byte:#x} at {at}");
                let found = [
                    words::text_ends(&block),
                    words::controls(&block),
                    words::name_bytes(&block),
                ];
                assert_eq!(found, expected, "{byte:#x} at {at}, by words");
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
