//! What the headers of one message say about framing and about the connection.
//!
//! Prevents: request smuggling (RELIABILITY S01, S02): a message that two readers could frame in
//! two ways never gets past its head. How: each framing header is noted once, in order; the second
//! of a kind, or the second kind, is refused on the spot. Limits: what a status or a method says
//! about bodies is decided by `response` and `request`.

use super::refusal::HeadError;
use super::scan::{host_len, is_token};

#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) length: Option<u64>,
    pub(super) chunked: bool,
    pub(super) host: bool,
    pub(super) expect_continue: bool,
    close: bool,
    keep: bool,
}

impl Facts {
    /// Notes one header; those that concern neither framing nor the connection cost one comparison.
    #[inline]
    pub(super) fn note(&mut self, name: &[u8], value: &[u8], minor: u8) -> Result<(), HeadError> {
        match (name.len(), name[0] | 0x20) {
            (4, b'h') if name.eq_ignore_ascii_case(b"host") => self.note_host(value),
            (6, b'e') if name.eq_ignore_ascii_case(b"expect") => self.note_expect(value),
            (10, b'c') if name.eq_ignore_ascii_case(b"connection") => self.note_connection(value),
            (14, b'c') => self.note_length(name, value),
            (17, b't') => self.note_coding(name, value, minor),
            _ => Ok(()),
        }
    }

    pub(super) fn keep_alive(&self, minor: u8) -> bool {
        !self.close && (minor == 1 || self.keep)
    }

    fn note_host(&mut self, value: &[u8]) -> Result<(), HeadError> {
        if std::mem::replace(&mut self.host, true) {
            return Err(HeadError::DuplicateHost);
        }
        if is_host(value) {
            Ok(())
        } else {
            Err(HeadError::BadHost)
        }
    }

    fn note_expect(&mut self, value: &[u8]) -> Result<(), HeadError> {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(HeadError::BadExpect);
        }
        self.expect_continue = true;
        Ok(())
    }

    fn note_connection(&mut self, value: &[u8]) -> Result<(), HeadError> {
        for token in value.split(|&byte| byte == b',') {
            let token = token.trim_ascii();
            match token.len() {
                // An empty element is legal in a list, and must not hide the headers after it
                // (Go CVE-2021-33197).
                0 => {}
                5 if token.eq_ignore_ascii_case(b"close") => self.close = true,
                10 if token.eq_ignore_ascii_case(b"keep-alive") => self.keep = true,
                _ if !is_token(token) || decides_the_message(token) => {
                    return Err(HeadError::BadConnection);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn note_length(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeadError> {
        if !is_content_length(name) {
            return refuse_twin(name, b"content_length");
        }
        if self.length.is_some() {
            return Err(HeadError::DuplicateContentLength);
        }
        self.length = Some(decimal(value).ok_or(HeadError::BadContentLength)?);
        self.not_both()
    }

    fn note_coding(&mut self, name: &[u8], value: &[u8], minor: u8) -> Result<(), HeadError> {
        if !name.eq_ignore_ascii_case(b"transfer-encoding") {
            return refuse_twin(name, b"transfer_encoding");
        }
        if minor == 0 {
            return Err(HeadError::TransferEncodingInHttp10);
        }
        if std::mem::replace(&mut self.chunked, true) {
            return Err(HeadError::DuplicateTransferEncoding);
        }
        self.not_both()?;
        if value.eq_ignore_ascii_case(b"chunked") {
            return Ok(());
        }
        Err(refuse_codings(value))
    }

    fn not_both(&self) -> Result<(), HeadError> {
        if self.length.is_some() && self.chunked {
            return Err(HeadError::LengthAndTransferEncoding);
        }
        Ok(())
    }
}

/// Two words that overlap, instead of fourteen bytes. Setting the bit of small letters makes a
/// hyphen of no other byte that a name may hold.
fn is_content_length(name: &[u8]) -> bool {
    const SMALL: u64 = u64::from_ne_bytes([0x20; 8]);
    let word = |bytes: &[u8]| {
        bytes
            .first_chunk()
            .map(|bytes| u64::from_ne_bytes(*bytes) | SMALL)
    };
    let is = |bytes: &[u8], name: &[u8; 8]| word(bytes) == Some(u64::from_ne_bytes(*name));
    name.len() == 14 && is(name, b"content-") && is(&name[6..], b"t-length")
}

/// `content_length` is an ordinary header here, and Content-Length to whoever maps `-` to `_`
/// behind us.
fn refuse_twin(name: &[u8], twin: &[u8]) -> Result<(), HeadError> {
    let same = |(a, b): (&u8, &u8)| a.eq_ignore_ascii_case(b) || (*b == b'_' && *a == b'-');
    if name.contains(&b'_') && name.iter().zip(twin).all(same) {
        return Err(HeadError::FramingTwin);
    }
    Ok(())
}

/// Naming these in Connection asks the next hop to forget where the message ends or whom it is for.
fn decides_the_message(token: &[u8]) -> bool {
    [&b"content-length"[..], b"transfer-encoding", b"host"]
        .iter()
        .any(|name| token.eq_ignore_ascii_case(name))
}

/// 501 for a coding that exists but is not spoken here, 400 for a list that could never be right.
#[cold]
fn refuse_codings(value: &[u8]) -> HeadError {
    let mut after_chunked = false;
    for coding in value.split(|&byte| byte == b',') {
        let coding = coding.trim_ascii();
        if after_chunked || !is_token(coding) {
            return HeadError::BadTransferEncoding;
        }
        after_chunked = coding.eq_ignore_ascii_case(b"chunked");
    }
    HeadError::UnknownTransferCoding
}

/// Digits only, no leading zero (some readers take `010` for eight), no overflow.
#[inline]
fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || (value[0] == b'0' && value.len() > 1) {
        return None;
    }
    // Up to 18 digits there is no overflow to look for.
    if value.len() <= 18 {
        let digits = value.iter().map(|&byte| u64::from(byte.wrapping_sub(b'0')));
        let (sum, most) = digits.fold((0, 0), |(sum, most), digit| {
            (sum * 10 + digit, digit.max(most))
        });
        return (most <= 9).then_some(sum);
    }
    value.iter().try_fold(0u64, |sum, &digit| {
        if !digit.is_ascii_digit() {
            return None;
        }
        sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

/// A name, an IPv4 address or a bracketed IPv6 address, with an optional port of one to five
/// digits.
fn is_host(value: &[u8]) -> bool {
    let name_len = match value.first() {
        Some(b'[') => {
            let inside = value[1..]
                .iter()
                .position(|byte| !(byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')))
                .unwrap_or(0);
            if inside < 2 || value[1 + inside] != b']' {
                return false;
            }
            inside + 2
        }
        _ => host_len(value),
    };
    match &value[name_len..] {
        _ if name_len == 0 => false,
        [] => true,
        [b':', port @ ..] => (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_plain_digits_within_64_bits() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(
            decimal(b"999999999999999999"),
            Some(999_999_999_999_999_999)
        );
        assert_eq!(
            decimal(b"1000000000000000000"),
            Some(1_000_000_000_000_000_000)
        );
        assert_eq!(decimal(b"99999999999999999:"), None);
        for refused in [
            "",
            "00",
            "01",
            "+1",
            "-1",
            " 1",
            "1 ",
            "1,1",
            "0x1",
            "18446744073709551616",
        ] {
            assert_eq!(decimal(refused.as_bytes()), None, "{refused}");
        }
    }

    #[test]
    fn content_length_is_known_by_its_bytes_in_any_case() {
        let name = b"content-length";
        assert!(is_content_length(name) && is_content_length(b"CONTENT-LeNgTh"));
        for at in 0..name.len() {
            for byte in (0..=255_u8).filter(|byte| crate::h1::scan::is_token_byte(*byte)) {
                let mut other = *name;
                other[at] = byte;
                let same = other.eq_ignore_ascii_case(name);
                assert_eq!(is_content_length(&other), same, "{byte:#x} at {at}");
            }
        }
        assert!(!is_content_length(b"content-lengt") && !is_content_length(b"content-lengths"));
    }

    #[test]
    fn a_twin_is_refused_and_a_stranger_of_its_length_is_not() {
        let note = |name: &str| Facts::default().note(name.as_bytes(), b"1", 1);
        assert_eq!(note("Content_Length"), Err(HeadError::FramingTwin));
        assert_eq!(note("Transfer_Encoding"), Err(HeadError::FramingTwin));
        assert_eq!(note("Content-Lengto"), Ok(()));
        assert_eq!(note("Cookie-Samesit"), Ok(()));
        assert_eq!(note("Content_Lengto"), Ok(()));
    }

    #[test]
    fn close_wins_over_keep_alive_in_any_order() {
        for values in [
            ["close", "keep-alive"],
            ["keep-alive", "close"],
            ["", "close"],
        ] {
            let mut facts = Facts::default();
            for value in values {
                assert_eq!(facts.note(b"Connection", value.as_bytes(), 1), Ok(()));
            }
            assert!(!facts.keep_alive(1) && !facts.keep_alive(0), "{values:?}");
        }
        assert!(Facts::default().keep_alive(1));
        assert!(!Facts::default().keep_alive(0));
    }
}
