//! A call's templates, compiled: names became indices, and what a part reads became the bits of the
//! parts it waits for.
//!
//! The request's body counts as one more part, the one after the last: it is there before any call
//! starts, and everything that reads a part's field reads the body's in the same way.

use super::{Body, Condition, Each, JsonPiece, Piece};
use tailrace_blueprint::{self as blueprint, Shape};

pub(super) struct Templates {
    pub path: Vec<Piece>,
    pub query: Vec<(String, Vec<Piece>)>,
    pub headers: Vec<(String, Vec<Piece>)>,
    pub body: Option<Body>,
    pub idempotency_key: Option<Vec<Piece>>,
    pub when: Option<Condition>,
    pub each: Option<Each>,
    pub needs: u64,
}

/// What the part's call is made of, and the parts that must be done before.
pub(super) fn compile(
    part: &blueprint::Part,
    view: &blueprint::View,
    declared: &blueprint::Blueprint,
) -> Result<Templates, String> {
    let mut names = Names {
        view,
        shapes: &declared.shapes,
        needs: 0,
    };
    let path = names.pieces(&part.path)?;
    let query = names.named(&part.query)?;
    let headers = names.named(&part.headers)?;
    let body = match &part.body {
        None => None,
        Some(blueprint::CallBody::Json(pieces)) => Some(Body::Json(names.json(pieces)?)),
        Some(blueprint::CallBody::Form(pairs)) => Some(Body::Form(names.named(pairs)?)),
    };
    let key = part.idempotency_key.as_ref();
    let idempotency_key = key.map(|key| names.pieces(key)).transpose()?;
    let when = match &part.when {
        None => None,
        Some(condition) => Some(Condition {
            value: names.piece(&condition.value)?,
            equals: condition.equals.clone().map(String::into_bytes),
            negated: condition.negated,
        }),
    };
    let each = match &part.each {
        None => None,
        Some(each) => Some(Each {
            part: names.part(&each.part)?,
            field: each.field.clone(),
            items_max: usize::from(each.items_max),
        }),
    };
    Ok(Templates {
        path,
        query,
        headers,
        body,
        idempotency_key,
        when,
        each,
        needs: names.needs,
    })
}

/// What the names in a view's templates mean.
struct Names<'a> {
    view: &'a blueprint::View,
    shapes: &'a [Shape],
    needs: u64,
}

impl Names<'_> {
    fn part(&mut self, name: &str) -> Result<usize, String> {
        let parts = &self.view.parts;
        let body = self.view.body.as_ref();
        let found = parts.iter().position(|part| part.name == name);
        let found = found.or_else(|| body.filter(|body| body.name == name).map(|_| parts.len()));
        let index = found.ok_or_else(|| format!("unknown part {name}"))?;
        self.needs |= 1 << index;
        Ok(index)
    }

    fn parameter(&self, name: &str) -> Result<usize, String> {
        let mut names = self.view.parameters.iter().map(|one| &one.name);
        let found = names.position(|one| one == name);
        found.ok_or_else(|| format!("unknown parameter {name}"))
    }

    fn piece(&mut self, piece: &blueprint::Piece) -> Result<Piece, String> {
        Ok(match piece {
            blueprint::Piece::Text(text) => Piece::Text(text.clone().into_bytes()),
            blueprint::Piece::Parameter(name) => Piece::Parameter(self.parameter(name)?),
            blueprint::Piece::Part(field) => {
                Piece::Part(self.part(&field.name)?, field.field.clone())
            }
            blueprint::Piece::Item(field) => Piece::Item(field.clone()),
        })
    }

    fn pieces(&mut self, template: &[blueprint::Piece]) -> Result<Vec<Piece>, String> {
        template.iter().map(|piece| self.piece(piece)).collect()
    }

    fn named(
        &mut self,
        templates: &[blueprint::NamedTemplate],
    ) -> Result<Vec<(String, Vec<Piece>)>, String> {
        let one =
            |entry: &blueprint::NamedTemplate| Ok((entry.name.clone(), self.pieces(&entry.value)?));
        templates.iter().map(one).collect()
    }

    fn json(&mut self, pieces: &[blueprint::JsonPiece]) -> Result<Vec<JsonPiece>, String> {
        let one = |piece: &blueprint::JsonPiece| {
            Ok(match piece {
                blueprint::JsonPiece::Text(text) => JsonPiece::Text(text.clone().into_bytes()),
                blueprint::JsonPiece::Value(blueprint::Piece::Parameter(name))
                    if self.is_text(name) =>
                {
                    JsonPiece::Quoted(self.parameter(name)?)
                }
                blueprint::JsonPiece::Value(value) => JsonPiece::Value(self.piece(value)?),
                blueprint::JsonPiece::String(template) => JsonPiece::String(self.pieces(template)?),
            })
        };
        pieces.iter().map(one).collect()
    }

    /// Whether a parameter's text is a string in JSON, rather than a token of its own.
    fn is_text(&self, name: &str) -> bool {
        let parameter = self.view.parameters.iter().find(|one| one.name == name);
        let shape = parameter.and_then(|one| self.shapes.get(one.shape as usize));
        match shape {
            Some(Shape::Boolean {} | Shape::Integer { .. } | Shape::Number { .. }) => false,
            Some(Shape::Literal { values }) => values.iter().any(serde_json::Value::is_string),
            _ => true,
        }
    }
}
