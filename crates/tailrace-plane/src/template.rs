//! Rendering a call's target and headers from its templates.
//!
//! The failure prevented is path injection (RELIABILITY S07): a value can only become text inside
//! the segment, query value or header value where its template puts it. In a path each value is
//! encoded with an empty safe set, and a segment that comes out empty, `.` or `..` is refused.

use crate::h1;
use crate::json::Json;
use crate::program::{Body, JsonPiece, Part, Piece};
use crate::splice;

/// Where values come from while one call is rendered.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// Decoded text per parameter; `None` when optional and absent.
    pub parameters: &'a [Option<Vec<u8>>],
    /// Projected JSON per part; `None` while the part has no value.
    pub parts: &'a [Option<Json>],
    /// The current item of `each`.
    pub item: Option<&'a [u8]>,
}

/// A value is missing, not a scalar, or not allowed where it would stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadValue {
    /// The parameter at this index.
    Parameter(usize),
    /// A field of a part or item.
    Reference,
}

/// A rendered call: `target` is `bytes[..target]`, the rest are complete header lines.
#[derive(Debug, Default)]
pub struct Rendered {
    pub bytes: Vec<u8>,
    pub target: usize,
    /// What can tell answers apart is `bytes[..keyed]`; the request id follows.
    pub keyed: usize,
    /// What the call sends after its head; empty and without memory for most.
    pub body: Vec<u8>,
    /// The answer need not be JSON.
    pub any_type: bool,
}

#[derive(Clone, Copy)]
enum Place {
    Path,
    Query,
    Header,
    /// Inside a JSON string.
    Json,
}

/// Renders target and templated headers of `part` into `into`, which is cleared first.
pub fn render(part: &Part, values: Values<'_>, into: &mut Rendered) -> Result<(), BadValue> {
    let out = &mut into.bytes;
    out.clear();
    render_path(&part.path, values, out)?;
    let mut separator = b'?';
    for (name, template) in &part.query {
        let mark = out.len();
        out.push(separator);
        h1::encode_query(name.as_bytes(), out);
        out.push(b'=');
        if render_pieces(template, values, Place::Query, out)? {
            separator = b'&';
        } else {
            out.truncate(mark);
        }
    }
    into.target = out.len();
    if let Some(key) = &part.idempotency_key {
        out.extend_from_slice(b"idempotency-key: ");
        // Without it the call could be applied twice: there is no call then.
        if !render_pieces(key, values, Place::Header, out)? {
            return Err(BadValue::Reference);
        }
        out.extend_from_slice(b"\r\n");
    }
    for (name, template) in &part.headers {
        let mark = out.len();
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        if render_pieces(template, values, Place::Header, out)? {
            out.extend_from_slice(b"\r\n");
        } else {
            out.truncate(mark);
        }
    }
    match &part.body {
        None => Ok(()),
        Some(Body::Json(pieces)) => render_json(pieces, values, &mut into.body),
        Some(Body::Form(pairs)) => render_form(pairs, values, &mut into.body),
    }
}

fn render_form(
    pairs: &[(String, Vec<Piece>)],
    values: Values<'_>,
    out: &mut Vec<u8>,
) -> Result<(), BadValue> {
    for (name, template) in pairs {
        let mark = out.len();
        if mark > 0 {
            out.push(b'&');
        }
        h1::encode_query(name.as_bytes(), out);
        out.push(b'=');
        if !render_pieces(template, values, Place::Query, out)? {
            out.truncate(mark);
        }
    }
    Ok(())
}

/// A value becomes JSON where it stands, whatever is in it: it cannot end the string or the
/// document around it. An absent parameter is `null`.
fn render_json(
    pieces: &[JsonPiece],
    values: Values<'_>,
    out: &mut Vec<u8>,
) -> Result<(), BadValue> {
    for piece in pieces {
        match piece {
            JsonPiece::Text(text) => out.extend_from_slice(text),
            JsonPiece::Quoted(index) => match &values.parameters[*index] {
                Some(text) => push_string(text, out).map_err(|()| BadValue::Parameter(*index))?,
                None => out.extend_from_slice(b"null"),
            },
            JsonPiece::Value(piece) => {
                out.extend_from_slice(raw(piece, values)?.unwrap_or(b"null"));
            }
            JsonPiece::String(template) => {
                let mark = out.len();
                out.push(b'"');
                if render_pieces(template, values, Place::Json, out)? {
                    out.push(b'"');
                } else {
                    out.truncate(mark);
                    out.extend_from_slice(b"null");
                }
            }
        }
    }
    Ok(())
}

/// The value a piece names, as it arrived; `None` for a parameter that is absent.
pub fn raw<'a>(piece: &'a Piece, values: Values<'a>) -> Result<Option<&'a [u8]>, BadValue> {
    let (json, field) = match piece {
        Piece::Text(text) => return Ok(Some(text)),
        Piece::Parameter(index) => return Ok(values.parameters[*index].as_deref()),
        Piece::Part(part, field) => (values.parts[*part].as_deref(), field),
        Piece::Item(field) => (values.item, field),
    };
    let found = json.and_then(|json| splice::lookup(json, field));
    found.map(Some).ok_or(BadValue::Reference)
}

fn push_string(text: &[u8], out: &mut Vec<u8>) -> Result<(), ()> {
    splice::escape_into(std::str::from_utf8(text).map_err(|_| ())?, out);
    Ok(())
}

fn render_path(template: &[Piece], values: Values<'_>, out: &mut Vec<u8>) -> Result<(), BadValue> {
    let start = out.len();
    let mut blame = BadValue::Reference;
    for piece in template {
        match piece {
            Piece::Text(text) => {
                out.extend_from_slice(text);
                continue;
            }
            Piece::Parameter(index) => blame = BadValue::Parameter(*index),
            Piece::Part(..) | Piece::Item(_) => {}
        }
        if !render_pieces(std::slice::from_ref(piece), values, Place::Path, out)? {
            return Err(blame);
        }
    }
    // Most paths have no dot, or nothing but their own text.
    let rendered = &out[start..];
    if memchr::memchr(b'.', rendered).is_some() {
        let dynamic = |piece: &Piece| !matches!(piece, Piece::Text(_));
        let bad = |segment: &[u8]| h1::is_dot_segment(segment);
        if template.iter().any(dynamic) && rendered[1..].split(|byte| *byte == b'/').any(bad) {
            return Err(blame);
        }
    }
    Ok(())
}

/// Appends the pieces; `false` when an optional parameter in them is absent.
fn render_pieces(
    template: &[Piece],
    values: Values<'_>,
    place: Place,
    out: &mut Vec<u8>,
) -> Result<bool, BadValue> {
    let mut scratch = Vec::new();
    for piece in template {
        match piece {
            Piece::Text(text) => out.extend_from_slice(text),
            Piece::Parameter(index) => match &values.parameters[*index] {
                Some(text) => push(text, place, out).map_err(|()| BadValue::Parameter(*index))?,
                None => return Ok(false),
            },
            Piece::Part(part, field) => {
                let json = values.parts[*part].as_deref().ok_or(BadValue::Reference)?;
                push_field(json, field, place, &mut scratch, out)?;
            }
            Piece::Item(field) => {
                let json = values.item.ok_or(BadValue::Reference)?;
                push_field(json, field, place, &mut scratch, out)?;
            }
        }
    }
    Ok(true)
}

fn push_field(
    json: &[u8],
    field: &[String],
    place: Place,
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<(), BadValue> {
    scratch.clear();
    let raw = splice::lookup(json, field).ok_or(BadValue::Reference)?;
    let text = splice::scalar_text(raw, scratch).ok_or(BadValue::Reference)?;
    push(text, place, out).map_err(|()| BadValue::Reference)
}

fn push(text: &[u8], place: Place, out: &mut Vec<u8>) -> Result<(), ()> {
    match place {
        Place::Path if text.is_empty() => return Err(()),
        Place::Path => h1::encode_segment(text, out),
        Place::Query => h1::encode_query(text, out),
        Place::Json => {
            // Escaped as a whole string, then without its own quotes.
            let mark = out.len();
            push_string(text, out)?;
            out.remove(mark);
            out.pop();
        }
        Place::Header if h1::is_header_value(text) => out.extend_from_slice(text),
        Place::Header => return Err(()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{render, BadValue, Rendered, Values};
    use crate::json::Json;
    use crate::program::{Part, Piece, Strength};

    fn part(path: Vec<Piece>) -> Part {
        Part {
            name: "p".to_owned(),
            strength: Strength::Strong,
            upstream: 0,
            timeout: 1,
            path,
            query: vec![("v".to_owned(), vec![Piece::Parameter(1)])],
            headers: vec![("x-tenant".to_owned(), vec![Piece::Parameter(1)])],
            method: crate::h1::Method::Get,
            body: None,
            idempotency_key: None,
            repeatable: true,
            hedgeable: true,
            when: None,
            each: None,
            shape: 0,
            unwrap: None,
            fallback: b"null".to_vec(),
            empty_allowed: true,
            cache: None,
            otherwise: None,
            needs: 0,
            key: Vec::new(),
            metric: 0,
        }
    }

    fn run(id: &str, optional: Option<&str>) -> Result<String, BadValue> {
        let part = part(vec![Piece::Text(b"/orders/".to_vec()), Piece::Parameter(0)]);
        let parameters = [
            Some(id.as_bytes().to_vec()),
            optional.map(|text| text.as_bytes().to_vec()),
        ];
        let values = Values {
            parameters: &parameters,
            parts: &[],
            item: None,
        };
        let mut rendered = Rendered::default();
        render(&part, values, &mut rendered)?;
        Ok(String::from_utf8(rendered.bytes).unwrap())
    }

    #[test]
    fn a_value_stays_inside_its_segment() {
        assert_eq!(run("a/b?c#d", None).unwrap(), "/orders/a%2Fb%3Fc%23d");
        assert_eq!(run("%2e%2e", None).unwrap(), "/orders/%252e%252e");
        assert_eq!(
            run("a", Some("x y")).unwrap(),
            "/orders/a?v=x%20yx-tenant: x y\r\n"
        );
    }

    #[test]
    fn an_empty_or_dot_segment_is_refused_with_the_parameter_to_blame() {
        for id in ["", ".", ".."] {
            assert_eq!(run(id, None), Err(BadValue::Parameter(0)), "{id:?}");
        }
    }

    #[test]
    fn a_header_value_cannot_break_the_line() {
        assert_eq!(run("a", Some("x\r\nevil: 1")), Err(BadValue::Parameter(1)));
    }

    #[test]
    fn fields_of_parts_and_items_are_looked_up() {
        let part = part(vec![
            Piece::Text(b"/u/".to_vec()),
            Piece::Part(0, vec!["user".to_owned(), "id".to_owned()]),
            Piece::Text(b"/".to_vec()),
            Piece::Item(vec!["sku".to_owned()]),
        ]);
        let json = |text: &[u8]| Some(Json::Own(text.to_vec()));
        let parts = [json(br#"{"user":{"id":7}}"#)];
        let values = Values {
            parameters: &[None, None],
            parts: &parts,
            item: Some(br#"{"sku":"a\/b"}"#),
        };
        let mut rendered = Rendered::default();
        render(&part, values, &mut rendered).unwrap();
        assert_eq!(&rendered.bytes[..rendered.target], b"/u/7/a%2Fb");
        let missing = Values {
            parts: &[json(b"{}")],
            ..values
        };
        assert_eq!(
            render(&part, missing, &mut rendered),
            Err(BadValue::Reference)
        );
    }
}
