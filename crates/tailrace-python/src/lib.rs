//! The native module `tailrace._plane`.
use pyo3::prelude::*;
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[pymodule]
mod _plane {}
