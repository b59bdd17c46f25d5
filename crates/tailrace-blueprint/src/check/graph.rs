//! What waits for what.
//!
//! The failure prevented is a view that waits for itself and always ends at its deadline.
//! References of templates and of `each` are edges; the order of declaration is the reply's order
//! and says nothing about time, so a part may read one that is declared further down. No recursion:
//! the number of parts is the document's to choose.

use super::{body, Problems};
use crate::{Part, Piece, View};

pub(super) fn check_graph(path: &str, view: &View, problems: &mut Problems) {
    let Some(cycle) = find_cycle(&needs_of(view)) else {
        return;
    };
    let Some(first) = cycle.first() else { return };
    let names: Vec<&str> = cycle
        .iter()
        .chain([first])
        .map(|index| view.parts[*index].name.as_str())
        .collect();
    let message = format!("parts wait for each other: {}", names.join(" -> "));
    let help = "take one of these references from a parameter instead";
    problems.add(format!("{path}.parts[{first}]"), message, help);
}

/// By part, the parts it waits for.
pub(super) fn needs_of(view: &View) -> Vec<Vec<usize>> {
    view.parts.iter().map(|part| needs(part, view)).collect()
}

/// All parts, each after those it waits for. Those of a cycle are left out.
pub(super) fn in_order(needs: &[Vec<usize>]) -> Vec<usize> {
    let mut done = vec![false; needs.len()];
    let mut order = Vec::with_capacity(needs.len());
    loop {
        let free = |index: &usize| !done[*index] && needs[*index].iter().all(|one| done[*one]);
        let ready: Vec<usize> = (0..needs.len()).filter(free).collect();
        if ready.is_empty() {
            return order;
        }
        for index in &ready {
            done[*index] = true;
        }
        order.extend(ready);
    }
}

/// By part, a bit for each part it waits for, directly or not. A view has at most 64 parts.
pub(super) fn all_before(needs: &[Vec<usize>]) -> Vec<u64> {
    let mut before = vec![0_u64; needs.len()];
    for index in in_order(needs) {
        let direct = needs[index].iter();
        before[index] = direct.fold(0, |all, one| all | before[*one] | bit(*one));
    }
    before
}

pub(super) fn bit(index: usize) -> u64 {
    1_u64.checked_shl(index as u32).unwrap_or(0)
}

/// The parts that `part` reads; names that nothing has are reported elsewhere.
fn needs(part: &Part, view: &View) -> Vec<usize> {
    let other = part.otherwise.as_ref().map(|other| part.stand_in(other));
    let mut found = needs_of_call(part, view);
    found.extend(other.iter().flat_map(|other| needs_of_call(other, view)));
    found
}

fn needs_of_call(part: &Part, view: &View) -> Vec<usize> {
    let query = part.query.iter().flat_map(|entry| &entry.value);
    let headers = part.headers.iter().flat_map(|entry| &entry.value);
    let read = part
        .path
        .iter()
        .chain(query)
        .chain(headers)
        .chain(body::pieces(part))
        .filter_map(|piece| match piece {
            Piece::Part(field) => Some(field.name.as_str()),
            _ => None,
        });
    let each = part.each.iter().map(|each| each.part.as_str());
    read.chain(each)
        .filter_map(|name| view.parts.iter().position(|one| one.name == name))
        .collect()
}

/// One cycle, in the order its members wait. Whatever can be finished is taken away first; then
/// every part that is left waits for another one that is left, so following them must come back.
fn find_cycle(needs: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut done = vec![false; needs.len()];
    for index in in_order(needs) {
        done[index] = true;
    }
    let mut at = done.iter().position(|done| !done)?;
    let mut trail = Vec::new();
    loop {
        if let Some(start) = trail.iter().position(|seen| *seen == at) {
            return Some(trail.split_off(start));
        }
        trail.push(at);
        at = *needs[at].iter().find(|other| !done[**other])?;
    }
}
