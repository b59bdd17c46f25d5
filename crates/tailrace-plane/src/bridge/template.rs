//! Calls that Python code makes: registered once per upstream, method, path and model.
//!
//! The failure prevented: a call whose path is text that was put together by hand, and a table that
//! grows with every request because paths are formatted. What is registered is a template, checked
//! by the rules of a view's part, and there are at most `TEMPLATES_MAX` of them.

use crate::cache::{shape_of, Keep};
use crate::clock;
use crate::h1::Method;
use crate::program::{compile_part, Part, Program};
use crate::splice::Shapes;
use std::sync::{Arc, Mutex, PoisonError};
use tailrace_blueprint::Blueprint;
use tailrace_policy::Nanos;

/// More templates than this is a sign that values are written into them.
pub const TEMPLATES_MAX: usize = 4_096;

/// A call that can be made with values for its parameters.
#[derive(Debug)]
pub struct Template {
    pub part: Part,
    /// What this call said of its timeout; without it the upstream's of the moment.
    timeout: Option<Nanos>,
    /// Stands for the shape of its answers, in the key of what is kept of them.
    shape: u64,
    /// What `part.shape` is an index into: a table of the template's own.
    pub shapes: Shapes,
}

impl Template {
    /// Compiles the only part of the only view of `declared`, for the upstreams of `program`.
    pub fn compile(declared: &Blueprint, program: &Program) -> Result<Self, String> {
        let (Some(view), [_]) = (declared.views.first(), declared.views.as_slice()) else {
            return Err("a template is registered as one view".to_owned());
        };
        let [part] = view.parts.as_slice() else {
            return Err("a template is registered as one part".to_owned());
        };
        let name = &part.upstream;
        let known = |upstream: &Arc<crate::upstream::Upstream>| upstream.name == *name;
        let upstream = program
            .upstreams
            .iter()
            .position(known)
            .ok_or_else(|| format!("there is no upstream {name} in this service"))?;
        let shapes = Shapes::compile(&declared.shapes, program.limits.json_depth_max)
            .map_err(|problem| format!("shapes[{}]: {}", problem.shape, problem.message))?;
        let timeout = part.timeout_ms.map(clock::from_ms);
        let shape = shape_of(part, declared)?;
        let mut part = compile_part(0, part, view, declared, &shapes, program.naive, 0)?;
        part.upstream = upstream;
        // What the upstream says at the moment counts, not what it said then.
        part.cache = None;
        Ok(Self {
            part,
            timeout,
            shape,
            shapes,
        })
    }

    /// How long one call may take under this program.
    pub fn timeout(&self, program: &Program) -> Nanos {
        let upstreams = program.upstreams[self.part.upstream].timeout;
        self.timeout.unwrap_or(upstreams)
    }
}

impl Template {
    /// How long answers are kept under this program: as the upstream says, of its GET calls
    /// (req 16.5).
    pub fn keep(&self, program: &Program) -> Option<Keep> {
        let upstream = &program.declared.upstreams[self.part.upstream];
        let asked = upstream
            .cache
            .as_ref()
            .filter(|_| self.part.method == Method::Get)?;
        // Times that cannot be were refused with the blueprint that has them.
        Keep::new(asked, self.shape).ok()
    }
}

/// All templates of a process.
#[derive(Debug, Default)]
pub struct Templates(Mutex<Vec<Arc<Template>>>);

impl Templates {
    /// Adds a template; its number stays good as long as the process lives.
    pub fn add(&self, template: Template) -> Result<usize, String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= TEMPLATES_MAX {
            return Err(format!(
                "there are {TEMPLATES_MAX} different calls already; write paths as templates \
                 (\"/orders/{{id}}\", id=order_id) instead of formatting values into them"
            ));
        }
        known.push(Arc::new(template));
        Ok(known.len() - 1)
    }

    pub fn get(&self, number: usize) -> Option<Arc<Template>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(number).cloned()
    }
}
