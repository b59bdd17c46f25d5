//! From a part whose needs are met to the calls it makes.
//!
//! A value that a template needs and cannot have is a failure of the part, with a reason that tells
//! a missing field from a failed dependency; a parameter that cannot stand where it is put is the
//! client's mistake and ends the request.

use super::{FanOut, Job};
use crate::cache;
use crate::call::Answer;
use crate::program::{Part, Piece};
use crate::reason::Reason;
use crate::splice;
use crate::template::{self, BadValue, Rendered, Values};
use crate::worker::Worker;

impl FanOut {
    /// Renders the calls of a part.
    pub(super) fn prepare(
        &self,
        worker: &Worker,
        index: usize,
        part: &Part,
    ) -> Result<Prepared, Refused> {
        let job = |item, json| {
            let rendered = self.render(worker, part, json)?;
            Ok(Job {
                part: index,
                item,
                ready: worker.now.get(),
                rendered,
            })
        };
        let Some(each) = &part.each else {
            return job(0, None).map(Prepared::One);
        };
        let source = self.values[each.part].as_deref();
        let list = source.and_then(|json| splice::lookup(json, &each.field));
        let items = list
            .and_then(splice::items)
            .ok_or_else(|| self.missing(part))?;
        let items: Vec<&[u8]> = items.take(each.items_max + 1).collect();
        if items.len() > each.items_max {
            return Err(Refused::Part(Reason::TooManyItems));
        }
        let jobs = items
            .into_iter()
            .enumerate()
            .map(|(item, json)| job(item, Some(json)));
        jobs.collect::<Result<_, _>>().map(Prepared::Many)
    }

    pub(super) fn render(
        &self,
        worker: &Worker,
        part: &Part,
        item: Option<&[u8]>,
    ) -> Result<Rendered, Refused> {
        let values = Values {
            parameters: &self.parameters,
            parts: &self.values,
            item,
        };
        let mut rendered = Rendered {
            bytes: worker.buffers.take(),
            body: if part.body.is_some() {
                worker.buffers.take()
            } else {
                Vec::new()
            },
            ..Rendered::default()
        };
        template::render(part, values, &mut rendered).map_err(|bad| match bad {
            BadValue::Parameter(parameter) => Refused::Parameter(parameter),
            BadValue::Reference => self.missing(part),
        })?;
        if let Some(lines) = self.lines.get(part.upstream) {
            rendered.bytes.extend_from_slice(lines);
        }
        rendered.keyed = rendered.bytes.len();
        rendered.bytes.extend_from_slice(&self.id_line);
        Ok(rendered)
    }

    /// The answer of a call for which there is no time: what is kept of it, or the reason.
    pub(super) fn uncalled(
        &self,
        worker: &Worker,
        part: &Part,
        rendered: &Rendered,
        reason: Reason,
    ) -> Answer {
        match cache::look(worker, part, rendered, &self.memory) {
            Some(kept) => Answer {
                failed: Some(reason),
                ..kept
            },
            None => Answer::from(Err(reason)),
        }
    }

    /// Whether a part's call is made; one without a condition always is.
    pub(super) fn holds(&self, part: &Part) -> bool {
        let Some(condition) = &part.when else {
            return true;
        };
        let values = Values {
            parameters: &self.parameters,
            parts: &self.values,
            item: None,
        };
        let found = template::raw(&condition.value, values).ok().flatten();
        let held = match (found, &condition.equals) {
            (None, _) => false,
            (Some(json), None) => json != b"null" && json != b"false",
            (Some(text), Some(wanted)) if matches!(condition.value, Piece::Parameter(_)) => {
                text == wanted.as_slice()
            }
            (Some(json), Some(wanted)) => {
                splice::scalar_text(json, &mut Vec::new()) == Some(wanted.as_slice())
            }
        };
        held != condition.negated
    }

    /// A field is not there: because the part that has it failed, or because the upstream left it
    /// out.
    fn missing(&self, part: &Part) -> Refused {
        let failed =
            |index: usize| part.needs & (1 << index) != 0 && self.ends[index].failed.is_some();
        let reason = if (0..self.ends.len()).any(failed) {
            Reason::Dependency
        } else {
            Reason::BadReference
        };
        Refused::Part(reason)
    }
}

pub(super) enum Prepared {
    One(Job),
    Many(Vec<Job>),
}

pub(super) enum Refused {
    Part(Reason),
    Parameter(usize),
}
