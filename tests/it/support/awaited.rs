//! What tests expect of this crate that it is still to learn.
//!
//! A test of such a thing runs, and counts against this crate, from the moment on in which its
//! line here says `true`.

use std::path::Path;

use tower_gateway::{StaticFiles, semantics::negotiate::Coding};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// `.br`, `.zst`, and `.gz` beside a file are its representations.
    Precompressed,
    /// `multipart/byteranges`.
    Multipart,
    /// A tag of the content where the time of a file is useless.
    ContentTags,
    /// No strong validator for a file that was written a moment ago.
    YoungTags,
    /// `immutable` for hashed names.
    Immutable,
    /// A leap second is a date, and the two digits of a year may lie ahead.
    OddDates,
    /// `serve` refuses a request that does not name its host once.
    HostRefused,
}

impl Feature {
    pub const fn is_there(self) -> bool {
        match self {
            Self::Precompressed => true,
            Self::Multipart => true,
            Self::ContentTags => true,
            Self::YoungTags => true,
            Self::Immutable => true,
            Self::OddDates => false,
            Self::HostRefused => false,
        }
    }
}

/// Files with their precompressed siblings.
pub fn precompressed(root: &Path) -> StaticFiles {
    StaticFiles::new(root).precompressed([Coding::Brotli, Coding::Zstd, Coding::Gzip])
}

/// Files of which those with a hash in their name never change; `manifest`, below the root, says
/// which these are.
pub fn immutable(root: &Path, manifest: &str) -> StaticFiles {
    StaticFiles::new(root).immutable_in(manifest)
}
