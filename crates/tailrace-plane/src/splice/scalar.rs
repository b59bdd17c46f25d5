//! Checks of single numbers and literals, shared by bodies and by request parameters. Prevents a
//! value from being judged by two rules depending on where it came from. Ranges are compared as
//! 64-bit floats (an integer beyond 2^53 is compared by its nearest float); the token itself is
//! never rewritten.

use tailrace_blueprint::NumberLimits;

use super::mismatch::{Expected, Fault, MismatchCode};
use super::scan::number_end;
use super::table::{Literal, Node, Shapes, NONE};

/// Integers up to here are exact as floats.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A number token as a float; infinite where it overflows.
fn float(token: &[u8]) -> Option<f64> {
    std::str::from_utf8(token).ok()?.parse().ok()
}

/// Is the number within all limits?
pub(super) fn within(limits: &NumberLimits, token: &[u8]) -> bool {
    let Some(value) = float(token) else {
        return false;
    };
    limits.ge.is_none_or(|bound| value >= bound)
        && limits.gt.is_none_or(|bound| value > bound)
        && limits.le.is_none_or(|bound| value <= bound)
        && limits.lt.is_none_or(|bound| value < bound)
        && limits
            .multiple_of
            .is_none_or(|step| is_multiple(value, step))
}

/// Exact for integers; otherwise within a billionth, since 0.3 is no exact multiple of 0.1 in
/// binary.
fn is_multiple(value: f64, step: f64) -> bool {
    let rest = (value % step).abs();
    let exact = value.fract() == 0.0 && step.fract() == 0.0 && value.abs() <= EXACT_MAX;
    if exact {
        return rest == 0.0;
    }
    let tolerance = value.abs() / 1e9;
    value.is_finite() && (rest <= tolerance || (step - rest).abs() <= tolerance)
}

/// Is decoded `text` one of the string literals?
pub(super) fn is_text(literals: &[Literal], text: &[u8]) -> bool {
    literals
        .iter()
        .any(|literal| matches!(literal, Literal::Text(own) if own.as_ref() == text))
}

/// Is a JSON token other than a string one of the literals?
pub(super) fn is_token(literals: &[Literal], token: &[u8]) -> bool {
    literals.iter().any(|literal| match literal {
        Literal::Text(_) => false,
        Literal::Null => token == b"null",
        Literal::Boolean(own) => token == if *own { &b"true"[..] } else { b"false" },
        Literal::Integer(own) => integer(token) == Some(*own),
        Literal::Number(own) => number_token(token) && float(token) == Some(*own),
    })
}

/// The value of a token without fraction or exponent.
fn integer(token: &[u8]) -> Option<i128> {
    number_token(token).then_some(())?;
    std::str::from_utf8(token).ok()?.parse().ok()
}

/// Is `text` exactly one JSON number?
fn number_token(text: &[u8]) -> bool {
    number_end(text, 0).is_ok_and(|number| number.end() == text.len())
}

impl Shapes {
    /// A parameter's text against shape `shape`; strings check the text itself, other scalars read
    /// it as that JSON token. `null` has no text and an object or array is no parameter.
    pub(super) fn scalar(&self, shape: u32, text: &[u8]) -> Result<(), Fault> {
        let Some(node) = self.node(shape) else {
            return Err(Fault::new(MismatchCode::UnknownShape, 0));
        };
        match node {
            Node::Any | Node::Text => Ok(()),
            Node::CheckedText(rule) => rule
                .refuse(text)
                .map_or(Ok(()), |code| Err(Fault::new(code, 0))),
            Node::Integer(limits) => number(limits.as_deref(), text, Expected::Integer),
            Node::Number(limits) => number(limits.as_deref(), text, Expected::Number),
            Node::Boolean if matches!(text, b"true" | b"false") => Ok(()),
            Node::Boolean => Err(Fault::wrong(Expected::Boolean, 0)),
            Node::Literal(literals) => {
                let null = text == b"null" && !is_text(literals, text);
                if !null && (is_text(literals, text) || is_token(literals, text)) {
                    Ok(())
                } else {
                    Err(Fault::new(MismatchCode::UnknownLiteral, 0))
                }
            }
            Node::Optional(inner) => self.scalar(*inner, text),
            Node::Union(variants) => self.scalar_union(variants, text),
            Node::Null
            | Node::Array { .. }
            | Node::Tuple(_)
            | Node::Dict { .. }
            | Node::Object(_)
            | Node::Tagged(_) => Err(Fault::wrong(Expected::Scalar, 0)),
        }
    }

    /// Text has no JSON type of its own, so any variant may take it; the last refusal is reported.
    fn scalar_union(&self, variants: &[u32], text: &[u8]) -> Result<(), Fault> {
        let mut refusal = Fault::wrong(Expected::Variant, 0);
        for variant in variants.iter().filter(|variant| **variant != NONE) {
            match self.scalar(*variant, text) {
                Ok(()) => return Ok(()),
                Err(fault) if fault.code() != MismatchCode::WrongType => refusal = fault,
                Err(_) => {}
            }
        }
        Err(refusal)
    }
}

fn number(limits: Option<&NumberLimits>, text: &[u8], expected: Expected) -> Result<(), Fault> {
    let number = match number_end(text, 0) {
        Err(fault) if fault.code() == MismatchCode::NumberTooLong => return Err(fault),
        Ok(number) if number.end() == text.len() => number,
        _ => return Err(Fault::wrong(expected, 0)),
    };
    if expected == Expected::Integer && !number.integer() {
        return Err(Fault::wrong(expected, 0));
    }
    if limits.is_some_and(|limits| !within(limits, text)) {
        return Err(Fault::new(MismatchCode::OutOfRange, 0));
    }
    Ok(())
}
