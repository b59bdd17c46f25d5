//! Records as lines: JSON for programs, text for people.
//!
//! The failures prevented: a request or a log message that forges a line, moves the cursor of the
//! terminal that shows it, or reads from right to left (RELIABILITY S21); and a secret that is kept
//! for years because it stood in a path (S22). Of a request only what is listed in the event
//! catalogue is written: no header but the request id, no query, no body; a path parameter whose
//! name says that it is a secret is left out.

use super::said::Said;
use super::{PartEnd, PythonTime, Record};
use crate::hex;
use crate::program::{Program, View};
use crate::reason::Reason;
use crate::source::Source;
use std::borrow::Cow;
use std::io::Write;
use tailrace_blueprint::LogFormat;

const UNMATCHED: &str = "_unmatched";
const REDACTED: &str = "[secret]";
/// A path parameter is a secret when one of these is a word of its name,
const SECRETS: [&str; 14] = [
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "apikey",
    "session",
    "signature",
    "sig",
    "credential",
    "credentials",
    "auth",
    "jwt",
    "otp",
];
/// or when these stand in it.
const SECRET_KEYS: [&str; 4] = ["api_key", "access_key", "private_key", "session_id"];

/// Lines of one batch.
#[derive(Debug)]
pub struct Lines {
    out: Vec<u8>,
    views: Vec<Known>,
    unmatched: Known,
}

/// What is the same in all lines of a view.
#[derive(Debug)]
struct Known {
    /// The path segments that are secrets, as bits.
    secrets: u64,
    /// View and route, as JSON has them.
    names: Vec<u8>,
    /// The beginning of each part's end in JSON: its name, and that microseconds follow.
    parts: Vec<Vec<u8>>,
}

impl Known {
    fn new(name: &str, route: &str, view: Option<&View>) -> Self {
        let mut names = Vec::new();
        names.extend_from_slice(b",\"view\":");
        push_text(name, &mut names);
        names.extend_from_slice(b",\"route\":");
        push_text(route, &mut names);
        let part = |name| {
            let mut part = Vec::new();
            push_text(name, &mut part);
            part.extend_from_slice(b":{\"us\":");
            part
        };
        Self {
            secrets: secrets(route),
            names,
            parts: view.into_iter().flat_map(View::names).map(part).collect(),
        }
    }
}

impl Lines {
    pub fn new(program: &Program) -> Self {
        Self {
            out: Vec::new(),
            views: program
                .views
                .iter()
                .map(|view| Known::new(&view.name, &view.route, Some(view)))
                .collect(),
            unmatched: Known::new(UNMATCHED, UNMATCHED, None),
        }
    }

    pub fn clear(&mut self) {
        self.out.clear();
    }

    pub fn bytes(&self) -> &[u8] {
        &self.out
    }

    /// The line of a request.
    pub fn request(&mut self, format: LogFormat, record: &Record, program: &Program) {
        let known = self.views.get(usize::from(record.view));
        let known = known.unwrap_or(&self.unmatched);
        let path = record.path.text();
        let path = shown_path(&path, known.secrets);
        match format {
            LogFormat::Text => text_line(record, &path, program, &mut self.out),
            _ => json_line(record, &path, known, &mut self.out),
        }
    }

    /// The line, or in text the lines, of a record of Python's.
    pub fn said(&mut self, format: LogFormat, said: &Said) {
        match format {
            LogFormat::Text => said_text(said, &mut self.out),
            _ => said_json(said, &mut self.out),
        }
    }
}

/// The secret segments of a route, as bits; of segments after the 64th none is.
fn secrets(route: &str) -> u64 {
    let found = route.split('/').take(64).enumerate();
    found.fold(0, |bits, (index, segment)| {
        let name = segment
            .strip_prefix('{')
            .map(|name| name.trim_end_matches('}'));
        bits | u64::from(name.is_some_and(is_secret)) << index
    })
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let mut words = name.split('_');
    words.any(|word| SECRETS.contains(&word)) || SECRET_KEYS.iter().any(|key| name.contains(key))
}

fn shown_path(path: &str, secrets: u64) -> Cow<'_, str> {
    if secrets == 0 {
        return Cow::Borrowed(path);
    }
    let segments = path.split('/').enumerate().map(|(index, segment)| {
        let secret = index < 64 && secrets & (1 << index) != 0;
        if secret {
            REDACTED
        } else {
            segment
        }
    });
    Cow::Owned(segments.collect::<Vec<_>>().join("/"))
}

fn view_name<'a>(record: &Record, program: &'a Program) -> &'a str {
    let view = program.views.get(usize::from(record.view));
    view.map_or(UNMATCHED, |view| view.name.as_str())
}

/// Parts worth showing: those of the view and what is made of them, with how they ended.
fn parts<'a>(
    record: &'a Record,
    program: &'a Program,
) -> impl Iterator<Item = (&'a str, &'a PartEnd)> {
    let view = program.views.get(usize::from(record.view));
    let names = view.into_iter().flat_map(View::names);
    names
        .zip(&record.parts)
        .take(usize::from(record.parts_shown))
}

fn json_line(record: &Record, path: &str, known: &Known, out: &mut Vec<u8>) {
    let mut number = itoa::Buffer::new();
    let mut field = |out: &mut Vec<u8>, name: &str, value: u64| {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(number.format(value).as_bytes());
    };
    field(out, "{\"time_ms\":", record.epoch_ms);
    out.extend_from_slice(b",\"request_id\":");
    push_text(&record.request_id.text(), out);
    out.extend_from_slice(b",\"method\":");
    push_text(record.method, out);
    out.extend_from_slice(&known.names);
    out.extend_from_slice(b",\"path\":");
    push_text(path, out);
    if record.trace != 0 {
        out.extend_from_slice(b",\"trace_id\":\"");
        hex::push(record.trace, 32, out);
        out.push(b'"');
    }
    field(out, ",\"status\":", u64::from(record.status));
    field(out, ",\"duration_us\":", u64::from(record.duration_us));
    field(out, ",\"bytes\":", u64::from(record.bytes));
    if !record.code.is_empty() {
        out.extend_from_slice(b",\"code\":");
        push_text(record.code, out);
    }
    if record.client_gone {
        out.extend_from_slice(b",\"client_gone\":true");
    }
    out.extend_from_slice(b",\"parts\":{");
    let ends = record.parts.iter().take(usize::from(record.parts_shown));
    for (index, (name, end)) in known.parts.iter().zip(ends).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(name);
        field(out, "", u64::from(end.us));
        if let Some(reason) = end.failed {
            out.extend_from_slice(b",\"failed\":\"");
            out.extend_from_slice(reason.code().as_bytes());
            out.push(b'"');
        }
        if end.source != Source::Fresh {
            out.extend_from_slice(b",\"source\":\"");
            out.extend_from_slice(end.source.code().as_bytes());
            out.push(b'"');
        }
        if end.source.has_age() {
            field(out, ",\"age_s\":", u64::from(end.age_s));
        }
        out.push(b'}');
    }
    out.push(b'}');
    if record.python.is_any() {
        field(out, ",\"python\":{\"us\":", u64::from(record.python.us));
        field(out, ",\"wait_us\":", u64::from(record.python.wait_us));
        field(out, ",\"lock_us\":", u64::from(record.python.lock_us));
        out.push(b'}');
    }
    out.extend_from_slice(b"}\n");
}

fn text_line(record: &Record, path: &str, program: &Program, out: &mut Vec<u8>) {
    let view = view_name(record, program);
    push(out, format_args!("{} {} ", record.epoch_ms, record.method));
    push_text(path, out);
    let (status, us, bytes) = (record.status, record.duration_us, record.bytes);
    push(out, format_args!(" {view} {status} {us}us {bytes}B id="));
    push_text(&record.request_id.text(), out);
    if record.trace != 0 {
        push(out, format_args!(" trace={:032x}", record.trace));
    }
    for (name, end) in parts(record, program) {
        let failed = end.failed.map_or("", Reason::code);
        let sign = if end.failed.is_some() { "!" } else { "" };
        push(out, format_args!(" {name}={}us{sign}{failed}", end.us));
        if end.source != Source::Fresh {
            push(out, format_args!("~{}", end.source.code()));
        }
        if end.source.has_age() {
            push(out, format_args!("({}s)", end.age_s));
        }
    }
    if record.python.is_any() {
        let PythonTime { us, wait_us, .. } = record.python;
        push(out, format_args!(" python={us}us+{wait_us}us"));
    }
    if !record.code.is_empty() {
        push(out, format_args!(" code={}", record.code));
    }
    out.push(b'\n');
}

fn said_json(said: &Said, out: &mut Vec<u8>) {
    push(out, format_args!("{{\"time_ms\":{}", said.epoch_ms));
    for (name, value, always) in [
        ("level", &said.level, true),
        ("logger", &said.logger, true),
        ("message", &said.message, true),
        ("request_id", &said.request_id, false),
        ("exception", &said.exception, false),
    ] {
        if always || !value.is_empty() {
            push(out, format_args!(",\"{name}\":"));
            push_text(value, out);
        }
    }
    out.extend_from_slice(b"}\n");
}

/// A traceback is read by people, so it keeps its lines; none of them can pass for a line of the
/// log, since each begins with a bar.
fn said_text(said: &Said, out: &mut Vec<u8>) {
    push(out, format_args!("{} ", said.epoch_ms));
    push_plain(&said.level, out);
    out.push(b' ');
    push_plain(&said.logger, out);
    out.push(b' ');
    push_text(&said.message, out);
    if !said.request_id.is_empty() {
        out.extend_from_slice(b" id=");
        push_text(&said.request_id, out);
    }
    out.push(b'\n');
    for line in said.exception.lines() {
        out.extend_from_slice(b"  | ");
        push_plain(line, out);
        out.push(b'\n');
    }
}

fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // A `Vec` takes everything.
    let _ = out.write_fmt(text);
}

/// A JSON string that is harmless on a terminal too.
fn push_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    push_plain(text, out);
    out.push(b'"');
}

/// The same without its quotes.
fn push_plain(text: &str, out: &mut Vec<u8>) {
    if is_plain(text.as_bytes()) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for char in text.chars() {
        match char {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            char if is_harmful(char) => push(out, format_args!("\\u{:04x}", u32::from(char))),
            char => {
                let mut bytes = [0; 4];
                out.extend_from_slice(char.encode_utf8(&mut bytes).as_bytes());
            }
        }
    }
}

/// Whether `text` stands in a line as it is. Nothing leaves the loops early: so written, they look
/// at sixteen bytes at a time.
fn is_plain(text: &[u8]) -> bool {
    let odd = |byte: u8| !(0x20..0x7f).contains(&byte) || byte == b'"' || byte == b'\\';
    let any = |bytes: &[u8]| bytes.iter().fold(false, |any, &byte| any | odd(byte));
    let (blocks, rest) = text.as_chunks::<16>();
    !blocks
        .iter()
        .fold(any(rest), |found, block| found | any(block))
}

/// What ends a line for some reader, is an order to a terminal, or changes the direction of what
/// stands around it.
fn is_harmful(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{2028}' | '\u{2029}' | '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{feff}'
        )
        || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;
