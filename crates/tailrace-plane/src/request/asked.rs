//! What a request asks for: the view at its path, its deadline, its name; and what answers a
//! request for nothing.
//!
//! The failure prevented is a path, method or number of a client that is taken further than it may:
//! each is read in one place, and what cannot be read is a problem with a code. Limits: only what
//! the head says; parameters are read by `parameters`.

use crate::h1::{Method, RequestHead};
use crate::parameters::missing_parameter;
use crate::program::Program;
use crate::reply::Problem;
use crate::router::Route;
use matchit::Params;
use tailrace_policy::deadline::{parse_grpc_timeout, parse_timeout_ms};
use tailrace_policy::Nanos;

const REQUEST_ID_MAX: usize = 128;

/// Letters, digits and `-_.:/+=@`: nothing a log, header or JSON string must escape.
pub fn is_request_id(text: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
    (1..=REQUEST_ID_MAX).contains(&text.len()) && text.iter().all(plain)
}

/// Headers that say how long the caller waits.
const TIMEOUTS: [&str; 3] = [
    "grpc-timeout",
    "x-envoy-expected-rq-timeout-ms",
    "connect-timeout-ms",
];

/// How long the caller says it will wait; several conventions, the shortest wins (ALGORITHMS 3). It
/// can only shorten the view's deadline, so anybody may say it.
pub(super) fn asked_deadline(head: &RequestHead, input: &[u8]) -> Option<Nanos> {
    let said = |name: &&str| asked_time(name, head.header(input, name)?);
    TIMEOUTS.iter().filter_map(said).min()
}

/// What one header says of it; nothing when the header is another, or cannot be read.
pub fn asked_time(name: &str, value: &[u8]) -> Option<Nanos> {
    match name {
        "grpc-timeout" => parse_grpc_timeout(value),
        "x-envoy-expected-rq-timeout-ms" | "connect-timeout-ms" => parse_timeout_ms(value),
        _ => None,
    }
}

fn bad_request(code: &'static str) -> Problem {
    Problem {
        status: 400,
        code,
        detail: "the request cannot be understood".to_owned(),
        ..Problem::default()
    }
}

fn no_route() -> Problem {
    let detail = "no view at this path".to_owned();
    Problem {
        status: 404,
        code: "no_route",
        detail,
        ..Problem::default()
    }
}

/// The view a request is for, and the raw parameters of its path.
pub(super) fn find_view<'a>(
    program: &'a Program,
    head: &RequestHead,
    input: &'a [u8],
) -> Result<(usize, Params<'a, 'a>), Problem> {
    let path =
        std::str::from_utf8(head.path.of(input)).map_err(|_| bad_request("path_not_ascii"))?;
    match program.router.find(path) {
        Route::Path(methods, params) => match (methods.view(head.method), head.method) {
            (Some(view), _) => Ok((view, params)),
            (None, Method::Options) => Err(allowed_methods(&methods.allow)),
            (None, _) => Err(method_not_allowed(&methods.allow)),
        },
        Route::EmptyParameter(name) => Err(missing_parameter(name, "path")),
        Route::Unknown if path == "*" => Err(allowed_methods(&program.router.allow)),
        Route::Unknown => Err(no_route()),
    }
}

/// Not a problem: the answer to OPTIONS, with an empty body.
fn allowed_methods(allow: &str) -> Problem {
    Problem {
        status: 204,
        allow: Some(allow.into()),
        ..Problem::default()
    }
}

fn method_not_allowed(allow: &str) -> Problem {
    let detail = format!("this path answers {allow}");
    let allow = Some(allow.into());
    Problem {
        status: 405,
        code: "method_not_allowed",
        detail,
        allow,
        ..Problem::default()
    }
}
