//! How the parts of a view become its reply, decided once.
//!
//! Most replies are their parts by name, in order, and need none of this. The names of the others
//! are known and different before anything runs: the blueprint's check sees to that.

use super::{Layout, List, Placed};
use tailrace_blueprint as blueprint;

/// `None` when the parts simply stand one after the other.
pub(super) fn compile(view: &blueprint::View) -> Result<Option<Layout>, String> {
    let plain = |part: &blueprint::Part| !part.merge && part.append.is_none();
    if view.collection.is_none() && view.computed.is_none() && view.parts.iter().all(plain) {
        return Ok(None);
    }
    let list = |part: usize| {
        let name = Some(&view.parts[part].name);
        let parts = view.parts.iter().enumerate();
        let more = parts.filter(|(_, one)| one.append.as_ref() == name);
        List {
            part,
            more: more.map(|(index, _)| index).collect(),
        }
    };
    if let Some(name) = &view.collection {
        let found = view.parts.iter().position(|part| part.name == *name);
        let part = found.ok_or_else(|| format!("view {}: no part {name}", view.name))?;
        return Ok(Some(Layout::Collection(list(part))));
    }
    let mut placed = Vec::new();
    let mut made = made(view).into_iter().peekable();
    for (index, part) in view.parts.iter().enumerate() {
        while let Some((_, field)) = made.next_if(|(after, _)| *after <= index) {
            placed.push(field);
        }
        if part.merge {
            placed.push(Placed::Merged(index));
        } else if part.append.is_none() {
            placed.push(Placed::Named(key(&part.name), list(index)));
        }
    }
    placed.extend(made.map(|(_, field)| field));
    Ok(Some(Layout::Fields(placed)))
}

/// The computed fields with the number of parts before each; their values lie behind those of the
/// parts and of the request's body.
fn made(view: &blueprint::View) -> Vec<(usize, Placed)> {
    let behind = view.parts.len() + usize::from(view.body.is_some());
    let fields = view.computed.iter().flat_map(|computed| &computed.fields);
    let place = |(index, field): (usize, &blueprint::ComputedField)| {
        let value = List {
            part: behind + index,
            more: Vec::new(),
        };
        let named = Placed::Named(key(&field.name), value);
        (usize::from(field.after), named)
    };
    fields.enumerate().map(place).collect()
}

fn key(name: &str) -> Vec<u8> {
    let mut key = Vec::new();
    crate::splice::escape_into(name, &mut key);
    key.push(b':');
    key
}
