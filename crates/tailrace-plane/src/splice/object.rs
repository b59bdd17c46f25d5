//! Declared objects: members are matched, checked, kept or dropped in the order they arrive. Prevents
//! undeclared fields from leaking and missing ones from passing (DESIGN 4). Kept members stay one
//! contiguous run as long as nothing between them is dropped or renamed.

use tailrace_blueprint::Extra;

use super::keys::{key_at, Bits, Key, Others};
use super::mismatch::{Expected, Fault, MismatchCode, Segment};
use super::scan::{byte_at, space, Step};
use super::table::ObjectPlan;
use super::walk::Walk;

/// One object while its members pass by.
struct Open<'a> {
    plan: &'a ObjectPlan,
    seen: Bits,
    filled: Bits,
    others: Others<'a>,
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
    pub(super) fn object(&mut self, shape: u32, plan: &'a ObjectPlan, at: usize) -> Step {
        let body = self.body;
        if byte_at(body, at) != b'{' {
            return Err(Fault::wrong_or_broken(Expected::Object, body, at));
        }
        self.enter(at)?;
        let mut open = Open {
            plan,
            seen: Bits::default(),
            filled: Bits::default(),
            others: Others::new(&self.marks),
            guess: 0,
            kept_end: at + 1,
            cut: false,
            emitted: false,
        };
        let mut cursor = space(body, at + 1);
        if byte_at(body, cursor) != b'}' {
            loop {
                let end = self.member(&mut open, cursor)?;
                open.kept_end = end;
                cursor = space(body, end);
                match byte_at(body, cursor) {
                    b',' => cursor = space(body, cursor + 1),
                    b'}' => break,
                    _ => return Err(Fault::new(MismatchCode::Syntax, cursor)),
                }
            }
        }
        if open.filled.len() != plan.fields.len() {
            self.complete(&mut open, shape, at)?;
        }
        if open.cut {
            self.run = cursor;
        }
        open.others.close(&mut self.marks);
        self.depth -= 1;
        Ok(cursor + 1)
    }

    /// One member whose key starts at `at`; the byte after its value.
    #[inline(always)]
    fn member(&mut self, open: &mut Open<'a>, at: usize) -> Step {
        let key = key_at(self.body, at)?;
        let value_at = self.colon(key.end + 1)?;
        if let Some((index, wire)) = open.plan.keys.find(self.body, &key, open.guess) {
            if !open.seen.insert(index) {
                let fault = Fault::new(MismatchCode::DuplicateKey, key.start);
                return Err(self.at_key(key.start, key.end, fault));
            }
            open.guess = index + 1;
            if let Some(plan) = open.plan.fields.get(wire.field) {
                // A second alias of a filled field is an undeclared key: the first to arrive has won.
                if open.filled.insert(wire.field) {
                    self.keep(open, at);
                    if wire.renamed {
                        self.copy_run(at);
                        self.out.extend_from_slice(&plan.name_json);
                        self.run = key.end + 1;
                    }
                    return match self.value(plan.shape, value_at) {
                        Ok(end) => Ok(end),
                        Err(fault) => Err(self.at_key(key.start, key.end, fault)),
                    };
                }
            }
        } else {
            let noted = open.others.insert(&mut self.marks, self.body, &key);
            noted.map_err(|fault| self.at_key(key.start, key.end, fault))?;
        }
        self.undeclared(open, &key, at, value_at)
    }

    /// A member without a field of its own.
    fn undeclared(&mut self, open: &mut Open<'a>, key: &Key, at: usize, value_at: usize) -> Step {
        match open.plan.extra {
            // A kept key must not collide with the name under which a field leaves.
            Extra::Keep if !open.plan.emits(&key.text(self.body)) => self.keep(open, at),
            Extra::Drop | Extra::Keep => self.cut(open),
            Extra::Refuse => {
                let fault = Fault::new(MismatchCode::ExtraField, key.start);
                return Err(self.at_key(key.start, key.end, fault));
            }
        }
        match self.skip(value_at) {
            Ok(end) => Ok(end),
            Err(fault) => Err(self.at_key(key.start, key.end, fault)),
        }
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

    /// Fields that did not arrive: required ones are a fault, defaults are appended.
    #[inline(never)]
    fn complete(&mut self, open: &mut Open<'a>, shape: u32, at: usize) -> Result<(), Fault> {
        let plan = open.plan;
        for (index, field) in plan.fields.iter().enumerate() {
            if open.filled.contains(index) {
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
                self.cut(open);
                if open.emitted {
                    self.out.push(b',');
                }
                self.out.extend_from_slice(&field.default_json);
                open.emitted = true;
            }
        }
        Ok(())
    }
}
