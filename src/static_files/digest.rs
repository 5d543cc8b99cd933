//! Entity tags of a file's content, and those that lie beside a file.

use std::{
    fmt,
    fs::File,
    hash::Hash,
    io,
    sync::atomic::{AtomicUsize, Ordering},
};

use http::HeaderValue;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use crate::{
    body::file::{CHUNK, read_exact_at},
    semantics::conditional::EntityTag,
};

#[cfg(test)]
mod tests;

/// How many tags are kept, of some 200 bytes each.
const MANY: usize = 10_000;

/// How many threads of the blocking pool, which has 512, may be at work on tags at a time.
const AT_WORK: usize = 64;

/// A sidecar with more in it is none.
pub(super) const LONGEST_SIDECAR: usize = 256;

/// The strong tag of these bytes.
///
/// RFC 9110 §8.8.1: "A strong validator is unique across all versions of all representations
/// associated with a particular resource over time." Who may upload a file may choose its bytes,
/// and with a hash that is not cryptographic could make two files of one tag, of which caches
/// would keep the wrong one. 128 bits of SHA-256 are enough: a collision takes 2^64 attempts.
pub(super) fn of_bytes(content: &[u8]) -> EntityTag {
    tag(&Sha256::digest(content).into())
}

/// The strong tag of an open file of this length. Blocks, for about as long as reading the file
/// takes.
///
/// If the file is written to meanwhile, the tag is that of no state it ever had; its identity is
/// then another than before.
///
/// # Errors
///
/// The disk's; `UnexpectedEof`, if the file is shorter by now.
pub(super) fn of_file(file: &File, length: u64) -> io::Result<EntityTag> {
    let mut hasher = Sha256::new();
    let mut offset = 0;
    while offset < length {
        let unread = usize::try_from(length - offset).unwrap_or(CHUNK);
        let chunk = read_exact_at(file, offset, unread.min(CHUNK))?;
        offset += chunk.len() as u64;
        hasher.update(&chunk);
    }
    Ok(tag(&hasher.finalize().into()))
}

/// Of a SHA-256 that is known already.
pub(super) fn tag(sha256: &[u8; 32]) -> EntityTag {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";

    let opaque: String = sha256[..16]
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0xf])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect();
    EntityTag::strong(&opaque).expect("hexadecimal digits make a tag")
}

/// The tag that a file beside the file says (`name.etag`, as Caddy reads them): with or without
/// its quotes, with or without a line's end. A weak one stays weak.
///
/// `None` if it is empty, longer than 256 bytes, or no tag.
pub(super) fn parse_sidecar(content: &[u8]) -> Option<EntityTag> {
    if content.len() > LONGEST_SIDECAR {
        return None;
    }
    let text = content.trim_ascii();
    if text.starts_with(b"\"") || text.starts_with(b"W/\"") {
        return EntityTag::parse(&HeaderValue::from_bytes(text).ok()?);
    }
    match str::from_utf8(text).ok()? {
        "" => None,
        opaque => EntityTag::strong(opaque),
    }
}

/// Tags by what identifies one state of a file, each computed once.
pub(super) struct Digests<K> {
    tags: Cache<K, EntityTag>,
    at_work: AtomicUsize,
}

impl<K> Digests<K>
where
    K: Hash + Eq + Clone,
{
    /// Keeps the 10,000 that are asked for most.
    pub(super) fn new() -> Self {
        Self::with_capacity(MANY)
    }

    /// Keeps this many.
    pub(super) fn with_capacity(many: usize) -> Self {
        Self {
            tags: Cache::new(many),
            at_work: AtomicUsize::new(0),
        }
    }

    /// Leave to hash a file, or to wait for one who does, which both hold a thread; `None` if as
    /// many have it as may.
    pub(super) fn leave(&self) -> Option<Leave<'_>> {
        let before = self.at_work.fetch_add(1, Ordering::Relaxed);
        let leave = Leave(&self.at_work);
        (before < AT_WORK).then_some(leave)
    }

    /// The tag, if it is known. Waits for nothing.
    pub(super) fn get(&self, key: &K) -> Option<EntityTag> {
        self.tags.get(key)
    }

    /// The tag, which `compute` gives if it is not known. Blocks; who asks meanwhile waits for the
    /// one that computes. What fails is not kept: the next who waits computes.
    ///
    /// # Errors
    ///
    /// Those of `compute`.
    pub(super) fn get_or_compute(
        &self,
        key: &K,
        compute: impl FnOnce() -> io::Result<EntityTag>,
    ) -> io::Result<EntityTag> {
        self.tags.get_or_insert_with(key, compute)
    }
}

/// Given back when it is dropped.
pub(super) struct Leave<'a>(&'a AtomicUsize);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<K> fmt::Debug for Digests<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digests").finish_non_exhaustive()
    }
}
