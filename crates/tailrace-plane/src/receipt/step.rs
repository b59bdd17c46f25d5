//! What a request waits for: the kinds of time that its duration is made of.

use std::fmt;

/// One kind of time on the critical path. Together they are the whole duration (req 3.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Step {
    /// Head to first call: route, admission, parameters, body.
    Admission,
    /// Ready, but the request's fan-out cap was reached.
    Fanout,
    /// In the cache: looking, or waiting for a fetch that calls share.
    Cache,
    /// In the queue of the upstream's bulkhead.
    Bulkhead,
    /// Before the attempt that decided: failed attempts and their pauses, or the delay of a hedge.
    Attempts,
    /// Opening a connection.
    Connect,
    /// Writing the request.
    Send,
    /// From the request written to the first byte of the answer.
    Upstream,
    /// From the first byte of the answer to its last, the turn of a large body (`lane`), and its
    /// check against the model.
    Body,
    /// In Python code.
    Python,
    /// Putting the reply together.
    Reply,
    /// Anything else of ours: between a part's need and the part, for instance.
    Engine,
}

impl Step {
    pub const ALL: [Self; 12] = [
        Self::Admission,
        Self::Fanout,
        Self::Cache,
        Self::Bulkhead,
        Self::Attempts,
        Self::Connect,
        Self::Send,
        Self::Upstream,
        Self::Body,
        Self::Python,
        Self::Reply,
        Self::Engine,
    ];

    /// The word used in receipts, metrics and the `why` verb.
    pub fn code(self) -> &'static str {
        match self {
            Self::Admission => "admission",
            Self::Fanout => "fanout_wait",
            Self::Cache => "cache",
            Self::Bulkhead => "bulkhead_wait",
            Self::Attempts => "earlier_attempts",
            Self::Connect => "connect",
            Self::Send => "send",
            Self::Upstream => "upstream",
            Self::Body => "body",
            Self::Python => "python",
            Self::Reply => "reply",
            Self::Engine => "engine",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Step;

    #[test]
    fn every_step_is_listed_at_its_index_with_a_word_of_its_own() {
        let mut codes: Vec<_> = Step::ALL.iter().map(ToString::to_string).collect();
        for (index, step) in Step::ALL.iter().enumerate() {
            assert_eq!(*step as usize, index);
        }
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Step::ALL.len());
    }
}
