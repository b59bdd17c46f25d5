//! One end of a connection, as the server and the client use the codec: bytes come in reads,
//! messages and verdicts go out, and nothing is parsed after an error or a close.

use tailrace_plane::h1::{
    head_end, parse_request, parse_response, BodyDecoder, BodyError, Framing, HeadError,
    HeadLimits, Method, Parsed, RequestHead, ResponseHead,
};

/// Small, so that rows at and over a limit stay readable and cheap to cut at every byte.
pub(crate) const LIMITS: HeadLimits = HeadLimits {
    head_max_bytes: 2048,
    headers_max: 32,
    uri_max_bytes: 512,
};
pub(crate) const BODY_MAX: u64 = 4096;
const INTERIM_MAX: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Message {
        status: u16,
        framing: Framing,
        keep_alive: bool,
        json: bool,
        body: Vec<u8>,
    },
    Head(HeadError),
    InterimFlood,
    Body(BodyError),
    /// The connection ended inside a head.
    Partial,
    /// Bytes that belong to no message that was asked for.
    Surplus(usize),
}

/// How a peer reads heads: by asking `head_end` first, or by parsing after every read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reading {
    HeadEnd,
    Parse,
}

#[derive(Debug)]
enum Side {
    Server,
    Client {
        requests: Vec<Method>,
        interims: usize,
    },
}

#[derive(Debug)]
pub(crate) struct Peer {
    side: Side,
    reading: Reading,
    buf: Vec<u8>,
    seen: usize,
    first_parse_done: bool,
    request: RequestHead,
    response: ResponseHead,
    body: Option<(BodyDecoder, Outcome)>,
    closed: bool,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) paths: Vec<Vec<u8>>,
}

impl Peer {
    pub(crate) fn server(reading: Reading) -> Self {
        Self::new(Side::Server, reading)
    }

    /// A client that has sent these requests, and expects one answer to each.
    pub(crate) fn client(reading: Reading, requests: &[Method]) -> Self {
        let requests = requests.iter().rev().copied().collect();
        Self::new(
            Side::Client {
                requests,
                interims: 0,
            },
            reading,
        )
    }

    fn new(side: Side, reading: Reading) -> Self {
        Self {
            side,
            reading,
            buf: Vec::new(),
            seen: 0,
            first_parse_done: false,
            request: RequestHead::default(),
            response: ResponseHead::default(),
            body: None,
            closed: false,
            outcomes: Vec::new(),
            paths: Vec::new(),
        }
    }

    pub(crate) fn read(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
        while !self.closed && self.advance() {}
    }

    /// The other side closed.
    pub(crate) fn end(mut self) -> (Vec<Outcome>, Vec<Vec<u8>>) {
        // `head_end` defers a verdict on bytes without a line end; the end of the bytes forces it.
        self.reading = Reading::Parse;
        self.read(&[]);
        let waiting = match &self.side {
            Side::Server => false,
            Side::Client { requests, .. } => !requests.is_empty(),
        };
        if let Some((mut decoder, message)) = self.body.take() {
            self.outcomes.push(match decoder.finish() {
                Ok(()) => message,
                Err(error) => Outcome::Body(error),
            });
        } else if !self.closed && (waiting || !self.buf.is_empty()) {
            self.outcomes.push(Outcome::Partial);
        } else if matches!(self.side, Side::Client { .. }) && !self.buf.is_empty() {
            let verdict = self.outcomes.last();
            if matches!(verdict, Some(Outcome::Message { .. })) {
                self.outcomes.push(Outcome::Surplus(self.buf.len()));
            }
        }
        (self.outcomes, self.paths)
    }

    /// One step; false when more bytes are needed.
    fn advance(&mut self) -> bool {
        if self.body.is_some() {
            return self.read_body();
        }
        if matches!(&self.side, Side::Client { requests, .. } if requests.is_empty()) {
            self.closed |= !self.buf.is_empty();
            return false;
        }
        if !self.worth_parsing() {
            return false;
        }
        let parsed = match &self.side {
            Side::Server => parse_request(&self.buf, &LIMITS, &mut self.request),
            Side::Client { requests, .. } => {
                let method = requests.last().copied().unwrap_or_default();
                parse_response(&self.buf, method, &LIMITS, &mut self.response)
            }
        };
        match parsed {
            Ok(Parsed::Partial) => false,
            Ok(Parsed::Complete) => self.head_complete(),
            Err(error) => self.close(Outcome::Head(error)),
        }
    }

    fn worth_parsing(&mut self) -> bool {
        let from = std::mem::replace(&mut self.seen, self.buf.len());
        match self.reading {
            Reading::Parse => true,
            Reading::HeadEnd if !std::mem::replace(&mut self.first_parse_done, true) => true,
            Reading::HeadEnd => {
                head_end(&self.buf, from).is_some() || self.buf.len() >= LIMITS.head_max_bytes
            }
        }
    }

    fn head_complete(&mut self) -> bool {
        let (status, framing, keep_alive, json, head_len) = match &mut self.side {
            Side::Server => {
                let head = &self.request;
                self.paths.push(head.path.of(&self.buf).to_vec());
                (0, head.framing, head.keep_alive, false, head.head_len)
            }
            Side::Client { requests, interims } => {
                let head = &self.response;
                if head.status < 200 {
                    *interims += 1;
                } else {
                    *interims = 0;
                    requests.pop();
                }
                (
                    head.status,
                    head.framing,
                    head.keep_alive,
                    head.json,
                    head.head_len,
                )
            }
        };
        self.buf.drain(..head_len);
        self.seen = 0;
        self.first_parse_done = false;
        if matches!(self.side, Side::Client { .. }) && status < 200 {
            let flood =
                matches!(self.side, Side::Client { interims, .. } if interims > INTERIM_MAX);
            return if flood {
                self.close(Outcome::InterimFlood)
            } else {
                true
            };
        }
        match BodyDecoder::new(framing, BODY_MAX) {
            Ok(decoder) => {
                let body = Vec::new();
                let message = Outcome::Message {
                    status,
                    framing,
                    keep_alive,
                    json,
                    body,
                };
                self.body = Some((decoder, message));
                true
            }
            Err(error) => self.close(Outcome::Body(error)),
        }
    }

    fn read_body(&mut self) -> bool {
        let Some((mut decoder, mut message)) = self.body.take() else {
            return false;
        };
        let Outcome::Message {
            body, keep_alive, ..
        } = &mut message
        else {
            return false;
        };
        let taken = match decoder.decode(&self.buf, body) {
            Ok(taken) => taken,
            Err(error) => return self.close(Outcome::Body(error)),
        };
        self.buf.drain(..taken.consumed);
        assert_eq!(taken.done, decoder.is_done());
        if taken.done {
            self.closed |= !*keep_alive;
            self.outcomes.push(message);
            return true;
        }
        assert!(
            self.buf.is_empty(),
            "an unfinished body leaves no byte behind"
        );
        self.body = Some((decoder, message));
        false
    }

    fn close(&mut self, outcome: Outcome) -> bool {
        self.closed = true;
        self.outcomes.push(outcome);
        false
    }
}
