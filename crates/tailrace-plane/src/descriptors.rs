//! Room in the kernel's table of open files, made before connections need it (req 4.5).
//!
//! The failure prevented: the table of a process doubles when it is full, and on Linux, where the
//! process has threads, whoever needs the next descriptor waits until every CPU has passed a quiet
//! point: ten to twenty milliseconds. A worker that opens one connection more than ever before
//! stands still for that long with all its requests, and does so just when an upstream hangs. The
//! table never shrinks while the process lives.
//!
//! *Bound.* Half a MiB of the kernel's memory: eight bytes per descriptor, rounded up to a power of
//! two, at most [`ROOM_MAX`] of them.

use crate::program::Program;
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{getrlimit, Resource};
use std::os::unix::net::UnixDatagram;

const ROOM_MAX: u64 = 65_536;
/// Of a worker: listener, runtime, timer.
const PER_WORKER: u64 = 8;
/// Admin port, control, logs, and what else the process has open.
const OTHERS: u64 = 256;

/// Room for all connections that this program allows at once: clients, calls, and idle ones, which
/// each worker keeps for itself. Where a client runs inside another server, the clients are that
/// server's.
pub fn make_room(program: &Program, workers: usize) {
    let workers = workers as u64;
    let limits = program
        .upstreams
        .iter()
        .map(|one| one.bulkhead_params.limit);
    let calls: u64 = limits.map(u64::from).sum();
    let clients = u64::from(program.limits.connections_max);
    make(clients + calls * (1 + workers) + PER_WORKER * workers + OTHERS);
}

/// As much as the process may have. Where there is none to be had nothing is said: connections are
/// refused or wait as they would without.
fn make(wanted: u64) {
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if let Ok(any) = UnixDatagram::unbound() {
        fcntl_dupfd_cloexec(&any, last(wanted, allowed)).ok(); // And given back.
    }
}

/// The last of so many descriptors.
fn last(wanted: u64, allowed: u64) -> i32 {
    let count = wanted.min(allowed).min(ROOM_MAX);
    i32::try_from(count).map_or(0, |count| (count - 1).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_ends_at_what_is_allowed_and_at_half_a_mib() {
        let rows = [
            ((700, u64::MAX), 699),
            ((700, 128), 127),
            ((700, 0), 0),
            ((u64::MAX, u64::MAX), 65_535),
        ];
        for ((wanted, allowed), expected) in rows {
            assert_eq!(last(wanted, allowed), expected, "{wanted} of {allowed}");
        }
    }
}
