//! Fields that Python makes: bounded, with names of their own, at a place that exists.
//!
//! The failures prevented are a reply with one key twice, a queue for Python without a limit, and
//! parts that get no time at all because all of it is kept for what is made of them.

use super::Problems;
use crate::{Blueprint, Computed, Strength, View};

pub(super) fn check_computed(path: &str, view: &View, blueprint: &Blueprint, out: &mut Problems) {
    let Some(computed) = &view.computed else {
        return;
    };
    let at = format!("{path}.computed");
    out.check_positive(format!("{at}.limit"), u64::from(computed.limit));
    out.check_duration(format!("{at}.time_ms"), computed.time_ms);
    if computed.time_ms.is_finite() && computed.time_ms >= view.deadline_ms {
        let message = format!(
            "{} ms are kept for computed fields, the whole view may take {} ms",
            computed.time_ms, view.deadline_ms
        );
        let help = "keep less or raise the view's deadline: the parts need time too";
        out.add(format!("{at}.time_ms"), message, help);
    }
    if view.handler.is_some() || view.collection.is_some() {
        let help = "declare the fields in a view whose reply is an object of its parts";
        out.add(at.clone(), "this reply has no fields of its own", help);
    }
    if computed.fields.is_empty() {
        let help = "leave `computed` out of the view";
        out.add(format!("{at}.fields"), "no field is computed", help);
    }
    check_fields(&at, view, computed, blueprint, out);
}

fn check_fields(
    at: &str,
    view: &View,
    computed: &Computed,
    blueprint: &Blueprint,
    out: &mut Problems,
) {
    let list = format!("{at}.fields");
    let names = computed.fields.iter().map(|field| field.name.as_str());
    out.check_names(&list, "computed field", names);
    let mut before = 0;
    for (index, field) in computed.fields.iter().enumerate() {
        let at = format!("{list}[{index}]");
        let envelope = blueprint.envelope.fields();
        let taken = view.parts.iter().any(|part| part.name == field.name)
            || envelope.iter().any(|(_, name)| *name == field.name);
        if taken {
            let message = format!("`{}` is already a name of the reply", field.name);
            let help = "name it differently from parts and from the envelope";
            out.add(format!("{at}.name"), message, help);
        }
        if usize::from(field.after) > view.parts.len() || field.after < before {
            let message = format!("there is no place after {} parts", field.after);
            let help = "give the number of parts declared before it, in declared order";
            out.add(format!("{at}.after"), message, help);
        }
        before = before.max(field.after);
        if field.strength == Strength::Strong && field.default.is_some() {
            let help = "make the field weak, or leave the default out";
            out.add(
                format!("{at}.default"),
                "a strong field has no default",
                help,
            );
        }
    }
}
