//! Where results go. Standard output carries data only, one JSON object per line, so that a script
//! can pipe it; everything said to a person goes to standard error. A closed pipe must not panic.

use serde_json::Value;
use std::io::Write;

/// Takes one JSON object per call. Tests collect them, the program prints them.
pub type Sink = Box<dyn Fn(Value)>;

pub(crate) fn standard() -> Sink {
    Box::new(|line| {
        let mut out = std::io::stdout().lock();
        // Nobody reads any more: the work goes on, as its side effects may still be wanted.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    })
}

pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
