//! The blueprint, compiled once for running: names became indices, milliseconds became nanoseconds,
//! constant bytes of the reply are laid out. Nothing here changes while requests run.

mod layout;
mod templates;

use crate::clock;
use crate::h1::Method;
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
    pub service: String,
    pub views: Vec<View>,
    pub upstreams: Vec<Arc<Upstream>>,
    pub shapes: Shapes,
    pub router: Router,
    pub limits: blueprint::Limits,
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
    /// Shape of the request's JSON body. Its value lies behind those of the parts.
    pub body: Option<blueprint::ShapeId>,
    /// Some parameter is a field of a form.
    pub form: bool,
    pub parts: Vec<Part>,
    /// How the parts become the reply, when they do not simply stand one after the other.
    pub layout: Option<Layout>,
}

impl View {
    /// Whether a request's body is kept, rather than read and dropped.
    pub fn reads_body(&self) -> bool {
        self.body.is_some() || self.form
    }
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
    pub method: Method,
    pub timeout: Nanos,
    pub path: Vec<Piece>,
    pub query: Vec<(String, Vec<Piece>)>,
    pub headers: Vec<(String, Vec<Piece>)>,
    pub body: Option<Body>,
    pub idempotency_key: Option<Vec<Piece>>,
    /// A failed call may be made again: its method or its key makes twice be once (req 9.4).
    pub repeatable: bool,
    /// Two at the same time do no harm.
    pub hedgeable: bool,
    pub when: Option<Condition>,
    pub each: Option<Each>,
    pub shape: blueprint::ShapeId,
    /// Shape of the whole answer, and where the value is in it.
    pub unwrap: Option<(blueprint::ShapeId, Vec<String>)>,
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

/// A reply that is not simply its parts by name.
#[derive(Debug)]
pub enum Layout {
    /// The list of one part alone, with those that continue it.
    Collection(List),
    Fields(Vec<Placed>),
}

#[derive(Debug)]
pub enum Placed {
    /// `"name":` and the value of the part; its list, when others continue it.
    Named(Vec<u8>, List),
    /// The fields of the part's object.
    Merged(usize),
}

/// A part, and the parts whose lists follow its own.
#[derive(Debug)]
pub struct List {
    pub part: usize,
    pub more: Vec<usize>,
}

#[derive(Debug)]
pub struct Each {
    pub part: usize,
    pub field: Vec<String>,
    pub items_max: usize,
}

/// The body of a call.
#[derive(Debug)]
pub enum Body {
    Json(Vec<JsonPiece>),
    Form(Vec<(String, Vec<Piece>)>),
}

#[derive(Debug)]
pub enum JsonPiece {
    Text(Vec<u8>),
    /// A parameter that is text in JSON.
    Quoted(usize),
    /// Any other value: as it stands.
    Value(Piece),
    String(Vec<Piece>),
}

/// When a call is made.
#[derive(Debug)]
pub struct Condition {
    pub value: Piece,
    pub equals: Option<Vec<u8>>,
    pub negated: bool,
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
        let limits = declared.limits.clone();
        let shapes = Shapes::compile(&declared.shapes, limits.json_depth_max)
            .map_err(|problem| format!("shapes[{}]: {}", problem.shape, problem.message))?;
        let upstreams = declared
            .upstreams
            .iter()
            .map(|upstream| Upstream::new(upstream, limits.upstream_body_max_bytes).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        let naive = declared.protections == blueprint::Protections::Off;
        let mut metric = 0;
        let mut views = Vec::with_capacity(declared.views.len());
        for view in &declared.views {
            views.push(compile_view(view, declared, &shapes, naive, &mut metric)?);
        }
        let router = Router::new(
            declared
                .views
                .iter()
                .map(|view| (view.path.as_str(), view.method)),
        )?;
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
        let service = declared.service.clone();
        Ok(Self {
            service,
            views,
            upstreams,
            shapes,
            router,
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

/// Naive mode's one timeout for everything (req 2.1).
const NAIVE_TIMEOUT: Nanos = 2_000 * clock::MILLI;

fn compile_view(
    view: &blueprint::View,
    declared: &blueprint::Blueprint,
    shapes: &Shapes,
    naive: bool,
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
        body: view.body.as_ref().map(|body| body.shape),
        form: view
            .parameters
            .iter()
            .any(|one| one.location == blueprint::ParameterIn::Form),
        parameters,
        parts,
        layout,
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
        needs: templates.needs,
        key,
        metric,
    })
}
