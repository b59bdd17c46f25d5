//! The body of a request, before any call is made.
//!
//! The failure prevented is a document that means one thing here and another behind us: it is
//! validated and projected against its declared shape exactly as an upstream's answer is (req 6.1),
//! so that what goes on holds declared fields only. What does not fit is 400 with the place in the
//! document; another media type is 415. Nothing of it is held longer than its request.

use crate::h1::{self, RequestHead};
use crate::reply::Problem;
use crate::worker::Worker;
use tailrace_blueprint::ShapeId;

/// The projected JSON of a request's body.
pub fn read(
    worker: &Worker,
    shape: ShapeId,
    head: &RequestHead,
    input: &[u8],
    body: &[u8],
) -> Result<Vec<u8>, Problem> {
    if body.is_empty() {
        return Err(refused(400, "missing_body", "the request has no body"));
    }
    let declared = head.header(input, "content-type");
    if !declared.is_some_and(h1::is_json) {
        let detail = "the body must be `application/json`, in UTF-8";
        return Err(refused(415, "unsupported_media_type", detail));
    }
    let mut projected = worker.buffers.take();
    let bytes_max = worker.program.limits.request_memory_max_bytes as usize;
    let shapes = &worker.program.shapes;
    match shapes.project_within(shape, body, &mut projected, bytes_max) {
        Ok(()) => Ok(projected),
        Err(mismatch) => {
            worker.buffers.give(projected);
            Err(refused(400, "bad_body", &format!("the body: {mismatch}")))
        }
    }
}

/// Whether the fields of a form can be read from this request.
pub fn check_form(head: &RequestHead, input: &[u8], body: &[u8]) -> Result<(), Problem> {
    let declared = head.header(input, "content-type");
    if body.is_empty() || declared.is_some_and(h1::is_form) {
        return Ok(());
    }
    let detail = "the body must be `application/x-www-form-urlencoded`";
    Err(refused(415, "unsupported_media_type", detail))
}

fn refused(status: u16, code: &'static str, detail: &str) -> Problem {
    Problem {
        status,
        code,
        detail: detail.to_owned(),
        ..Problem::default()
    }
}
