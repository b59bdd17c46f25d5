//! Views: routes that can be told apart, parameters that belong to them, parts that can be fetched.
//!
//! The failure prevented is a route that never matches, a weak part with nothing to stand in its
//! place (req 8.1), a part that can only be cut off, and a fan-out of nothing (req 4.2, 4.3).

use super::{
    admission, attempts, body, cache, computed, graph, header, listed, reply, shape, template,
    Problems,
};
use crate::{Blueprint, ParameterIn, Part, Strength, View};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

pub(super) fn check_views(blueprint: &Blueprint, problems: &mut Problems) {
    let names = blueprint.views.iter().map(|view| view.name.as_str());
    problems.check_names("views", "view", names);
    let mut routes: HashMap<String, &str> = HashMap::new();
    for (index, view) in blueprint.views.iter().enumerate() {
        let path = format!("views[{index}]");
        check_route(&path, view, problems);
        if let Some(other) = routes.insert(route(view), &view.name) {
            let message = format!("the route `{}` is also that of view `{other}`", view.path);
            let help = "names of parameters do not tell routes apart; fixed segments do";
            problems.add(format!("{path}.path"), message, help);
        }
        problems.check_duration(format!("{path}.deadline_ms"), view.deadline_ms);
        problems.check_positive(format!("{path}.fanout"), u64::from(view.fanout));
        attempts::check_purse(&path, view, problems);
        if let Some(rate) = &view.rate {
            admission::check_rate(&format!("{path}.rate"), rate, problems);
        }
        body::check_request(&path, view, blueprint, problems);
        check_parameters(&path, view, blueprint, problems);
        check_parts(&path, view, blueprint, problems);
        computed::check_computed(&path, view, blueprint, problems);
    }
}

/// The name in `{name}`.
fn placeholder(segment: &str) -> Option<&str> {
    let name = segment.strip_prefix('{')?.strip_suffix('}')?;
    let mut bytes = name.bytes();
    let starts = bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (starts && bytes.all(legal)).then_some(name)
}

fn placeholders(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(placeholder)
}

/// Method and path without the names of its parameters: what requests can tell apart.
fn route(view: &View) -> String {
    let segments = view.path.split('/');
    let segments = segments.map(|one| placeholder(one).map_or(one, |_| "{}"));
    format!(
        "{:?} {}",
        view.method,
        segments.collect::<Vec<_>>().join("/")
    )
}

fn check_route(path: &str, view: &View, problems: &mut Problems) {
    let at = format!("{path}.path");
    if !view.path.starts_with('/') {
        let message = format!("the route `{}` does not start with `/`", view.path);
        problems.add(at, message, "a route is `/api/orders/{order_id}`");
        return;
    }
    let odd = |segment: &&str| segment.contains(['{', '}']) && placeholder(segment).is_none();
    if let Some(segment) = view.path.split('/').find(odd) {
        let message = format!("the route has the segment `{segment}`");
        problems.add(at, message, "a parameter is a whole segment: `{name}`");
        return;
    }
    let mut seen = HashSet::new();
    for name in placeholders(&view.path) {
        if !seen.insert(name) {
            let message = format!("the route has the parameter `{name}` twice");
            problems.add(at.clone(), message, "give each its own name");
            continue;
        }
        let declared = view
            .parameters
            .iter()
            .any(|one| one.name == name && one.location == ParameterIn::Path);
        if !declared {
            let message = format!("the route's `{{{name}}}` is no path parameter of the view");
            let help = "declare it among the view's parameters, with `in` being `path`";
            problems.add(at.clone(), message, help);
        }
    }
}

fn check_parameters(path: &str, view: &View, blueprint: &Blueprint, problems: &mut Problems) {
    let list = format!("{path}.parameters");
    let names = view
        .parameters
        .iter()
        .map(|parameter| parameter.name.as_str());
    problems.check_names(&list, "parameter", names);
    for (index, parameter) in view.parameters.iter().enumerate() {
        let at = format!("{list}[{index}]");
        match parameter.location {
            ParameterIn::Path => {
                // An empty name is reported already, and no route could hold it.
                let named = !parameter.name.is_empty();
                if named && !placeholders(&view.path).any(|name| name == parameter.name) {
                    let message = format!("the route has no `{{{}}}`", parameter.name);
                    let help = "put it into the route, or read it from query or header";
                    problems.add(format!("{at}.name"), message, help);
                }
            }
            ParameterIn::Header => {
                let (field, name) = match &parameter.wire_name {
                    Some(wire_name) => ("wire_name", wire_name),
                    None => ("name", &parameter.name),
                };
                // As above: an empty `name` is one problem, not two.
                if field == "wire_name" || !name.is_empty() {
                    header::check_token(&format!("{at}.{field}"), name, problems);
                }
            }
            ParameterIn::Query | ParameterIn::Form => {}
        }
        let at = format!("{at}.shape");
        let known = shape::check_id(at.clone(), parameter.shape, &blueprint.shapes, problems);
        if known && !shape::is_scalar(&blueprint.shapes[parameter.shape as usize]) {
            let help = "use a string, integer, number, boolean or literal";
            problems.add(at, "a parameter is one scalar", help);
        }
    }
}

fn check_parts(path: &str, view: &View, blueprint: &Blueprint, problems: &mut Problems) {
    let list = format!("{path}.parts");
    if let Some(handler) = &view.handler {
        problems.check_positive(format!("{path}.handler.limit"), u64::from(handler.limit));
        if !view.parts.is_empty() {
            let help = "declare the parts in a view of their own";
            problems.add(list.clone(), "a handler has no parts", help);
        }
    } else if view.parts.is_empty() {
        problems.add(
            list.clone(),
            "the view has no parts",
            "a reply is made of at least one",
        );
    }
    problems.check_names(
        &list,
        "part",
        view.parts.iter().map(|part| part.name.as_str()),
    );
    for (index, part) in view.parts.iter().enumerate() {
        let at = format!("{list}[{index}]");
        let own = blueprint.envelope.fields().into_iter();
        if let Some((field, name)) = own.into_iter().find(|(_, name)| *name == part.name) {
            let message = format!("the reply's own field `{name}` has the name of this part");
            let help = format!("rename the part, or set envelope.{field}");
            problems.add(format!("{at}.name"), message, help);
        }
        if blueprint.upstream(&part.upstream).is_none() {
            let message = format!("there is no upstream `{}`", part.upstream);
            let known = blueprint.upstreams.iter().map(|one| one.name.as_str());
            problems.add(format!("{at}.upstream"), message, listed(known));
        }
        check_time(&at, part, view, problems);
        if let Some(each) = &part.each {
            template::check_part(format!("{at}.each.part"), &each.part, view, problems);
            problems.check_positive(format!("{at}.each.items_max"), u64::from(each.items_max));
        }
        template::check_templates(&at, part, view, problems);
        check_drop(&at, part, problems);
        body::check_call(&at, part, view, blueprint, problems);
        check_fallback(&at, part, blueprint, problems);
        cache::check_part(&at, part, view, blueprint, problems);
        cache::check_otherwise(&at, part, view, blueprint, problems);
    }
    reply::check_layout(path, view, blueprint, problems);
    graph::check_graph(path, view, problems);
}

fn check_time(at: &str, part: &Part, view: &View, problems: &mut Problems) {
    let Some(timeout) = part.timeout_ms else {
        return;
    };
    problems.check_duration(format!("{at}.timeout_ms"), timeout);
    if timeout.is_finite() && timeout > view.deadline_ms {
        let message = format!(
            "the part may take {timeout} ms, its view {} ms",
            view.deadline_ms
        );
        let help = "lower the timeout or raise the view's deadline";
        problems.add(format!("{at}.timeout_ms"), message, help);
    }
}

/// Only a weak part can be left out; 0 is no place in an order that begins at 1.
fn check_drop(at: &str, part: &Part, problems: &mut Problems) {
    let Some(place) = part.drop else {
        return;
    };
    if part.strength == Strength::Strong {
        let message = "a strong part has a place among those left out under pressure";
        problems.add(format!("{at}.drop"), message, "make it weak or remove drop");
    } else {
        problems.check_positive(format!("{at}.drop"), u64::from(place));
    }
}

/// A weak part must have a value when its call fails (req 8.1). With `each`, every failed item
/// becomes null in its place, so a default for the whole does not help the item's shape.
fn check_fallback(at: &str, part: &Part, blueprint: &Blueprint, problems: &mut Problems) {
    if !shape::check_id(
        format!("{at}.shape"),
        part.shape,
        &blueprint.shapes,
        problems,
    ) || part.strength == Strength::Strong
        || shape::accepts_null(part.shape, &blueprint.shapes)
    {
        return;
    }
    if part.each.is_some() {
        let help = "make the item's shape optional: a failed item becomes null";
        problems.add(
            format!("{at}.shape"),
            "items of a weak part must allow null",
            help,
        );
    } else if part.default.as_ref().is_none_or(Value::is_null) {
        let help = "give it a default, or make its shape optional";
        problems.add(
            format!("{at}.default"),
            "the weak part has no fallback",
            help,
        );
    }
}
