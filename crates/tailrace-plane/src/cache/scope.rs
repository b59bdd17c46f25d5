//! What an invalidation is meant for, as people name it.
//!
//! The failure prevented is an invalidation that forgets nothing and says nothing: an upstream that
//! does not exist is refused, with the ones that do.

use crate::program::Program;

/// Which entries to forget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    Everything,
    /// Those of an upstream whose target, as it is sent, begins so; all of them when it is empty.
    Upstream {
        upstream: usize,
        prefix: Vec<u8>,
    },
}

impl Scope {
    /// Everything, an upstream, or an upstream's targets that begin with `prefix`.
    pub fn of(program: &Program, upstream: Option<&str>, prefix: &str) -> Result<Self, String> {
        let Some(name) = upstream else {
            if prefix.is_empty() {
                return Ok(Self::Everything);
            }
            return Err("a prefix is of one upstream's targets: name the upstream".to_owned());
        };
        if !prefix.is_empty() && !prefix.starts_with('/') {
            return Err(format!("the prefix {prefix:?} does not start with `/`"));
        }
        let known = program.upstreams.iter();
        let found = known.clone().position(|upstream| upstream.name == name);
        let upstream = found.ok_or_else(|| {
            let names: Vec<_> = known.map(|upstream| upstream.name.as_str()).collect();
            format!(
                "there is no upstream {name:?}; there are: {}",
                names.join(", ")
            )
        })?;
        Ok(Self::Upstream {
            upstream,
            prefix: prefix.as_bytes().to_vec(),
        })
    }
}
