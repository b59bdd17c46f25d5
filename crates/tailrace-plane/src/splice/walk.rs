//! The one pass: a recursive walk over body and table together that checks every byte once and
//! copies what is kept (req 6.1, 10.4). Prevents the reply from carrying anything undeclared or
//! half-checked, without a tree between the bytes that came and the bytes that go.
//!
//! Output is copied in runs: `run` is the first kept byte not yet copied. A subtree without
//! anything to drop never touches the output; its object's run simply goes on. A dropped member
//! ends the run, the next kept one starts a new one (object.rs). Recursion is bounded by the depth
//! limit, for skipped values too.

use super::keys::key_at;
use super::mismatch::{Expected, Fault, MismatchCode, Segment};
use super::scalar;
use super::scan::{byte_at, number_end, plain_end, space, string_end, string_rest, word_end, Step};
use super::seen::SeenKeys;
use super::table::{JsonType, Length, Node, Shapes, Tagged, TextRule, NONE};
use super::text::unescape_into;

pub(super) struct Walk<'a> {
    pub(super) shapes: &'a Shapes,
    pub(super) body: &'a [u8],
    pub(super) out: &'a mut Vec<u8>,
    /// First kept byte that is not in `out` yet; meaningless while an object skips members.
    pub(super) run: usize,
    pub(super) depth: u32,
    pub(super) keys: SeenKeys<'a>,
    /// Path of a fault, innermost first; filled while unwinding.
    pub(super) trail: Vec<Segment>,
    /// Decoded text of the string under check.
    scratch: Vec<u8>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(shapes: &'a Shapes, body: &'a [u8], out: &'a mut Vec<u8>) -> Self {
        let (keys, trail, scratch) = (SeenKeys::new(), Vec::new(), Vec::new());
        Self {
            shapes,
            body,
            out,
            run: 0,
            depth: 0,
            keys,
            trail,
            scratch,
        }
    }

    /// The whole body: one value, whitespace around it is not part of the projection.
    pub(super) fn document(&mut self, shape: u32) -> Result<(), Fault> {
        let start = space(self.body, 0);
        self.run = start;
        let end = self.value(shape, start)?;
        let rest = space(self.body, end);
        if rest != self.body.len() {
            return Err(Fault::new(MismatchCode::Trailing, rest));
        }
        self.copy_run(end);
        Ok(())
    }

    /// Copies the current run up to `end`.
    #[inline(always)]
    pub(super) fn copy_run(&mut self, end: usize) {
        if let Some(kept) = self.body.get(self.run..end) {
            self.out.extend_from_slice(kept);
        }
    }

    #[inline(always)]
    pub(super) fn enter(&mut self, at: usize) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > self.shapes.depth_max {
            return Err(Fault::new(MismatchCode::Depth, at));
        }
        Ok(())
    }

    /// Like `value`, with the most common kind of member settled before the call.
    #[inline(always)]
    pub(super) fn item(&mut self, shape: u32, at: usize) -> Step {
        match self.shapes.node(shape) {
            Some(Node::Text) => self.plain_text(at),
            _ => self.value(shape, at),
        }
    }

    /// Checks the value at `at` against `shape`; the byte after it. Optional and union hops loop
    /// here and take no stack; `compile` has made sure that they end.
    pub(super) fn value(&mut self, shape: u32, at: usize) -> Step {
        let shapes = self.shapes;
        let mut shape = shape;
        loop {
            let Some(node) = shapes.node(shape) else {
                return Err(Fault::new(MismatchCode::UnknownShape, at));
            };
            match node {
                Node::Text => return self.plain_text(at),
                Node::Object(plan) => return self.object(shape, plan, at),
                Node::Array { items, length } => return self.array(*items, *length, at),
                Node::Integer(_) | Node::Number(_) => return self.number(node, at),
                Node::CheckedText(rule) => return self.checked_text(rule, at),
                Node::Optional(_) | Node::Null if byte_at(self.body, at) == b'n' => {
                    return word_end(self.body, at, b"null")
                }
                Node::Optional(inner) => shape = *inner,
                Node::Union(variants) => shape = self.union_variant(variants, at)?,
                Node::Tagged(tagged) => shape = self.tagged_variant(shape, tagged, at)?,
                Node::Any => return self.skip(at),
                Node::Boolean => return self.boolean(at),
                Node::Literal(literals) => return self.literal(literals, at),
                Node::Null => {
                    return Err(Fault::wrong_or_broken(Expected::Null, self.body, at));
                }
                Node::Dict { values, length } => return self.dict(*values, *length, at),
                Node::Tuple(items) => return self.tuple(items, at),
            }
        }
    }

    #[inline(always)]
    fn plain_text(&mut self, at: usize) -> Step {
        if byte_at(self.body, at) != b'"' {
            return Err(Fault::wrong_or_broken(Expected::String, self.body, at));
        }
        Ok(string_end(self.body, at + 1)? + 1)
    }

    fn checked_text(&mut self, rule: &TextRule, at: usize) -> Step {
        let first = byte_at(self.body, at);
        if rule.takes_numbers() && (first == b'-' || first.is_ascii_digit()) {
            let end = number_end(self.body, at)?.end();
            let token = self.body.get(at..end).unwrap_or(&[]);
            return match rule.refuse(token) {
                None => Ok(end),
                Some(code) => Err(Fault::new(code, at)),
            };
        }
        if first != b'"' {
            let expected = if rule.takes_numbers() {
                Expected::Decimal
            } else {
                Expected::String
            };
            return Err(Fault::wrong_or_broken(expected, self.body, at));
        }
        let (end, refused) = match plain_end(self.body, at + 1) {
            Some(end) => (end, rule.refuse(self.body.get(at + 1..end).unwrap_or(&[]))),
            None => {
                let end = string_rest(self.body, at + 1)?;
                (end, rule.refuse(self.decoded(at + 1, end)))
            }
        };
        match refused {
            None => Ok(end + 1),
            Some(code) => Err(Fault::new(code, at)),
        }
    }

    /// The text of the string between `start` and `end`, decoded only where it has escapes.
    fn decoded(&mut self, start: usize, end: usize) -> &[u8] {
        let raw = self.body.get(start..end).unwrap_or(&[]);
        if memchr::memchr(b'\\', raw).is_none() {
            return raw;
        }
        self.scratch.clear();
        unescape_into(raw, &mut self.scratch);
        &self.scratch
    }

    fn number(&mut self, node: &Node, at: usize) -> Step {
        let (limits, expected) = match node {
            Node::Integer(limits) => (limits, Expected::Integer),
            Node::Number(limits) => (limits, Expected::Number),
            _ => return Err(Fault::new(MismatchCode::UnknownShape, at)),
        };
        let first = byte_at(self.body, at);
        if first != b'-' && !first.is_ascii_digit() {
            return Err(Fault::wrong_or_broken(expected, self.body, at));
        }
        let number = number_end(self.body, at)?;
        if expected == Expected::Integer && !number.integer() {
            return Err(Fault::wrong(expected, at));
        }
        if let Some(limits) = limits {
            let token = self.body.get(at..number.end()).unwrap_or(&[]);
            if !scalar::within(limits, token) {
                return Err(Fault::new(MismatchCode::OutOfRange, at));
            }
        }
        Ok(number.end())
    }

    fn boolean(&mut self, at: usize) -> Step {
        match byte_at(self.body, at) {
            b't' => word_end(self.body, at, b"true"),
            b'f' => word_end(self.body, at, b"false"),
            _ => Err(Fault::wrong_or_broken(Expected::Boolean, self.body, at)),
        }
    }

    fn literal(&mut self, literals: &[super::table::Literal], at: usize) -> Step {
        let first = byte_at(self.body, at);
        if matches!(first, b'{' | b'[') {
            return Err(Fault::wrong(Expected::Literal, at));
        }
        let end = self.skip(at)?;
        let accepted = if first == b'"' {
            let text = self.decoded(at + 1, end - 1);
            scalar::is_text(literals, text)
        } else {
            scalar::is_token(literals, self.body.get(at..end).unwrap_or(&[]))
        };
        if accepted {
            Ok(end)
        } else {
            Err(Fault::new(MismatchCode::UnknownLiteral, at))
        }
    }

    fn union_variant(&self, variants: &[u32; JsonType::COUNT], at: usize) -> Result<u32, Fault> {
        let found = JsonType::of(byte_at(self.body, at));
        match found.and_then(|json_type| variants.get(json_type as usize)) {
            Some(&variant) if variant != NONE => Ok(variant),
            _ => Err(Fault::wrong_or_broken(Expected::Variant, self.body, at)),
        }
    }

    /// Looks ahead for the tag, usually the first member; the walk then starts over with the
    /// variant. The look-ahead costs at most one more pass per level of nesting.
    fn tagged_variant(&mut self, shape: u32, tagged: &Tagged, at: usize) -> Result<u32, Fault> {
        let body = self.body;
        if byte_at(body, at) != b'{' {
            return Err(Fault::wrong_or_broken(Expected::Object, body, at));
        }
        self.enter(at)?;
        let mut cursor = space(body, at + 1);
        while byte_at(body, cursor) != b'}' {
            let key = key_at(body, cursor)?;
            let value_at = self.colon(key.end + 1)?;
            if tagged.tag.matches(body, &key) {
                self.depth -= 1;
                return self.tag_value(shape, tagged, value_at);
            }
            cursor = space(body, self.skip(value_at)?);
            match byte_at(body, cursor) {
                b',' => cursor = space(body, cursor + 1),
                b'}' => {}
                _ => return Err(Fault::new(MismatchCode::Syntax, cursor)),
            }
        }
        self.trail.push(Segment::Tag { node: shape });
        Err(Fault::new(MismatchCode::MissingField, at))
    }

    fn tag_value(&mut self, shape: u32, tagged: &Tagged, at: usize) -> Result<u32, Fault> {
        let fault = if byte_at(self.body, at) == b'"' {
            let end = string_end(self.body, at + 1)?;
            if let Some(variant) = tagged.variant(self.decoded(at + 1, end)) {
                return Ok(variant);
            }
            Fault::new(MismatchCode::UnknownTag, at)
        } else {
            Fault::wrong_or_broken(Expected::String, self.body, at)
        };
        self.trail.push(Segment::Tag { node: shape });
        Err(fault)
    }

    /// Start of the value after a key that ended at `at`.
    #[inline(always)]
    pub(super) fn colon(&self, at: usize) -> Step {
        let colon = space(self.body, at);
        if byte_at(self.body, colon) != b':' {
            return Err(Fault::new(MismatchCode::Syntax, colon));
        }
        Ok(space(self.body, colon + 1))
    }

    fn array(&mut self, items: u32, length: Length, at: usize) -> Step {
        if byte_at(self.body, at) != b'[' {
            return Err(Fault::wrong_or_broken(Expected::Array, self.body, at));
        }
        let (end, count) = self.elements(at, |_| items)?;
        if !length.holds(count) {
            return Err(Fault::new(MismatchCode::Length, at));
        }
        Ok(end)
    }

    fn tuple(&mut self, items: &[u32], at: usize) -> Step {
        if byte_at(self.body, at) != b'[' {
            return Err(Fault::wrong_or_broken(Expected::Array, self.body, at));
        }
        // Past the declared positions the count is wrong already; the index only has to exist.
        let shape_at = |index: usize| items.get(index).copied().unwrap_or(NONE);
        let (end, count) = match self.elements(at, shape_at) {
            Err(fault) if fault.code() == MismatchCode::UnknownShape => {
                self.trail.clear();
                return Err(Fault::new(MismatchCode::Length, at));
            }
            walked => walked?,
        };
        if count != items.len() {
            return Err(Fault::new(MismatchCode::Length, at));
        }
        Ok(end)
    }

    /// The elements of the array at `at`: its end and how many there were.
    #[inline(always)]
    fn elements(
        &mut self,
        at: usize,
        shape_at: impl Fn(usize) -> u32,
    ) -> Result<(usize, usize), Fault> {
        self.enter(at)?;
        let mut cursor = space(self.body, at + 1);
        let mut count = 0;
        if byte_at(self.body, cursor) != b']' {
            loop {
                let end = match self.item(shape_at(count), cursor) {
                    Ok(end) => end,
                    Err(fault) => return Err(self.at_index(count, fault)),
                };
                count += 1;
                cursor = space(self.body, end);
                match byte_at(self.body, cursor) {
                    b',' => cursor = space(self.body, cursor + 1),
                    b']' => break,
                    _ => return Err(Fault::new(MismatchCode::Syntax, cursor)),
                }
            }
        }
        self.depth -= 1;
        Ok((cursor + 1, count))
    }

    fn dict(&mut self, values: u32, length: Length, at: usize) -> Step {
        if byte_at(self.body, at) != b'{' {
            return Err(Fault::wrong_or_broken(Expected::Object, self.body, at));
        }
        let (end, count) = self.entries(at, |walk, at| walk.item(values, at))?;
        if !length.holds(count) {
            return Err(Fault::new(MismatchCode::Length, at));
        }
        Ok(end)
    }

    /// The entries of an object whose keys are not declared: its end and how many there were.
    #[inline(always)]
    pub(super) fn entries(
        &mut self,
        at: usize,
        value: impl Fn(&mut Self, usize) -> Step,
    ) -> Result<(usize, usize), Fault> {
        self.enter(at)?;
        let body = self.body;
        let mut others = self.keys.others();
        let mut cursor = space(body, at + 1);
        let mut count = 0;
        if byte_at(body, cursor) != b'}' {
            loop {
                let key = key_at(body, cursor)?;
                self.keys
                    .insert(&mut others, body, &key, key.filter_bit())?;
                let value_at = self.colon(key.end + 1)?;
                let end = match value(self, value_at) {
                    Ok(end) => end,
                    Err(fault) => return Err(self.at_key(key.start, key.end, fault)),
                };
                count += 1;
                cursor = space(body, end);
                match byte_at(body, cursor) {
                    b',' => cursor = space(body, cursor + 1),
                    b'}' => break,
                    _ => return Err(Fault::new(MismatchCode::Syntax, cursor)),
                }
            }
        }
        self.keys.close(others);
        self.depth -= 1;
        Ok((cursor + 1, count))
    }

    #[cold]
    pub(super) fn at_key(&mut self, start: usize, end: usize, fault: Fault) -> Fault {
        self.trail.push(Segment::Key { start, end });
        fault
    }

    #[cold]
    pub(super) fn at_index(&mut self, index: usize, fault: Fault) -> Fault {
        self.trail.push(Segment::Index(index));
        fault
    }
}
