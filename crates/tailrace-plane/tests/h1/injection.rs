//! Headers on the way out: no value ends its line (S04), no hop-by-hop header travels on (S05).

use proptest::collection::vec;
use proptest::prelude::*;
use tailrace_plane::h1::{hop_by_hop, is_header_value, push_header, reason, BadHeader};

use super::properties::cases;

/// Values with line ends, NUL and escapes in most of them.
fn hostile_values() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => b' '..=b'~',
        1 => prop::sample::select(b"\r\n\0\t\x0b\x0c\x1b\x7f\x85".to_vec()),
        1 => any::<u8>(),
    ];
    vec(byte, 0..24)
}

proptest! {
    #![proptest_config(cases(20_000))]

    #[test]
    fn no_value_leaves_its_line(value in hostile_values()) {
        let mut out = b"kept".to_vec();
        let clean = !value.iter().any(|&byte| byte < b' ' || byte == 0x7f);
        prop_assert_eq!(is_header_value(&value), clean);
        match push_header(&mut out, "X-Name", &value) {
            Ok(()) => {
                prop_assert!(clean);
                prop_assert_eq!(&out[..], [b"keptX-Name: ", &value[..], b"\r\n"].concat());
            }
            Err(error) => {
                prop_assert_eq!(error, BadHeader::Value);
                prop_assert!(!clean);
                prop_assert_eq!(&out[..], b"kept");
            }
        }
    }

    #[test]
    fn no_name_leaves_its_line(name in hostile_values()) {
        let name = String::from_utf8_lossy(&name);
        let mut out = Vec::new();
        let token = |ch: char| ch.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(ch);
        let good = !name.is_empty() && name.chars().all(token);
        prop_assert_eq!(push_header(&mut out, &name, b"v").is_ok(), good);
        prop_assert_eq!(out.is_empty(), !good);
    }
}

#[test]
fn hop_by_hop_headers_are_known_in_any_case() {
    for name in [
        "Connection",
        "keep-alive",
        "Proxy-Connection",
        "TE",
        "te",
        "Trailer",
        "UPGRADE",
        "Transfer-Encoding",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "HTTP2-Settings",
    ] {
        assert!(hop_by_hop(name.as_bytes()), "{name}");
    }
    for name in [
        "",
        "t",
        "Host",
        "Content-Length",
        "traceparent",
        "Accept",
        "Upgrade-Insecure",
    ] {
        assert!(!hop_by_hop(name.as_bytes()), "{name}");
    }
}

#[test]
fn a_reason_is_a_clean_header_value() {
    for status in 0..1000 {
        assert!(is_header_value(reason(status).as_bytes()));
    }
    assert_eq!(reason(503), "Service Unavailable");
    assert_eq!(reason(299), "");
}
