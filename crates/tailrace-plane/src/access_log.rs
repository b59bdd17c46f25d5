//! The access log: one line per request, off the request path (req 5.2).
//!
//! A worker copies a fixed-size record into its own bounded single-producer ring; that never blocks
//! and never allocates. One writer thread empties the rings a few times a second, formats and
//! writes in one system call per batch. A full ring drops the record and counts it. Everything that
//! came from a client is escaped, so a request cannot forge a line (RELIABILITY S21).

use crate::program::{Program, View};
use crate::reason::Reason;
use crate::shared::Shared;
use crate::source::Source;
use crate::splice::escape_into;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use tailrace_blueprint::LogFormat;
use tailrace_policy::Nanos;

/// Parts shown per record; views may have more, the rest are not listed.
pub const PARTS_SHOWN: usize = 16;
const TEXT_MAX: usize = 96;

/// Text cut to a fixed size.
#[derive(Debug, Clone, Copy)]
pub struct ShortText {
    bytes: [u8; TEXT_MAX],
    len: u8,
}

impl ShortText {
    pub fn new(text: &[u8]) -> Self {
        let len = text.len().min(TEXT_MAX);
        let mut bytes = [0; TEXT_MAX];
        bytes[..len].copy_from_slice(&text[..len]);
        Self {
            bytes,
            len: len as u8,
        }
    }

    fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes[..usize::from(self.len)])
    }
}

/// How one part ended: microseconds it took and, when it failed, why.
#[derive(Debug, Clone, Copy, Default)]
pub struct PartEnd {
    pub us: u32,
    /// How old the value is, when it is from the cache.
    pub age_s: u32,
    pub failed: Option<Reason>,
    pub source: Source,
}

/// What Python took for the computed fields of a request, in microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct PythonTime {
    pub us: u32,
    /// Until it had begun, and until its answer was back.
    pub wait_us: u32,
    /// Of that: until the loop's thread had the interpreter lock.
    pub lock_us: u32,
}

impl PythonTime {
    pub fn new(took: Nanos, waited: Nanos, lock: Nanos) -> Self {
        let us = |nanos: Nanos| (nanos / 1_000) as u32;
        Self {
            us: us(took),
            wait_us: us(waited),
            lock_us: us(lock),
        }
    }

    fn is_any(self) -> bool {
        self.us > 0 || self.wait_us > 0
    }
}

/// What one request leaves behind.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    pub epoch_ms: u64,
    pub duration_us: u32,
    pub status: u16,
    /// Index of the view; `u16::MAX` when no view was reached.
    pub view: u16,
    pub method: &'static str,
    pub bytes: u32,
    pub request_id: ShortText,
    pub path: ShortText,
    /// The stable code of a refusal or failure; empty on success.
    pub code: &'static str,
    pub parts: [PartEnd; PARTS_SHOWN],
    /// How many of them say anything: none when the request was refused before its calls.
    pub parts_shown: u8,
    pub python: PythonTime,
    pub client_gone: bool,
}

pub type Ring = rtrb::Producer<Record>;

/// Where lines go.
#[derive(Debug)]
pub enum Sink {
    Stdout,
    File(File),
}

impl Sink {
    pub fn open(path: Option<&str>) -> io::Result<Self> {
        match path {
            None => Ok(Self::Stdout),
            Some(path) => Ok(Self::File(
                File::options()
                    .create(true)
                    .append(true)
                    .open(Path::new(path))?,
            )),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().lock().write_all(bytes),
            Self::File(file) => file.write_all(bytes),
        }
    }
}

/// The reading half: owns the consumers of all workers.
#[derive(Debug)]
pub struct Writer {
    rings: Vec<rtrb::Consumer<Record>>,
    shared: Arc<Shared>,
    sink: Sink,
    format: LogFormat,
    lines: Vec<u8>,
}

impl Writer {
    pub fn new(rings: Vec<rtrb::Consumer<Record>>, shared: Arc<Shared>, sink: Sink) -> Self {
        Self {
            rings,
            shared,
            sink,
            format: LogFormat::default(),
            lines: Vec::new(),
        }
    }

    /// Empties all rings once. Lines that cannot be written are lost, which is counted, and said at
    /// the first time: a log that is not there must not look like a service without requests.
    pub fn flush(&mut self) {
        self.lines.clear();
        let program = self.shared.program();
        // Records that were made before the log was switched off are still written.
        match program.declared.access_log.format {
            LogFormat::Off => {}
            format => self.format = format,
        }
        let mut records = 0;
        for ring in &mut self.rings {
            // Bounded by what is there now, so a busy worker cannot hold the writer.
            for _ in 0..ring.slots() {
                let Ok(record) = ring.pop() else { break };
                records += 1;
                if self.format == LogFormat::Text {
                    text_line(&record, &program, &mut self.lines);
                } else {
                    json_line(&record, &program, &mut self.lines);
                }
            }
        }
        if self.lines.is_empty() {
            return;
        }
        if let Err(error) = self.sink.write(&self.lines) {
            if self.shared.log_failed.fetch_add(records, Ordering::Relaxed) == 0 {
                eprintln!(
                    "warning: access log: {error}; lost lines are counted in \
                     tailrace_access_log_failed_total"
                );
            }
        }
    }
}

fn names<'a>(record: &Record, program: &'a Program) -> (&'a str, &'a str) {
    let view = program.views.get(usize::from(record.view));
    view.map_or(("_unmatched", "_unmatched"), |view| {
        (view.name.as_str(), view.route.as_str())
    })
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

fn json_line(record: &Record, program: &Program, out: &mut Vec<u8>) {
    let (view, route) = names(record, program);
    let mut number = itoa::Buffer::new();
    let mut field = |out: &mut Vec<u8>, name: &str, value: u64| {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(number.format(value).as_bytes());
    };
    field(out, "{\"time_ms\":", record.epoch_ms);
    for (name, value) in [
        (",\"request_id\":", &*record.request_id.text()),
        (",\"method\":", record.method),
        (",\"view\":", view),
        (",\"route\":", route),
        (",\"path\":", &*record.path.text()),
    ] {
        out.extend_from_slice(name.as_bytes());
        escape_into(value, out);
    }
    field(out, ",\"status\":", u64::from(record.status));
    field(out, ",\"duration_us\":", u64::from(record.duration_us));
    field(out, ",\"bytes\":", u64::from(record.bytes));
    if !record.code.is_empty() {
        out.extend_from_slice(b",\"code\":");
        escape_into(record.code, out);
    }
    if record.client_gone {
        out.extend_from_slice(b",\"client_gone\":true");
    }
    out.extend_from_slice(b",\"parts\":{");
    for (index, (name, end)) in parts(record, program).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        escape_into(name, out);
        field(out, ":{\"us\":", u64::from(end.us));
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

fn text_line(record: &Record, program: &Program, out: &mut Vec<u8>) {
    let (view, _) = names(record, program);
    let mut path = Vec::new();
    escape_into(&record.path.text(), &mut path);
    let mut id = Vec::new();
    escape_into(&record.request_id.text(), &mut id);
    let line = format!(
        "{} {} {} {} {} {}us {}B id={}",
        record.epoch_ms,
        record.method,
        String::from_utf8_lossy(&path),
        view,
        record.status,
        record.duration_us,
        record.bytes,
        String::from_utf8_lossy(&id),
    );
    out.extend_from_slice(line.as_bytes());
    for (name, end) in parts(record, program) {
        let failed = end.failed.map_or("", Reason::code);
        let sign = if end.failed.is_some() { "!" } else { "" };
        out.extend_from_slice(format!(" {name}={}us{sign}{failed}", end.us).as_bytes());
        if end.source != Source::Fresh {
            out.extend_from_slice(format!("~{}", end.source.code()).as_bytes());
        }
        if end.source.has_age() {
            out.extend_from_slice(format!("({}s)", end.age_s).as_bytes());
        }
    }
    if record.python.is_any() {
        let PythonTime { us, wait_us, .. } = record.python;
        out.extend_from_slice(format!(" python={us}us+{wait_us}us").as_bytes());
    }
    if !record.code.is_empty() {
        out.extend_from_slice(format!(" code={}", record.code).as_bytes());
    }
    out.push(b'\n');
}
