//! placeholder

pub mod h1;
