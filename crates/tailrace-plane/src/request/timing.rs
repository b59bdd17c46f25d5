//! `Server-Timing`: what a reply's parts took, for the client that asks (req 3.6).
//!
//! Off unless the service says `server_timing`, and then only for a request that carries
//! `Tailrace-Timing: 1`: how long an upstream takes is not for everybody. Only names of the view
//! are told, never an upstream's or an address. A part whose name is no token is left out, since a
//! header has no way to say it.

use super::Exchange;
use crate::receipt::json::ms;
use crate::source::Source;
use crate::worker::Worker;
use std::io::Write;
use tailrace_policy::Nanos;

/// The header that asks.
const ASKS: &str = "tailrace-timing";

impl Exchange {
    /// Adds the header line of a reply that is made now.
    pub(super) fn push_timing(&mut self, worker: &Worker) {
        let asked = || self.head.header(&self.input, ASKS) == Some(b"1");
        if !worker.program.declared.server_timing || !asked() {
            return;
        }
        let (receipt, now) = (&self.fan.receipt, worker.now.get());
        let since = |start: Nanos, end: Nanos| ms(end.saturating_sub(start));
        let lines = &mut self.passed.lines;
        // Writing to a vector does not fail.
        let total = since(receipt.started, now);
        write!(lines, "server-timing: total;dur={total:.3}").ok();
        if receipt.fanned > 0 {
            let admission = since(receipt.started, receipt.fanned);
            write!(lines, ", admission;dur={admission:.3}").ok();
            let parts = &worker.program.views[self.fan.view].parts;
            for (part, end) in parts.iter().zip(&self.fan.ends) {
                if !is_token(&part.name) {
                    continue;
                }
                let took = f64::from(end.us) / 1e3;
                write!(lines, ", {};dur={took:.3}", part.name).ok();
                let about = match (end.failed, end.source) {
                    (Some(reason), _) => reason.code(),
                    (None, Source::Fresh) => continue,
                    (None, source) => source.code(),
                };
                write!(lines, ";desc=\"{about}\"").ok();
            }
        }
        lines.extend_from_slice(b"\r\n");
    }
}

/// A name as HTTP headers may have it (RFC 9110 5.6.2).
fn is_token(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(known)
}

#[cfg(test)]
mod tests {
    use super::is_token;

    #[test]
    fn only_tokens_stand_in_a_header() {
        assert!(is_token("order") && is_token("stock_2"));
        for name in ["", "a b", "a,b", "a;dur=1", "a\r\nset-cookie: x", "größe"] {
            assert!(!is_token(name), "{name:?}");
        }
    }
}
