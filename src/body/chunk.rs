//! Buffers for pieces of files, which are used again.
//!
//! An allocator maps memory for a buffer of this size, has the kernel fill it with pages, and gives
//! it back when the piece is sent: that takes longer than reading the piece.

use std::{
    fmt, mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

/// How much of a file is read at once, and how long a buffer is that is used again.
pub(crate) const CHUNK: usize = 128 << 10;

/// A shorter piece gets memory of its own, which an allocator has at hand.
const SMALL: usize = 16 << 10;

/// How many buffers wait for their next use: 8 MiB.
const WAITING: usize = 64;

#[cfg(test)]
mod tests;

static FREE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

fn free() -> MutexGuard<'static, Vec<Vec<u8>>> {
    // Every state is whole, whoever panicked.
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Memory for a piece of this length. What is in it before it is written to may be another's.
pub(crate) struct Chunk {
    /// Of a length of `CHUNK` if it is used again.
    buffer: Vec<u8>,
    length: usize,
}

impl Chunk {
    pub(crate) fn new(length: usize) -> Self {
        let buffer = match SMALL < length && length <= CHUNK {
            true => free().pop().unwrap_or_else(|| vec![0; CHUNK]),
            false => vec![0; length],
        };
        Self { buffer, length }
    }

    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[..self.length]
    }

    /// What was written. All of it has to be.
    pub(crate) fn into_bytes(mut self) -> Bytes {
        match self.buffer.len() {
            CHUNK => Bytes::from_owner(self),
            _ => Bytes::from(mem::take(&mut self.buffer)),
        }
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk")
            .field("length", &self.length)
            .finish()
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if self.buffer.len() == CHUNK {
            let mut free = free();
            if free.len() < WAITING {
                free.push(mem::take(&mut self.buffer));
            }
        }
    }
}
