//! Whether a Content-Type promises JSON that this plane can read.
//!
//! Prevents: an error page in HTML, or JSON in another charset, being taken for data. How: the
//! media type and its parameters by the grammar of RFC 9110 8.3; anything else is simply not JSON.
//! Limits: it is a promise of the upstream; the body is still validated.

use super::scan::is_token;

/// `application/json` or `application/*+json`, charset absent or UTF-8.
#[inline]
pub fn is_json(value: &[u8]) -> bool {
    if value == b"application/json" {
        return true;
    }
    let mut parts = value.split(|&byte| byte == b';');
    let essence = parts.next().unwrap_or_default().trim_ascii();
    is_json_essence(essence) && parts.all(|part| is_fitting_parameter(part.trim_ascii()))
}

/// `application/x-www-form-urlencoded`, whatever its parameters.
pub fn is_form(value: &[u8]) -> bool {
    let essence = value.split(|&byte| byte == b';').next();
    let essence = essence.unwrap_or_default().trim_ascii();
    essence.eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

fn is_json_essence(essence: &[u8]) -> bool {
    let Some((kind, subtype)) = essence.split_at_checked(12) else {
        return false;
    };
    if !kind.eq_ignore_ascii_case(b"application/") || !is_token(subtype) {
        return false;
    }
    let suffix = subtype.len().checked_sub(5).map(|at| subtype.split_at(at));
    let structured =
        suffix.is_some_and(|(name, end)| !name.is_empty() && end.eq_ignore_ascii_case(b"+json"));
    structured || subtype.eq_ignore_ascii_case(b"json")
}

/// `name=value` or nothing; a charset must be UTF-8. A `;` inside quotes is not understood: not
/// JSON.
fn is_fitting_parameter(part: &[u8]) -> bool {
    if part.is_empty() {
        return true;
    }
    let Some(equals) = memchr::memchr(b'=', part) else {
        return false;
    };
    let (name, value) = (&part[..equals], &part[equals + 1..]);
    let bare = match value {
        [b'"', inside @ .., b'"'] => inside,
        _ => value,
    };
    let fits = !name.eq_ignore_ascii_case(b"charset") || bare.eq_ignore_ascii_case(b"utf-8");
    is_token(name) && is_token(bare) && fits
}

#[cfg(test)]
mod tests {
    use super::is_json;

    #[test]
    fn json_is_what_says_so_in_utf8() {
        for yes in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json; profile=x",
            "application/json;",
            "application/problem+json",
            "application/vnd.api+json; charset=utf-8",
        ] {
            assert!(is_json(yes.as_bytes()), "{yes}");
        }
        for no in [
            "",
            "json",
            "text/json",
            "text/html",
            "application/jsonp",
            "application/json-seq",
            "application/+json",
            "application/json charset=utf-8",
            "application/json; charset=latin1",
            "application/json; charset=utf-16",
            "application/json; charset",
            "application/json, text/html",
            "application/x json",
        ] {
            assert!(!is_json(no.as_bytes()), "{no}");
        }
    }
}
