//! Shapes: what a declared model means on the wire. JSON is strict: no coercion, numbers pass as
//! the bytes that came. Undeclared fields are dropped unless the object keeps them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Index into `Blueprint::shapes`.
pub type ShapeId = u32;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Shape {
    /// Any valid JSON value (`Raw`, `Any`).
    Any {},
    Null {},
    Boolean {},
    /// A number without fraction or exponent.
    Integer {
        #[serde(default)]
        limits: NumberLimits,
    },
    Number {
        #[serde(default)]
        limits: NumberLimits,
    },
    String {
        #[serde(default)]
        length_min: Option<u32>,
        #[serde(default)]
        length_max: Option<u32>,
        /// Regular expression in the syntax of Rust's `regex`, searched (not anchored).
        #[serde(default)]
        pattern: Option<String>,
        #[serde(default)]
        format: Option<StringFormat>,
    },
    /// Literals and enums: one of these JSON scalars.
    Literal {
        values: Vec<Value>,
    },
    Array {
        items: ShapeId,
        #[serde(default)]
        length_min: Option<u32>,
        #[serde(default)]
        length_max: Option<u32>,
    },
    /// A fixed-length array, one shape per position.
    Tuple {
        items: Vec<ShapeId>,
    },
    /// An object with arbitrary string keys.
    Dict {
        values: ShapeId,
        #[serde(default)]
        length_min: Option<u32>,
        #[serde(default)]
        length_max: Option<u32>,
    },
    Object {
        fields: Vec<Field>,
        extra: Extra,
    },
    /// `null` or `inner`.
    Optional {
        inner: ShapeId,
    },
    /// Variants told apart by their JSON type alone: at most one per JSON type.
    Union {
        variants: Vec<ShapeId>,
    },
    /// Objects told apart by the string at key `tag`.
    TaggedUnion {
        tag: String,
        variants: Vec<(String, ShapeId)>,
    },
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NumberLimits {
    pub ge: Option<f64>,
    pub gt: Option<f64>,
    pub le: Option<f64>,
    pub lt: Option<f64>,
    pub multiple_of: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StringFormat {
    Date,
    DateTime,
    Time,
    Uuid,
    Decimal,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Name in the reply.
    pub name: String,
    /// Names accepted from the upstream, first match by arrival; empty means `name`.
    #[serde(default)]
    pub from: Vec<String>,
    pub shape: ShapeId,
    pub required: bool,
    /// Added to the reply when an optional field is missing; absent leaves the field out.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub default: Option<Value>,
}

/// A value that is there, even if it is `null`: a default of `null` is not the same as none.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extra {
    Drop,
    Keep,
    Refuse,
}

#[cfg(test)]
mod tests {
    use super::Field;
    use serde_json::Value;

    #[test]
    fn a_default_of_null_is_kept() {
        let field = |json: &str| serde_json::from_str::<Field>(json).unwrap();
        let with = field(r#"{"name":"note","shape":0,"required":false,"default":null}"#);
        assert_eq!(with.default, Some(Value::Null));
        assert!(serde_json::to_string(&with)
            .unwrap()
            .contains(r#""default":null"#));
        assert_eq!(
            field(r#"{"name":"note","shape":0,"required":false}"#).default,
            None
        );
    }
}
