//! What Python code logs, on its way to the writer (req 5.2).
//!
//! The failure prevented: a handler that logs and waits for the disk, and a traceback between the
//! lines of requests that no reader of lines can take apart. A record crosses once, whole, through
//! a bounded ring; a full ring drops it and counts it. Texts are cut, so that no message can take
//! the memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Bytes kept of a message, and of a traceback.
const MESSAGE_MAX: usize = 8 * 1024;
const EXCEPTION_MAX: usize = 32 * 1024;
const NAME_MAX: usize = 256;

/// One record of Python's logging; what it has not is empty.
#[derive(Debug, Default)]
pub struct Said {
    pub epoch_ms: u64,
    pub level: String,
    pub logger: String,
    pub message: String,
    pub request_id: String,
    pub exception: String,
}

/// The writing half. Python's threads take turns at it; the writer never waits for them.
#[derive(Debug, Default)]
pub struct LogLines {
    ring: Mutex<Option<rtrb::Producer<Box<Said>>>>,
    dropped: AtomicU64,
}

impl LogLines {
    /// From here on records are taken: somebody reads the other half.
    pub fn open(&self, capacity: usize) -> rtrb::Consumer<Box<Said>> {
        let (producer, consumer) = rtrb::RingBuffer::new(capacity.max(1));
        *self.ring.lock().unwrap_or_else(PoisonError::into_inner) = Some(producer);
        consumer
    }

    /// From here on records are not taken.
    pub fn close(&self) {
        *self.ring.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Takes a record, or drops and counts it when the ring is full; `false` when nobody reads.
    pub fn push(&self, mut said: Said) -> bool {
        cut(&mut said.level, NAME_MAX);
        cut(&mut said.logger, NAME_MAX);
        cut(&mut said.request_id, NAME_MAX);
        cut(&mut said.message, MESSAGE_MAX);
        cut(&mut said.exception, EXCEPTION_MAX);
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(ring) = ring.as_mut() else {
            return false;
        };
        if ring.push(Box::new(said)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        true
    }

    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Cuts a text at a character, and says so.
fn cut(text: &mut String, max: usize) {
    if text.len() > max {
        let end = (0..=max).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
        text.push_str("...");
    }
}

#[cfg(test)]
mod tests {
    use super::{LogLines, Said, MESSAGE_MAX};

    fn said(message: &str) -> Said {
        Said {
            message: message.to_owned(),
            ..Said::default()
        }
    }

    #[test]
    fn a_full_ring_drops_and_counts() {
        let lines = LogLines::default();
        assert!(!lines.push(said("nobody reads")));
        let mut read = lines.open(2);
        for _ in 0..5 {
            assert!(lines.push(said("x")));
        }
        assert_eq!((read.slots(), lines.dropped()), (2, 3));
        read.pop().unwrap();
        assert!(lines.push(said("y")));
        assert_eq!((read.slots(), lines.dropped()), (2, 3));
        lines.close();
        assert!(!lines.push(said("z")));
    }

    #[test]
    fn a_text_is_cut_at_a_character() {
        let lines = LogLines::default();
        let mut read = lines.open(1);
        lines.push(said(&"é".repeat(MESSAGE_MAX)));
        let message = read.pop().unwrap().message;
        assert_eq!(message.len(), MESSAGE_MAX + 3);
        assert!(message.ends_with("é..."));
    }
}
