//! The body of one message, taken off the wire by the framing its head declared.
//!
//! Prevents: a body that never ends, is larger than agreed, or swallows the next message
//! (RELIABILITY S13, S14; req 4.4). How: one decoder for both sides; it consumes exactly the bytes
//! of this body and says when it is done; a declared size above the limit is refused before a byte
//! is stored. Limits: content codings are not undone here; after an error the decoder stays failed
//! and the connection must close.

use std::fmt;

use super::chunk::{ChunkReader, Step};
use super::head::Framing;

/// Why a body was refused or is not whole. The connection must close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    TooLarge,
    BadChunk,
    ChunkOverhead,
    BadTrailer,
    Truncated,
}

impl BodyError {
    pub const ALL: [Self; 5] = [
        Self::TooLarge,
        Self::BadChunk,
        Self::ChunkOverhead,
        Self::BadTrailer,
        Self::Truncated,
    ];

    /// The status a server answers with before it closes.
    pub fn status(self) -> u16 {
        match self {
            Self::TooLarge => 413,
            _ => 400,
        }
    }

    pub fn code(self) -> &'static str {
        self.words().0
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::TooLarge => ("body_too_large", "The body is larger than the limit."),
            Self::BadChunk => (
                "bad_chunk",
                "A chunk is not `hex-size [extension] CRLF data CRLF`.",
            ),
            Self::ChunkOverhead => (
                "chunk_overhead",
                "Chunk extensions and padded chunk sizes take more bytes than the limit.",
            ),
            Self::BadTrailer => (
                "bad_trailer",
                "The trailer section is malformed, too large, or holds a forbidden field.",
            ),
            Self::Truncated => (
                "body_truncated",
                "The connection ended before the body did.",
            ),
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words().1)
    }
}

impl std::error::Error for BodyError {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of the input that belong to this body; the rest is the next message, or an intrusion.
    pub consumed: usize,
    pub done: bool,
}

#[derive(Debug)]
enum State {
    Length(u64),
    Chunked(ChunkReader),
    UntilClose,
    Done,
    Failed(BodyError),
}

#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
    /// How many more bytes of content are allowed.
    room: u64,
}

impl BodyDecoder {
    /// A declared length above `max_bytes` is refused at once, before anything is read.
    pub fn new(framing: Framing, max_bytes: u64) -> Result<Self, BodyError> {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) if length > max_bytes => return Err(BodyError::TooLarge),
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(ChunkReader::default()),
            Framing::UntilClose => State::UntilClose,
        };
        Ok(Self {
            state,
            room: max_bytes,
        })
    }

    /// Takes what belongs to this body from `input` and appends its content to `out`.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Decoded, BodyError> {
        let taken = match &mut self.state {
            State::Length(left) => {
                let take = input
                    .len()
                    .min(usize::try_from(*left).unwrap_or(usize::MAX));
                out.extend_from_slice(&input[..take]);
                *left -= take as u64;
                if *left == 0 {
                    self.state = State::Done;
                }
                Ok(take)
            }
            State::Chunked(reader) => match chunks(reader, &mut self.room, input, out) {
                Ok((consumed, true)) => {
                    self.state = State::Done;
                    Ok(consumed)
                }
                Ok((consumed, false)) => Ok(consumed),
                Err(error) => Err(error),
            },
            State::UntilClose => match self.room.checked_sub(input.len() as u64) {
                Some(room) => {
                    self.room = room;
                    out.extend_from_slice(input);
                    Ok(input.len())
                }
                None => Err(BodyError::TooLarge),
            },
            State::Done => Ok(0),
            State::Failed(error) => Err(*error),
        };
        match taken {
            Ok(consumed) => Ok(Decoded {
                consumed,
                done: self.is_done(),
            }),
            Err(error) => Err(self.fail(error)),
        }
    }

    #[inline]
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The peer closed its side: fine when the body was whole, or when closing is what ends it.
    pub fn finish(&mut self) -> Result<(), BodyError> {
        match self.state {
            State::Done => Ok(()),
            State::UntilClose => {
                self.state = State::Done;
                Ok(())
            }
            State::Failed(error) => Err(error),
            State::Length(_) | State::Chunked(_) => Err(self.fail(BodyError::Truncated)),
        }
    }

    fn fail(&mut self, error: BodyError) -> BodyError {
        self.state = State::Failed(error);
        error
    }
}

/// Runs the chunk reader over `input`: the bytes it took, and whether the last chunk was among
/// them.
fn chunks(
    reader: &mut ChunkReader,
    room: &mut u64,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Result<(usize, bool), BodyError> {
    let mut at = 0;
    while at < input.len() {
        match reader.step(&input[at..])? {
            Step::Framing { took } => at += took,
            Step::Chunk { took, size } => {
                // The whole chunk must fit before any of it is stored.
                *room = room.checked_sub(size).ok_or(BodyError::TooLarge)?;
                at += took;
            }
            Step::Data { took } => {
                out.extend_from_slice(&input[at..at + took]);
                at += took;
            }
            Step::End { took } => return Ok((at + took, true)),
        }
    }
    Ok((at, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoder(framing: Framing, max_bytes: u64) -> BodyDecoder {
        BodyDecoder::new(framing, max_bytes).unwrap()
    }

    #[test]
    fn a_declared_length_above_the_limit_is_refused_unread() {
        assert_eq!(
            BodyDecoder::new(Framing::Length(5), 4).unwrap_err(),
            BodyError::TooLarge
        );
        assert!(!decoder(Framing::Length(4), 4).is_done());
    }

    #[test]
    fn no_body_is_done_at_once_and_takes_nothing() {
        for framing in [Framing::None, Framing::Length(0)] {
            let (mut decoder, mut out) = (decoder(framing, 0), Vec::new());
            assert!(decoder.is_done());
            let taken = decoder.decode(b"GET / HTTP/1.1\r\n", &mut out);
            assert_eq!(
                taken,
                Ok(Decoded {
                    consumed: 0,
                    done: true
                })
            );
            assert_eq!((out.len(), decoder.finish()), (0, Ok(())));
        }
    }

    /// A chunk is measured against the limit when its size is known, before its data is stored.
    #[test]
    fn a_chunk_that_does_not_fit_stores_nothing() {
        let (mut decoder, mut out) = (decoder(Framing::Chunked, 4), Vec::new());
        assert_eq!(
            decoder.decode(b"3\r\nabc\r\n2\r\nde", &mut out),
            Err(BodyError::TooLarge)
        );
        assert_eq!(out, b"abc");
        assert_eq!(
            decoder.decode(b"\r\n0\r\n\r\n", &mut out),
            Err(BodyError::TooLarge)
        );
        assert_eq!(decoder.finish(), Err(BodyError::TooLarge));
    }

    #[test]
    fn only_until_close_may_end_by_closing() {
        let (mut open, mut out) = (decoder(Framing::UntilClose, 3), Vec::new());
        assert_eq!(
            open.decode(b"abc", &mut out),
            Ok(Decoded {
                consumed: 3,
                done: false
            })
        );
        assert_eq!(open.finish(), Ok(()));
        assert!(open.is_done());
        let mut over = decoder(Framing::UntilClose, 3);
        assert_eq!(
            over.decode(b"abcd", &mut Vec::new()),
            Err(BodyError::TooLarge)
        );
        for framing in [Framing::Length(1), Framing::Chunked] {
            assert_eq!(decoder(framing, 9).finish(), Err(BodyError::Truncated));
        }
    }
}
