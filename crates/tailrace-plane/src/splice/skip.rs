//! Values nobody declared, and values declared as `Any`: the grammar is checked and nothing is
//! looked at. Prevents a dropped subtree from being the place where broken JSON, a duplicate key or
//! a depth bomb hides (RELIABILITY S16): a body is valid as a whole or refused as a whole, whatever
//! is kept of it.

use super::mismatch::{Fault, MismatchCode};
use super::scan::{byte_at, number_end, space, string_end, word_end, Step};
use super::walk::Walk;

impl Walk<'_> {
    /// The byte after the value at `at`.
    #[inline(always)]
    pub(super) fn skip(&mut self, at: usize) -> Step {
        if byte_at(self.body, at) == b'"' {
            return Ok(string_end(self.body, at + 1)? + 1);
        }
        self.skip_other(at)
    }

    fn skip_other(&mut self, at: usize) -> Step {
        let body = self.body;
        match byte_at(body, at) {
            b'{' => Ok(self.entries(at, Self::skip)?.0),
            b'[' => self.skip_array(at),
            b'-' | b'0'..=b'9' => Ok(number_end(body, at)?.end()),
            b't' => word_end(body, at, b"true"),
            b'f' => word_end(body, at, b"false"),
            b'n' => word_end(body, at, b"null"),
            _ => Err(Fault::new(MismatchCode::Syntax, at)),
        }
    }

    fn skip_array(&mut self, at: usize) -> Step {
        self.enter(at)?;
        let mut cursor = space(self.body, at + 1);
        let mut count = 0;
        if byte_at(self.body, cursor) != b']' {
            loop {
                let end = match self.skip(cursor) {
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
        Ok(cursor + 1)
    }
}
