//! Which JSON types a declared shape accepts, and whether its chain of optionals and unions ends.
//! Prevents two failures at run time: a value two union variants both claim, and a hop from shape
//! to shape that takes no bytes and so never ends. Each shape is visited once; chains are at most
//! [`CHAIN_MAX`] hops, which also bounds the recursion here and in `scalar`.

use serde_json::Value;
use tailrace_blueprint::{Shape, ShapeId, StringFormat};

use super::table::JsonType;

/// Longest chain of optionals, unions and tagged unions before a shape that takes bytes.
const CHAIN_MAX: u8 = 32;

/// What is known of one shape.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// Bits of [`JsonType`].
    types: u8,
    /// Hops to the farthest shape that takes bytes.
    hops: u8,
}

#[derive(Debug)]
pub(super) struct Types<'a> {
    shapes: &'a [Shape],
    known: Vec<Option<Known>>,
}

impl<'a> Types<'a> {
    pub(super) fn new(shapes: &'a [Shape]) -> Self {
        Self {
            shapes,
            known: vec![None; shapes.len()],
        }
    }

    /// The JSON types `shape` accepts, as bits of [`JsonType`].
    pub(super) fn of(&mut self, shape: ShapeId) -> Result<u8, String> {
        Ok(self.visit(shape, 0)?.types)
    }

    fn visit(&mut self, shape: ShapeId, depth: u8) -> Result<Known, String> {
        let index = shape as usize;
        let (Some(known), Some(declared)) = (self.known.get(index), self.shapes.get(index)) else {
            return Err(format!(
                "refers to shape {shape}, but there are {}",
                self.shapes.len()
            ));
        };
        if let Some(known) = known {
            return Ok(*known);
        }
        if depth > CHAIN_MAX {
            return Err(endless());
        }
        let known = match declared {
            Shape::Optional { inner } => {
                let inner = self.visit(*inner, depth + 1)?;
                Known {
                    types: JsonType::Null.bit() | inner.types,
                    hops: inner.hops + 1,
                }
            }
            Shape::Union { variants } => self.farthest(variants, depth)?,
            Shape::TaggedUnion { variants, .. } => {
                let shapes: Vec<ShapeId> = variants.iter().map(|(_, shape)| *shape).collect();
                Known {
                    types: JsonType::Object.bit(),
                    ..self.farthest(&shapes, depth)?
                }
            }
            leaf => Known {
                types: leaf_types(leaf),
                hops: 0,
            },
        };
        if known.hops > CHAIN_MAX {
            return Err(endless());
        }
        self.known[index] = Some(known);
        Ok(known)
    }

    fn farthest(&mut self, variants: &[ShapeId], depth: u8) -> Result<Known, String> {
        let mut all = Known { types: 0, hops: 0 };
        for variant in variants {
            let one = self.visit(*variant, depth + 1)?;
            all.types |= one.types;
            all.hops = all.hops.max(one.hops + 1);
        }
        Ok(all)
    }
}

fn endless() -> String {
    format!("optionals and unions refer to each other more than {CHAIN_MAX} times without a value")
}

fn leaf_types(shape: &Shape) -> u8 {
    match shape {
        Shape::Any {} => (1 << JsonType::COUNT) - 1,
        Shape::Null {} => JsonType::Null.bit(),
        Shape::Boolean {} => JsonType::Boolean.bit(),
        Shape::Integer { .. } | Shape::Number { .. } => JsonType::Number.bit(),
        Shape::String {
            format: Some(StringFormat::Decimal),
            ..
        } => JsonType::String.bit() | JsonType::Number.bit(),
        Shape::String { .. } => JsonType::String.bit(),
        Shape::Literal { values } => values
            .iter()
            .fold(0, |bits, value| bits | value_type(value)),
        Shape::Array { .. } | Shape::Tuple { .. } => JsonType::Array.bit(),
        Shape::Dict { .. } | Shape::Object { .. } => JsonType::Object.bit(),
        Shape::Optional { .. } | Shape::Union { .. } | Shape::TaggedUnion { .. } => 0,
    }
}

fn value_type(value: &Value) -> u8 {
    match value {
        Value::Null => JsonType::Null.bit(),
        Value::Bool(_) => JsonType::Boolean.bit(),
        Value::Number(_) => JsonType::Number.bit(),
        Value::String(_) => JsonType::String.bit(),
        Value::Array(_) => JsonType::Array.bit(),
        Value::Object(_) => JsonType::Object.bit(),
    }
}
