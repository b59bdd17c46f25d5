//! How the parts of a view become its reply, decided once.
//!
//! Most replies are their parts by name, in order, and need none of this. The names of the others
//! are known and different before anything runs: the blueprint's check sees to that.

use super::{Layout, List, Placed};
use tailrace_blueprint as blueprint;

/// `None` when the parts simply stand one after the other.
pub(super) fn compile(view: &blueprint::View) -> Result<Option<Layout>, String> {
    let plain = |part: &blueprint::Part| !part.merge && part.append.is_none();
    if view.collection.is_none() && view.parts.iter().all(plain) {
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
    for (index, part) in view.parts.iter().enumerate() {
        if part.merge {
            placed.push(Placed::Merged(index));
        } else if part.append.is_none() {
            let mut key = Vec::new();
            crate::splice::escape_into(&part.name, &mut key);
            key.push(b':');
            placed.push(Placed::Named(key, list(index)));
        }
    }
    Ok(Some(Layout::Fields(placed)))
}
