//! Binding ports. A taken port is the most common reason for a lab not to start, so the error names
//! the port and the option that moves it.

use crate::failure::Failure;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::{TcpListener, TcpSocket};

const BACKLOG: u32 = 1024;

pub(crate) fn bind(address: SocketAddr, option: &str) -> Result<TcpListener, Failure> {
    let listen = || -> io::Result<TcpListener> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|error| {
        let port = address.port();
        Failure::environment(match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("port {port} is in use by another program; try {option} with another one")
            }
            io::ErrorKind::PermissionDenied => {
                format!("port {port} is not allowed for this user; try {option} above 1023")
            }
            _ => format!("cannot listen on {address}: {error}"),
        })
    })
}

pub(crate) fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// A failed accept is nearly always a used-up descriptor limit: pausing lets connections end.
pub(crate) async fn accept(listener: &TcpListener) -> tokio::net::TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Only a connection that is already gone refuses this; its first read says so.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    }
}
