//! The log: one line per request, and what Python code says, off the request path (req 5.2).
//!
//! A worker copies a fixed-size record into its own bounded single-producer ring; that never blocks
//! and never allocates. One writer thread empties the rings a few times a second, formats and
//! writes in one system call per batch. A full ring drops the record and counts it. Everything that
//! came from outside is escaped, so a request cannot forge a line (RELIABILITY S21), and what may
//! be a secret is not written (S22); see `lines.rs`. Python's records have a ring of their own to
//! the same writer (`said.rs`).

mod lines;
pub mod said;

use crate::metrics::exemplars::{Exemplar, Of};
use crate::reason::Reason;
use crate::shared::Shared;
use crate::source::Source;
use lines::Lines;
use said::Said;
use std::borrow::Cow;
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

    fn text(&self) -> Cow<'_, str> {
        let bytes = &self.bytes[..usize::from(self.len)];
        // Nearly all are text: looked at eight bytes at a time, not byte by byte.
        match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(bytes),
        }
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
    /// The trace it belongs to; 0 without one.
    pub trace: u128,
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

/// The reading half: owns the consumers of all workers, and of Python.
#[derive(Debug)]
pub struct Writer {
    rings: Vec<rtrb::Consumer<Record>>,
    said: rtrb::Consumer<Box<Said>>,
    shared: Arc<Shared>,
    sink: Sink,
    format: LogFormat,
    lines: Lines,
    exemplars: Vec<(usize, Of, Exemplar)>,
}

impl Writer {
    pub fn new(
        rings: Vec<rtrb::Consumer<Record>>,
        said: rtrb::Consumer<Box<Said>>,
        shared: Arc<Shared>,
        sink: Sink,
    ) -> Self {
        let lines = Lines::new(&shared.program());
        Self {
            rings,
            said,
            shared,
            sink,
            format: LogFormat::default(),
            lines,
            exemplars: Vec::new(),
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
                self.exemplars.extend(exemplar(&record));
                self.lines.request(self.format, &record, &program);
            }
        }
        for _ in 0..self.said.slots() {
            let Ok(said) = self.said.pop() else { break };
            records += 1;
            self.lines.said(self.format, &said);
        }
        self.shared.exemplars.keep(&mut self.exemplars);
        if self.lines.bytes().is_empty() {
            return;
        }
        if let Err(error) = self.sink.write(self.lines.bytes()) {
            if self.shared.log_failed.fetch_add(records, Ordering::Relaxed) == 0 {
                eprintln!(
                    "warning: access log: {error}; lost lines are counted in \
                     tailrace_access_log_failed_total"
                );
            }
        }
    }
}

/// A request for the bucket of its duration.
fn exemplar(record: &Record) -> Option<(usize, Of, Exemplar)> {
    let id = record.request_id.text();
    let exemplar = Exemplar::new(&id, record.duration_us, record.epoch_ms)?;
    let of = Of {
        method: record.method,
        status: record.status,
    };
    Some((usize::from(record.view), of, exemplar))
}
