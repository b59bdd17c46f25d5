//! The blueprint, compiled once for running: names became indices, milliseconds became nanoseconds,
//! constant bytes of the reply are laid out. Nothing here changes while requests run: a change of
//! configuration makes another program, and a request keeps the one it began with.

mod layout;
mod templates;
mod view;

use crate::admission::limited::{rate_lines, ClientRate, Limited};
use crate::admission::rules::Rules;
use crate::cache::Keep;
use crate::h1::{HeadLimits, Method};
use crate::memory;
use crate::router::Router;
use crate::source::Source;
use crate::splice::Shapes;
use crate::upstream::Upstream;
use std::sync::Arc;
use tailrace_blueprint as blueprint;
use tailrace_policy::shed::Class;
use tailrace_policy::Nanos;

pub use blueprint::Strength;
pub use view::compile_part;

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
    pub admission: Rules,
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
    /// Of all clients together.
    pub rate: Option<Limited>,
    /// The name of that limit in headers.
    pub limit_name: String,
    /// What the rates of client and view are, as its replies say it; empty without any.
    pub rate_lines: Vec<u8>,
    pub class: Class,
    /// Parts left out at each rung of the ladder, as bits; the first is 0. A handler has one rung,
    /// for all its weak calls.
    pub rungs: Vec<u64>,
    /// Kept back from the deadline of the parts: for the reply and for what is made of them.
    pub reserve: Nanos,
    pub parameters: Vec<Parameter>,
    /// Answered by a Python handler instead of parts: how many requests may be in it at once.
    pub handler: Option<u32>,
    /// Shape of the request's JSON body. Its value lies behind those of the parts.
    pub body: Option<blueprint::ShapeId>,
    /// Some parameter is a field of a form.
    pub form: bool,
    pub parts: Vec<Part>,
    /// How the parts become the reply, when they do not simply stand one after the other.
    pub layout: Option<Layout>,
    /// What Python makes of the parts; their values lie behind those of the parts and the body.
    pub computed: Option<Computed>,
}

/// Fields that Python makes, all of one request in one crossing.
#[derive(Debug)]
pub struct Computed {
    /// Requests that may wait for theirs at the same time.
    pub limit: u32,
    pub fields: Vec<ComputedField>,
}

#[derive(Debug)]
pub struct ComputedField {
    pub name: String,
    pub strength: Strength,
    /// What a weak field is when its code fails: the default, or `null`.
    pub fallback: Vec<u8>,
    /// Index into per-part metrics, behind those of all parts.
    pub metric: usize,
}

impl View {
    pub fn computed_fields(&self) -> &[ComputedField] {
        self.computed.as_ref().map_or(&[], |one| &one.fields)
    }

    /// Requests that Python may have at once, in the handler or for computed fields; none when it
    /// never has any.
    pub fn python_limit(&self) -> Option<u32> {
        self.handler.or(self.computed.as_ref().map(|one| one.limit))
    }

    /// Names of what a reply may be missing, in the order of `FanOut::ends`: the parts, then what
    /// is made of them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let parts = self.parts.iter().map(|part| part.name.as_str());
        parts.chain(self.computed_fields().iter().map(|one| one.name.as_str()))
    }

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
    pub cache: Option<Keep>,
    /// What is called when this call has failed.
    pub otherwise: Option<Box<Part>>,
    /// Bit per part that must be done before this one starts.
    pub needs: u64,
    /// `{"name":` or `,"name":`.
    pub key: Vec<u8>,
    /// Index into per-part metrics.
    pub metric: usize,
}

impl Part {
    /// What a call is made from: the part itself or its `otherwise`.
    pub fn called(&self, other: bool) -> &Self {
        match &self.otherwise {
            Some(stand_in) if other => stand_in,
            _ => self,
        }
    }

    /// Every upstream the part may call. What is prepared for each request is prepared for all of
    /// them: a header of the request before must not be left where one may be read.
    pub fn upstreams(&self) -> impl Iterator<Item = usize> {
        let other = self.otherwise.as_ref().map(|other| other.upstream);
        [Some(self.upstream), other].into_iter().flatten()
    }

    /// Where the fallback comes from.
    pub fn fallback_source(&self) -> Source {
        fallback_source(&self.fallback)
    }
}

fn fallback_source(fallback: &[u8]) -> Source {
    if fallback == b"null" {
        Source::Missing
    } else {
        Source::Default
    }
}

impl ComputedField {
    /// Where the fallback comes from.
    pub fn fallback_source(&self) -> Source {
        fallback_source(&self.fallback)
    }
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

/// A part (or a computed field, which nothing follows), and the parts whose lists follow its own.
#[derive(Debug)]
pub struct List {
    /// Index into the values of a request.
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
        let router = Router::new(
            declared
                .views
                .iter()
                .map(|view| (view.path.as_str(), view.method)),
        )?;
        let shapes = compile_shapes(declared)?;
        let body_max = declared.limits.upstream_body_max_bytes;
        let upstreams = declared.upstreams.iter();
        let upstreams = upstreams.map(|one| Upstream::new(one, body_max).map(Arc::new));
        let upstreams = upstreams.collect::<Result<Vec<_>, _>>()?;
        Self::link(declared, None, upstreams, shapes, Arc::new(router))
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
        Self::link(declared, Some(self), upstreams, shapes, router)
    }

    /// Declares these limits to what all revisions share. From here on nothing fails.
    pub fn take_effect(&self) {
        for upstream in &self.upstreams {
            upstream.take_effect();
        }
        self.admission.rate.iter().for_each(ClientRate::take_effect);
        for view in &self.views {
            view.rate.iter().for_each(Limited::take_effect);
        }
    }

    fn link(
        declared: &blueprint::Blueprint,
        before: Option<&Self>,
        upstreams: Vec<Arc<Upstream>>,
        shapes: Arc<Shapes>,
        router: Arc<Router>,
    ) -> Result<Self, String> {
        let limits = memory::in_force(&declared.limits);
        let naive = declared.protections == blueprint::Protections::Off;
        let rules = before.map(|before| &before.admission);
        let admission = Rules::compile(&declared.admission, rules)?;
        let mut metric = 0;
        let mut views = Vec::with_capacity(declared.views.len());
        for (index, view) in declared.views.iter().enumerate() {
            let known = before.map(|before| &before.views[index]);
            let mut view = view::compile(view, declared, &shapes, naive, known, &mut metric)?;
            view.rate_lines = rate_lines(&admission, &view);
            views.push(view);
        }
        // Behind all parts, whose numbers stay without a gap.
        let computed = views.iter_mut().filter_map(|view| view.computed.as_mut());
        for field in computed.flat_map(|one| &mut one.fields) {
            field.metric = metric;
            metric += 1;
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
            revision: before.map_or(1, |before| before.revision + 1),
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
            admission,
            envelope,
            naive,
        })
    }

    pub fn parts(&self) -> impl Iterator<Item = (&View, &Part)> {
        self.views
            .iter()
            .flat_map(|view| view.parts.iter().map(move |part| (view, part)))
    }

    /// Computed fields; their numbers among the metrics follow those of all parts.
    pub fn computed(&self) -> impl Iterator<Item = (&View, &ComputedField)> {
        let fields = |view| {
            View::computed_fields(view)
                .iter()
                .map(move |one| (view, one))
        };
        self.views.iter().flat_map(fields)
    }
}

fn compile_shapes(declared: &blueprint::Blueprint) -> Result<Arc<Shapes>, String> {
    let compiled = Shapes::compile(&declared.shapes, declared.limits.json_depth_max);
    compiled
        .map(Arc::new)
        .map_err(|problem| format!("shapes[{}]: {}", problem.shape, problem.message))
}
