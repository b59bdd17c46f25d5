//! Idle connections of one worker, per upstream address.
//!
//! Last in, first out: the most recently used connection is the one least likely to be closed by
//! its peer. A connection is checked when it is taken, without a system call: the event loop has
//! already told us if the peer closed it or sent something nobody asked for. Idle time stays below
//! the peers' keep-alive (DESIGN 9), the number of idle connections below the bulkhead's limit.

use crate::clock::MILLI;
use crate::h1::ResponseHead;
use crate::net::{is_empty, TcpSocket, TcpStream};
use crate::program::Program;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tailrace_policy::Nanos;

use crate::upstream::{AddressSet, Upstream};

/// A connection put back within this time may hold bytes that the event loop has not seen.
const JUST_NOW: Nanos = MILLI / 20;

/// An open connection to an upstream address. Dropping it closes it. It is boxed once, for a call
/// moves it several times.
#[derive(Debug)]
pub struct Connection {
    pub stream: TcpStream,
    pub socket: SocketAddr,
    /// Kept with the connection, so that parsing the next answer allocates nothing.
    pub head: ResponseHead,
}

#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    since: Nanos,
}

#[derive(Debug)]
struct Pool {
    idle: Vec<Idle>,
    idle_max: usize,
    version: u64,
    /// This worker's own reference: taking it per call touches no other core's memory.
    addresses: Rc<AddressSet>,
}

/// One pool per upstream.
#[derive(Debug)]
pub struct Pools {
    pools: Vec<RefCell<Pool>>,
    idle_for: Cell<Nanos>,
}

impl Pools {
    pub fn new(program: &Program) -> Self {
        let pool = |upstream: &Arc<Upstream>| {
            RefCell::new(Pool {
                idle: Vec::new(),
                idle_max: idle_max(upstream),
                version: u64::MAX,
                addresses: Rc::default(),
            })
        };
        Self {
            pools: program.upstreams.iter().map(pool).collect(),
            idle_for: Cell::new(idle_for(program)),
        }
    }

    /// Takes up the limits of another revision; connections stay.
    pub fn follow(&self, program: &Program) {
        self.idle_for.set(idle_for(program));
        for (pool, upstream) in self.pools.iter().zip(&program.upstreams) {
            pool.borrow_mut().idle_max = idle_max(upstream);
        }
    }

    /// Idle connections of all upstreams.
    pub fn idle(&self) -> usize {
        self.pools.iter().map(|pool| pool.borrow().idle.len()).sum()
    }

    /// The addresses of an upstream, as of the last resolution.
    pub fn addresses(&self, index: usize, upstream: &Upstream) -> Rc<AddressSet> {
        let mut pool = self.pools[index].borrow_mut();
        let version = upstream.version();
        if pool.version != version {
            pool.addresses = Rc::new(AddressSet::clone(&upstream.addresses()));
            pool.version = version;
            let known = Rc::clone(&pool.addresses);
            let stays = |socket| {
                known
                    .addresses
                    .iter()
                    .any(|address| address.socket == socket)
            };
            pool.idle.retain(|idle| stays(idle.connection.socket));
        }
        Rc::clone(&pool.addresses)
    }

    /// An idle connection to `socket` that is still good.
    pub fn take(&self, index: usize, socket: SocketAddr, now: Nanos) -> Option<Box<Connection>> {
        let mut pool = self.pools[index].borrow_mut();
        loop {
            let at = pool
                .idle
                .iter()
                .rposition(|idle| idle.connection.socket == socket)?;
            let idle = pool.idle.remove(at);
            let rested = now.saturating_sub(idle.since);
            let stream = &idle.connection.stream;
            if rested < self.idle_for.get()
                && is_quiet(stream)
                && (rested > JUST_NOW || is_empty(stream))
            {
                return Some(idle.connection);
            }
        }
    }

    /// Puts back a connection whose last answer ended cleanly.
    pub fn give(&self, index: usize, connection: Box<Connection>, now: Nanos) {
        let mut pool = self.pools[index].borrow_mut();
        while pool.idle.len() >= pool.idle_max {
            pool.idle.remove(0);
        }
        pool.idle.push(Idle {
            connection,
            since: now,
        });
    }

    /// Closes connections that have been idle too long; returns how many stay, per upstream.
    pub fn sweep(&self, now: Nanos, mut stay: impl FnMut(usize, usize)) {
        for (index, pool) in self.pools.iter().enumerate() {
            let mut pool = pool.borrow_mut();
            pool.idle
                .retain(|idle| now.saturating_sub(idle.since) < self.idle_for.get());
            stay(index, pool.idle.len());
        }
    }

    pub fn clear(&self) {
        for pool in &self.pools {
            pool.borrow_mut().idle.clear();
        }
    }
}

fn idle_max(upstream: &Arc<Upstream>) -> usize {
    upstream.bulkhead_params.limit.max(1) as usize
}

fn idle_for(program: &Program) -> Nanos {
    Nanos::from(program.limits.pool_idle_ms) * MILLI
}

/// Nothing has arrived: neither the peer's close nor bytes without a request.
fn is_quiet(stream: &TcpStream) -> bool {
    // As long as the event loop knows of nothing this asks nobody. A read that exactly filled its
    // buffer leaves the readiness set; then only the socket knows.
    let read = stream.try_read(&mut [0]);
    read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Opens a connection.
pub async fn connect(socket: SocketAddr) -> io::Result<Box<Connection>> {
    let opened = if socket.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    opened.set_nodelay(true)?;
    let stream = opened.connect(socket).await?;
    Ok(Box::new(Connection {
        stream,
        socket,
        head: ResponseHead::default(),
    }))
}
