//! The allocator of this module: mimalloc, and how much each thread has asked of it (req 3.2).
//!
//! The failure prevented: a request of which nobody can say what it allocates. Two numbers of the
//! thread are added to at each allocation, with no lock and no atomic; who reads them twice knows
//! what came between. Python's own objects have an allocator of their own and are not in them.

#![expect(
    unsafe_code,
    reason = "an allocator is unsafe to implement; it hands all on"
)]

use mimalloc::MiMalloc;
use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ffi::c_void;
use tailrace_plane::Allocated;

#[global_allocator]
static ALLOCATOR: Counting = Counting(MiMalloc);

struct Counting(MiMalloc);

thread_local! {
    // No lazy start and no destructor: an allocator may be asked before and after both.
    static ASKED: Cell<Allocated> = const { Cell::new(Allocated { count: 0, bytes: 0 }) };
}

fn count(bytes: usize) {
    ASKED.with(|asked| {
        let Allocated { count, bytes: sum } = asked.get();
        asked.set(Allocated {
            count: count.wrapping_add(1),
            bytes: sum.wrapping_add(bytes as u64),
        });
    });
}

unsafe extern "C" {
    fn mi_malloc(size: usize) -> *mut c_void;
    fn mi_zalloc(size: usize) -> *mut c_void;
    fn mi_realloc(old: *mut c_void, size: usize) -> *mut c_void;
}

/// Whether mimalloc's blocks are aligned as asked without being told: to 16 bytes, or to their size
/// where that is smaller. Told, it takes a longer way, for most sizes by a larger block.
fn is_usual(layout: Layout, size: usize) -> bool {
    layout.align() <= 16 && layout.align() <= size
}

fn aligned(block: *mut c_void, layout: Layout) -> *mut u8 {
    debug_assert_eq!(block.addr() % layout.align(), 0, "{layout:?} at {block:?}");
    block.cast()
}

// SAFETY: everything is handed to mimalloc as it came; what is counted beside it allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        if is_usual(layout, layout.size()) {
            // SAFETY: the function of the linked allocator has this type and takes any size.
            return aligned(unsafe { mi_malloc(layout.size()) }, layout);
        }
        // SAFETY: the caller's promises are those mimalloc asks for.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        if is_usual(layout, layout.size()) {
            // SAFETY: as above.
            return aligned(unsafe { mi_zalloc(layout.size()) }, layout);
        }
        // SAFETY: as above.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        if is_usual(layout, size) {
            // SAFETY: as above; `old` came from mimalloc, as all of this allocator does.
            return aligned(unsafe { mi_realloc(old.cast(), size) }, layout);
        }
        // SAFETY: as above; `old` came from mimalloc, as all of this allocator does.
        unsafe { self.0.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { self.0.dealloc(old, layout) }
    }
}

/// Tells the plane who allocates, and how much.
pub fn name() {
    tailrace_plane::set_allocator(told);
    tailrace_plane::count_allocations_by(|| ASKED.with(Cell::get));
}

/// What mimalloc says of itself, for heap profiles.
fn told() -> (&'static str, Vec<(&'static str, u64)>) {
    unsafe extern "C" {
        fn mi_process_info(
            elapsed_ms: *mut usize,
            user_ms: *mut usize,
            system_ms: *mut usize,
            resident: *mut usize,
            resident_peak: *mut usize,
            committed: *mut usize,
            committed_peak: *mut usize,
            page_faults: *mut usize,
        );
    }
    let mut told = [0_usize; 8];
    let at: [*mut usize; 8] = std::array::from_fn(|index| &raw mut told[index]);
    // SAFETY: the function of the linked allocator has this type, and writes eight numbers.
    unsafe {
        mi_process_info(at[0], at[1], at[2], at[3], at[4], at[5], at[6], at[7]);
    }
    let figures = vec![
        ("committed_bytes", told[5] as u64),
        ("committed_peak_bytes", told[6] as u64),
    ];
    ("mimalloc", figures)
}
