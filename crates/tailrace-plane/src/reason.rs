//! Why a part failed or a request was refused: one small table from reason to stable code, HTTP
//! status and words. Header, body, log and metric take their words from here (RELIABILITY UX lesson
//! 5: a partial reply is explained everywhere in the same words).

/// The outcome of a part that is not a value from its upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// The call's own timeout passed.
    Timeout,
    /// What was left of the request's deadline was not enough.
    Deadline,
    /// The upstream's bulkhead and its queue are full.
    BulkheadFull,
    /// The wait in the bulkhead's queue would outlast the deadline.
    QueueDeadline,
    /// The queue's delay stayed above target; the call was shed.
    QueueDelay,
    /// The upstream refuses so much that this call was not sent.
    Throttled,
    /// The upstream was called as often as its declared rate allows.
    UpstreamRate,
    /// Every address that could be tried is ejected.
    BreakerOpen,
    /// No connection could be made.
    Connect,
    /// The connection ended before the answer did.
    Reset,
    /// The answer broke HTTP framing.
    Protocol,
    /// The answer's body is larger than allowed.
    BodyTooLarge,
    /// All bodies of this request together are larger than allowed.
    Memory,
    /// The process holds as many bytes of bodies as it may.
    MemoryFull,
    /// 404.
    NotFound,
    /// 410.
    Gone,
    /// Another 4xx.
    ClientError,
    /// 5xx.
    ServerError,
    /// 3xx; redirects are never followed.
    Redirect,
    /// Not JSON.
    ContentType,
    /// JSON that breaks the declared model.
    ModelMismatch,
    /// A part this one needs failed.
    Dependency,
    /// A field this part's template needs is missing or not a scalar.
    BadReference,
    /// The list of `each` holds more items than declared.
    TooManyItems,
    /// Left out because the load is high; weak parts go first.
    Brownout,
    /// Some items of an `each` part failed.
    Items,
    /// The code of a computed field raised.
    ComputedError,
    /// The code of a computed field returned what it does not declare.
    ComputedMismatch,
    /// Too many requests wait for the code of this view's computed fields.
    ComputedFull,
    /// Stopped because a strong part failed first or the client left.
    Cancelled,
}

impl Reason {
    pub const ALL: [Self; 30] = [
        Self::Timeout,
        Self::Deadline,
        Self::BulkheadFull,
        Self::QueueDeadline,
        Self::QueueDelay,
        Self::Throttled,
        Self::UpstreamRate,
        Self::BreakerOpen,
        Self::Connect,
        Self::Reset,
        Self::Protocol,
        Self::BodyTooLarge,
        Self::Memory,
        Self::MemoryFull,
        Self::NotFound,
        Self::Gone,
        Self::ClientError,
        Self::ServerError,
        Self::Redirect,
        Self::ContentType,
        Self::ModelMismatch,
        Self::Dependency,
        Self::BadReference,
        Self::TooManyItems,
        Self::Brownout,
        Self::Items,
        Self::ComputedError,
        Self::ComputedMismatch,
        Self::ComputedFull,
        Self::Cancelled,
    ];

    /// Why an upstream's answer of this status is no success; nothing when it is one.
    pub fn of_status(status: u16) -> Option<Self> {
        match status {
            200..=299 => None,
            300..=399 => Some(Self::Redirect),
            404 => Some(Self::NotFound),
            410 => Some(Self::Gone),
            400..=499 => Some(Self::ClientError),
            _ => Some(Self::ServerError),
        }
    }

    /// The word used in header, body, log and metric.
    pub fn code(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Deadline => "deadline",
            Self::BulkheadFull => "bulkhead_full",
            Self::QueueDeadline => "queue_deadline",
            Self::QueueDelay => "queue_delay",
            Self::Throttled => "throttled",
            Self::UpstreamRate => "upstream_rate",
            Self::BreakerOpen => "breaker_open",
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
            Self::BodyTooLarge => "body_too_large",
            Self::Memory => "memory",
            Self::MemoryFull => "memory_full",
            Self::NotFound => "not_found",
            Self::Gone => "gone",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
            Self::Redirect => "redirect",
            Self::ContentType => "content_type",
            Self::ModelMismatch => "model_mismatch",
            Self::Dependency => "dependency",
            Self::BadReference => "bad_reference",
            Self::TooManyItems => "too_many_items",
            Self::Brownout => "brownout",
            Self::Items => "items",
            Self::ComputedError => "computed_error",
            Self::ComputedMismatch => "computed_mismatch",
            Self::ComputedFull => "computed_full",
            Self::Cancelled => "cancelled",
        }
    }

    /// What the reply becomes when a strong part fails so (DESIGN 4, req 10.3).
    pub fn status(self) -> u16 {
        match self {
            Self::Timeout | Self::Deadline => 504,
            Self::BulkheadFull
            | Self::QueueDeadline
            | Self::QueueDelay
            | Self::Throttled
            | Self::UpstreamRate
            | Self::Brownout
            | Self::BreakerOpen
            | Self::ComputedFull
            | Self::Memory
            | Self::MemoryFull => 503,
            Self::NotFound => 404,
            Self::Gone => 410,
            _ => 502,
        }
    }

    /// The class of status the upstream answered with, when it gave a whole answer: what a stale
    /// value may stand in for depends on it (RFC 5861 4).
    pub fn upstream_status(self) -> Option<u16> {
        match self {
            Self::NotFound => Some(404),
            Self::Gone => Some(410),
            Self::ClientError => Some(400),
            Self::ServerError => Some(500),
            Self::Redirect => Some(302),
            _ => None,
        }
    }

    /// One sentence for the problem's `detail`.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Timeout => "the upstream did not answer within its timeout",
            Self::Deadline => "the request's deadline left no time for this part",
            Self::BulkheadFull => "too many calls to this upstream are in flight",
            Self::QueueDeadline => "waiting for this upstream would outlast the deadline",
            Self::QueueDelay => "calls to this upstream wait too long; this one was shed",
            Self::Throttled => "the upstream refuses most calls; this one was not sent",
            Self::UpstreamRate => "this upstream is called as often as its rate allows",
            Self::BreakerOpen => "the upstream's addresses fail and are left alone for now",
            Self::Connect => "no connection to the upstream could be made",
            Self::Reset => "the upstream closed the connection before its answer was complete",
            Self::Protocol => "the upstream's answer broke HTTP framing",
            Self::BodyTooLarge => "the upstream's answer is larger than allowed",
            Self::Memory => "the bodies of this request need more memory than allowed",
            Self::MemoryFull => "the service holds as many bytes of bodies as it may",
            Self::Gone => "the upstream says that this resource is gone",
            Self::NotFound => "the upstream does not know this resource",
            Self::ClientError => "the upstream refused the call",
            Self::ServerError => "the upstream failed",
            Self::Redirect => "the upstream answered with a redirect, which is never followed",
            Self::ContentType => "the upstream's answer is not JSON",
            Self::ModelMismatch => "the upstream's answer breaks the declared model",
            Self::Dependency => "a part this one needs has failed",
            Self::BadReference => "a field this part's call needs is missing or not a scalar",
            Self::TooManyItems => "the list to fan out over is longer than declared",
            Self::Brownout => "left out because the load is high",
            Self::Items => "calls for some items failed",
            Self::ComputedError => "the code of this field failed; the service's log has the error",
            Self::ComputedMismatch => "the code of this field returned what it does not declare",
            Self::ComputedFull => "too many requests wait for the code of this view's fields",
            Self::Cancelled => "stopped before it finished",
        }
    }

    /// Whether only a computed field can fail so.
    pub fn is_computed(self) -> bool {
        matches!(
            self,
            Self::ComputedError | Self::ComputedMismatch | Self::ComputedFull
        )
    }

    /// The reason of this code.
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// Index into per-reason counters.
    pub fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn every_reason_is_listed_at_its_index_with_a_code_of_its_own() {
        let mut codes: Vec<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), index);
        }
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Reason::ALL.len());
    }

    // req 10.3: 502 for a failure, 504 when time ran out, 404 when the resource does not exist.
    #[test]
    fn a_strong_failure_maps_to_the_documented_status() {
        assert_eq!(Reason::ServerError.status(), 502);
        assert_eq!(Reason::ModelMismatch.status(), 502);
        assert_eq!(Reason::Timeout.status(), 504);
        assert_eq!(Reason::Deadline.status(), 504);
        assert_eq!(Reason::NotFound.status(), 404);
        assert_eq!(Reason::BulkheadFull.status(), 503);
        assert_eq!(Reason::ComputedError.status(), 502);
        assert_eq!(Reason::ComputedMismatch.status(), 502);
        assert_eq!(Reason::ComputedFull.status(), 503);
    }
}
