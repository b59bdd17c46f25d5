//! JSON string text: decoding escapes, and writing text as a JSON string. Prevents keys and
//! parameters from meaning different things to the check and to the reader: all comparisons are
//! made on decoded text. Limits: the decoder expects a string the scanner accepted; on anything
//! else it stops early and never panics.

use super::scan::hex4;

/// Appends the text of `raw` (the bytes between the quotes of a valid JSON string) to `out`.
pub(super) fn unescape_into(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(plain) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..plain]);
        let (char, used) = escaped_char(&rest[plain..]);
        out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        rest = rest.get(plain + used..).unwrap_or(&[]);
    }
    out.extend_from_slice(rest);
}

/// The character an escape stands for and the bytes it takes; `text` starts with the backslash.
fn escaped_char(text: &[u8]) -> (char, usize) {
    match text.get(1) {
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'n') => ('\n', 2),
        Some(b'r') => ('\r', 2),
        Some(b't') => ('\t', 2),
        Some(b'u') => unicode_char(text),
        Some(other) => (char::from(*other), 2),
        None => (char::REPLACEMENT_CHARACTER, 1),
    }
}

fn unicode_char(text: &[u8]) -> (char, usize) {
    let first = hex4(text, 2).unwrap_or(0xfffd);
    if let (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) = (first, hex4(text, 8)) {
        let point = 0x1_0000 + ((first - 0xd800) << 10 | (low - 0xdc00));
        return (
            char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER),
            12,
        );
    }
    (
        char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER),
        6,
    )
}

/// Appends `text` as a JSON string with its quotes.
pub fn escape_into(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut plain_from = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if !matches!(byte, 0..=0x1f | b'"' | b'\\') {
            continue;
        }
        out.extend_from_slice(&bytes[plain_from..at]);
        plain_from = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[high], HEX[low]]);
            }
        }
    }
    out.extend_from_slice(&bytes[plain_from..]);
    out.push(b'"');
}

/// Characters (code points) in valid UTF-8.
pub(super) fn char_count(text: &[u8]) -> usize {
    text.iter().filter(|byte| (**byte & 0xc0) != 0x80).count()
}
