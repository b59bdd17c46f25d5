//! What ours refuses and hyper accepts: the codes that may stand there, and how many rows each has.

use std::collections::BTreeMap;

/// A code, and how many rows of the two corpora (requests, responses) only ours refuses with it.
/// Zero: hyper refuses those rows too, and another reader of `leniency.md` does not.
pub(crate) const STRICTER: [(&str, usize, usize); 34] = [
    ("bad_chunk", 6, 0),
    ("bad_connection", 5, 2),
    ("bad_content_length", 1, 1),
    ("bad_expect", 3, 0),
    ("bad_header_name", 0, 0),
    ("bad_host", 17, 0),
    ("bad_request_line", 3, 0),
    ("bad_status_line", 0, 1),
    ("bad_target", 16, 0),
    ("bad_trailer", 11, 2),
    ("bad_transfer_encoding", 2, 1),
    ("bad_version", 0, 1),
    ("bare_cr", 0, 0),
    ("bare_lf", 5, 3),
    ("body_forbidden", 0, 3),
    ("body_too_large", 0, 1),
    ("chunk_overhead", 3, 0),
    ("control_byte", 0, 0),
    ("duplicate_content_length", 1, 1),
    ("duplicate_host", 2, 0),
    ("duplicate_transfer_encoding", 1, 1),
    ("folded_header", 0, 0),
    ("framing_twin", 4, 2),
    ("head_too_large", 1, 1),
    ("interim_flood", 0, 1),
    ("length_and_transfer_encoding", 4, 4),
    ("method_too_long", 1, 0),
    ("missing_host", 1, 0),
    ("switching_protocols", 0, 1),
    ("too_many_headers", 1, 1),
    ("transfer_encoding_in_http10", 0, 0),
    ("unknown_transfer_coding", 2, 3),
    ("unsupported_version", 0, 0),
    ("uri_too_long", 2, 0),
];

/// Rows that ours accepts and hyper does not, or reads differently, each with the reason.
pub(crate) const DIFFERENT: [(&str, &str); 0] = [];

/// How often each code was ours alone.
#[derive(Debug, Default)]
pub(crate) struct Tally(pub(crate) BTreeMap<&'static str, usize>);

impl Tally {
    /// `None`: both accept the input, or neither does.
    pub(crate) fn add(&mut self, code: Option<&'static str>) {
        if let Some(code) = code {
            *self.0.entry(code).or_default() += 1;
        }
    }

    pub(crate) fn total(&self) -> usize {
        self.0.values().sum()
    }

    /// No code but those of the table.
    pub(crate) fn check_codes(&self) {
        for (code, count) in &self.0 {
            assert!(
                STRICTER.iter().any(|(known, ..)| known == code),
                "{count} inputs that hyper accepts are refused as {code}: argue it in \
                 docs/reference/leniency.md and in STRICTER, or accept them"
            );
        }
    }

    /// Exactly the counts of the table.
    pub(crate) fn check_counts(&self, column: impl Fn(&(&str, usize, usize)) -> usize) {
        self.check_codes();
        let table: BTreeMap<_, _> = STRICTER
            .iter()
            .map(|row| (row.0, column(row)))
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(self.0, table, "counts of rows: measured, and in STRICTER");
    }
}
