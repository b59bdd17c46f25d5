//! What glibc's allocator says of itself: Python's objects are in it.

#![expect(unsafe_code, reason = "mallinfo2 has no safe interface")]

use super::heap::Told;

/// Looked up when it is asked for: glibc has it since 2.33, and a wheel runs on older ones.
pub fn libc() -> Option<Told> {
    type Asked = unsafe extern "C" fn() -> libc::mallinfo2;
    // SAFETY: looks a name up in what is loaded; the name ends with its zero.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"mallinfo2".as_ptr()) };
    if found.is_null() {
        return None;
    }
    // SAFETY: the function of this name has this type wherever it exists.
    let asked = unsafe { std::mem::transmute::<*mut libc::c_void, Asked>(found) };
    // SAFETY: takes the allocator's own locks, one after another, and returns numbers.
    let told = unsafe { asked() };
    Some((
        "glibc",
        vec![
            ("from_system_bytes", (told.arena + told.hblkhd) as u64),
            ("in_use_bytes", (told.uordblks + told.hblkhd) as u64),
            ("free_bytes", told.fordblks as u64),
            ("large_bytes", told.hblkhd as u64),
            ("large_count", told.hblks as u64),
            ("could_be_given_back_bytes", told.keepcost as u64),
        ],
    ))
}
