//! Validation and projection of a JSON body in one pass: a body that is not exactly what was
//! declared never reaches a client, and a field that was not declared never leaks (DESIGN 4, req
//! 6.1, 10.4).
//!
//! *How.* Declared shapes are compiled once into a flat table ([`Shapes::compile`]).
//! [`Shapes::project`] walks body and table together, checks every byte, and copies what is kept in
//! maximal contiguous runs: no tree, no boxed value, no allocation but the output's on the usual
//! path. The reply holds the upstream's own bytes: numbers are not rewritten, field order and inner
//! whitespace stay.
//!
//! *Refused wherever they stand, in dropped fields too:* invalid UTF-8, duplicate keys, nesting
//! beyond the depth limit, strings above 1 MiB, numbers above 64 digits, more than 10 000
//! undeclared or dict keys in one object, anything but whitespace around the value (RELIABILITY
//! S16, S17).
//!
//! *Semantics worth knowing.* JSON is strict: no coercion. The first alias of a field to arrive
//! wins; a later one is an undeclared key. With `Extra::Keep`, an undeclared key equal to the name
//! of a declared field is dropped, since the reply would carry it twice. A default is appended
//! after what arrived. Integers are tokens without fraction and exponent. Range limits compare
//! 64-bit floats.
//!
//! [`lookup`], [`items`] and [`scalar_text`] read single values out of projected bytes.

mod compile;
mod expect;
#[cfg(test)]
mod flood;
mod format;
mod keys;
mod mismatch;
mod object;
mod query;
mod scalar;
mod scan;
mod seen;
mod skip;
mod table;
mod text;
mod types;
mod walk;

use tailrace_blueprint::ShapeId;

pub use compile::ShapeProblem;
pub use mismatch::{Mismatch, MismatchCode, PATH_MAX};
pub use query::{items, lookup, scalar_text, span, ItemIter};
pub use table::Shapes;
pub use text::escape_into;

use mismatch::Fault;
use walk::Walk;

impl Shapes {
    /// Checks that `body` is one JSON value of the shape and appends its projection to `out`. On a
    /// mismatch `out` is as it was.
    pub fn project(&self, shape: ShapeId, body: &[u8], out: &mut Vec<u8>) -> Result<(), Mismatch> {
        self.project_within(shape, body, out, usize::MAX)
    }

    /// As `project`, but the projection itself may have at most `bytes_max`: defaults of missing
    /// fields can make it longer than the body.
    pub fn project_within(
        &self,
        shape: ShapeId,
        body: &[u8],
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Result<(), Mismatch> {
        // Offsets are kept in 32 bits; upstream bodies are limited far below that anyway.
        if u32::try_from(body.len()).is_err() {
            return Err(self.refusal(Fault::new(MismatchCode::BodyTooLong, 0)));
        }
        if simdutf8::basic::from_utf8(body).is_err() {
            let valid =
                std::str::from_utf8(body).map_or_else(|error| error.valid_up_to(), str::len);
            return Err(self.refusal(Fault::new(MismatchCode::Utf8, valid)));
        }
        let start = out.len();
        out.reserve(body.len());
        let mut walk = Walk::new(self, body, out);
        walk.out_max = start.saturating_add(bytes_max);
        walk.document(shape).map_err(|fault| {
            let mismatch = fault.into_mismatch(self, body, &walk.trail);
            walk.out.truncate(start);
            mismatch
        })
    }

    /// Checks a request parameter's decoded text against a scalar shape: a string shape (and a
    /// string literal) checks the text itself, other scalars read it as that JSON token.
    pub fn accept_scalar(&self, shape: ShapeId, text: &[u8]) -> Result<(), Mismatch> {
        if std::str::from_utf8(text).is_err() {
            return Err(self.refusal(Fault::new(MismatchCode::Utf8, 0)));
        }
        self.scalar(shape, text)
            .map_err(|fault| self.refusal(fault))
    }

    #[cold]
    fn refusal(&self, fault: Fault) -> Mismatch {
        fault.into_mismatch(self, &[], &[])
    }
}
