//! placeholder: cross-field checks
use crate::Blueprint;

/// One thing wrong with a blueprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, e.g. `views[0].parts[2].upstream`.
    pub path: String,
    pub message: String,
    pub help: String,
}

/// Everything wrong with `blueprint` that its types cannot say.
pub fn check(_blueprint: &Blueprint) -> Vec<Problem> {
    Vec::new()
}
