//! The timers, the handler and the rings between it and the profile, on Linux.

#![expect(
    unsafe_code,
    reason = "timers of single threads and a signal handler have no safe interface"
)]

use super::{Sample, REGISTERS, SLOTS, STACK_BYTES, THREADS_MAX};
use crate::profile::threads::Known;
use libc::{c_int, c_void};
use std::cell::UnsafeCell;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::OnceLock;

/// Samples of one thread: the handler writes at the head, the profile reads at the tail.
#[derive(Debug)]
struct Ring {
    active: AtomicBool,
    /// The one thread that may write.
    thread: AtomicU32,
    low: AtomicUsize,
    high: AtomicUsize,
    head: AtomicUsize,
    tail: AtomicUsize,
    lost: AtomicU64,
    slots: OnceLock<Box<[UnsafeCell<Sample>]>>,
}

// SAFETY: a slot is written by the one thread in `thread`, which is its handler, only between tail
// and head; it is read by the one profile only between head and tail. Both are atomics that are
// stored with Release after the access and loaded with Acquire before it.
unsafe impl Sync for Ring {}

impl Ring {
    const fn new() -> Self {
        Self {
            active: AtomicBool::new(false),
            thread: AtomicU32::new(0),
            low: AtomicUsize::new(0),
            high: AtomicUsize::new(0),
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            slots: OnceLock::new(),
        }
    }
}

static RINGS: [Ring; THREADS_MAX] = [const { Ring::new() }; THREADS_MAX];
/// The signal that the handler is installed for; 0: not yet.
static SIGNAL: AtomicI32 = AtomicI32::new(0);
/// One sampling in this process, whatever number of planes it has.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// A sampling of threads; dropping it ends it.
#[derive(Debug)]
pub struct Sampling {
    timers: Vec<libc::timer_t>,
}

// SAFETY: a timer is a number of this process, which any of its threads may use.
unsafe impl Send for Sampling {}

impl Sampling {
    /// Starts one timer per thread, `hz` signals per second of its processor time.
    pub fn begin(threads: &[Known], hz: u32) -> Result<Self, String> {
        if TAKEN.swap(true, Ordering::AcqRel) {
            return Err("another service of this process is being profiled".to_owned());
        }
        let mut sampling = Self { timers: Vec::new() };
        let signal = install()?;
        for (index, known) in threads.iter().take(THREADS_MAX).enumerate() {
            prepare(&RINGS[index], known);
            let timer = timer(known.id, signal, index).map_err(|error| refused(&error))?;
            sampling.timers.push(timer);
            arm(timer, hz).map_err(|error| refused(&error))?;
        }
        Ok(sampling)
    }

    /// How many threads are sampled.
    pub fn threads(&self) -> usize {
        self.timers.len()
    }

    /// Shows the samples of a thread that wait.
    pub fn take(&self, thread: usize, mut each: impl FnMut(&Sample)) {
        // A thread that is not of this sampling has nothing to show.
        let Some((ring, slots)) = self.timers.get(thread).and_then(|_| {
            let ring = &RINGS[thread];
            Some((ring, ring.slots.get()?))
        }) else {
            return;
        };
        let head = ring.head.load(Ordering::Acquire);
        let mut tail = ring.tail.load(Ordering::Relaxed);
        while tail != head {
            // SAFETY: between tail and head the handler does not write (see `Ring`).
            each(unsafe { &*slots[tail % SLOTS].get() });
            tail = tail.wrapping_add(1);
            ring.tail.store(tail, Ordering::Release);
        }
    }

    /// Ends it; the samples of each thread that found no room.
    pub fn end(self) -> Vec<u64> {
        let rings = RINGS.iter().take(self.timers.len());
        rings
            .map(|ring| ring.lost.load(Ordering::Relaxed))
            .collect()
    }
}

impl Drop for Sampling {
    fn drop(&mut self) {
        for ring in &RINGS {
            ring.active.store(false, Ordering::Release);
        }
        for timer in self.timers.drain(..) {
            // SAFETY: the timer was made by `timer` and is deleted once.
            unsafe { libc::timer_delete(timer) };
        }
        TAKEN.store(false, Ordering::Release);
    }
}

fn refused(error: &io::Error) -> String {
    format!("the kernel refuses timers on the clocks of single threads: {error}")
}

fn prepare(ring: &Ring, known: &Known) {
    ring.slots.get_or_init(|| {
        let slots = (0..SLOTS).map(|_| UnsafeCell::new(Sample::NONE));
        slots.collect()
    });
    ring.thread.store(known.id, Ordering::Relaxed);
    ring.low.store(known.stack.0, Ordering::Relaxed);
    ring.high.store(known.stack.1, Ordering::Relaxed);
    ring.lost.store(0, Ordering::Relaxed);
    let head = ring.head.load(Ordering::Acquire);
    ring.tail.store(head, Ordering::Release);
    ring.active.store(true, Ordering::Release);
}

/// Installs the handler once, for a real-time signal that nobody uses.
fn install() -> Result<c_int, String> {
    let known = SIGNAL.load(Ordering::Acquire);
    if known != 0 {
        return Ok(known);
    }
    // From the upper end: whoever uses one by hand begins at the lower.
    for signal in (libc::SIGRTMIN()..=libc::SIGRTMAX()).rev() {
        let mut before = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: asks for the action in force; `before` is written when it returns 0.
        let before = unsafe {
            if libc::sigaction(signal, ptr::null(), before.as_mut_ptr()) != 0 {
                continue;
            }
            before.assume_init()
        };
        if before.sa_sigaction != libc::SIG_DFL {
            continue;
        }
        // SAFETY: all fields are numbers or masks, for which zero is a value.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = on_signal as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
        // SAFETY: `on_signal` has the signature that SA_SIGINFO asks for, and lives for ever.
        if unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) } == 0 {
            SIGNAL.store(signal, Ordering::Release);
            return Ok(signal);
        }
    }
    Err("every real-time signal of this process is in use".to_owned())
}

fn timer(thread: u32, signal: c_int, index: usize) -> io::Result<libc::timer_t> {
    // SAFETY: all fields are numbers or pointers, for which zero is a value.
    let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
    event.sigev_notify = libc::SIGEV_THREAD_ID;
    event.sigev_signo = signal;
    event.sigev_notify_thread_id = thread as c_int;
    event.sigev_value = libc::sigval {
        sival_ptr: index as *mut c_void,
    };
    // The kernel's number of that thread's processor clock (`CPUCLOCK_SCHED` of one thread).
    let clock = (!(thread as c_int) << 3) | 6;
    let mut timer = MaybeUninit::<libc::timer_t>::uninit();
    // SAFETY: both pointers are to memory of their types; `timer` is written when it returns 0.
    unsafe {
        if libc::timer_create(clock, &raw mut event, timer.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(timer.assume_init())
    }
}

fn arm(timer: libc::timer_t, hz: u32) -> io::Result<()> {
    let every = libc::timespec {
        tv_sec: 0,
        tv_nsec: (1_000_000_000 / hz.max(1)).into(),
    };
    let times = libc::itimerspec {
        it_interval: every,
        it_value: every,
    };
    // SAFETY: the timer is one of `timer`'s, and `times` is read only.
    let set = unsafe { libc::timer_settime(timer, 0, &raw const times, ptr::null_mut()) };
    if set == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The handler: nothing here may take a lock, allocate or wait.
extern "C" fn on_signal(_: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes both pointers, valid while this runs. Of a timer's signal the value
    // is what `timer` put there; anybody else's is not looked at.
    let (index, context) = unsafe {
        if (*info).si_code != libc::SI_TIMER {
            return;
        }
        let value = (*info).si_value().sival_ptr as usize;
        (value, &*context.cast::<libc::ucontext_t>())
    };
    let Some(ring) = RINGS.get(index) else { return };
    if !ring.active.load(Ordering::Acquire) {
        return;
    }
    // SAFETY: has no argument and no effect.
    let own = unsafe { libc::syscall(libc::SYS_gettid) };
    if own != i64::from(ring.thread.load(Ordering::Relaxed)) {
        return;
    }
    let Some(slots) = ring.slots.get() else {
        return;
    };
    let head = ring.head.load(Ordering::Relaxed);
    if head.wrapping_sub(ring.tail.load(Ordering::Acquire)) >= SLOTS {
        ring.lost.fetch_add(1, Ordering::Relaxed);
        return;
    }
    // SAFETY: at the head only this thread writes, and the profile does not read (see `Ring`).
    let sample = unsafe { &mut *slots[head % SLOTS].get() };
    let stack = fill(context, sample);
    let (low, high) = (
        ring.low.load(Ordering::Relaxed),
        ring.high.load(Ordering::Relaxed),
    );
    sample.len = 0;
    if (low..high).contains(&stack) {
        sample.len = (high - stack).min(STACK_BYTES);
        // SAFETY: from the stack pointer to the end of its own stack all memory is this thread's,
        // which is here and nowhere else; the sample has room for `STACK_BYTES`.
        unsafe {
            ptr::copy_nonoverlapping(stack as *const u8, sample.stack.as_mut_ptr(), sample.len);
        }
    }
    ring.head.store(head.wrapping_add(1), Ordering::Release);
}

/// Registers by their DWARF numbers; returns the stack pointer.
#[cfg(target_arch = "x86_64")]
fn fill(context: &libc::ucontext_t, sample: &mut Sample) -> usize {
    const ORDER: [c_int; REGISTERS] = [
        libc::REG_RAX,
        libc::REG_RDX,
        libc::REG_RCX,
        libc::REG_RBX,
        libc::REG_RSI,
        libc::REG_RDI,
        libc::REG_RBP,
        libc::REG_RSP,
        libc::REG_R8,
        libc::REG_R9,
        libc::REG_R10,
        libc::REG_R11,
        libc::REG_R12,
        libc::REG_R13,
        libc::REG_R14,
        libc::REG_R15,
        libc::REG_RIP,
    ];
    let from = &context.uc_mcontext.gregs;
    for (into, register) in sample.registers.iter_mut().zip(ORDER) {
        *into = from[register as usize] as u64;
    }
    sample.pc = from[libc::REG_RIP as usize] as u64;
    from[libc::REG_RSP as usize] as usize
}

#[cfg(target_arch = "aarch64")]
fn fill(context: &libc::ucontext_t, sample: &mut Sample) -> usize {
    let from = &context.uc_mcontext;
    sample.registers[..REGISTERS - 1].copy_from_slice(&from.regs);
    sample.registers[REGISTERS - 1] = from.sp;
    sample.pc = from.pc;
    from.sp as usize
}

/// Lowest and one past the highest address of the calling thread's stack.
pub fn own_stack() -> (usize, usize) {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let (mut low, mut size) = (ptr::null_mut(), 0);
    // SAFETY: `attributes` is filled by the first call, read by the second and given back by the
    // third; each is made only when the one before it has worked.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return (0, 0);
        }
        let read = libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut low, &raw mut size);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        if read != 0 {
            return (0, 0);
        }
    }
    (low as usize, low as usize + size)
}
