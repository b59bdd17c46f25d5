//! Refusals that cost nothing: their bytes are made when the plane starts.
//!
//! The failure prevented is a process that spends on saying no what it needs for saying yes
//! (ALGORITHMS 10). Under overload nine of ten replies may be these: request id, date and
//! `Retry-After` are put between bytes that are ready, into a buffer the connection has already;
//! nothing is allocated. `Retry-After` is never shorter than what was computed and spread by
//! chance, so that those refused together do not come back together.

use crate::h1;
use crate::reply::{self, Frame, Problem};
use crate::worker::Worker;
use tailrace_policy::rate_headers::retry_after;
use tailrace_policy::Nanos;

const SECOND: Nanos = 1_000_000_000;

/// What refused, in the order in which they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Limit {
    Drain,
    ClientRate,
    RouteRate,
    Shed,
    Inbound,
    Feasibility,
}

impl Limit {
    pub const ALL: [Self; 6] = [
        Self::Drain,
        Self::ClientRate,
        Self::RouteRate,
        Self::Shed,
        Self::Inbound,
        Self::Feasibility,
    ];

    /// As metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::ClientRate => "client_rate",
            Self::RouteRate => "route_rate",
            Self::Shed => "shed",
            Self::Inbound => "inbound",
            Self::Feasibility => "feasibility",
        }
    }

    /// The code of the problem.
    pub fn code(self) -> &'static str {
        match self {
            Self::Drain => "draining",
            Self::ClientRate => "client_rate",
            Self::RouteRate => "route_rate",
            Self::Shed => "shed",
            Self::Inbound => "overloaded",
            Self::Feasibility => "infeasible",
        }
    }

    pub fn status(self) -> u16 {
        match self {
            Self::ClientRate | Self::RouteRate => 429,
            Self::Feasibility => 504,
            Self::Drain | Self::Shed | Self::Inbound => 503,
        }
    }

    pub fn detail(self) -> &'static str {
        match self {
            Self::Drain => "this instance is stopping; ask again, and another will answer",
            Self::ClientRate => "this client makes more requests than its rate allows",
            Self::RouteRate => "this view gets more requests than its rate allows",
            Self::Shed => "more load than can be served in time; what matters more goes first",
            Self::Inbound => "the requests in progress need as many calls as are allowed",
            Self::Feasibility => "the time left is less than the calls take at best",
        }
    }

    pub fn index(self) -> usize {
        self as usize
    }
}

/// A request that is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    pub limit: Limit,
    /// Until the same request may pass; `None`: no wait helps.
    pub wait: Option<Nanos>,
}

impl Refusal {
    /// One that a second from now may be over.
    pub fn soon(limit: Limit) -> Self {
        Self {
            limit,
            wait: Some(SECOND),
        }
    }

    /// One that waiting does not mend.
    pub fn lasting(limit: Limit) -> Self {
        Self { limit, wait: None }
    }
}

/// The bytes of one refusal.
#[derive(Debug)]
struct Canned {
    /// Status line and the headers that never change.
    head: Vec<u8>,
    /// Up to the request id.
    body: Vec<u8>,
}

/// All refusals, ready to be sent.
#[derive(Debug)]
pub struct Refusals([Canned; Limit::ALL.len()]);

const BODY_END: &[u8] = b"\"}";

impl Refusals {
    pub fn new() -> Self {
        Self(Limit::ALL.map(|limit| {
            let status = limit.status();
            let head = format!(
                "HTTP/1.1 {status} {}\r\ncontent-type: application/problem+json\r\n\
                 cache-control: no-store\r\ncontent-length: ",
                h1::reason(status)
            );
            let problem = Problem {
                status,
                code: limit.code(),
                detail: limit.detail().to_owned(),
                ..Problem::default()
            };
            let mut body = Vec::new();
            reply::problem_body(&problem, &mut body);
            Canned {
                head: head.into_bytes(),
                body,
            }
        }))
    }

    /// Writes a refusal into `out`; returns the number of body bytes.
    pub fn write(
        &self,
        worker: &Worker,
        refusal: Refusal,
        frame: Frame<'_>,
        out: &mut Vec<u8>,
    ) -> usize {
        let canned = &self.0[refusal.limit.index()];
        let length = canned.body.len() + frame.request_id.len() + BODY_END.len();
        let mut number = itoa::Buffer::new();
        out.extend_from_slice(&canned.head);
        out.extend_from_slice(number.format(length).as_bytes());
        out.extend_from_slice(b"\r\n");
        if let Some(wait) = refusal.wait {
            let seconds = retry_after(wait, worker.draw());
            out.extend_from_slice(b"retry-after: ");
            out.extend_from_slice(number.format(seconds).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        reply::push_common(worker, frame, out);
        out.extend_from_slice(b"\r\n");
        if !frame.head_only {
            out.extend_from_slice(&canned.body);
            out.extend_from_slice(frame.request_id);
            out.extend_from_slice(BODY_END);
        }
        length
    }
}
