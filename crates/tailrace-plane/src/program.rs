//! The blueprint, compiled once for running: names became indices, milliseconds became nanoseconds,
//! constant bytes of the reply are laid out. Nothing here changes while requests run: a change of
//! configuration makes another program, and a request keeps the one it began with.

use crate::clock;
use crate::h1::HeadLimits;
use crate::router::Router;
use crate::splice::Shapes;
use crate::upstream::Upstream;
use std::sync::Arc;
use tailrace_blueprint as blueprint;
use tailrace_policy::Nanos;

pub use blueprint::Strength;

/// Parts of one view fit the bits of one word.
pub const PARTS_MAX: usize = 64;

#[derive(Debug)]
pub struct Program {
    /// Counted from 1; rises with every change of configuration (`live/`).
    pub revision: u64,
    /// What this was compiled from.
    pub declared: blueprint::Blueprint,
    pub service: String,
    pub views: Vec<View>,
    pub upstreams: Vec<Arc<Upstream>>,
    pub shapes: Arc<Shapes>,
    pub router: Arc<Router>,
    pub limits: blueprint::Limits,
    /// Of both sides: what clients send and what upstreams answer.
    pub head_limits: HeadLimits,
    pub envelope: EnvelopeBytes,
    pub naive: bool,
}

/// The reply's own fields with their punctuation.
#[derive(Debug)]
pub struct EnvelopeBytes {
    pub degraded: Vec<u8>,
    pub request_id: Vec<u8>,
    pub served_at_ms: Vec<u8>,
}

#[derive(Debug)]
pub struct View {
    pub name: String,
    pub route: String,
    pub deadline: Nanos,
    pub fanout: usize,
    pub extra_attempts: u32,
    pub parameters: Vec<Parameter>,
    pub parts: Vec<Part>,
}

#[derive(Debug)]
pub struct Parameter {
    pub name: String,
    pub location: blueprint::ParameterIn,
    pub wire_name: String,
    pub shape: blueprint::ShapeId,
    pub required: bool,
    pub default: Option<String>,
}

#[derive(Debug)]
pub struct Part {
    pub name: String,
    pub strength: Strength,
    pub upstream: usize,
    pub timeout: Nanos,
    pub path: Vec<Piece>,
    pub query: Vec<(String, Vec<Piece>)>,
    pub headers: Vec<(String, Vec<Piece>)>,
    pub each: Option<Each>,
    pub shape: blueprint::ShapeId,
    /// What the part is when it has no value of its own: the default, or `null`.
    pub fallback: Vec<u8>,
    /// True when `fallback` was declared or the shape accepts null, so that 204 is an answer.
    pub empty_allowed: bool,
    /// Bit per part that must be done before this one starts.
    pub needs: u64,
    /// `{"name":` or `,"name":`.
    pub key: Vec<u8>,
    /// Index into per-part metrics.
    pub metric: usize,
}

#[derive(Debug)]
pub struct Each {
    pub part: usize,
    pub field: Vec<String>,
    pub items_max: usize,
}

#[derive(Debug)]
pub enum Piece {
    Text(Vec<u8>),
    Parameter(usize),
    Part(usize, Vec<String>),
    Item(Vec<String>),
}

impl Program {
    /// Compiles a checked blueprint. An error names what the plane cannot run.
    pub fn compile(declared: &blueprint::Blueprint) -> Result<Self, String> {
        let router = Router::new(declared.views.iter().map(|view| view.path.as_str()))?;
        let shapes = compile_shapes(declared)?;
        let body_max = declared.limits.upstream_body_max_bytes;
        let upstreams = declared.upstreams.iter();
        let upstreams = upstreams.map(|one| Upstream::new(one, body_max).map(Arc::new));
        let upstreams = upstreams.collect::<Result<Vec<_>, _>>()?;
        Self::link(declared, 1, upstreams, shapes, Arc::new(router))
    }

    /// The next revision: the same views, parts, shapes and upstreams under other limits, over the
    /// same live state. Nothing of it is seen before its upstreams `take_effect`.
    pub fn renewed(&self, declared: &blueprint::Blueprint) -> Result<Self, String> {
        let shapes = if declared.limits.json_depth_max == self.limits.json_depth_max {
            Arc::clone(&self.shapes)
        } else {
            compile_shapes(declared)?
        };
        let body_max = declared.limits.upstream_body_max_bytes;
        let upstreams = self.upstreams.iter().zip(&declared.upstreams);
        let upstreams = upstreams.map(|(old, one)| old.renewed(one, body_max).map(Arc::new));
        let upstreams = upstreams.collect::<Result<Vec<_>, _>>()?;
        let router = Arc::clone(&self.router);
        Self::link(declared, self.revision + 1, upstreams, shapes, router)
    }

    fn link(
        declared: &blueprint::Blueprint,
        revision: u64,
        upstreams: Vec<Arc<Upstream>>,
        shapes: Arc<Shapes>,
        router: Arc<Router>,
    ) -> Result<Self, String> {
        let limits = declared.limits.clone();
        let naive = declared.protections == blueprint::Protections::Off;
        let mut metric = 0;
        let mut views = Vec::with_capacity(declared.views.len());
        for view in &declared.views {
            views.push(compile_view(view, declared, &shapes, naive, &mut metric)?);
        }
        let key = |name: &str, lead: &str| {
            let mut bytes = lead.as_bytes().to_vec();
            crate::splice::escape_into(name, &mut bytes);
            bytes.push(b':');
            bytes
        };
        let envelope = EnvelopeBytes {
            degraded: key(&declared.envelope.degraded, ","),
            request_id: key(&declared.envelope.request_id, ","),
            served_at_ms: key(&declared.envelope.served_at_ms, ","),
        };
        Ok(Self {
            revision,
            declared: declared.clone(),
            service: declared.service.clone(),
            views,
            upstreams,
            shapes,
            router,
            head_limits: HeadLimits {
                head_max_bytes: limits.head_max_bytes as usize,
                headers_max: usize::from(limits.headers_max),
                uri_max_bytes: limits.uri_max_bytes as usize,
            },
            limits,
            envelope,
            naive,
        })
    }

    pub fn parts(&self) -> impl Iterator<Item = (&View, &Part)> {
        self.views
            .iter()
            .flat_map(|view| view.parts.iter().map(move |part| (view, part)))
    }
}

fn compile_shapes(declared: &blueprint::Blueprint) -> Result<Arc<Shapes>, String> {
    let compiled = Shapes::compile(&declared.shapes, declared.limits.json_depth_max);
    compiled
        .map(Arc::new)
        .map_err(|problem| format!("shapes[{}]: {}", problem.shape, problem.message))
}

/// Naive mode's one timeout for everything (req 2.1).
const NAIVE_TIMEOUT: Nanos = 2_000 * clock::MILLI;

fn compile_view(
    view: &blueprint::View,
    declared: &blueprint::Blueprint,
    shapes: &Shapes,
    naive: bool,
    metric: &mut usize,
) -> Result<View, String> {
    if view.parts.len() > PARTS_MAX {
        return Err(format!("view {}: at most {PARTS_MAX} parts", view.name));
    }
    let mut parts = Vec::with_capacity(view.parts.len());
    for (index, part) in view.parts.iter().enumerate() {
        parts.push(compile_part(
            index, part, view, declared, shapes, naive, *metric,
        )?);
        *metric += 1;
    }
    let parameters = view.parameters.iter().map(compile_parameter).collect();
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
        parameters,
        parts,
    })
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

fn compile_part(
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
    let templates = compile_templates(part, view).map_err(at)?;
    let declared_timeout = part
        .timeout_ms
        .unwrap_or(declared.upstreams[upstream].timeout_ms);
    let mut key = vec![if index == 0 { b'{' } else { b',' }];
    crate::splice::escape_into(&part.name, &mut key);
    key.push(b':');
    let nullable = shapes.project(part.shape, b"null", &mut Vec::new()).is_ok();
    Ok(Part {
        name: part.name.clone(),
        strength: part.strength,
        upstream,
        timeout: if naive {
            NAIVE_TIMEOUT
        } else {
            clock::from_ms(declared_timeout)
        },
        path: templates.path,
        query: templates.query,
        headers: templates.headers,
        each: templates.each,
        shape: part.shape,
        // The default of an `each` part stands for the whole list, not for one item.
        empty_allowed: nullable || (part.each.is_none() && part.default.is_some()),
        fallback: part
            .default
            .as_ref()
            .map_or_else(|| b"null".to_vec(), |json| json.to_string().into()),
        needs: templates.needs,
        key,
        metric,
    })
}

struct Templates {
    path: Vec<Piece>,
    query: Vec<(String, Vec<Piece>)>,
    headers: Vec<(String, Vec<Piece>)>,
    each: Option<Each>,
    needs: u64,
}

/// What the part's call is made of, and the parts that must be done before.
fn compile_templates(part: &blueprint::Part, view: &blueprint::View) -> Result<Templates, String> {
    let mut needs = 0_u64;
    let mut pieces = |template: &[blueprint::Piece]| -> Result<Vec<Piece>, String> {
        template
            .iter()
            .map(|piece| compile_piece(piece, view, &mut needs))
            .collect()
    };
    let path = pieces(&part.path)?;
    let mut named = |templates: &[blueprint::NamedTemplate]| {
        let one =
            |entry: &blueprint::NamedTemplate| Ok((entry.name.clone(), pieces(&entry.value)?));
        templates
            .iter()
            .map(one)
            .collect::<Result<Vec<_>, String>>()
    };
    let query = named(&part.query)?;
    let headers = named(&part.headers)?;
    let each = match &part.each {
        None => None,
        Some(each) => {
            let source = part_index(view, &each.part)?;
            needs |= 1 << source;
            let items_max = usize::from(each.items_max);
            Some(Each {
                part: source,
                field: each.field.clone(),
                items_max,
            })
        }
    };
    Ok(Templates {
        path,
        query,
        headers,
        each,
        needs,
    })
}

fn part_index(view: &blueprint::View, name: &str) -> Result<usize, String> {
    let found = view.parts.iter().position(|part| part.name == name);
    found.ok_or_else(|| format!("unknown part {name}"))
}

fn compile_piece(
    piece: &blueprint::Piece,
    view: &blueprint::View,
    needs: &mut u64,
) -> Result<Piece, String> {
    Ok(match piece {
        blueprint::Piece::Text(text) => Piece::Text(text.clone().into_bytes()),
        blueprint::Piece::Parameter(name) => {
            let found = view
                .parameters
                .iter()
                .position(|parameter| parameter.name == *name);
            Piece::Parameter(found.ok_or_else(|| format!("unknown parameter {name}"))?)
        }
        blueprint::Piece::Part(field) => {
            let part = part_index(view, &field.name)?;
            *needs |= 1 << part;
            Piece::Part(part, field.field.clone())
        }
        blueprint::Piece::Item(field) => Piece::Item(field.clone()),
    })
}
