//! One view compiled: its limits in nanoseconds, its parts with the upstreams they call.

use super::{layout, templates, Computed, ComputedField, Parameter, Part, View, PARTS_MAX};
use crate::admission::limited::Limited;
use crate::admission::rules;
use crate::cache::Keep;
use crate::clock;
use crate::splice::Shapes;
use tailrace_blueprint as blueprint;
use tailrace_policy::Nanos;

/// Naive mode's one timeout for everything (req 2.1).
const NAIVE_TIMEOUT: Nanos = 2_000 * clock::MILLI;

pub(super) fn compile(
    view: &blueprint::View,
    declared: &blueprint::Blueprint,
    shapes: &Shapes,
    naive: bool,
    before: Option<&View>,
    metric: &mut usize,
) -> Result<View, String> {
    if view.parts.len() + usize::from(view.body.is_some()) > PARTS_MAX {
        return Err(format!(
            "view {}: at most {PARTS_MAX} parts, the body counted as one",
            view.name
        ));
    }
    let mut parts = Vec::with_capacity(view.parts.len());
    for (index, part) in view.parts.iter().enumerate() {
        parts.push(compile_part(
            index, part, view, declared, shapes, naive, *metric,
        )?);
        *metric += 1;
    }
    let parameters = view.parameters.iter().map(compile_parameter).collect();
    let layout = layout::compile(view)?;
    let rate = view.rate.as_ref().map(rules::rate_params).transpose();
    let rate = rate.map_err(|message| format!("view {} rate: {message}", view.name))?;
    let spent = before.and_then(|before| before.rate.as_ref());
    let kept = view.computed.as_ref();
    let kept = kept.map_or(0, |one| clock::from_ms(one.time_ms));
    Ok(View {
        name: view.name.clone(),
        route: view.path.clone(),
        deadline: if naive {
            10 * NAIVE_TIMEOUT
        } else {
            clock::from_ms(view.deadline_ms)
        },
        fanout: if naive {
            usize::MAX
        } else {
            usize::from(view.fanout)
        },
        extra_attempts: view.extra_attempts,
        rate: rate.map(|params| Limited::new(params, spent)),
        limit_name: format!("view/{}", view.name),
        rate_lines: Vec::new(),
        class: rules::class(view.priority),
        // A handler's weak calls are known when it makes them: all go together.
        rungs: if view.handler.is_some() {
            vec![0, 1]
        } else {
            rules::rungs(&view.parts)
        },
        reserve: clock::limit(declared.limits.reserve_ms) + kept,
        handler: view.handler.as_ref().map(|handler| handler.limit),
        body: view.body.as_ref().map(|body| body.shape),
        form: view
            .parameters
            .iter()
            .any(|one| one.location == blueprint::ParameterIn::Form),
        parameters,
        parts,
        layout,
        computed: view.computed.as_ref().map(compile_computed),
    })
}

fn compile_computed(computed: &blueprint::Computed) -> Computed {
    let field = |field: &blueprint::ComputedField| ComputedField {
        name: field.name.clone(),
        strength: field.strength,
        fallback: field
            .default
            .as_ref()
            .map_or_else(|| b"null".to_vec(), |json| json.to_string().into()),
        metric: 0,
    };
    Computed {
        limit: computed.limit,
        fields: computed.fields.iter().map(field).collect(),
    }
}

fn compile_parameter(parameter: &blueprint::Parameter) -> Parameter {
    Parameter {
        name: parameter.name.clone(),
        location: parameter.location,
        wire_name: parameter
            .wire_name
            .clone()
            .unwrap_or_else(|| parameter.name.clone()),
        shape: parameter.shape,
        required: parameter.required,
        default: parameter.default.clone(),
    }
}

pub fn compile_part(
    index: usize,
    part: &blueprint::Part,
    view: &blueprint::View,
    declared: &blueprint::Blueprint,
    shapes: &Shapes,
    naive: bool,
    metric: usize,
) -> Result<Part, String> {
    let at = |message: String| format!("view {} part {}: {message}", view.name, part.name);
    let upstream = declared
        .upstreams
        .iter()
        .position(|upstream| upstream.name == part.upstream)
        .ok_or_else(|| at(format!("unknown upstream {}", part.upstream)))?;
    let templates = templates::compile(part, view, declared).map_err(at)?;
    let declared_timeout = part
        .timeout_ms
        .unwrap_or(declared.upstreams[upstream].timeout_ms);
    let mut key = vec![if index == 0 { b'{' } else { b',' }];
    crate::splice::escape_into(&part.name, &mut key);
    key.push(b':');
    // A list that was never asked for is an empty one.
    let nothing: &[u8] = match (&part.each, &part.when) {
        (Some(_), Some(_)) => b"[]",
        _ => b"null",
    };
    let cache = Keep::of(part, &declared.upstreams[upstream], declared).map_err(at)?;
    let other = part.otherwise.as_ref().map(|other| part.stand_in(other));
    let compiled = |part| compile_part(index, &part, view, declared, shapes, naive, metric);
    let otherwise = other.map(|part| compiled(part).map(Box::new)).transpose()?;
    let nullable = shapes.project(part.shape, b"null", &mut Vec::new()).is_ok();
    Ok(Part {
        name: part.name.clone(),
        strength: part.strength,
        upstream,
        method: part.method.into(),
        timeout: if naive {
            NAIVE_TIMEOUT
        } else {
            clock::from_ms(declared_timeout)
        },
        path: templates.path,
        query: templates.query,
        headers: templates.headers,
        body: templates.body,
        repeatable: part.method.is_idempotent() || part.idempotency_key.is_some(),
        hedgeable: part.method == blueprint::Method::Get || part.idempotency_key.is_some(),
        idempotency_key: templates.idempotency_key,
        when: templates.when,
        each: templates.each,
        shape: part.shape,
        unwrap: part
            .unwrap
            .as_ref()
            .map(|one| (one.shape, one.field.clone())),
        // The default of an `each` part stands for the whole list, not for one item.
        empty_allowed: nullable || (part.each.is_none() && part.default.is_some()),
        fallback: part
            .default
            .as_ref()
            .map_or_else(|| nothing.to_vec(), |json| json.to_string().into()),
        needs: templates.needs | otherwise.as_ref().map_or(0, |other| other.needs),
        cache,
        otherwise,
        key,
        metric,
    })
}
