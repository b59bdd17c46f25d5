//! How often. RELIABILITY asks for counts that take minutes; `make test` has seconds. So a test
//! names both, and `TAILRACE_COUNT_FULL=1` asks for the full one. What was run is printed.

/// The count of this run.
pub(crate) fn count(usual: usize, full: usize) -> usize {
    if is_full() {
        full
    } else {
        usual
    }
}

pub(crate) fn is_full() -> bool {
    std::env::var_os("TAILRACE_COUNT_FULL").is_some_and(|value| value == "1")
}
