//! One wire exchange: write the request, read the answer.
//!
//! The answer is trusted only as far as its framing goes; anything odd (both framing headers, bytes
//! after the body, a body that ends early, a 101) is an error and the connection is closed, so the
//! next call starts clean (RELIABILITY S02). Memory is bounded before it is taken: a declared
//! length above the limit fails at once, an undeclared one fails when it gets there.

use super::pool::{self, Connection};
use crate::clock;
use crate::h1::{self, BodyDecoder, BodyError, Framing, HeadLimits, Method, Parsed, ResponseHead};
use crate::net;
use crate::reason::Reason;
use crate::receipt::{Held, Noted, Short, Taken};
use crate::worker::Worker;
use std::future::{poll_fn, Future};
use std::net::SocketAddr;
use std::ops::Range;
use std::rc::Rc;
use std::task::{ready, Poll};
use tailrace_policy::{retry_after, Nanos};

/// What to send and how much may come back.
#[derive(Debug)]
pub struct Request<'a> {
    pub upstream: usize,
    pub socket: SocketAddr,
    pub method: Method,
    /// Given back to the worker as soon as it is written, so that the next call, a moment later,
    /// writes into memory that is still in the cache.
    pub bytes: Vec<u8>,
    pub body_max: u64,
    /// What this request may still hold, shared by its calls.
    pub memory: &'a Rc<Held>,
    /// What happens is noted here.
    pub noted: Noted<'a>,
}

/// The answer's body inside the buffer that holds it.
#[derive(Debug)]
pub struct Body {
    pub buffer: Vec<u8>,
    pub range: Range<usize>,
    /// What it is counted as.
    pub taken: Taken,
}

impl Body {
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.range.clone()]
    }
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub json: bool,
    /// `Retry-After` of a 429 or 503.
    pub retry_after: Option<Nanos>,
    pub body: Body,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeError {
    Connect,
    Reset,
    Protocol,
    BodyTooLarge,
    Memory(Short),
}

impl From<ExchangeError> for Reason {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::Connect => Self::Connect,
            ExchangeError::Reset => Self::Reset,
            ExchangeError::Protocol => Self::Protocol,
            ExchangeError::BodyTooLarge => Self::BodyTooLarge,
            ExchangeError::Memory(short) => short.into(),
        }
    }
}

impl From<Short> for ExchangeError {
    fn from(short: Short) -> Self {
        Self::Memory(short)
    }
}

impl From<BodyError> for ExchangeError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::BodyTooLarge,
            _ => Self::Protocol,
        }
    }
}

/// Interim (1xx) answers skipped before the final one.
const INTERIM_MAX: u32 = 8;

/// Sends `request` on a connection of this worker and reads its answer.
// An `async fn` would hold its argument twice (`call::governed`).
#[allow(clippy::manual_async_fn)]
pub fn exchange<'a>(
    worker: &'a Worker,
    mut request: Request<'a>,
) -> impl Future<Output = Result<Response, ExchangeError>> + 'a {
    async move {
        let metrics = &worker.metrics.upstreams[request.upstream];
        let mut reader = send(worker, &mut request).await?;
        let outcome = reader.answer(worker, &request).await;
        let Reader {
            connection,
            buffer,
            retry_after,
        } = reader;
        match outcome {
            Ok((range, decoded, taken)) => {
                metrics.bytes_in.add(range.end as u64);
                let (status, json) = (connection.head.status, connection.head.json);
                if connection.head.keep_alive {
                    worker
                        .pools
                        .give(request.upstream, connection, worker.now.get());
                }
                Ok(Response {
                    status,
                    json,
                    retry_after,
                    body: body(worker, buffer, range, decoded, taken),
                })
            }
            Err(error) => {
                worker.buffers.give(buffer);
                Err(error)
            }
        }
    }
}

/// Writes `request` to a connection, an idle one where there is one.
pub(super) async fn send(
    worker: &Worker,
    request: &mut Request<'_>,
) -> Result<Reader, ExchangeError> {
    let metrics = &worker.metrics.upstreams[request.upstream];
    metrics.attempts.add(1);
    let idle = worker
        .pools
        .take(request.upstream, request.socket, worker.now.get());
    let opened = idle.is_none();
    let mut connection = match idle {
        Some(connection) => connection,
        None => {
            metrics.connects.add(1);
            // Apart, as in `Reader::answer`: few calls need it.
            Box::pin(pool::connect(request.socket))
                .await
                .map_err(|_| ExchangeError::Connect)?
        }
    };
    request.noted.connected(opened, worker.now.get());
    let mut written = 0;
    let sent =
        poll_fn(|cx| net::poll_write_all(&mut connection.stream, cx, &request.bytes, &mut written));
    let sent = sent.await;
    worker.buffers.give(std::mem::take(&mut request.bytes));
    sent.map_err(|_| ExchangeError::Reset)?;
    request.noted.dispatched(written, worker.now.get());
    Ok(Reader {
        connection,
        buffer: Vec::new(),
        retry_after: None,
    })
}

/// The body in the buffer it is in, and the other one given back.
fn body(
    worker: &Worker,
    buffer: Vec<u8>,
    range: Range<usize>,
    decoded: Option<Vec<u8>>,
    taken: Taken,
) -> Body {
    let Some(decoded) = decoded else {
        return Body {
            buffer,
            range,
            taken,
        };
    };
    worker.buffers.give(buffer);
    Body {
        range: 0..decoded.len(),
        buffer: decoded,
        taken,
    }
}

/// When the peer says to come back; only a 429 or 503 is believed.
fn told_wait(head: &ResponseHead, buffer: &[u8]) -> Option<Nanos> {
    if !matches!(head.status, 429 | 503) {
        return None;
    }
    let value = head.header(buffer, "retry-after")?;
    retry_after::parse(value, clock::epoch_ms() / 1000)
}

#[derive(Debug)]
pub(super) struct Reader {
    pub(super) connection: Box<Connection>,
    pub(super) buffer: Vec<u8>,
    pub(super) retry_after: Option<Nanos>,
}

impl Reader {
    /// Returns where the body is: a range of the buffer, or decoded into a buffer of its own.
    async fn answer(
        &mut self,
        worker: &Worker,
        request: &Request<'_>,
    ) -> Result<(Range<usize>, Option<Vec<u8>>, Taken), ExchangeError> {
        let taken = Taken::none(request.memory);
        let start = self.read_head(worker, request).await?;
        self.retry_after = told_wait(&self.connection.head, &self.buffer);
        match self.connection.head.framing {
            Framing::None => self.ends_at(start).map(|()| (start..start, None, taken)),
            Framing::Length(length) => {
                if length > request.body_max {
                    return Err(ExchangeError::BodyTooLarge);
                }
                taken.more(length)?;
                let end = start + length as usize;
                self.buffer.reserve(end.saturating_sub(self.buffer.len()));
                while self.buffer.len() < end {
                    if self.read_some(worker, Some(request.noted)).await? == 0 {
                        return Err(ExchangeError::Reset);
                    }
                }
                self.ends_at(end).map(|()| (start..end, None, taken))
            }
            framing => {
                let decoder = BodyDecoder::new(framing, request.body_max)?;
                // Apart: what few answers need must not be room in the state of every call.
                let decoding = Box::pin(self.decode(worker, request, decoder, start, &taken));
                let decoded = decoding.await?;
                Ok((0..decoded.len(), Some(decoded), taken))
            }
        }
    }

    /// Reads until a final head is complete; returns where its body starts.
    pub(super) async fn read_head(
        &mut self,
        worker: &Worker,
        request: &Request<'_>,
    ) -> Result<usize, ExchangeError> {
        let method = request.method;
        let limits = &worker.program.head_limits;
        let mut interim = 0;
        loop {
            if !self.buffer.is_empty() {
                match parse_at(&self.buffer, method, limits, &mut self.connection.head)? {
                    Parsed::Complete if self.connection.head.status >= 200 => {
                        return Ok(self.connection.head.head_len)
                    }
                    Parsed::Complete => {
                        interim += 1;
                        if self.connection.head.status == 101 || interim > INTERIM_MAX {
                            return Err(ExchangeError::Protocol);
                        }
                        self.buffer.drain(..self.connection.head.head_len);
                        continue;
                    }
                    Parsed::Partial => {}
                }
            }
            if self.read_some(worker, Some(request.noted)).await? == 0 {
                return Err(ExchangeError::Reset);
            }
        }
    }

    /// Reads what has come, and notes when that was; 0 at the end.
    ///
    /// Takes no buffer before there is something to put into it: a call that waits holds none, and
    /// answers that come one after another land in the same memory, which is in the cache.
    // Not an `async fn`, whose state would be a layer more in every call.
    pub(super) fn read_some<'a>(
        &'a mut self,
        worker: &'a Worker,
        noted: Option<Noted<'a>>,
    ) -> impl Future<Output = Result<usize, ExchangeError>> + 'a {
        let (stream, buffer) = (&mut self.connection.stream, &mut self.buffer);
        poll_fn(move |cx| {
            if buffer.capacity() == 0 {
                ready!(stream.poll_read_ready(cx)).map_err(|_| ExchangeError::Reset)?;
                *buffer = worker.buffers.take();
            }
            if buffer.capacity() == buffer.len() {
                buffer.reserve(buffer.len().max(crate::buffers::FRESH_BYTES));
            }
            let count = ready!(net::poll_read(stream, cx, buffer));
            let count = count.map_err(|_| ExchangeError::Reset)?;
            if let (Some(noted), true) = (noted, count > 0) {
                noted.read(count, worker.now.get());
            }
            Poll::Ready(Ok(count))
        })
    }

    /// Bytes past the end of the body belong to nobody: the peer is not to be trusted.
    fn ends_at(&self, end: usize) -> Result<(), ExchangeError> {
        if self.buffer.len() > end {
            return Err(ExchangeError::Protocol);
        }
        Ok(())
    }

    /// Chunked bodies and bodies that end with the connection.
    async fn decode(
        &mut self,
        worker: &Worker,
        request: &Request<'_>,
        mut decoder: BodyDecoder,
        start: usize,
        taken: &Taken,
    ) -> Result<Vec<u8>, ExchangeError> {
        let mut decoded = worker.buffers.take();
        let mut from = start;
        loop {
            let before = decoded.len();
            let step = decoder.decode(&self.buffer[from..], &mut decoded)?;
            taken.more((decoded.len() - before) as u64)?;
            from += step.consumed;
            if step.done {
                return self.ends_at(from).map(|()| decoded);
            }
            self.buffer.drain(..from);
            from = 0;
            if self.read_some(worker, Some(request.noted)).await? == 0 {
                decoder.finish().map_err(|_| ExchangeError::Reset)?;
                return Ok(decoded);
            }
        }
    }
}

fn parse_at(
    buffer: &[u8],
    method: Method,
    limits: &HeadLimits,
    head: &mut ResponseHead,
) -> Result<Parsed, ExchangeError> {
    h1::parse_response(buffer, method, limits, head).map_err(|_| ExchangeError::Protocol)
}
