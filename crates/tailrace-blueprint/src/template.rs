//! Templates: how a path, query value or header value is put together from text, parameters of the
//! request and fields of earlier parts. A template is structure, never a formatted string, so that
//! the plane can encode each value into one path segment (RELIABILITY S07).

use serde::{Deserialize, Serialize};

/// Pieces in order; `[{"text": "/orders/"}, {"parameter": "order_id"}]`.
pub type Template = Vec<Piece>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Piece {
    /// Literal text, already legal where it stands.
    Text(String),
    /// A declared parameter of the view.
    Parameter(String),
    /// A field of an earlier part, or of the request's body, by the names the reply uses.
    Part(PartField),
    /// A field of the current item of `each`; empty means the item itself.
    Item(Vec<String>),
}

/// A piece of a JSON document that is put together from values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum JsonPiece {
    /// JSON text as it stands: brackets, keys, constants.
    Text(String),
    /// One value as JSON, of whatever type it is.
    Value(Piece),
    /// A JSON string with values in it.
    String(Template),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartField {
    pub name: String,
    pub field: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedTemplate {
    pub name: String,
    pub value: Template,
}
