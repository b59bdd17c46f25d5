//! The one door to the network, so that a simulation can replace it.
//!
//! It does: the crate's unit tests are built with the network in memory of `simulation/network.rs`,
//! everything else, the tests of `tests/wire` included, with the system's.

#[cfg(test)]
pub use crate::simulation::network::{
    has_left, is_empty, queued, shutdown_write, TcpListener, TcpSocket, TcpStream,
};
#[cfg(not(test))]
pub use system::{has_left, is_empty, queued, shutdown_write};
#[cfg(not(test))]
pub use tokio::net::{TcpListener, TcpSocket, TcpStream};

use std::future::Future;
use std::io;
use std::pin::{pin, Pin};
use std::task::{Context, Poll};
use tokio::io::{AsyncReadExt, AsyncWrite};

/// What is asked of the kernel itself, past the event loop.
#[cfg(not(test))]
mod system {
    use std::future::Future;
    use std::io;
    use std::net::SocketAddr;
    use std::pin::pin;
    use std::task::{Context, Poll};
    use tokio::io::Interest;
    use tokio::net::{TcpListener, TcpStream};

    /// True when nothing has arrived: for a connection that was put back a moment ago the event
    /// loop has had no chance to tell (RELIABILITY S02).
    pub fn is_empty(stream: &TcpStream) -> bool {
        let peeked = socket2::SockRef::from(stream).peek(&mut [std::mem::MaybeUninit::uninit()]);
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether the peer has ended its side, though not all it sent was read. What the event loop
    /// was told; no system call.
    pub fn has_left(stream: &TcpStream, context: &mut Context<'_>) -> bool {
        let ready = pin!(stream.ready(Interest::READABLE)).poll(context);
        matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed())
    }

    /// Ends our side of the conversation; the peer may go on.
    pub fn shutdown_write(stream: &TcpStream) {
        socket2::SockRef::from(stream)
            .shutdown(std::net::Shutdown::Write)
            .ok();
    }

    /// Closes a listener and returns the connections that had reached it: what the runtime knows of
    /// its queue may be one event old.
    pub fn queued(listener: TcpListener) -> impl Iterator<Item = (TcpStream, SocketAddr)> {
        let listener = listener.into_std().ok();
        let accept = move || listener.as_ref()?.accept().ok();
        std::iter::from_fn(accept).filter_map(|(stream, from)| {
            let ready = stream.set_nonblocking(true);
            let stream = ready.and_then(|()| TcpStream::from_std(stream)).ok()?;
            Some((stream, from))
        })
    }
}

/// Reads once into the spare capacity of `buffer`, which the caller has reserved.
///
/// Going through `poll_read` matters: after a short read it forgets the readiness without another
/// system call, so one answer costs one `recv`.
pub fn poll_read(
    stream: &mut TcpStream,
    context: &mut Context<'_>,
    buffer: &mut Vec<u8>,
) -> Poll<io::Result<usize>> {
    pin!(stream.read_buf(buffer)).poll(context)
}

/// Writes what is left of `bytes` after `written`; ready when all of it is out.
pub fn poll_write_all(
    stream: &mut TcpStream,
    context: &mut Context<'_>,
    bytes: &[u8],
    written: &mut usize,
) -> Poll<io::Result<()>> {
    while *written < bytes.len() {
        match Pin::new(&mut *stream).poll_write(context, &bytes[*written..]) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(count)) => *written += count,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
    }
    Poll::Ready(Ok(()))
}
