//! Templates: names that exist, text that is legal where it stands.
//!
//! The failure prevented is a request line or header that a declaration breaks: values are encoded
//! by the plane, but literal text is copied, so a line break in it would be a second request
//! (RELIABILITY S07).

use super::{body, header, listed, Problems};
use crate::{Part, Piece, View};

/// Where a template stands decides which text it may hold.
#[derive(Clone, Copy)]
enum Place {
    Path,
    Query,
    Header,
    /// Inside a body, where whatever renders it escapes the text.
    Body,
}

impl Place {
    fn allows(self, byte: u8) -> bool {
        match self {
            Self::Path => byte.is_ascii_graphic() && !b"?#\"<>\\^`{|}".contains(&byte),
            Self::Query => byte.is_ascii_graphic() && !b"#&\"<>\\^`{|}".contains(&byte),
            Self::Body => true,
            Self::Header => byte.is_ascii_graphic() || byte == b' ',
        }
    }
}

pub(super) fn check_templates(path: &str, part: &Part, view: &View, problems: &mut Problems) {
    let rooted = matches!(part.path.first(), Some(Piece::Text(text)) if text.starts_with('/'));
    if !rooted {
        let message = "the path does not start with the text `/`";
        problems.add(
            format!("{path}.path"),
            message,
            "start it with a piece of text: `/...`",
        );
    }
    let mut site = Site {
        part,
        view,
        problems,
    };
    site.check(&format!("{path}.path"), &part.path, Place::Path);
    for (index, entry) in part.query.iter().enumerate() {
        site.check(
            &format!("{path}.query[{index}].value"),
            &entry.value,
            Place::Query,
        );
    }
    for (index, entry) in part.headers.iter().enumerate() {
        let at = format!("{path}.headers[{index}]");
        header::check_written(&format!("{at}.name"), &entry.name, site.problems);
        site.check(&format!("{at}.value"), &entry.value, Place::Header);
    }
    for (at, piece) in body::placed(path, part) {
        site.check_piece(&at, piece, Place::Body);
    }
    if let Some(key) = &part.idempotency_key {
        let place = Place::Header;
        site.check_text(&format!("{path}.idempotency_key"), key, place);
    }
}

struct Site<'a> {
    part: &'a Part,
    view: &'a View,
    problems: &'a mut Problems,
}

impl Site<'_> {
    fn check(&mut self, path: &str, template: &[Piece], place: Place) {
        for (index, piece) in template.iter().enumerate() {
            self.check_piece(&format!("{path}[{index}]"), piece, place);
        }
    }

    /// Only the literal text of a template whose names are checked already.
    fn check_text(&mut self, path: &str, template: &[Piece], place: Place) {
        for (index, piece) in template.iter().enumerate() {
            if matches!(piece, Piece::Text(_)) {
                self.check_piece(&format!("{path}[{index}]"), piece, place);
            }
        }
    }

    fn check_piece(&mut self, at: &str, piece: &Piece, place: Place) {
        match piece {
            Piece::Text(text) => {
                if let Some(odd) = text.bytes().find(|byte| !place.allows(*byte)) {
                    let message = format!("`\\x{odd:02x}` cannot stand in this text");
                    self.problems
                        .add(format!("{at}.text"), message, "write it as `%XX`");
                }
            }
            Piece::Parameter(name) => {
                let mut known = self.view.parameters.iter().map(|one| one.name.as_str());
                if !known.clone().any(|one| one == name) {
                    let message = format!("the view has no parameter `{name}`");
                    self.problems
                        .add(format!("{at}.parameter"), message, listed(&mut known));
                }
            }
            Piece::Part(field) => check_part(
                format!("{at}.part.name"),
                &field.name,
                self.view,
                self.problems,
            ),
            Piece::Item(_) if self.part.each.is_none() => {
                let message = "there is no item: the part makes one call only";
                self.problems
                    .add(format!("{at}.item"), message, "give the part an `each`");
            }
            Piece::Item(_) => {}
        }
    }
}

/// Reports a name that no part of the view has.
pub(super) fn check_part(at: String, name: &str, view: &View, problems: &mut Problems) {
    let body = view.body.iter().map(|body| body.name.as_str());
    let known = view.parts.iter().map(|one| one.name.as_str()).chain(body);
    if !known.clone().any(|one| one == name) {
        problems.add(at, format!("the view has no part `{name}`"), listed(known));
    }
}
