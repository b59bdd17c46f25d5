//! How a verb fails: the exit code tells a script who is to blame, the message tells a person what
//! to change. One table for all verbs.

use crate::output::say;
use std::fmt;

pub(crate) const OK: i32 = 0;
pub(crate) const USAGE: i32 = 2;
pub(crate) const ENVIRONMENT: i32 = 3;
pub(crate) const INVALID_RESULT: i32 = 4;
pub(crate) const INTERNAL: i32 = 70;

#[derive(Debug)]
pub struct Failure {
    pub code: i32,
    pub message: String,
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            code: USAGE,
            message: message.into(),
        }
    }

    pub(crate) fn environment(message: impl Into<String>) -> Self {
        Self {
            code: ENVIRONMENT,
            message: message.into(),
        }
    }

    pub(crate) fn report(&self) -> i32 {
        say(&format!("error: {}", self.message));
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::environment(error.to_string())
    }
}
