//! The one door to the network, so that a simulation can replace it.

pub use tokio::net::{TcpListener, TcpSocket, TcpStream};

use std::future::Future;
use std::io;
use std::pin::{pin, Pin};
use std::task::{Context, Poll};
use tokio::io::{AsyncReadExt, AsyncWrite};

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
