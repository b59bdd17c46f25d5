//! A client's call whose body crosses to Python piece by piece, and never faster than it is read.
//!
//! The failure prevented: a reader that is slower than its upstream, and a queue between them that
//! grows. The plane sends as many bytes as the reader has granted; without a grant it does not read
//! the socket, so the upstream feels it. The call is governed like any other up to the answer's
//! head: same refusals, same statistics. After it only time and bytes are bounded; nothing is
//! retried or hedged.
//!
//! *Bounds.* `WINDOW` bytes, and one piece more, wait for Python per stream; streams count among
//! the conversations of clients.

use super::message::{Asked, Event, Failed, Head, Letter, Ticket, Token};
use super::template::Template;
use super::{alone, Bridge, Mailbox};
use crate::attempt::{self, Begun};
use crate::call;
use crate::client::{self, Opened};
use crate::clock;
use crate::clock::timer::Timer;
use crate::reason::Reason;
use crate::receipt::{Held, Kind, Tally};
use crate::template::{self, Rendered, Values};
use crate::worker::Worker;
use std::cell::Cell;
use std::future::{poll_fn, Future};
use std::pin::{pin, Pin};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::task::{Context, Poll};
use tailrace_policy::deadline::Deadline;
use tailrace_policy::Nanos;

/// Bytes sent before the first grant; python/tailrace/streams.py has the same number.
const WINDOW: u64 = 256 * 1024;

/// A stream as Python asks for it.
#[derive(Debug)]
pub struct Wish {
    pub token: Token,
    pub template: Arc<Template>,
    pub values: Vec<Option<Vec<u8>>>,
    pub asked: Asked,
    /// Most bytes of the body; none for what the upstream declares.
    pub body_max: Option<u64>,
}

/// What the stream's two halves share.
#[derive(Debug)]
struct Flow {
    /// Bytes that may be sent; a piece may overdraw it.
    room: Cell<i64>,
    /// When the stream must be polled again.
    until: Cell<Nanos>,
}

/// One stream, while it runs.
struct Streaming {
    worker: Rc<Worker>,
    bridge: Arc<Bridge>,
    ticket: Ticket,
    token: Token,
    mailbox: Rc<Mailbox>,
    flow: Rc<Flow>,
    running: Pin<Box<dyn Future<Output = Result<(), Failed>>>>,
    timer: Timer,
}

/// Gives the stream a task of its own; it ends with it.
pub(super) fn start(worker: &Rc<Worker>, bridge: &Arc<Bridge>, ticket: Ticket, wish: Wish) {
    let flow = Rc::new(Flow {
        room: Cell::new(WINDOW as i64),
        until: Cell::new(Nanos::MAX),
    });
    let token = wish.token;
    let running = run(
        Rc::clone(worker),
        Arc::clone(bridge),
        wish,
        Rc::clone(&flow),
    );
    let mut streaming = Streaming {
        worker: Rc::clone(worker),
        bridge: Arc::clone(bridge),
        ticket,
        token,
        mailbox: worker.conversations.open_as(ticket),
        flow,
        running: Box::pin(running),
        timer: Timer::default(),
    };
    tokio::task::spawn_local(async move { poll_fn(|context| streaming.poll(context)).await });
}

impl Streaming {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let worker = Rc::clone(&self.worker);
        worker.tick();
        loop {
            for letter in self.mailbox.take(context.waker()) {
                match letter {
                    Letter::Grant(bytes) => {
                        let more = i64::try_from(bytes).unwrap_or(i64::MAX);
                        let room = self.flow.room.get().saturating_add(more);
                        self.flow.room.set(room.min(WINDOW as i64));
                    }
                    // Dropping the call closes its connection; nobody is left to tell.
                    Letter::Withdraw(_) => return Poll::Ready(()),
                    Letter::Calls(_) | Letter::End(_) | Letter::Computed(_) => {}
                }
            }
            if let Poll::Ready(ended) = self.running.as_mut().poll(context) {
                self.end(ended.err());
                return Poll::Ready(());
            }
            let until = self.flow.until.get();
            if worker.now.get() >= until {
                self.end(Some(Failed::silent(Reason::Deadline)));
                return Poll::Ready(());
            }
            if self.timer.poll_until(until, context).is_pending() {
                return Poll::Pending;
            }
            worker.tick();
        }
    }

    fn end(&self, failed: Option<Failed>) {
        let token = self.token;
        let over = Event::Over { token, failed };
        self.bridge.push(self.worker.now.get(), over, None);
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.worker.conversations.close(self.ticket);
        self.bridge.clients.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The call: up to the head as `call.rs` makes one, then piece by piece.
async fn run(
    worker: Rc<Worker>,
    bridge: Arc<Bridge>,
    wish: Wish,
    flow: Rc<Flow>,
) -> Result<(), Failed> {
    let began = worker.now.get();
    let deadline = Deadline::inbound(began, wish.asked.within, None);
    let reserve = clock::limit(worker.program.limits.reserve_ms);
    let timeout = wish.template.timeout(&worker.program);
    let budget = call::budget(timeout, deadline, reserve, began);
    let (until, cut) = budget.map_err(Failed::silent)?;
    flow.until.set(until);
    let rendered = render(&worker, &wish).map_err(Failed::silent)?;
    let index = wish.template.part.upstream;
    let admitted = call::admit(&worker, index, until, &Tally::default()).await;
    let permit = admitted.map_err(Failed::silent)?;
    let mut opened = open(&worker, &wish, &rendered, until, cut).await?;
    worker.buffers.give(rendered.bytes);
    let answered = opened.head_status();
    // From here on the time of the whole counts.
    flow.until.set(deadline.at.saturating_sub(reserve));
    let token = wish.token;
    let head = Head {
        status: answered,
        content_type: opened.content_type().map(str::to_owned),
        length: opened.length(),
    };
    bridge.push(worker.now.get(), Event::Head { token, head }, None);
    let failed = |error: client::ExchangeError| Failed {
        reason: error.into(),
        answered,
    };
    loop {
        poll_fn(|_| match flow.room.get() {
            room if room > 0 => Poll::Ready(()),
            _ => Poll::Pending, // A grant polls this again.
        })
        .await;
        let Some(bytes) = opened.piece(&worker).await.map_err(failed)? else {
            break;
        };
        flow.room.set(flow.room.get() - bytes.len() as i64);
        bridge.push(worker.now.get(), Event::Chunk { token, bytes }, None);
    }
    opened.finish(&worker).map_err(failed)?;
    permit.settle(worker.now.get().saturating_sub(began));
    Ok(())
}

fn render(worker: &Worker, wish: &Wish) -> Result<Rendered, Reason> {
    let values = Values {
        parameters: &wish.values,
        parts: &[],
        item: None,
    };
    let mut rendered = Rendered {
        bytes: worker.buffers.take(),
        any_type: true,
        ..Rendered::default()
    };
    template::render(&wish.template.part, values, &mut rendered)
        .map_err(|_| Reason::BadReference)?;
    let (line, _) = alone::lines(worker, &wish.asked);
    rendered.bytes.extend_from_slice(&line);
    Ok(rendered)
}

/// The attempt, as far as its head; what learns from attempts is told how that went.
async fn open(
    worker: &Worker,
    wish: &Wish,
    rendered: &Rendered,
    until: Nanos,
    cut: bool,
) -> Result<Opened, Failed> {
    let part = &wish.template.part;
    let upstream = &worker.program.upstreams[part.upstream];
    let addresses = worker.pools.addresses(part.upstream, upstream);
    let chosen = attempt::choose(worker, &addresses, None).map_err(Failed::silent)?;
    // Pieces are bounded by the window, not by the memory of a request; nobody reads the tally:
    // what belongs to no request has no receipt.
    let (memory, tally) = (Held::new(u64::MAX, None), Tally::default());
    tally.span.set(worker.span());
    let begun = Begun::new(worker, part, chosen, &tally, Kind::First);
    let body_max = wish.body_max.unwrap_or(upstream.body_max);
    let request = begun.request(rendered, until, body_max, &memory);
    let answered = before(worker, until, client::open(worker, request)).await;
    let opened = begun.ended(answered, cut).map_err(Failed::silent)?;
    let answered = opened.head_status();
    match Reason::of_status(answered) {
        None => Ok(opened),
        Some(reason) => Err(Failed { reason, answered }),
    }
}

/// The output of `future`, unless it is not there at `until`, when the stream is polled again.
async fn before<F: Future>(worker: &Worker, until: Nanos, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if worker.now.get() >= until => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}
