//! What tells two answers apart: everything the upstream is told (RELIABILITY S09).
//!
//! The failure prevented is one user's answer given to another. An answer can only depend on the
//! bytes that were sent, so the key is those bytes: the target and every header line of the call,
//! forwarded ones and those of templates, whatever they carry. Left out is what cannot make answers
//! differ for a user: the request id, the two trace context headers (which are new for every
//! request and would make every key a new one), and the lines that the plane writes the same for
//! everybody.
//! In front stand the upstream and the part's scope: the shape its answer was cut down to and the
//! times it may be kept for. A part that allows less never sees what another one kept for longer.

use crate::program::Part;
use crate::template::Rendered;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Names of the W3C trace context, which say who asks for what, never for whom.
pub const TRACE: [&str; 2] = ["traceparent", "tracestate"];
/// Bytes before the target: upstream and scope.
const PREFIX: usize = 12;

/// A whole key, as an entry keeps it.
#[derive(Debug, Clone)]
pub struct Key {
    pub hash: u64,
    pub bytes: Arc<[u8]>,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.bytes == other.bytes
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Keyed already: by a secret of this process.
        state.write_u64(self.hash);
    }
}

/// Appends the key of a call.
pub fn push(part: &Part, scope: u64, rendered: &Rendered, out: &mut Vec<u8>) {
    out.extend_from_slice(&(part.upstream as u32).to_be_bytes());
    out.extend_from_slice(&scope.to_be_bytes());
    let (target, rest) = rendered.bytes.split_at(rendered.target);
    out.extend_from_slice(target);
    // A target holds no line end, so nothing of it can be taken for a header.
    out.extend_from_slice(b"\r\n");
    let lines = &rest[..rendered.keyed - rendered.target];
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        if !is_trace(line) {
            out.extend_from_slice(line);
        }
    }
}

/// Names are lower-case, as templates and `forward_headers` are compiled.
fn is_trace(line: &[u8]) -> bool {
    let named = |name: &str| {
        line.strip_prefix(name.as_bytes())
            .is_some_and(|rest| rest.starts_with(b":"))
    };
    TRACE.iter().any(|name| named(name))
}

/// Whether a key is of this upstream, and its target begins so.
pub fn is_of(bytes: &[u8], upstream: usize, prefix: &[u8]) -> bool {
    bytes.starts_with(&(upstream as u32).to_be_bytes()) && bytes[PREFIX..].starts_with(prefix)
}

#[cfg(test)]
mod tests {
    use super::{is_of, push};
    use crate::program::Program;
    use crate::template::Rendered;
    use tailrace_blueprint::Blueprint;

    const BLUEPRINT: &str = r#"{
      "format_version": 1, "service": "keys",
      "upstreams": [{"name": "u", "addresses": ["http://127.0.0.1:1"], "timeout_ms": 50,
                     "bulkhead": {"limit": 4}}],
      "shapes": [{"kind": "any"}],
      "views": [{
        "name": "v", "method": "GET", "path": "/v", "deadline_ms": 100, "fanout": 3,
        "parameters": [],
        "parts": [{"name": "a", "strength": "strong", "upstream": "u", "method": "GET",
                   "shape": 0, "path": [{"text": "/a"}]}]
      }]
    }"#;

    fn key(target: &str, lines: &str, id: &str) -> Vec<u8> {
        let blueprint = Blueprint::from_json(BLUEPRINT.as_bytes()).unwrap();
        let program = Program::compile(&blueprint).unwrap();
        let rendered = Rendered {
            bytes: [target, lines, id].concat().into_bytes(),
            target: target.len(),
            keyed: target.len() + lines.len(),
            body: Vec::new(),
            any_type: false,
        };
        let mut out = Vec::new();
        push(&program.views[0].parts[0], 7, &rendered, &mut out);
        out
    }

    // RELIABILITY S09: what the upstream is told decides, whatever header it stands in.
    #[test]
    fn every_header_that_is_sent_tells_keys_apart_except_request_and_trace_ids() {
        let one = key("/a", "authorization: x\r\n", "x-request-id: 1\r\n");
        assert_ne!(
            one,
            key("/a", "authorization: y\r\n", "x-request-id: 1\r\n")
        );
        assert_ne!(one, key("/a", "", "x-request-id: 1\r\n"));
        assert_ne!(
            one,
            key("/b", "authorization: x\r\n", "x-request-id: 1\r\n")
        );
        assert_ne!(one, key("/a", "x-tenant: x\r\n", "x-request-id: 1\r\n"));
        assert_eq!(
            one,
            key("/a", "authorization: x\r\n", "x-request-id: 2\r\n")
        );
        let traced = "authorization: x\r\ntraceparent: 00-1\r\ntracestate: a=b\r\n";
        assert_eq!(one, key("/a", traced, "x-request-id: 3\r\n"));
        // Names that only begin like one of the two are in the key.
        assert_ne!(one, key("/a", "authorization: x\r\ntracestate2: a\r\n", ""));
    }

    // The end of the target cannot be shifted into the headers.
    #[test]
    fn target_and_headers_cannot_be_mixed_up() {
        assert_ne!(key("/a", "b: c\r\n", ""), key("/ab: c", "\r\n", ""));
        assert!(is_of(&key("/users/42", "", ""), 0, b"/users/4"));
        assert!(!is_of(&key("/users/42", "", ""), 0, b"/users/5"));
        assert!(!is_of(&key("/users/42", "", ""), 1, b"/users/"));
        assert!(is_of(&key("/users/42", "", ""), 0, b""));
    }
}
