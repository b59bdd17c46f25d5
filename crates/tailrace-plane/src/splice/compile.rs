//! From declared shapes to the flat table, once, before anything listens. Prevents every question
//! about the declaration itself from being asked per request: indexes in range, patterns valid,
//! limits satisfiable, union variants told apart by their JSON type, no chain of optionals and
//! unions that never reaches a value. The first problem found is returned with the index of its
//! shape.

use std::collections::HashSet;
use std::fmt;

use regex::bytes::RegexBuilder;
use serde_json::Value;
use tailrace_blueprint::{Extra, Field, NumberLimits, Shape, ShapeId, StringFormat};

use super::expect::Expect;
use super::keys::{KeyPlan, WireKey};
use super::table::{
    FieldPlan, JsonType, Length, Literal, Node, ObjectPlan, Shapes, Tagged, TextRule, DEPTH_MAX,
    NONE, SHAPES_MAX,
};
use super::text::escape_into;
use super::types::Types;

/// Compiled size of one pattern; keeps a declaration from taking memory without a bound.
const PATTERN_SIZE_MAX: usize = 1 << 20;

/// A declared shape that cannot be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeProblem {
    /// Index into the declared shapes.
    pub shape: usize,
    pub message: String,
}

impl fmt::Display for ShapeProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "shapes[{}]: {}", self.shape, self.message)
    }
}

impl std::error::Error for ShapeProblem {}

impl Shapes {
    /// Compiles the declared shapes. `depth_max` bounds the nesting of every body, 1 to 64.
    pub fn compile(shapes: &[Shape], depth_max: u16) -> Result<Self, ShapeProblem> {
        let problem = |shape: usize, message: String| ShapeProblem { shape, message };
        if depth_max == 0 || depth_max > DEPTH_MAX {
            let message = format!("the depth limit is {depth_max}; it must be 1 to {DEPTH_MAX}");
            return Err(problem(0, message));
        }
        if shapes.len() > SHAPES_MAX {
            let message = format!("{} shapes; at most {SHAPES_MAX}", shapes.len());
            return Err(problem(SHAPES_MAX, message));
        }
        let mut compiler = Compiler {
            shapes,
            types: Types::new(shapes),
        };
        let mut nodes = Vec::with_capacity(shapes.len());
        for (index, shape) in shapes.iter().enumerate() {
            let node = compiler.node(index as ShapeId, shape);
            nodes.push(node.map_err(|message| problem(index, message))?);
        }
        Ok(Self {
            nodes,
            depth_max: u32::from(depth_max),
        })
    }
}

struct Compiler<'a> {
    shapes: &'a [Shape],
    types: Types<'a>,
}

impl Compiler<'_> {
    fn node(&mut self, index: ShapeId, shape: &Shape) -> Result<Node, String> {
        // Also finds chains that never end, for optionals as for unions.
        self.types.of(index)?;
        Ok(match shape {
            Shape::Any {} => Node::Any,
            Shape::Null {} => Node::Null,
            Shape::Boolean {} => Node::Boolean,
            Shape::Integer { limits } => Node::Integer(number_limits(limits)?),
            Shape::Number { limits } => Node::Number(number_limits(limits)?),
            Shape::String {
                length_min,
                length_max,
                pattern,
                format,
            } => text(
                length(*length_min, *length_max)?,
                pattern.as_deref(),
                *format,
            )?,
            Shape::Literal { values } => Node::Literal(literals(values)?),
            Shape::Array {
                items,
                length_min,
                length_max,
            } => Node::Array {
                items: self.known(*items)?,
                length: length(*length_min, *length_max)?,
            },
            Shape::Tuple { items } => Node::Tuple(
                items
                    .iter()
                    .map(|item| self.known(*item))
                    .collect::<Result<_, _>>()?,
            ),
            Shape::Dict {
                values,
                length_min,
                length_max,
            } => Node::Dict {
                values: self.known(*values)?,
                length: length(*length_min, *length_max)?,
            },
            Shape::Object { fields, extra } => Node::Object(Box::new(self.object(fields, *extra)?)),
            Shape::Optional { inner } => Node::Optional(self.known(*inner)?),
            Shape::Union { variants } => self.union(variants)?,
            Shape::TaggedUnion { tag, variants } => self.tagged(tag, variants)?,
        })
    }

    fn known(&self, shape: ShapeId) -> Result<u32, String> {
        if (shape as usize) < self.shapes.len() {
            return Ok(shape);
        }
        Err(format!(
            "refers to shape {shape}, but there are {}",
            self.shapes.len()
        ))
    }

    fn union(&mut self, variants: &[ShapeId]) -> Result<Node, String> {
        if variants.is_empty() {
            return Err("a union needs a variant".to_owned());
        }
        let mut by_type = [NONE; JsonType::COUNT];
        for variant in variants {
            let types = self.types.of(*variant)?;
            for (bit, slot) in by_type.iter_mut().enumerate() {
                if types & 1 << bit == 0 {
                    continue;
                }
                if *slot != NONE {
                    let name = ["null", "boolean", "number", "string", "array", "object"][bit];
                    return Err(format!(
                        "union variants {slot} and {variant} both accept a JSON {name}; \
                         tell objects apart by a tag, or declare one shape for both"
                    ));
                }
                *slot = *variant;
            }
        }
        Ok(Node::Union(by_type))
    }

    fn tagged(&mut self, tag: &str, variants: &[(String, ShapeId)]) -> Result<Node, String> {
        if variants.is_empty() {
            return Err("a tagged union needs a variant".to_owned());
        }
        let mut names = HashSet::new();
        let mut compiled = Vec::with_capacity(variants.len());
        for (name, shape) in variants {
            if !names.insert(name) {
                return Err(format!("the tag {name:?} names two variants"));
            }
            match self.shapes.get(self.known(*shape)? as usize) {
                Some(Shape::Object { .. } | Shape::TaggedUnion { .. }) => {}
                _ => return Err(format!("the variant for tag {name:?} is not an object")),
            }
            compiled.push((name.as_bytes().into(), *shape));
        }
        let tag = WireKey::new(tag, 0, false);
        Ok(Node::Tagged(Box::new(Tagged {
            tag,
            variants: compiled.into(),
        })))
    }

    fn object(&mut self, fields: &[Field], extra: Extra) -> Result<ObjectPlan, String> {
        let (mut names, mut accepted) = (HashSet::new(), HashSet::new());
        let (mut plans, mut keys) = (Vec::with_capacity(fields.len()), Vec::new());
        let mut expected = Vec::new();
        for (index, field) in fields.iter().enumerate() {
            if !names.insert(field.name.as_str()) {
                return Err(format!("two fields leave as {:?}", field.name));
            }
            let own = std::slice::from_ref(&field.name);
            let from = if field.from.is_empty() {
                own
            } else {
                &field.from
            };
            let text = self
                .shapes
                .get(field.shape as usize)
                .is_some_and(is_plain_text);
            for name in from {
                if !accepted.insert(name.as_str()) {
                    return Err(format!("two fields accept the key {name:?}"));
                }
                let renamed = *name != field.name;
                keys.push(WireKey::new(name, index, renamed));
                let simple = !renamed && from.len() == 1;
                expected.push(Expect::new(name, (index as u32, field.shape), text, simple));
            }
            plans.push(self.field(field)?);
        }
        Ok(ObjectPlan::new(KeyPlan::new(keys), expected, plans, extra))
    }

    fn field(&self, field: &Field) -> Result<FieldPlan, String> {
        let mut name_json = Vec::new();
        escape_into(&field.name, &mut name_json);
        let mut default_json = Vec::new();
        if let Some(default) = &field.default {
            if field.required {
                return Err(format!(
                    "field {:?} is required and has a default",
                    field.name
                ));
            }
            default_json.extend_from_slice(&name_json);
            default_json.push(b':');
            default_json.extend_from_slice(default.to_string().as_bytes());
        }
        Ok(FieldPlan {
            shape: self.known(field.shape)?,
            required: field.required,
            name: field.name.as_str().into(),
            name_json: name_json.into(),
            default_json: default_json.into(),
        })
    }
}

/// Will this shape be [`Node::Text`]? See `text`.
fn is_plain_text(shape: &Shape) -> bool {
    match shape {
        Shape::String {
            length_min,
            length_max,
            pattern: None,
            format: None,
        } => length_min.unwrap_or(0) == 0 && length_max.unwrap_or(u32::MAX) == u32::MAX,
        _ => false,
    }
}

fn length(min: Option<u32>, max: Option<u32>) -> Result<Length, String> {
    let (min, max) = (min.unwrap_or(0), max.unwrap_or(u32::MAX));
    if min > max {
        return Err(format!(
            "the shortest length {min} is above the longest {max}"
        ));
    }
    Ok(Length { min, max })
}

fn number_limits(limits: &NumberLimits) -> Result<Option<Box<NumberLimits>>, String> {
    let NumberLimits {
        ge,
        gt,
        le,
        lt,
        multiple_of,
    } = limits;
    let bounds = [ge, gt, le, lt, multiple_of];
    if bounds.iter().all(|bound| bound.is_none()) {
        return Ok(None);
    }
    if bounds.iter().any(|bound| bound.is_some_and(f64::is_nan)) {
        return Err("a number limit is not a number".to_owned());
    }
    if multiple_of.is_some_and(|step| step <= 0.0 || !step.is_finite()) {
        return Err("`multiple_of` must be above zero".to_owned());
    }
    let low = ge
        .unwrap_or(f64::NEG_INFINITY)
        .max(gt.unwrap_or(f64::NEG_INFINITY));
    let high = le.unwrap_or(f64::INFINITY).min(lt.unwrap_or(f64::INFINITY));
    if low > high {
        return Err(format!("no number is at least {low} and at most {high}"));
    }
    Ok(Some(Box::new(limits.clone())))
}

fn text(
    length: Length,
    pattern: Option<&str>,
    format: Option<StringFormat>,
) -> Result<Node, String> {
    let length = (length.min > 0 || length.max < u32::MAX).then_some(length);
    let pattern = match pattern {
        None => None,
        Some(pattern) => {
            let built = RegexBuilder::new(pattern)
                .size_limit(PATTERN_SIZE_MAX)
                .build();
            Some(built.map_err(|error| format!("the pattern {pattern:?} is no regex: {error}"))?)
        }
    };
    if length.is_none() && pattern.is_none() && format.is_none() {
        return Ok(Node::Text);
    }
    Ok(Node::CheckedText(Box::new(TextRule {
        length,
        pattern,
        format,
    })))
}

fn literals(values: &[Value]) -> Result<Box<[Literal]>, String> {
    if values.is_empty() {
        return Err("a literal needs a value".to_owned());
    }
    values.iter().map(literal).collect()
}

fn literal(value: &Value) -> Result<Literal, String> {
    Ok(match value {
        Value::Null => Literal::Null,
        Value::Bool(value) => Literal::Boolean(*value),
        Value::String(text) => Literal::Text(text.as_bytes().into()),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(value), _, _) => Literal::Integer(value.into()),
            (_, Some(value), _) => Literal::Integer(value.into()),
            (_, _, Some(value)) => Literal::Number(value),
            _ => return Err(format!("the literal {number} is out of range")),
        },
        Value::Array(_) | Value::Object(_) => {
            return Err("a literal is a string, number, boolean or null".to_owned())
        }
    })
}
