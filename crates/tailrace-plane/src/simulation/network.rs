//! A network in memory with the face of tokio's, as far as the plane uses it.
//!
//! What it keeps of the real one: bytes arrive in pieces that nobody chose, a buffer that is full
//! makes its writer wait, closing with unread bytes resets, a write to a peer that left succeeds
//! once and is answered by a reset, a port nobody listens on refuses. What it leaves out: time on
//! the wire (the ends of a story say how long things take) and loss.
//!
//! All state belongs to the thread: two simulations side by side do not meet.

// The signatures are tokio's.
#![allow(clippy::unnecessary_wraps, clippy::unused_self)]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{ready, Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes under way in one direction before the writer waits.
const WINDOW: usize = 16 * 1024;
/// One read or write in so many is cut short.
const CUT_ONE_IN: u64 = 8;

/// A way for one listener's connections.
type Queue = Rc<RefCell<Backlog>>;

#[derive(Debug, Default)]
struct Backlog {
    waiting: VecDeque<TcpStream>,
    acceptor: Option<Waker>,
}

/// The wires of this thread.
#[derive(Debug, Default)]
struct Wires {
    ports: BTreeMap<SocketAddr, Vec<Queue>>,
    random: fastrand::Rng,
    client_ports: u16,
}

thread_local! {
    static WIRES: RefCell<Wires> = RefCell::default();
    /// Ends of connections that exist.
    static OPEN: Cell<usize> = const { Cell::new(0) };
}

/// Forgets everything; what is random from here on follows `seed`.
pub fn reset(seed: u64) {
    WIRES.with_borrow_mut(|wires| {
        *wires = Wires {
            random: fastrand::Rng::with_seed(seed),
            ..Wires::default()
        };
    });
    OPEN.set(0);
}

/// Ends of connections that exist: two for each that is open on both sides.
pub fn open() -> usize {
    OPEN.get()
}

/// How many of `wanted` bytes go through at once.
fn cut(wanted: usize) -> usize {
    WIRES.with_borrow_mut(|wires| match wires.random.u64(..CUT_ONE_IN) {
        0 if wanted > 1 => wires.random.usize(1..wanted),
        _ => wanted,
    })
}

/// One direction of a connection.
#[derive(Debug, Default)]
struct Pipe {
    bytes: VecDeque<u8>,
    /// What the writer left behind when it ended: nothing more, or a reset.
    ended: Option<io::ErrorKind>,
    /// The reader is gone.
    deaf: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Stands for an orderly end in `Pipe::ended`.
const ORDERLY: io::ErrorKind = io::ErrorKind::UnexpectedEof;

impl Pipe {
    fn end(&mut self, how: io::ErrorKind) {
        self.ended.get_or_insert(how);
        wake(&mut self.reader);
    }

    /// Whether a read would say something.
    fn readable(&self) -> bool {
        !self.bytes.is_empty() || self.ended.is_some()
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() {
            return match self.ended {
                None => Err(io::ErrorKind::WouldBlock.into()),
                Some(ORDERLY) => Ok(0),
                Some(how) => Err(how.into()),
            };
        }
        let count = cut(into.len().min(self.bytes.len()));
        for (to, from) in into.iter_mut().zip(self.bytes.drain(..count)) {
            *to = from;
        }
        wake(&mut self.writer);
        Ok(count)
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn keep(waker: &mut Option<Waker>, context: &Context<'_>) {
    if waker
        .as_ref()
        .is_none_or(|one| !one.will_wake(context.waker()))
    {
        *waker = Some(context.waker().clone());
    }
}

/// One end of a connection.
#[derive(Debug)]
pub struct TcpStream {
    inbound: Rc<RefCell<Pipe>>,
    outbound: Rc<RefCell<Pipe>>,
}

impl TcpStream {
    fn pair() -> (Self, Self) {
        OPEN.set(OPEN.get() + 2);
        let (one, other) = (Rc::default(), Rc::default());
        let near = Self {
            inbound: Rc::clone(&one),
            outbound: Rc::clone(&other),
        };
        let far = Self {
            inbound: other,
            outbound: one,
        };
        (near, far)
    }

    pub fn set_nodelay(&self, _: bool) -> io::Result<()> {
        Ok(())
    }

    pub fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pipe = self.inbound.borrow_mut();
        if pipe.readable() {
            return Poll::Ready(Ok(()));
        }
        keep(&mut pipe.reader, context);
        Poll::Pending
    }

    pub fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        self.inbound.borrow_mut().read(into)
    }

    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut pipe = self.outbound.borrow_mut();
        if pipe.ended.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if pipe.deaf {
            // The peer's kernel answers for it; what it had sent before can still be read.
            pipe.ended = Some(io::ErrorKind::BrokenPipe);
            self.inbound
                .borrow_mut()
                .end(io::ErrorKind::ConnectionReset);
            return Ok(bytes.len());
        }
        let room = WINDOW.saturating_sub(pipe.bytes.len()).min(bytes.len());
        if room == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = cut(room);
        pipe.bytes.extend(&bytes[..count]);
        wake(&mut pipe.reader);
        Ok(count)
    }

    /// Whether the other end has gone, whatever it sent before.
    pub fn peer_left(&self) -> bool {
        self.outbound.borrow().deaf
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        OPEN.set(OPEN.get().saturating_sub(1));
        let mut inbound = self.inbound.borrow_mut();
        inbound.deaf = true;
        wake(&mut inbound.writer);
        let how = if inbound.bytes.is_empty() {
            ORDERLY
        } else {
            io::ErrorKind::ConnectionReset
        };
        drop(inbound);
        self.outbound.borrow_mut().end(how);
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_read_ready(context))?;
        let count = self.try_read(buffer.initialize_unfilled())?;
        buffer.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                keep(&mut self.outbound.borrow_mut().writer, context);
                Poll::Pending
            }
            written => Poll::Ready(written),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        shutdown_write(&self);
        Poll::Ready(Ok(()))
    }
}

/// True when nothing has arrived.
pub fn is_empty(stream: &TcpStream) -> bool {
    !stream.inbound.borrow().readable()
}

/// Ends our side of the conversation; the peer may go on.
pub fn shutdown_write(stream: &TcpStream) {
    stream.outbound.borrow_mut().end(ORDERLY);
}

/// A socket that is not connected yet.
#[derive(Debug)]
pub struct TcpSocket(());

impl TcpSocket {
    pub fn new_v4() -> io::Result<Self> {
        Ok(Self(()))
    }

    pub fn new_v6() -> io::Result<Self> {
        Ok(Self(()))
    }

    pub fn set_nodelay(&self, _: bool) -> io::Result<()> {
        Ok(())
    }

    /// Never done at its first poll, as a real one is not.
    pub async fn connect(self, to: SocketAddr) -> io::Result<TcpStream> {
        tokio::task::yield_now().await;
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let queue = WIRES.with_borrow_mut(|wires| {
            let queues = wires.ports.get(&to).filter(|queues| !queues.is_empty())?;
            // As SO_REUSEPORT does, without a rule that a caller could count on.
            Some(Rc::clone(&queues[wires.random.usize(..queues.len())]))
        });
        let queue = queue.ok_or_else(refused)?;
        let (near, far) = TcpStream::pair();
        let mut queue = queue.borrow_mut();
        queue.waiting.push_back(far);
        wake(&mut queue.acceptor);
        Ok(near)
    }
}

/// Takes connections to its address, which several may share.
#[derive(Debug)]
pub struct TcpListener {
    address: SocketAddr,
    queue: Queue,
}

impl TcpListener {
    pub fn listen(address: SocketAddr) -> Self {
        let queue = Queue::default();
        WIRES.with_borrow_mut(|wires| {
            let queues = wires.ports.entry(address).or_default();
            queues.push(Rc::clone(&queue));
        });
        Self { address, queue }
    }

    /// A unit test holds no socket of the system.
    pub fn from_std(_: std::net::TcpListener) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    pub fn poll_accept(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let mut queue = self.queue.borrow_mut();
        let Some(stream) = queue.waiting.pop_front() else {
            keep(&mut queue.acceptor, context);
            return Poll::Pending;
        };
        Poll::Ready(Ok((stream, client())))
    }

    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|context| self.poll_accept(context)).await
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        WIRES.with_borrow_mut(|wires| {
            if let Some(queues) = wires.ports.get_mut(&self.address) {
                queues.retain(|queue| !Rc::ptr_eq(queue, &self.queue));
            }
        });
    }
}

/// The address a connection comes from.
fn client() -> SocketAddr {
    let port = WIRES.with_borrow_mut(|wires| {
        wires.client_ports = wires.client_ports.wrapping_add(1);
        wires.client_ports
    });
    ([10, 0, 0, 1], port).into()
}

/// Whether the peer has ended its side, though not all it sent was read.
pub fn has_left(stream: &TcpStream, _: &mut Context<'_>) -> bool {
    stream.inbound.borrow().ended.is_some()
}

/// Closes a listener and returns the connections that had reached it.
pub fn queued(listener: TcpListener) -> impl Iterator<Item = (TcpStream, SocketAddr)> {
    let waiting = std::mem::take(&mut listener.queue.borrow_mut().waiting);
    drop(listener);
    waiting.into_iter().map(|stream| (stream, client()))
}
