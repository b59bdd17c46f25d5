//! The byte level: which bytes a token, a target and a header value may hold, and the header block.
//!
//! Prevents: a second parser, further on, seeing a line end, a name or a separator where this one
//! saw none. How: a line ends with CRLF and nothing else; every byte is in a class or refused;
//! there is no "skip what is not understood". Names and values are scanned sixteen bytes at a time.
//! Limits: whether headers make sense together is decided in `facts`.

use super::head::{Fields, Span};
use super::refusal::HeadError;
use crate::blocks::{block_at, controls, name_bytes};

const TOKEN: u8 = 1;
const URI: u8 = 2;
const HOST: u8 = 4;

/// One table for all classes, so that a parse touches four cache lines of it.
static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0u8; 256];
    let mut byte = 0usize;
    while byte < 128 {
        let ch = byte as u8;
        let mut class = 0;
        if ch.is_ascii_alphanumeric() {
            class = TOKEN | URI | HOST;
        }
        if matches!(
            ch,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        ) {
            class |= TOKEN;
        }
        // RFC 3986 pchar, `/`, `?`, and the brackets (leniency 1 of the module doc).
        if matches!(
            ch,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
                | b'%'
                | b'/'
                | b'?'
                | b'['
                | b']'
        ) {
            class |= URI;
        }
        if matches!(ch, b'-' | b'.' | b'_' | b'~') {
            class |= HOST;
        }
        table[byte] = class;
        byte += 1;
    }
    table
}

#[inline]
fn run(bytes: &[u8], class: u8) -> usize {
    bytes
        .iter()
        .position(|&byte| CLASS[byte as usize] & class == 0)
        .unwrap_or(bytes.len())
}

/// How many leading bytes are of a token. Most names of headers end within a block.
#[inline]
pub(super) fn token_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(block) = block_at(bytes, at) {
        let plain = name_bytes(block).trailing_ones() as usize;
        at += plain;
        if plain < 16 {
            if block[plain] == b':' {
                return at;
            }
            break;
        }
    }
    at + run(&bytes[at..], TOKEN)
}

#[inline]
pub(super) fn is_token_byte(byte: u8) -> bool {
    CLASS[byte as usize] & TOKEN != 0
}

#[inline]
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && token_len(bytes) == bytes.len()
}

#[inline]
pub(super) fn uri_len(bytes: &[u8]) -> usize {
    run(bytes, URI)
}

#[inline]
pub(super) fn host_len(bytes: &[u8]) -> usize {
    run(bytes, HOST)
}

/// How many leading bytes are field text: HTAB, SP to `~`, and 0x80 upwards.
#[inline]
pub(super) fn text_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(block) = block_at(bytes, at) {
        let found = controls(block);
        if found == 0 {
            at += 16;
            continue;
        }
        at += found.trailing_zeros() as usize;
        if bytes[at] != b'\t' {
            return at;
        }
        at += 1;
    }
    while at < bytes.len() && is_text_byte(bytes[at]) {
        at += 1;
    }
    at
}

#[inline]
pub(super) fn is_text_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Expects CRLF at `at`: where the next line starts, `None` when the bytes are not there yet, or
/// why the byte that stands there instead is refused (`otherwise` for one that is no line end at
/// all).
#[inline]
pub(super) fn line_end(
    buf: &[u8],
    at: usize,
    otherwise: HeadError,
) -> Result<Option<usize>, HeadError> {
    match (buf.get(at), buf.get(at + 1)) {
        (Some(b'\r'), Some(b'\n')) => Ok(Some(at + 2)),
        (None, _) | (Some(b'\r'), None) => Ok(None),
        (Some(b'\r'), Some(_)) => Err(HeadError::BareCr),
        (Some(b'\n'), _) => Err(HeadError::BareLf),
        (Some(_), _) => Err(otherwise),
    }
}

/// Reads header lines from `at` to the blank line; returns where the body starts, `None` when there
/// are not enough bytes yet. `note` sees each header once, in order.
pub(super) fn header_block(
    buf: &[u8],
    mut at: usize,
    headers_max: usize,
    fields: &mut Fields,
    mut note: impl FnMut(&[u8], &[u8]) -> Result<(), HeadError>,
) -> Result<Option<usize>, HeadError> {
    fields.clear();
    loop {
        let name_start = at;
        at += token_len(&buf[at..]);
        let Some(&stop) = buf.get(at) else {
            return Ok(None);
        };
        if stop != b':' || at == name_start {
            return no_header(buf, name_start, at);
        }
        if fields.len() == headers_max {
            return Err(HeadError::TooManyHeaders);
        }
        let name = Span::new(name_start, at);
        at += 1;
        while matches!(buf.get(at), Some(b' ' | b'\t')) {
            at += 1;
        }
        let value_start = at;
        at += text_len(&buf[at..]);
        let mut value_end = at;
        let Some(next) = line_end(buf, at, HeadError::ControlByte)? else {
            return Ok(None);
        };
        while value_end > value_start && matches!(buf[value_end - 1], b' ' | b'\t') {
            value_end -= 1;
        }
        fields.push(name, Span::new(value_start, value_end));
        note(name.of(buf), &buf[value_start..value_end])?;
        at = next;
    }
}

/// A line without a name and colon: the blank line that ends the head, or the reason to refuse it.
#[cold]
fn no_header(buf: &[u8], start: usize, stop: usize) -> Result<Option<usize>, HeadError> {
    if stop == start {
        let otherwise = match buf[stop] {
            b' ' | b'\t' => HeadError::FoldedHeader,
            b':' => HeadError::EmptyHeaderName,
            _ => HeadError::BadHeaderName,
        };
        return line_end(buf, stop, otherwise);
    }
    match buf[stop] {
        b'\n' => Err(HeadError::BareLf),
        _ => Err(HeadError::BadHeaderName),
    }
}

/// Whether the bytes from `from` on complete a head, or a line that no head may contain.
///
/// `Some(n)`: a parse of the buffer will now give its verdict, and `n` is just behind the line feed
/// that decided it. `None`: remember `buf.len()` and pass it as `from` after the next read. Each
/// byte is looked at about once, however the peer cuts its writes.
pub fn head_end(buf: &[u8], from: usize) -> Option<usize> {
    let tail = buf.get(from..)?;
    memchr::memchr_iter(b'\n', tail)
        .map(|hit| from + hit)
        .find(|&feed| {
            let line = &buf[..feed];
            line.last() != Some(&b'\r') || matches!(line, [b'\r'] | [.., b'\n', b'\r'])
        })
        .map(|feed| feed + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sixteen bytes at a time must see what one byte at a time sees, at each place, for each byte.
    #[test]
    fn text_is_measured_to_the_byte() {
        for byte in 0..=255u8 {
            for at in 0..36 {
                let mut bytes = [0xc3u8; 36];
                bytes[at] = byte;
                if at + 1 < bytes.len() {
                    bytes[at + 1] = 0x01;
                }
                let expected = bytes.iter().take_while(|&&byte| is_text_byte(byte)).count();
                assert_eq!(text_len(&bytes), expected, "byte {byte:#x} at {at}");
            }
        }
    }

    #[test]
    fn a_token_is_measured_to_the_byte() {
        for byte in 0..=255u8 {
            for at in 0..36 {
                for around in [b'a', b'!'] {
                    let mut bytes = [around; 36];
                    bytes[at] = byte;
                    assert_eq!(token_len(&bytes), run(&bytes, TOKEN), "{byte:#x} at {at}");
                }
            }
        }
    }

    #[test]
    fn a_tab_does_not_end_text_but_what_follows_may() {
        assert_eq!(text_len(b"\t\t\t\t\t\t\t\t\t\tabc\r\n"), 13);
        assert_eq!(text_len(b"ab\t\x7fcdefgh"), 3);
        assert_eq!(text_len(b""), 0);
    }

    #[test]
    fn the_end_of_a_head_is_found_from_any_remembered_offset() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\n";
        let end = head.len() - 5;
        for from in 0..end {
            assert_eq!(head_end(&head[..end], from), Some(end), "from {from}");
        }
        for len in 0..end {
            assert_eq!(head_end(&head[..len], 0), None, "{len} bytes");
        }
    }

    #[test]
    fn a_line_that_no_head_may_hold_ends_the_wait() {
        assert_eq!(head_end(b"\r\nGET /", 0), Some(2));
        assert_eq!(head_end(b"\nGET /", 0), Some(1));
        assert_eq!(head_end(b"GET / HTTP/1.1\nHost", 0), Some(15));
        assert_eq!(head_end(b"GET / HTTP/1.1\r\nHost: a\r\n\nX", 0), Some(26));
        assert_eq!(head_end(b"abc", 7), None);
    }
}
