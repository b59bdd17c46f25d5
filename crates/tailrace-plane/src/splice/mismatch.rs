//! Why a body was refused. Prevents two failures: an error that costs as much as the success path,
//! and a log line that an upstream can forge. While scanning, a fault is one machine word; the path
//! is built once, after the scan stopped, from the segments the unwinding walk left behind. It
//! holds at most [`PATH_MAX`] bytes, and key text from the body is reduced to letters, digits and a
//! few signs.

use std::fmt;

use super::table::{Node, Shapes};

/// Longest path text, so that a log record stays bounded whatever the upstream sends.
pub const PATH_MAX: usize = 128;

/// What is wrong, as a stable word for logs and metrics (see [`MismatchCode::as_str`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MismatchCode {
    Syntax,
    Utf8,
    Depth,
    DuplicateKey,
    TooManyKeys,
    StringTooLong,
    NumberTooLong,
    BodyTooLong,
    Trailing,
    WrongType,
    MissingField,
    ExtraField,
    OutOfRange,
    Length,
    Pattern,
    Format,
    UnknownLiteral,
    UnknownTag,
    UnknownShape,
    ProjectionTooLong,
}

/// Every code, in the order of its number; a fault stores the number.
const CODES: [MismatchCode; 20] = [
    MismatchCode::Syntax,
    MismatchCode::Utf8,
    MismatchCode::Depth,
    MismatchCode::DuplicateKey,
    MismatchCode::TooManyKeys,
    MismatchCode::StringTooLong,
    MismatchCode::NumberTooLong,
    MismatchCode::BodyTooLong,
    MismatchCode::Trailing,
    MismatchCode::WrongType,
    MismatchCode::MissingField,
    MismatchCode::ExtraField,
    MismatchCode::OutOfRange,
    MismatchCode::Length,
    MismatchCode::Pattern,
    MismatchCode::Format,
    MismatchCode::UnknownLiteral,
    MismatchCode::UnknownTag,
    MismatchCode::UnknownShape,
    MismatchCode::ProjectionTooLong,
];

impl MismatchCode {
    /// The stable word used in logs, metrics and problem documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Utf8 => "utf8",
            Self::Depth => "depth",
            Self::DuplicateKey => "duplicate_key",
            Self::TooManyKeys => "too_many_keys",
            Self::StringTooLong => "string_too_long",
            Self::NumberTooLong => "number_too_long",
            Self::BodyTooLong => "body_too_long",
            Self::Trailing => "trailing",
            Self::WrongType => "wrong_type",
            Self::MissingField => "missing_field",
            Self::ExtraField => "extra_field",
            Self::OutOfRange => "out_of_range",
            Self::Length => "length",
            Self::Pattern => "pattern",
            Self::Format => "format",
            Self::UnknownLiteral => "unknown_literal",
            Self::UnknownTag => "unknown_tag",
            Self::UnknownShape => "unknown_shape",
            Self::ProjectionTooLong => "projection_too_long",
        }
    }

    const fn message(self) -> &'static str {
        match self {
            Self::Syntax => "invalid JSON",
            Self::Utf8 => "invalid UTF-8",
            Self::Depth => "nested too deeply",
            Self::DuplicateKey => "duplicate key",
            Self::TooManyKeys => "too many keys in one object",
            Self::StringTooLong => "string too long",
            Self::NumberTooLong => "number has too many digits",
            Self::BodyTooLong => "body too long",
            Self::Trailing => "bytes after the JSON value",
            Self::WrongType => "wrong type",
            Self::MissingField => "missing field",
            Self::ExtraField => "undeclared field",
            Self::OutOfRange => "number out of the declared range",
            Self::Length => "length outside the declared limits",
            Self::Pattern => "does not match the declared pattern",
            Self::Format => "does not have the declared format",
            Self::UnknownLiteral => "not one of the declared values",
            Self::UnknownTag => "not one of the declared tags",
            Self::UnknownShape => "no such shape",
            Self::ProjectionTooLong => "more than allowed once defaults are added",
        }
    }
}

/// What a value of the wrong type should have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Expected {
    /// Zero means that nothing is expected, so that a fault without a type needs no second field.
    Null = 1,
    Boolean,
    Integer,
    Number,
    String,
    Decimal,
    Literal,
    Array,
    Object,
    Variant,
    Scalar,
}

/// The words for [`Expected`], in the order of its number.
const EXPECTED: [&str; 12] = [
    "",
    "null",
    "boolean",
    "integer",
    "number",
    "string",
    "decimal (string or number)",
    "one of the declared values",
    "array",
    "object",
    "one of the declared types",
    "a scalar shape",
];

/// A refusal in one word: code, expected type and offset. `Result<usize, Fault>` then travels in
/// two registers, which is what keeps the recursive walk as cheap as a flat loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault(u64);

impl Fault {
    #[cold]
    pub(super) fn new(code: MismatchCode, offset: usize) -> Self {
        Self((offset as u64) << 16 | code as u64)
    }

    #[cold]
    pub(super) fn wrong(expected: Expected, offset: usize) -> Self {
        Self(Self::new(MismatchCode::WrongType, offset).0 | (expected as u64) << 8)
    }

    /// At the first byte of a value that is not of the expected type: a byte that starts no JSON
    /// value is broken syntax, anything else is a value of another type.
    #[cold]
    pub(super) fn wrong_or_broken(expected: Expected, body: &[u8], offset: usize) -> Self {
        match body.get(offset) {
            Some(b'"' | b'{' | b'[' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                Self::wrong(expected, offset)
            }
            _ => Self::new(MismatchCode::Syntax, offset),
        }
    }

    pub(super) fn code(self) -> MismatchCode {
        CODES
            .get((self.0 & 0xff) as usize)
            .copied()
            .unwrap_or(MismatchCode::Syntax)
    }

    pub(super) fn offset(self) -> usize {
        (self.0 >> 16) as usize
    }

    fn expected(self) -> &'static str {
        EXPECTED
            .get((self.0 >> 8 & 0xff) as usize)
            .copied()
            .unwrap_or("")
    }

    /// The public form; `trail` runs from the innermost segment outwards.
    pub(super) fn into_mismatch(self, shapes: &Shapes, body: &[u8], trail: &[Segment]) -> Mismatch {
        let mut path = String::new();
        for segment in trail.iter().rev() {
            if !segment.append(shapes, body, &mut path) {
                path.push('…');
                break;
            }
        }
        Mismatch {
            code: self.code(),
            offset: self.offset(),
            path,
            expected: self.expected(),
        }
    }
}

/// One step of the path to a refused value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Segment {
    /// Raw bytes of a key in the body.
    Key {
        start: usize,
        end: usize,
    },
    Index(usize),
    /// A declared field that did not arrive.
    Field {
        node: u32,
        field: usize,
    },
    /// The tag key of a tagged union.
    Tag {
        node: u32,
    },
}

impl Segment {
    /// Appends the segment; false where the path is full.
    fn append(self, shapes: &Shapes, body: &[u8], path: &mut String) -> bool {
        match self {
            Self::Index(index) => {
                let text = format!("[{index}]");
                let fits = path.len() + text.len() + '…'.len_utf8() <= PATH_MAX;
                if fits {
                    path.push_str(&text);
                }
                fits
            }
            Self::Key { start, end } => append_name(body.get(start..end).unwrap_or(&[]), path),
            Self::Field { node, field } => match shapes.node(node) {
                Some(Node::Object(plan)) => append_name(plan.field_name(field).as_bytes(), path),
                _ => true,
            },
            Self::Tag { node } => match shapes.node(node) {
                Some(Node::Tagged(tagged)) => append_name(&tagged.tag.bytes, path),
                _ => true,
            },
        }
    }
}

/// Key text comes from the upstream: control, bidirectional and quoting characters would let it
/// forge a log line (RELIABILITY S21), so only letters, digits and a few signs pass.
fn append_name(name: &[u8], path: &mut String) -> bool {
    if !path.is_empty() {
        if path.len() + 1 + '…'.len_utf8() > PATH_MAX {
            return false;
        }
        path.push('.');
    }
    for char in String::from_utf8_lossy(name).chars() {
        let safe =
            char.is_alphanumeric() || matches!(char, '_' | '-' | '$' | '@' | '/' | ':' | ' ');
        let char = if safe { char } else { '?' };
        if path.len() + char.len_utf8() + '…'.len_utf8() > PATH_MAX {
            return false;
        }
        path.push(char);
    }
    true
}

/// A body that is not what was declared: where and why, nothing of its content but sanitised key
/// names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    pub code: MismatchCode,
    /// Byte in the body (or in the parameter's text) at which the check failed.
    pub offset: usize,
    /// For example `items[2].price`; empty for the whole value. At most [`PATH_MAX`] bytes.
    pub path: String,
    /// The expected type where `code` is [`MismatchCode::WrongType`], otherwise empty.
    pub expected: &'static str,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(formatter, "{}: ", self.path)?;
        }
        match self.code {
            MismatchCode::WrongType => write!(formatter, "expected {}", self.expected),
            MismatchCode::Syntax | MismatchCode::Utf8 | MismatchCode::Trailing => {
                write!(formatter, "{} at byte {}", self.code.message(), self.offset)
            }
            code => formatter.write_str(code.message()),
        }
    }
}

impl std::error::Error for Mismatch {}
