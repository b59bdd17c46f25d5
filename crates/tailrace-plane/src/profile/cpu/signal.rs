//! Samples of a thread, taken by the thread itself in a signal handler.
//!
//! What runs in the handler: loads and stores of atomics, one system call without effect
//! (`gettid`), and one copy of memory that belongs to the interrupted stack. It takes no lock,
//! allocates nothing and calls nothing that could.
//!
//! The handler stays installed once it is: a real-time signal without one ends the process, and a
//! timer that was deleted may still have one on its way. Such a late one finds its ring inactive,
//! or not its thread's, and does nothing.

/// Threads of one profile.
pub const THREADS_MAX: usize = 32;
/// What is copied of a stack, from its pointer on.
pub const STACK_BYTES: usize = 16 * 1024;
/// Samples of one thread that wait to be taken.
const SLOTS: usize = 16;

/// Registers that unwinding needs, by their DWARF number; the program counter is apart.
#[cfg(target_arch = "aarch64")]
pub const REGISTERS: usize = 32;
#[cfg(not(target_arch = "aarch64"))]
pub const REGISTERS: usize = 17;

/// One sample.
#[derive(Debug, Clone)]
pub struct Sample {
    pub pc: u64,
    pub registers: [u64; REGISTERS],
    /// Bytes of `stack` that are filled.
    pub len: usize,
    pub stack: [u8; STACK_BYTES],
}

impl Sample {
    /// Nothing yet.
    pub const NONE: Self = Self {
        pc: 0,
        registers: [0; REGISTERS],
        len: 0,
        stack: [0; STACK_BYTES],
    };
}

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod linux;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub use linux::{own_stack, Sampling};

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
mod elsewhere {
    use super::Sample;
    use crate::profile::threads::Known;

    /// Never made: this platform has no timers of single threads.
    #[derive(Debug)]
    pub struct Sampling(std::convert::Infallible);

    impl Sampling {
        pub fn begin(_: &[Known], _: u32) -> Result<Self, String> {
            Err("a CPU profile needs Linux on x86_64 or aarch64".to_owned())
        }

        pub fn threads(&self) -> usize {
            match self.0 {}
        }

        pub fn take(&self, _: usize, _: impl FnMut(&Sample)) {
            match self.0 {}
        }

        pub fn end(self) -> Vec<u64> {
            match self.0 {}
        }
    }

    /// Unknown here.
    pub fn own_stack() -> (usize, usize) {
        (0, 0)
    }
}
#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
pub use elsewhere::{own_stack, Sampling};
