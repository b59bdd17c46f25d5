//! The chunked transfer coding, byte by byte where it frames and in bulk where it carries data.
//!
//! Prevents: the chunk tricks that make two readers disagree (RELIABILITY S01: sizes written `0x`, `_`, `+`,
//! padded with spaces; CR or LF inside extensions; bare LF; trailers that pose as headers) and framing that
//! costs more than what it frames. How: a state machine without look-ahead, so that where reads cut the
//! stream changes nothing. Limits, per body: 256 bytes of extension per chunk, 8 KiB of extensions and
//! padding in all, 16 trailer fields in 4 KiB. Trailers are checked and dropped.

use super::body::BodyError;
use super::scan::{is_text_byte, is_token_byte};

const SIZE_DIGITS_MAX: u8 = 16;
const EXTENSION_MAX: u16 = 256;
const OVERHEAD_MAX: u32 = 8 * 1024;
const TRAILER_BYTES_MAX: u32 = 4 * 1024;
const TRAILER_FIELDS_MAX: u8 = 16;

/// Fields that frame, route, authenticate or describe the message; RFC 9110 6.5.1 bars them from trailers.
/// No name is longer than `TrailerName::bytes`.
const FORBIDDEN: [&[u8]; 22] = [
    b"authorization",
    b"cache-control",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"content_length",
    b"cookie",
    b"expect",
    b"host",
    b"keep-alive",
    b"max-forwards",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"set-cookie",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"transfer_encoding",
    b"upgrade",
    b"www-authenticate",
];

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    #[default]
    Size,
    Extension,
    Quoted,
    Escaped,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    LineStart,
    Name,
    Value,
    ValueLf,
    EndLf,
}

/// The name of the trailer field being read; a longer name than this cannot be a forbidden one.
#[derive(Debug, Default)]
struct TrailerName {
    bytes: [u8; 24],
    len: usize,
}

#[derive(Debug, Default)]
pub(super) struct ChunkReader {
    at: At,
    digits: u8,
    extension: u16,
    fields: u8,
    overhead: u32,
    trailer: u32,
    /// While in `Size`: the number read so far. While in `Data`: bytes left of this chunk.
    size: u64,
    name: TrailerName,
}

/// What the bytes taken were.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Framing {
        took: usize,
    },
    /// A size line is complete; `size` bytes of data follow.
    Chunk {
        took: usize,
        size: u64,
    },
    Data {
        took: usize,
    },
    End {
        took: usize,
    },
}

impl ChunkReader {
    /// Takes at least one byte of a non-empty `input`.
    #[inline]
    pub(super) fn step(&mut self, input: &[u8]) -> Result<Step, BodyError> {
        if self.at == At::Data {
            let took = input
                .len()
                .min(usize::try_from(self.size).unwrap_or(usize::MAX));
            self.size -= took as u64;
            if self.size == 0 {
                self.at = At::DataCr;
            }
            return Ok(Step::Data { took });
        }
        for (index, &byte) in input.iter().enumerate() {
            let took = index + 1;
            match self.at {
                At::SizeLf => {
                    expect(byte, b'\n', BodyError::BadChunk)?;
                    if self.size_line()? {
                        return Ok(Step::Chunk {
                            took,
                            size: self.size,
                        });
                    }
                }
                At::EndLf => {
                    expect(byte, b'\n', BodyError::BadTrailer)?;
                    return Ok(Step::End { took });
                }
                At::Size | At::Extension | At::Quoted | At::Escaped => self.size_byte(byte)?,
                At::DataCr | At::Data => {
                    expect(byte, b'\r', BodyError::BadChunk)?;
                    self.at = At::DataLf;
                }
                At::DataLf => {
                    expect(byte, b'\n', BodyError::BadChunk)?;
                    self.at = At::Size;
                }
                At::LineStart | At::Name | At::Value | At::ValueLf => self.trailer_byte(byte)?,
            }
        }
        Ok(Step::Framing { took: input.len() })
    }

    /// A byte of `hex-size [extension] CR`.
    #[inline]
    fn size_byte(&mut self, byte: u8) -> Result<(), BodyError> {
        if self.at == At::Size {
            if let Some(digit) = (byte as char).to_digit(16) {
                if self.digits == SIZE_DIGITS_MAX {
                    return Err(BodyError::BadChunk);
                }
                self.digits += 1;
                self.size = self.size << 4 | u64::from(digit);
                return Ok(());
            }
            self.at = match byte {
                b'\r' if self.digits > 0 => At::SizeLf,
                b';' if self.digits > 0 => At::Extension,
                _ => return Err(BodyError::BadChunk),
            };
            return if byte == b';' {
                self.count_extension()
            } else {
                Ok(())
            };
        }
        self.at = match (self.at, byte) {
            (At::Extension, b'\r') => At::SizeLf,
            (At::Extension, b'"') | (At::Escaped, b' '..=b'~') => At::Quoted,
            (At::Quoted, b'"') | (At::Extension, b' '..=b'~' | b'\t') => At::Extension,
            (At::Quoted, b'\\') => At::Escaped,
            (At::Quoted, b' '..=b'~' | b'\t') => At::Quoted,
            // Also a line end inside quotes: some readers end the line there and some do not.
            _ => return Err(BodyError::BadChunk),
        };
        self.count_extension()
    }

    fn count_extension(&mut self) -> Result<(), BodyError> {
        self.extension += 1;
        if self.extension > EXTENSION_MAX {
            return Err(BodyError::ChunkOverhead);
        }
        Ok(())
    }

    /// The size line is complete: whether data follows, or else the trailer section.
    fn size_line(&mut self) -> Result<bool, BodyError> {
        let needed = (64 - self.size.leading_zeros()).div_ceil(4).max(1);
        self.overhead += u32::from(self.extension) + u32::from(self.digits) - needed;
        if self.overhead > OVERHEAD_MAX {
            return Err(BodyError::ChunkOverhead);
        }
        self.digits = 0;
        self.extension = 0;
        let data = self.size > 0;
        self.at = if data { At::Data } else { At::LineStart };
        Ok(data)
    }

    fn trailer_byte(&mut self, byte: u8) -> Result<(), BodyError> {
        self.trailer += 1;
        if self.trailer > TRAILER_BYTES_MAX {
            return Err(BodyError::BadTrailer);
        }
        self.at = match (self.at, byte) {
            (At::LineStart, b'\r') => At::EndLf,
            (At::LineStart, _) if is_token_byte(byte) && self.fields < TRAILER_FIELDS_MAX => {
                self.fields += 1;
                self.name.len = 0;
                self.name.push(byte);
                At::Name
            }
            (At::Name, b':') if !self.name.is_forbidden() => At::Value,
            (At::Name, _) if is_token_byte(byte) => {
                self.name.push(byte);
                At::Name
            }
            (At::Value, b'\r') => At::ValueLf,
            (At::Value, _) if is_text_byte(byte) => At::Value,
            (At::ValueLf, b'\n') => At::LineStart,
            _ => return Err(BodyError::BadTrailer),
        };
        Ok(())
    }
}

impl TrailerName {
    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte;
        }
        self.len = self.len.saturating_add(1);
    }

    fn is_forbidden(&self) -> bool {
        let name = self.bytes.get(..self.len).unwrap_or_default();
        FORBIDDEN
            .iter()
            .any(|field| name.eq_ignore_ascii_case(field))
    }
}

#[inline]
fn expect(byte: u8, wanted: u8, otherwise: BodyError) -> Result<(), BodyError> {
    if byte == wanted {
        Ok(())
    } else {
        Err(otherwise)
    }
}
