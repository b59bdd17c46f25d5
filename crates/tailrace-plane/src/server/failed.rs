//! Why no request came of the bytes that arrived, and what is said of it.

use crate::admission::refusal::Refusal;
use crate::h1::{BodyError, HeadError};
use crate::reason::Reason;
use crate::reply::Problem;

/// Why no request came of the bytes that arrived.
pub(super) enum Failed {
    Gone,
    Refused(Problem),
    /// The load is too high to wait for its body.
    TurnedAway(Refusal),
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::TurnedAway(refusal)
    }
}

pub(super) fn bad_head(error: HeadError) -> Failed {
    Failed::Refused(Problem {
        status: error.status(),
        code: error.code(),
        detail: error.to_string(),
        ..Problem::default()
    })
}

pub(super) fn bad_body(error: BodyError) -> Failed {
    let status = if error == BodyError::TooLarge {
        413
    } else {
        400
    };
    Failed::Refused(Problem {
        status,
        code: error.code(),
        detail: error.to_string(),
        ..Problem::default()
    })
}

/// Its body cannot be held: ever, or now.
pub(super) fn no_room(reason: Reason) -> Failed {
    match reason {
        Reason::Memory => bad_body(BodyError::TooLarge),
        reason => Failed::Refused(Problem::of(reason)),
    }
}

pub(super) fn too_slow(code: &'static str) -> Failed {
    let detail = "the request did not arrive in time".to_owned();
    Failed::Refused(Problem {
        status: 408,
        code,
        detail,
        ..Problem::default()
    })
}
