//! The compiled table: what `Vec<blueprint::Shape>` becomes before the first request. Prevents
//! per-field dispatch through pointers and any look-up by name in the declaration (req 6.1): a
//! shape is an index, a node is one flat enum value, and object keys stand ready as machine words.
//! Limits: at most [`SHAPES_MAX`] shapes; the table never changes after `compile`.

use regex::bytes::Regex;
use tailrace_blueprint::{Extra, NumberLimits, StringFormat};

use super::expect::Expect;
use super::format::format_ok;
use super::keys::KeyPlan;
use super::mismatch::MismatchCode;
use super::text::char_count;

/// More shapes than any declaration has; keeps indexes far from overflow.
pub(super) const SHAPES_MAX: usize = 1 << 20;
/// The deepest nesting that can be asked for; it bounds the walk's recursion, hence the stack.
pub(super) const DEPTH_MAX: u16 = 64;

/// Shapes compiled for [`Shapes::project`]: immutable, shared by all workers behind an `Arc`.
#[derive(Debug)]
pub struct Shapes {
    pub(super) nodes: Vec<Node>,
    pub(super) depth_max: u32,
}

impl Shapes {
    pub(super) fn node(&self, shape: u32) -> Option<&Node> {
        self.nodes.get(shape as usize)
    }
}

/// One compiled shape. Plain strings, the most common kind, carry no data and no checks.
#[derive(Debug)]
pub(super) enum Node {
    Any,
    Null,
    Boolean,
    Integer(Option<Box<NumberLimits>>),
    Number(Option<Box<NumberLimits>>),
    Text,
    CheckedText(Box<TextRule>),
    Literal(Box<[Literal]>),
    Array {
        items: u32,
        length: Length,
    },
    Tuple(Box<[u32]>),
    Dict {
        values: u32,
        length: Length,
    },
    Object(Box<ObjectPlan>),
    Optional(u32),
    /// The variant for each JSON type, in the order of [`JsonType`]; [`NONE`] where there is none.
    Union([u32; JsonType::COUNT]),
    Tagged(Box<Tagged>),
}

/// No variant for this JSON type.
pub(super) const NONE: u32 = u32::MAX;

/// The six JSON types, told apart by a value's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum JsonType {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

impl JsonType {
    pub(super) const COUNT: usize = 6;

    #[inline]
    pub(super) fn of(first: u8) -> Option<Self> {
        match first {
            b'"' => Some(Self::String),
            b'{' => Some(Self::Object),
            b'[' => Some(Self::Array),
            b'-' | b'0'..=b'9' => Some(Self::Number),
            b't' | b'f' => Some(Self::Boolean),
            b'n' => Some(Self::Null),
            _ => None,
        }
    }

    /// This type as one bit of a set of types.
    pub(super) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Inclusive limits on a count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Length {
    pub(super) min: u32,
    pub(super) max: u32,
}

impl Length {
    #[inline]
    pub(super) fn holds(self, count: usize) -> bool {
        count >= self.min as usize && (self.max == u32::MAX || count <= self.max as usize)
    }
}

/// What a string must satisfy beyond being one.
#[derive(Debug)]
pub(super) struct TextRule {
    /// `None` where any length passes, so that characters are not counted for nothing.
    pub(super) length: Option<Length>,
    pub(super) pattern: Option<Regex>,
    pub(super) format: Option<StringFormat>,
}

impl TextRule {
    /// A decimal may come as a JSON number too; its token is then the text.
    pub(super) fn takes_numbers(&self) -> bool {
        self.format == Some(StringFormat::Decimal)
    }

    /// Checks decoded text, cheapest rule first.
    pub(super) fn refuse(&self, text: &[u8]) -> Option<MismatchCode> {
        if self
            .length
            .is_some_and(|length| !length.holds(char_count(text)))
        {
            return Some(MismatchCode::Length);
        }
        if self.format.is_some_and(|format| !format_ok(format, text)) {
            return Some(MismatchCode::Format);
        }
        if self
            .pattern
            .as_ref()
            .is_some_and(|pattern| !pattern.is_match(text))
        {
            return Some(MismatchCode::Pattern);
        }
        None
    }
}

/// One accepted value of a literal or an enum.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Null,
    Boolean(bool),
    /// Only integer tokens match; wide enough for every `i64` and `u64`.
    Integer(i128),
    Number(f64),
    Text(Box<[u8]>),
}

/// A declared object: its keys as they arrive, its fields as they leave.
#[derive(Debug)]
pub(super) struct ObjectPlan {
    pub(super) keys: KeyPlan,
    /// One for each key, in the same order.
    pub(super) expected: Box<[Expect]>,
    pub(super) fields: Box<[FieldPlan]>,
    pub(super) extra: Extra,
    /// Some field accepts several keys; otherwise key n fills field n.
    pub(super) aliased: bool,
    /// One bit for each of the first 64 fields: all arrived.
    pub(super) full_low: u64,
}

#[derive(Debug)]
pub(super) struct FieldPlan {
    pub(super) shape: u32,
    pub(super) required: bool,
    pub(super) name: Box<str>,
    /// The name as a JSON string, written where the field arrived under an alias.
    pub(super) name_json: Box<[u8]>,
    /// `"name":default`, appended where an optional field is missing; empty for no default.
    pub(super) default_json: Box<[u8]>,
}

impl ObjectPlan {
    pub(super) fn new(
        keys: KeyPlan,
        expected: Vec<Expect>,
        fields: Vec<FieldPlan>,
        extra: Extra,
    ) -> Self {
        let aliased = keys.len() != fields.len();
        let full_low = match fields.len() {
            count @ 0..64 => (1 << count) - 1,
            _ => u64::MAX,
        };
        let (expected, fields) = (expected.into(), fields.into());
        Self {
            keys,
            expected,
            fields,
            extra,
            aliased,
            full_low,
        }
    }

    /// Fields that need a set of their own beside that of the keys.
    #[inline(always)]
    pub(super) fn alias_fields(&self) -> usize {
        if self.aliased {
            self.fields.len()
        } else {
            0
        }
    }

    pub(super) fn field_name(&self, field: usize) -> &str {
        self.fields.get(field).map_or("", |field| &field.name)
    }

    /// Is `key` (decoded) the name of a field in the reply?
    pub(super) fn emits(&self, key: &[u8]) -> bool {
        self.fields.iter().any(|field| field.name.as_bytes() == key)
    }
}

/// Objects told apart by the string at one key.
#[derive(Debug)]
pub(super) struct Tagged {
    pub(super) tag: super::keys::WireKey,
    pub(super) variants: Box<[(Box<[u8]>, u32)]>,
}

impl Tagged {
    pub(super) fn variant(&self, tag: &[u8]) -> Option<u32> {
        let found = self
            .variants
            .iter()
            .find(|(name, _)| name.as_ref() == tag)?;
        Some(found.1)
    }
}
