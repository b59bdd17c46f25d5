//! Headers on the way out: no value ends its line (S04).

use proptest::collection::vec;
use proptest::prelude::*;
use tailrace_plane::h1::{is_header_value, reason};

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
        let clean = !value.iter().any(|&byte| byte < b' ' || byte == 0x7f);
        prop_assert_eq!(is_header_value(&value), clean);
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
