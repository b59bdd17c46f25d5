//! What wakes the Python thread: one descriptor for its event loop, rung once per batch.
//!
//! An eventfd on Linux, a socket pair elsewhere. Ringing never blocks: a bell that is already rung
//! stays rung.

use rustix::event::{poll, PollFd, PollFlags, Timespec};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

impl Bell {
    /// Waits until the bell rings, which silences it, or `other` can be read, which is what is
    /// returned. A wait that a signal ends is a short one.
    pub fn wait(&self, most: Option<Duration>, other: BorrowedFd<'_>) -> bool {
        let most = most.and_then(|most| Timespec::try_from(most).ok());
        let mut watched = [
            PollFd::from_borrowed_fd(self.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(other, PollFlags::IN),
        ];
        if poll(&mut watched, most.as_ref()).is_err() {
            return false;
        }
        let [rung, ready] = watched.map(|one| !one.revents().is_empty());
        if rung {
            self.silence();
        }
        ready
    }
}

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

    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
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

    fn as_fd(&self) -> BorrowedFd<'_> {
        self.heard.as_fd()
    }
}
