//! Where the value of a part came from (req 8.3).
//!
//! The failure prevented is a reply that looks the same whether its upstream answered just now, a
//! minute ago or not at all. These are the steps of the fallback chain, in their order, and the
//! words that header, log and metric use for them.

/// One step of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum Source {
    /// The part's upstream answered this request, or one that asked the same at the same time.
    #[default]
    Fresh,
    /// From the cache, within its time to live.
    Cached,
    /// From the cache, past it.
    Stale,
    /// The call declared as `otherwise` answered.
    Other,
    /// The declared default.
    Default,
    /// Null: nothing stood in.
    Missing,
}

impl Source {
    pub const ALL: [Self; 6] = [
        Self::Fresh,
        Self::Cached,
        Self::Stale,
        Self::Other,
        Self::Default,
        Self::Missing,
    ];

    /// The word used in header, log and metric.
    pub fn code(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Cached => "cached",
            Self::Stale => "stale",
            Self::Other => "other",
            Self::Default => "default",
            Self::Missing => "missing",
        }
    }

    /// Whether its age says something.
    pub fn has_age(self) -> bool {
        matches!(self, Self::Cached | Self::Stale)
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn every_source_is_listed_at_its_index_with_a_word_of_its_own() {
        let mut codes: Vec<_> = Source::ALL.iter().map(|source| source.code()).collect();
        for (index, source) in Source::ALL.iter().enumerate() {
            assert_eq!(*source as usize, index);
        }
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Source::ALL.len());
    }
}
