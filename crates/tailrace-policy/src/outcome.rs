//! How an attempt ended, in the classes every policy shares.
//!
//! One enum for all policies, so that what counts as a failure is decided once (ALGORITHMS,
//! cross-cutting order).

/// The class of an attempt's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    Ok,
    /// Answered, but with less than asked for.
    DegradedOk,
    /// 4xx: the caller's fault; says nothing about the upstream's health.
    ClientError,
    /// 429 or 503: the upstream asks for less.
    RejectedByPeer,
    /// 5xx, reset, broken framing.
    Failed,
    /// No answer in time.
    Timeout,
    /// Our side stopped waiting; neutral.
    Cancelled,
    /// Refused here, before anything was sent.
    LocalReject,
}

impl Outcome {
    /// Counts against the upstream.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::RejectedByPeer | Self::Failed | Self::Timeout)
    }

    /// Says nothing about the upstream, in either direction.
    pub fn is_neutral(self) -> bool {
        matches!(
            self,
            Self::ClientError | Self::Cancelled | Self::LocalReject
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome;

    #[test]
    fn no_outcome_is_both_neutral_and_a_failure() {
        use Outcome::{
            Cancelled, ClientError, DegradedOk, Failed, LocalReject, Ok, RejectedByPeer, Timeout,
        };
        for outcome in [
            Ok,
            DegradedOk,
            ClientError,
            RejectedByPeer,
            Failed,
            Timeout,
            Cancelled,
            LocalReject,
        ] {
            assert!(
                !(outcome.is_failure() && outcome.is_neutral()),
                "{outcome:?}"
            );
        }
        assert!(Timeout.is_failure() && !Ok.is_failure() && ClientError.is_neutral());
    }
}
