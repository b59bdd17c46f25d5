//! Listening, and why a plane did not start.
//!
//! The failure prevented: two instances that share a port in silence, or an error that names no way
//! out. Every refusal says which address it was and which option changes it.

use crate::server;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

/// Why the plane did not start. `exit_code` follows DESIGN 7.
#[derive(Debug)]
pub enum StartError {
    /// The blueprint cannot be run.
    Blueprint(String),
    /// An address cannot be listened on.
    Listen {
        address: String,
        option: &'static str,
        error: io::Error,
    },
    /// The system refused something else.
    System {
        what: &'static str,
        error: io::Error,
    },
}

impl StartError {
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Blueprint(_) => 2,
            Self::Listen { .. } | Self::System { .. } => 3,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blueprint(message) => f.write_str(message),
            Self::Listen {
                address,
                option,
                error,
            } => match error.kind() {
                io::ErrorKind::AddrInUse => {
                    write!(
                        f,
                        "{address} is in use; free it or choose another with {option}"
                    )
                }
                io::ErrorKind::PermissionDenied => {
                    write!(
                        f,
                        "{address} may not be used by this user; choose another with {option}"
                    )
                }
                _ => write!(
                    f,
                    "cannot listen on {address}: {error}; choose another with {option}"
                ),
            },
            Self::System { what, error } => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

pub(super) fn resolve_listen(
    host: &str,
    port: u16,
    option: &'static str,
) -> Result<SocketAddr, StartError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port));
    }
    let failed = |error| StartError::Listen {
        address: format!("{host}:{port}"),
        option,
        error,
    };
    let mut found = (host, port).to_socket_addrs().map_err(failed)?;
    found
        .next()
        .ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
}

pub(super) fn bind(
    address: SocketAddr,
    shared_port: bool,
    option: &'static str,
) -> Result<std::net::TcpListener, StartError> {
    let failed = |error| StartError::Listen {
        address: address.to_string(),
        option,
        error,
    };
    server::listen(address, shared_port).map_err(failed)
}

/// One listener per worker on the same port. The port is first taken alone: with `SO_REUSEPORT`
/// another instance of this user would otherwise share it in silence.
pub(super) fn bind_workers(
    wanted: SocketAddr,
    workers: usize,
) -> Result<(Vec<std::net::TcpListener>, SocketAddr), StartError> {
    let alone = bind(wanted, false, "--port")?;
    let system = |error| StartError::System {
        what: "service port",
        error,
    };
    let address = alone.local_addr().map_err(system)?;
    if workers == 1 {
        return Ok((vec![alone], address));
    }
    drop(alone);
    let listeners = (0..workers).map(|_| bind(address, true, "--port"));
    Ok((listeners.collect::<Result<_, _>>()?, address))
}
