//! Declared objects: members are matched, checked, kept or dropped in the order they arrive.
//! Prevents undeclared fields from leaking and missing ones from passing (DESIGN 4). Kept members
//! stay one contiguous run as long as nothing between them is dropped or renamed.

use tailrace_blueprint::Extra;

use super::keys::{key_rest, plain_key, Key};
use super::mismatch::{Expected, Fault, MismatchCode, Segment};
use super::scan::{byte_at, space, string_end, Step};
use super::seen::{Bits, Others};
use super::table::ObjectPlan;
use super::walk::Walk;

/// One object while its members pass by. `Copy`, so that the compiler may keep it in registers; the
/// rare paths work on a copy.
#[derive(Clone, Copy)]
struct Open<'a> {
    plan: &'a ObjectPlan,
    /// Declared keys that arrived.
    seen: Bits,
    /// Fields that have a value; the same as `seen` where the plan has no aliases.
    filled: Bits,
    others: Others,
    /// The declared key expected next.
    guess: usize,
    /// Where the last member (or the opening brace) ended.
    kept_end: usize,
    /// Bytes since `kept_end` are not part of the output.
    cut: bool,
    /// At least one member is in the output, so the next one needs a comma.
    emitted: bool,
}

impl<'a> Walk<'a> {
    #[inline(never)]
    pub(super) fn object(&mut self, shape: u32, plan: &'a ObjectPlan, at: usize) -> Step {
        let body = self.body;
        if byte_at(body, at) != b'{' {
            return Err(Fault::wrong_or_broken(Expected::Object, body, at));
        }
        self.enter(at)?;
        let mut open = Open {
            plan,
            seen: self.keys.bits(plan.keys.len()),
            filled: self.keys.bits(plan.alias_fields()),
            others: self.keys.others(),
            guess: 0,
            kept_end: at + 1,
            cut: false,
            emitted: false,
        };
        let mut cursor = space(body, at + 1);
        if byte_at(body, cursor) != b'}' {
            loop {
                open.kept_end = match self.expected(&mut open, cursor)? {
                    0 => self.member(&mut open, cursor)?,
                    end => end,
                };
                cursor = open.kept_end;
                if byte_at(body, cursor) != b',' {
                    cursor = space(body, cursor);
                    match byte_at(body, cursor) {
                        b',' => {}
                        b'}' => break,
                        _ => return Err(Fault::new(MismatchCode::Syntax, cursor)),
                    }
                }
                cursor = space(body, cursor + 1);
            }
        }
        let filled = if plan.aliased { open.filled } else { open.seen };
        if filled.low != plan.full_low || plan.fields.len() > 64 {
            open.cut = self.complete(open, filled, shape, at)?;
        }
        if open.cut {
            self.run = cursor;
        }
        self.keys.close_bits(open.seen);
        self.keys.close(open.others);
        self.depth -= 1;
        Ok(cursor + 1)
    }

    /// The member at `at` if it is the expected one and leaves as it came; 0 where it is not.
    #[inline(always)]
    fn expected(&mut self, open: &mut Open<'a>, at: usize) -> Step {
        let Some(expect) = open.plan.expected.get(open.guess) else {
            return Ok(0);
        };
        let Some(key_end) = expect.end(self.body, at) else {
            return Ok(0);
        };
        if !expect.simple || !open.seen.insert(open.guess, &mut self.keys) {
            return Ok(0);
        }
        if open.plan.aliased {
            open.filled.insert(expect.field as usize, &mut self.keys);
        }
        open.guess += 1;
        self.keep(open, at);
        let end = if expect.text && byte_at(self.body, key_end) == b'"' {
            string_end(self.body, key_end + 1).map(|end| end + 1)
        } else {
            self.value(expect.shape, space(self.body, key_end))
        };
        match end {
            Ok(end) => Ok(end),
            Err(fault) => Err(self.at_key(at + 1, key_end - 2, fault)),
        }
    }

    /// Any other member.
    #[inline(never)]
    fn member(&mut self, open: &mut Open<'a>, at: usize) -> Step {
        match plain_key(self.body, at) {
            Some(key) => self.keyed(open, &key),
            None => self.member_rest(open, at),
        }
    }

    #[inline(never)]
    fn member_rest(&mut self, open: &mut Open<'a>, at: usize) -> Step {
        let key = key_rest(self.body, at)?;
        self.keyed(open, &key)
    }

    /// The member whose key has been scanned.
    #[inline(always)]
    fn keyed(&mut self, open: &mut Open<'a>, key: &Key) -> Step {
        let value_at = self.colon(key.end + 1)?;
        let bit = key.filter_bit();
        if let Some(index) = open.plan.keys.find(self.body, key, bit) {
            return self.declared(open, index, (key.start, key.end), value_at);
        }
        match self.keys.insert(&mut open.others, self.body, key, bit) {
            Ok(()) => self.undeclared(open, (key.start, key.end), value_at),
            Err(fault) => Err(self.at_key(key.start, key.end, fault)),
        }
    }

    /// A member whose key is declared; `key` is where its raw text stands.
    #[inline(never)]
    fn declared(
        &mut self,
        open: &mut Open<'a>,
        index: usize,
        key: (usize, usize),
        value_at: usize,
    ) -> Step {
        let plan = open.plan;
        let wire = plan.keys.get(index);
        let Some((wire, field)) = wire.and_then(|wire| Some((wire, plan.fields.get(wire.field)?)))
        else {
            return Err(Fault::new(MismatchCode::UnknownShape, key.0));
        };
        if !open.seen.insert(index, &mut self.keys) {
            return Err(self.at_key(key.0, key.1, Fault::new(MismatchCode::DuplicateKey, key.0)));
        }
        open.guess = index + 1;
        // A second alias of a filled field is an undeclared key: the first to arrive has won.
        if plan.aliased && !open.filled.insert(wire.field, &mut self.keys) {
            return self.undeclared(open, key, value_at);
        }
        self.keep(open, key.0 - 1);
        if wire.renamed {
            self.copy_run(key.0 - 1);
            self.out.extend_from_slice(&field.name_json);
            self.run = key.1 + 1;
        }
        match self.value(field.shape, value_at) {
            Ok(end) => Ok(end),
            Err(fault) => Err(self.at_key(key.0, key.1, fault)),
        }
    }

    /// A member without a field of its own.
    #[inline(always)]
    fn undeclared(&mut self, open: &mut Open<'a>, key: (usize, usize), value_at: usize) -> Step {
        match open.plan.extra {
            Extra::Drop => self.cut(open),
            Extra::Keep if self.collides(open.plan, key) => self.cut(open),
            Extra::Keep => self.keep(open, key.0 - 1),
            Extra::Refuse => {
                let fault = Fault::new(MismatchCode::ExtraField, key.0);
                return Err(self.at_key(key.0, key.1, fault));
            }
        }
        match self.skip(value_at) {
            Ok(end) => Ok(end),
            Err(fault) => Err(self.at_key(key.0, key.1, fault)),
        }
    }

    /// Is this undeclared key the name under which a field leaves? Kept, it would stand there
    /// twice.
    #[inline(never)]
    fn collides(&self, plan: &ObjectPlan, (start, end): (usize, usize)) -> bool {
        let key = Key::at(self.body, start, end);
        plan.emits(&key.text(self.body))
    }

    /// The member at `at` goes to the output.
    #[inline(always)]
    fn keep(&mut self, open: &mut Open<'a>, at: usize) {
        if open.cut {
            if open.emitted {
                self.out.push(b',');
            }
            self.run = at;
            open.cut = false;
        }
        open.emitted = true;
    }

    /// Ends the run after the last kept member.
    #[inline(always)]
    fn cut(&mut self, open: &mut Open<'a>) {
        if !open.cut {
            self.copy_run(open.kept_end);
            open.cut = true;
        }
    }

    /// Fields that did not arrive: required ones are a fault, defaults are appended. Says whether
    /// the run is cut now.
    #[inline(never)]
    fn complete(
        &mut self,
        mut open: Open<'a>,
        filled: Bits,
        shape: u32,
        at: usize,
    ) -> Result<bool, Fault> {
        for (index, field) in open.plan.fields.iter().enumerate() {
            if filled.contains(index, &self.keys) {
                continue;
            }
            if field.required {
                self.trail.push(Segment::Field {
                    node: shape,
                    field: index,
                });
                return Err(Fault::new(MismatchCode::MissingField, at));
            }
            if !field.default_json.is_empty() {
                self.cut(&mut open);
                if open.emitted {
                    self.out.push(b',');
                }
                self.out.extend_from_slice(&field.default_json);
                open.emitted = true;
            }
        }
        Ok(open.cut)
    }
}
