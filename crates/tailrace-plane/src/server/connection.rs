//! One client connection: read a head, run its request, write the reply, again.
//!
//! While it waits for a request it holds no buffer: the working set comes from the worker's pool
//! when the first byte arrives and goes back after the reply. Every wait has an end (head, idle,
//! body, write), kept as one number that the worker's sweep looks at, so a connection needs no
//! timer of its own. A client that leaves is noticed while its request runs, and everything it
//! caused stops.

use crate::admission::caller::Peer;
use crate::clock::{self, limit};
use crate::h1::{self, BodyDecoder, Framing, Parsed};
use crate::net::{self, TcpStream};
use crate::request::Exchange;
use crate::server::failed::{bad_body, bad_head, no_room, too_slow, Failed};
use crate::server::slots::Slot;
use crate::server::Admitted;
use crate::shared::Phase;
use crate::worker::Worker;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use tailrace_policy::Nanos;

/// Room made for a head before each read.
const HEAD_READ_BYTES: usize = 2 * 1024;
/// Bytes accepted beyond the current request (pipelining) before reading stops.
const AHEAD_MAX_BYTES: usize = 64 * 1024;
/// What a client must take of a reply within `write_ms`.
const WRITE_STRETCH_BYTES: usize = 16 * 1024;
/// A connection between requests gets this long when draining begins.
const DRAIN_GRACE_MS: u32 = 1_000;
/// What a client still sends after a refusal is dropped for this long, so that it can read it.
const LINGER_MS: u32 = 1_000;
/// One that was too slow has had its time.
const LINGER_SLOW_MS: u32 = 250;
/// How often a client that has sent too far ahead is looked after (`poll_gone`).
const GONE_LOOK_MS: u32 = 250;

struct Connection {
    worker: Rc<Worker>,
    stream: TcpStream,
    slot: Slot,
    peer: Peer,
    served: u64,
}

/// Why a connection ends. None of these needs an answer.
enum End {
    Closed,
    Expired,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

/// Serves `stream` until it ends.
pub(super) async fn serve(worker: Rc<Worker>, stream: TcpStream, admitted: Admitted) {
    let slot = poll_fn(|cx| Poll::Ready(worker.slots.enter(cx.waker()))).await;
    let mut connection = Connection {
        worker,
        stream,
        slot,
        peer: admitted.peer,
        served: 0,
    };
    let mut kept: Option<Box<Exchange>> = None;
    loop {
        let exchange = match kept.take() {
            Some(exchange) => exchange,
            None => match connection.first_bytes().await {
                Ok(exchange) => exchange,
                Err(_) => break,
            },
        };
        match connection.turn(exchange).await {
            Some(exchange) if exchange.input.is_empty() => connection.worker.put_back(exchange),
            Some(exchange) => kept = Some(exchange),
            None => break,
        }
    }
    drop(admitted);
}

impl Connection {
    /// Waits, without a buffer, until the client sends something.
    async fn first_bytes(&mut self) -> Result<Box<Exchange>, End> {
        let since = self.worker.tick();
        self.expire_idle(since);
        let (mut grace, mut woken) = (false, false);
        poll_fn(|cx| {
            if self.follow() && !grace {
                self.expire_idle(since);
            }
            match self.stream.poll_read_ready(cx)? {
                Poll::Ready(()) => {}
                Poll::Pending if woken && self.slot.expired(&self.worker) => {
                    return Poll::Ready(Err(End::Expired))
                }
                Poll::Pending => {
                    woken = true;
                    // Draining: a client that is about to send its next request gets an answer and
                    // `connection: close` with it; one that stays silent is closed soon.
                    if self.worker.shared.phase() > Phase::Running && !grace {
                        grace = true;
                        self.slot.expire(&self.worker, limit(DRAIN_GRACE_MS));
                    }
                    return Poll::Pending;
                }
            }
            let mut exchange = self.worker.take_exchange();
            exchange.input.reserve(HEAD_READ_BYTES);
            match net::poll_read(&mut self.stream, cx, &mut exchange.input) {
                Poll::Ready(Ok(count)) if count > 0 => Poll::Ready(Ok(exchange)),
                Poll::Ready(_) => {
                    self.worker.put_back(exchange);
                    Poll::Ready(Err(End::Closed))
                }
                Poll::Pending => {
                    self.worker.put_back(exchange);
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Takes up the configuration in force; `true` when it has changed. Only between requests: one
    /// in flight keeps what it began with.
    fn follow(&mut self) -> bool {
        let outdated = self.worker.is_outdated();
        if outdated {
            self.worker = self.worker.newest();
        }
        outdated
    }

    fn expire_idle(&self, since: Nanos) {
        let limits = &self.worker.program.limits;
        let wait = if self.served == 0 {
            limits.head_read_ms
        } else {
            limits.idle_ms
        };
        self.slot.expire_at(since + limit(wait));
    }

    /// One request and its reply. Gives the exchange back when the connection may go on.
    async fn turn(&mut self, mut exchange: Box<Exchange>) -> Option<Box<Exchange>> {
        self.follow();
        exchange.arrive(&self.worker);
        exchange.peer = self.peer;
        let head = self.read_head(&mut exchange).await;
        let trusted = head.is_ok();
        let body = match head {
            Ok(()) => self.take_body(&mut exchange).await,
            Err(failed) => Err(failed),
        };
        let next = match body {
            Ok(next) => next,
            Err(Failed::Gone) => {
                exchange.input.clear();
                self.worker.put_back(exchange);
                return None;
            }
            Err(failed) => {
                let slow = matches!(&failed, Failed::Refused(problem) if problem.status == 408);
                match failed {
                    Failed::Refused(problem) if trusted => {
                        exchange.reject_body(&self.worker, &problem);
                    }
                    Failed::Refused(problem) => exchange.reject(&self.worker, &problem),
                    Failed::TurnedAway(refusal) => {
                        exchange.turn_away_unread(&self.worker, refusal);
                    }
                    Failed::Gone => {}
                }
                exchange.body = Vec::new();
                exchange.depart();
                self.write(&exchange.reply).await.ok();
                let patience = if slow { LINGER_SLOW_MS } else { LINGER_MS };
                self.linger(limit(patience)).await;
                exchange.input.clear();
                self.worker.put_back(exchange);
                return None;
            }
        };
        let mut ready = exchange.begin(&self.worker).is_ready();
        if !ready {
            ready = self.run(&mut exchange).await;
        }
        if !ready || self.write(&exchange.reply).await.is_err() || !exchange.keep_alive {
            exchange.input.clear();
            self.worker.put_back(exchange);
            return None;
        }
        self.served += 1;
        exchange.input.drain(..next);
        Some(exchange)
    }

    /// Runs the fan-out; `false` when the client left first.
    async fn run(&mut self, exchange: &mut Exchange) -> bool {
        let worker = Rc::clone(&self.worker);
        if worker.gate.is_crowded() && worker.lane.is_long(worker.now.get()) {
            // Boxed: a connection that waits for its client must not be larger by it.
            let end = clock::instant(exchange.cutoff());
            let turn = Box::pin(tokio::time::timeout_at(end, worker.lane.share()));
            // Without a turn until its end, it is told so by the first poll.
            turn.await.ok();
            exchange.fresh = false;
        }
        let mut gone = false;
        poll_fn(|cx| {
            if exchange.poll(&worker, cx).is_ready() {
                return Poll::Ready(());
            }
            if self.poll_gone(exchange, cx) {
                gone = true;
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
        if gone {
            exchange.abandon(&worker);
        }
        !gone
    }

    /// Reads ahead while a request runs: an end of stream means that nobody waits for the reply.
    /// Of a client that has sent too far ahead nothing more is read; the event loop has noted its
    /// end all the same, and the sweep sees to it that somebody looks.
    fn poll_gone(&mut self, exchange: &mut Exchange, cx: &mut Context<'_>) -> bool {
        while exchange.input.len() < AHEAD_MAX_BYTES {
            match self.stream.poll_read_ready(cx) {
                Poll::Pending => return false,
                Poll::Ready(Err(_)) => return true,
                Poll::Ready(Ok(())) => {}
            }
            exchange.input.reserve(HEAD_READ_BYTES);
            match net::poll_read(&mut self.stream, cx, &mut exchange.input) {
                Poll::Pending => return false,
                Poll::Ready(Ok(count)) if count > 0 => {}
                Poll::Ready(_) => return true,
            }
        }
        self.slot.expire(&self.worker, limit(GONE_LOOK_MS));
        net::has_left(&self.stream, cx)
    }

    /// Reads until the head is complete and well formed.
    async fn read_head(&mut self, exchange: &mut Exchange) -> Result<(), Failed> {
        let limits = self.worker.program.head_limits;
        let mut waits = false;
        let mut searched = 0;
        let mut parse_at = 0;
        loop {
            let length = exchange.input.len();
            let complete = h1::head_end(&exchange.input, searched).is_some();
            searched = length.saturating_sub(3);
            // An incomplete head is parsed to refuse early what is hopeless, each time it has
            // doubled: a client that sends byte by byte costs a bounded number of looks.
            if complete || length > limits.head_max_bytes || length >= parse_at {
                parse_at = length * 2;
                match h1::parse_request(&exchange.input, &limits, &mut exchange.head) {
                    Ok(Parsed::Complete) => return Ok(()),
                    Ok(Parsed::Partial) => {}
                    Err(error) => return Err(bad_head(error)),
                }
            }
            if !std::mem::replace(&mut waits, true) {
                let head_read_ms = self.worker.program.limits.head_read_ms;
                self.slot.expire(&self.worker, limit(head_read_ms));
            }
            self.read_more(&mut exchange.input, "head_timeout").await?;
        }
    }

    /// Reads more bytes, or fails: the client is gone, or too slow (408).
    async fn read_more(&mut self, input: &mut Vec<u8>, code: &'static str) -> Result<(), Failed> {
        input.reserve(HEAD_READ_BYTES);
        poll_fn(|cx| match net::poll_read(&mut self.stream, cx, input) {
            Poll::Ready(Ok(count)) if count > 0 => Poll::Ready(Ok(())),
            Poll::Ready(_) => Poll::Ready(Err(Failed::Gone)),
            Poll::Pending if self.slot.expired(&self.worker) => Poll::Ready(Err(too_slow(code))),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Reads the request's body, within its limits, and drops it unless its view reads it; returns
    /// where the next request starts.
    async fn take_body(&mut self, exchange: &mut Exchange) -> Result<usize, Failed> {
        let start = exchange.head.head_len;
        let framing = exchange.head.framing;
        exchange.body.clear();
        if framing == Framing::None {
            return Ok(start);
        }
        let limits = &self.worker.program.limits;
        let (body_max, read_ms) = (limits.request_body_max_bytes, limits.body_read_ms);
        let mut decoder = BodyDecoder::new(framing, u64::from(body_max)).map_err(bad_body)?;
        self.slot.expire(&self.worker, limit(read_ms));
        if exchange.head.expect_continue && exchange.input.len() == start {
            if let Some(problem) = exchange.refused_early(&self.worker.program) {
                return Err(Failed::Refused(problem));
            }
            exchange.ask_early(&self.worker)?;
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                .await
                .map_err(|_| Failed::Gone)?;
            self.slot.expire(&self.worker, limit(read_ms));
        }
        let kept = exchange.reads_body(&self.worker.program);
        loop {
            let before = exchange.body.len();
            let step = decoder
                .decode(&exchange.input[start..], &mut exchange.body)
                .map_err(bad_body)?;
            if kept {
                let more = exchange.body.len() - before;
                exchange.hold_body(more).map_err(no_room)?;
            } else {
                exchange.body.clear();
            }
            if step.done {
                return Ok(start + step.consumed);
            }
            // There is something to wait for: only if it is worth the wait.
            exchange.ask_early(&self.worker)?;
            exchange.input.drain(start..start + step.consumed);
            self.read_more(&mut exchange.input, "body_timeout").await?;
        }
    }

    /// Writes all of `bytes`, unless the client reads too slowly.
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut written = 0;
        // Each stretch of the reply has its own time, so a long one to a steady reader is not cut.
        let mut stretch_end = 0;
        poll_fn(|cx| {
            let done = net::poll_write_all(&mut self.stream, cx, bytes, &mut written);
            if done.is_pending() {
                if written >= stretch_end {
                    stretch_end = written + WRITE_STRETCH_BYTES;
                    let write_ms = self.worker.program.limits.write_ms;
                    self.slot.expire(&self.worker, limit(write_ms));
                }
                if self.slot.expired(&self.worker) {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
            done
        })
        .await
    }

    /// After a refusal: closes our side and drops what still arrives, so that the client reads the
    /// reply instead of a reset caused by its own unread bytes. Bounded in bytes and time.
    async fn linger(&mut self, patience: Nanos) {
        const LINGER_BYTES: usize = 256 * 1024;
        net::shutdown_write(&self.stream);
        self.slot.expire(&self.worker, patience);
        let mut dropped = 0;
        let mut input = self.worker.buffers.take();
        while dropped < LINGER_BYTES && self.read_more(&mut input, "linger").await.is_ok() {
            dropped += input.len();
            input.clear();
        }
        self.worker.buffers.give(input);
    }
}
