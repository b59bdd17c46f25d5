//! The little HTTP/1.1 the lab needs, on both sides: `inbound` for simulated upstreams, the admin
//! port and the naive service, `reply` for the load generator and the naive client. It is meant for
//! peers on the same machine; the plane has its own strict codec and shares no code with this one,
//! so that a mistake in either shows as a disagreement between them.

pub(crate) mod inbound;
pub(crate) mod listen;
pub(crate) mod reply;
