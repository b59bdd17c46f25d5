//! The bytes of a part: the request's own, or shared with the cache.
//!
//! The failure prevented is a copy of every cached answer for every request: a hit is copied once,
//! into the reply (req 10.4, 16.5).

use std::ops::Deref;
use std::sync::Arc;

/// Projected and validated JSON.
#[derive(Debug, Clone)]
pub enum Json {
    /// Goes back to the worker's pool of buffers when the reply is made.
    Own(Vec<u8>),
    Shared(Arc<[u8]>),
}

impl Json {
    /// Bytes of one's own, copied when they are shared.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes.to_vec(),
        }
    }
}

impl Deref for Json {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl From<Vec<u8>> for Json {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Own(bytes)
    }
}
