//! Our side: the codec over whole buffers. That cuts change no verdict is proved in `tests/h1`.

use tailrace_plane::h1::{
    parse_request, parse_response, BodyDecoder, BodyError, Framing, HeadLimits, Method, Parsed,
    RequestHead, ResponseHead,
};

use super::message::{End, Message, Reading};

/// As in `tests/h1`, for which the corpora were written.
const LIMITS: HeadLimits = HeadLimits {
    head_max_bytes: 2048,
    headers_max: 32,
    uri_max_bytes: 512,
};
const BODY_MAX: u64 = 4096;
const INTERIM_MAX: usize = 8;

/// The requests a server reads off one connection before its client closes.
pub(crate) fn requests(bytes: &[u8]) -> Reading {
    let mut head = RequestHead::default();
    let mut messages = Vec::new();
    let mut rest = bytes;
    let end = loop {
        if rest.is_empty() {
            break End::Done;
        }
        match parse_request(rest, &LIMITS, &mut head) {
            Ok(Parsed::Complete) => {}
            Ok(Parsed::Partial) => break End::Cut,
            Err(error) => break End::Refused(error.code()),
        }
        let (content, took) = match body(head.framing, &rest[head.head_len..]) {
            Ok(whole) => whole,
            Err(end) => break end,
        };
        let start = format!("{} {}", head.method.as_str(), target(&head, rest));
        messages.push(Message::new(start, head.headers(rest), content));
        rest = &rest[head.head_len + took..];
        if !head.keep_alive {
            break End::Done;
        }
    };
    Reading { messages, end }
}

fn target(head: &RequestHead, buf: &[u8]) -> String {
    let mut target = String::from_utf8_lossy(head.path.of(buf)).into_owned();
    if let Some(query) = head.query {
        target.push('?');
        target.push_str(&String::from_utf8_lossy(query.of(buf)));
    }
    target
}

/// The one answer a client reads; what follows it is not looked at.
pub(crate) fn answer(bytes: &[u8], request: Method) -> Reading {
    let mut head = ResponseHead::default();
    let mut rest = bytes;
    let mut messages = Vec::new();
    let mut interims = 0;
    let end = loop {
        match parse_response(rest, request, &LIMITS, &mut head) {
            Ok(Parsed::Complete) => {}
            Ok(Parsed::Partial) => break End::Cut,
            Err(error) => break End::Refused(error.code()),
        }
        if head.status < 200 {
            interims += 1;
            if interims > INTERIM_MAX {
                break End::Refused("interim_flood");
            }
            rest = &rest[head.head_len..];
            continue;
        }
        match body(head.framing, &rest[head.head_len..]) {
            Ok((content, _)) => {
                let start = head.status.to_string();
                messages.push(Message::new(start, head.headers(rest), content));
                break End::Done;
            }
            Err(end) => break end,
        }
    };
    Reading { messages, end }
}

/// The content, and how many bytes it took on the wire.
fn body(framing: Framing, bytes: &[u8]) -> Result<(Vec<u8>, usize), End> {
    let mut content = Vec::new();
    let mut decode = || {
        let mut decoder = BodyDecoder::new(framing, BODY_MAX)?;
        let taken = decoder.decode(bytes, &mut content)?;
        decoder.finish()?;
        Ok(taken.consumed)
    };
    match decode() {
        Ok(took) => Ok((content, took)),
        Err(BodyError::Truncated) => Err(End::Cut),
        Err(error) => Err(End::Refused(error.code())),
    }
}
