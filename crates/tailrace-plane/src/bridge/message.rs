//! What crosses between the plane and Python, in both directions.

use super::Template;
use crate::reason::Reason;
use crate::source::Source;
use std::sync::Arc;
use tailrace_policy::Nanos;

/// Names one conversation: a request in a handler, or one submission of a client. The upper bits
/// are the worker it lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

impl Ticket {
    const WORKER_SHIFT: u32 = 48;

    pub fn new(worker: usize, number: u64) -> Self {
        Self((worker as u64) << Self::WORKER_SHIFT | number & ((1 << Self::WORKER_SHIFT) - 1))
    }

    pub fn worker(self) -> usize {
        (self.0 >> Self::WORKER_SHIFT) as usize
    }
}

/// Names one group of calls among all of the process.
pub type Token = u64;

/// From the plane to Python.
#[derive(Debug)]
pub enum Event {
    /// A request for a handler.
    Start(Start),
    /// A request whose computed fields are to be made of its values.
    Compute(Start),
    /// A group of calls is over.
    Landed {
        token: Token,
        answers: Vec<Answer>,
        /// Which of them are from the cache.
        kept: Vec<Kept>,
    },
    /// Nobody waits for this handler any more: the client left or the deadline has come.
    Cancel(Ticket),
    /// A stream's answer has begun.
    Head { token: Token, head: Head },
    /// A piece of a stream's body.
    Chunk { token: Token, bytes: Vec<u8> },
    /// A stream is over, whole or not.
    Over {
        token: Token,
        failed: Option<Failed>,
    },
}

/// What an upstream says before a streamed body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    pub content_type: Option<String>,
    /// Bytes of the body, when they were declared.
    pub length: Option<u64>,
}

#[derive(Debug)]
pub struct Start {
    pub ticket: Ticket,
    /// Index of the view.
    pub view: usize,
    /// For a handler: validated text per parameter, `None` when optional and absent; the body of a
    /// request that has one comes last, as projected JSON. For computed fields: the JSON of each
    /// part, of the body when there is one, and then the parameters.
    pub values: Vec<Option<Vec<u8>>>,
    pub request_id: Vec<u8>,
    /// When the plane goes on without it, whatever Python does.
    pub cutoff: Nanos,
}

/// How a call of Python code ended: projected JSON, or `None` for an empty answer.
pub type Answer = Result<Option<Vec<u8>>, Failed>;

/// An answer that is from the cache (req 8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Which of its group's answers.
    pub at: usize,
    pub source: Source,
    pub age_s: u32,
    /// Why it stands in, when the call that was made has failed.
    pub failed: Option<Reason>,
}

/// A failed call: the reason's code, and the status the upstream answered with, or 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed {
    pub reason: Reason,
    pub answered: u16,
}

impl Failed {
    pub fn silent(reason: Reason) -> Self {
        Self {
            reason,
            answered: 0,
        }
    }
}

/// A call as Python asks for it.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub template: Arc<Template>,
    /// Text per parameter of the template.
    pub values: Vec<Option<Vec<u8>>>,
    /// Its failure ends the calls beside it.
    pub strong: bool,
}

/// Calls that are submitted together and answered together.
#[derive(Debug, Clone)]
pub struct Group {
    pub token: Token,
    pub calls: Vec<Wanted>,
}

/// What a client says of its calls, and a request of a handler need not.
#[derive(Debug)]
pub struct Asked {
    pub within: Nanos,
    /// Of the request the calls are made for; empty when there is none.
    pub request_id: Vec<u8>,
    /// `traceparent` and `tracestate` of that request, as they came; empty where there is none.
    pub trace: [Vec<u8>; 2],
}

/// From Python to the worker that holds the conversation.
#[derive(Debug)]
pub enum Letter {
    Calls(Group),
    /// Nobody waits for this group, or reads this stream, any more.
    Withdraw(Token),
    /// A stream may send so many bytes more.
    Grant(u64),
    /// The handler has ended.
    End(End),
    /// The computed fields have been made.
    Computed(Made),
}

/// What Python made of a request's values.
#[derive(Debug)]
pub struct Made {
    /// JSON per field, or why there is none.
    pub results: Vec<Result<Vec<u8>, Reason>>,
    /// How long Python took for all of them.
    pub python: Nanos,
    /// How long the loop's thread had waited for the interpreter lock before.
    pub lock: Nanos,
}

/// How a handler ended.
#[derive(Debug)]
pub enum End {
    /// JSON, and the weak calls that failed: name and reason's code.
    Reply {
        body: Vec<u8>,
        degraded: Vec<(String, Reason)>,
    },
    /// A strong call failed and nobody caught it.
    Failed { upstream: String, reason: Reason },
    /// An exception of its own, which the log has.
    Crashed,
    /// It was cancelled.
    Cancelled,
}
