//! What a profile is asked for: its kind and its query.
//!
//! The failure prevented: a profile of something else than was meant. A parameter that is not
//! known, or a value that cannot be, is refused with what could be.

use super::PREFIX;
use crate::h1::{self, RequestHead};

pub(super) const SECONDS_USUAL: u64 = 5;
pub(super) const SECONDS_MAX: u64 = 30;
/// Places of Python code in a heap profile.
const PLACES_MAX: u64 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tasks,
    Heap,
    Cpu,
    Trace,
}

impl Kind {
    pub fn of(name: &[u8]) -> Option<Self> {
        match name {
            b"tasks" => Some(Self::Tasks),
            b"heap" => Some(Self::Heap),
            b"cpu" => Some(Self::Cpu),
            b"trace" => Some(Self::Trace),
            _ => None,
        }
    }

    fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Tasks => &[],
            Self::Heap => &["seconds", "python"],
            Self::Cpu => &["seconds", "format"],
            Self::Trace => &["seconds"],
        }
    }
}

/// How a CPU profile is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Collapsed,
    Svg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub kind: Kind,
    pub seconds: u64,
    /// Places of Python code that hold most; none: Python's allocations are not traced.
    pub python: Option<u64>,
    pub format: Format,
}

impl Asked {
    pub fn read(head: &RequestHead, input: &[u8]) -> Result<Self, String> {
        let name = head.path.of(input).strip_prefix(PREFIX);
        let kind = name.and_then(Kind::of).ok_or("no such profile")?;
        let mut asked = Self {
            kind,
            seconds: SECONDS_USUAL,
            python: None,
            format: Format::Json,
        };
        let query = head.query.as_ref().map_or(&[][..], |query| query.of(input));
        for (name, value) in h1::query_pairs(query).filter(|(name, _)| !name.is_empty()) {
            let name = String::from_utf8_lossy(name);
            asked.set(&name, &String::from_utf8_lossy(value))?;
        }
        Ok(asked)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let known = self.kind.parameters();
        if !known.contains(&name) {
            let known = match known {
                [] => "there are none".to_owned(),
                names => format!("known: {}", names.join(", ")),
            };
            return Err(format!("unknown parameter {name:?}; {known}"));
        }
        let whole = |what: &str, max: u64| {
            let number = value.parse().ok().filter(|one| (1..=max).contains(one));
            number.ok_or_else(|| format!("{name}={value}: {what}, from 1 to {max}"))
        };
        match name {
            "seconds" => self.seconds = whole("whole seconds", SECONDS_MAX)?,
            "python" => self.python = Some(whole("places of code", PLACES_MAX)?),
            _ => {
                self.format = match value {
                    "json" => Format::Json,
                    "collapsed" => Format::Collapsed,
                    "svg" => Format::Svg,
                    _ => return Err(format!("format={value}: json, collapsed or svg")),
                }
            }
        }
        Ok(())
    }
}
