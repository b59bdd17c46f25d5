//! The headers that say what is missing in a reply, and what is from where (req 8.3).
//!
//! The failure prevented is a reply that looks the same whether its upstreams answered or not.
//! Parts whose call failed are in the first header, with the reason and what stands in; parts that
//! are whole and were not fetched for this request in the second; all others are fresh.

use crate::access_log::PartEnd;
use crate::fanout::FanOut;
use crate::program::View;
use crate::reason::Reason;
use crate::source::Source;

/// `tailrace-degraded: coupon;reason=timeout, recommend;reason=connect;served=stale;age=12`.
pub(super) fn push_degraded_header(view: &View, fan: &FanOut, out: &mut Vec<u8>) {
    out.extend_from_slice(b"tailrace-degraded: ");
    let mut first = true;
    for (name, end) in view.names().zip(&fan.ends) {
        if let Some(reason) = end.failed {
            if !first {
                out.extend_from_slice(b", ");
            }
            first = false;
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b";reason=");
            out.extend_from_slice(reason.code().as_bytes());
            // Without a word nothing was served in its place.
            if !matches!(end.source, Source::Fresh | Source::Missing) {
                push_source(b";served=", end, out);
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether a part is whole, and from the cache.
pub(super) fn is_kept(end: &PartEnd) -> bool {
    end.failed.is_none() && end.source != Source::Fresh
}

/// `tailrace-sources: user;source=cached;age=1`: parts that are not missing anything and were not
/// fetched for this request. Every part that neither header names is fresh.
pub(super) fn push_sources_header(view: &View, fan: &FanOut, out: &mut Vec<u8>) {
    out.extend_from_slice(b"tailrace-sources: ");
    let kept = view
        .parts
        .iter()
        .zip(&fan.ends)
        .filter(|(_, end)| is_kept(end));
    for (index, (part, end)) in kept.enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(part.name.as_bytes());
        push_source(b";source=", end, out);
    }
    out.extend_from_slice(b"\r\n");
}

fn push_source(lead: &[u8], end: &PartEnd, out: &mut Vec<u8>) {
    out.extend_from_slice(lead);
    out.extend_from_slice(end.source.code().as_bytes());
    if end.source.has_age() {
        out.extend_from_slice(b";age=");
        out.extend_from_slice(itoa::Buffer::new().format(end.age_s).as_bytes());
    }
}

/// What a handler's reply says of a call that failed.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    pub name: &'a str,
    pub reason: Reason,
    /// A kept answer of this age stood in, in seconds.
    pub stale_s: Option<u32>,
}

/// `tailrace-degraded: users;reason=reset;served=stale;age=4`, without the line's end.
pub(super) fn push_said(degraded: &[Said<'_>], out: &mut Vec<u8>) {
    out.extend_from_slice(b"tailrace-degraded: ");
    for (index, said) in degraded.iter().enumerate() {
        let separator: &[u8] = if index == 0 { b"" } else { b", " };
        for bytes in [
            separator,
            said.name.as_bytes(),
            b";reason=",
            said.reason.code().as_bytes(),
        ] {
            out.extend_from_slice(bytes);
        }
        if let Some(age_s) = said.stale_s {
            out.extend_from_slice(b";served=stale;age=");
            out.extend_from_slice(itoa::Buffer::new().format(age_s).as_bytes());
        }
    }
}
