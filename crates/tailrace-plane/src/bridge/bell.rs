//! What wakes the Python thread: one descriptor for its event loop, rung once per batch.
//!
//! An eventfd on Linux, a socket pair elsewhere. Ringing never blocks: a bell that is already rung
//! stays rung.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

#[cfg(target_os = "linux")]
#[derive(Debug)]
pub struct Bell(std::os::fd::OwnedFd);

#[cfg(target_os = "linux")]
impl Bell {
    pub fn new() -> io::Result<Self> {
        use rustix::event::{eventfd, EventfdFlags};
        Ok(Self(eventfd(
            0,
            EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
        )?))
    }

    pub fn ring(&self) {
        // The only refusal is a counter at its end, which is as rung as can be.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    pub fn silence(&self) {
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }

    pub fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub struct Bell {
    ring: std::os::unix::net::UnixStream,
    heard: std::os::unix::net::UnixStream,
}

#[cfg(not(target_os = "linux"))]
impl Bell {
    pub fn new() -> io::Result<Self> {
        let (ring, heard) = std::os::unix::net::UnixStream::pair()?;
        ring.set_nonblocking(true)?;
        heard.set_nonblocking(true)?;
        Ok(Self { ring, heard })
    }

    pub fn ring(&self) {
        let _ = io::Write::write(&mut &self.ring, &[1]);
    }

    pub fn silence(&self) {
        let mut rung = [0; 64];
        while matches!(io::Read::read(&mut &self.heard, &mut rung), Ok(count) if count > 0) {}
    }

    pub fn descriptor(&self) -> RawFd {
        self.heard.as_raw_fd()
    }
}
