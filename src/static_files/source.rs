//! Where files come from: a directory on disk, or anything else that knows names and bytes.

use std::{
    fmt,
    fs::{File, Metadata},
    io,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use super::{
    listing::Listed,
    open::{Root, cannot_read_cached},
    validators::is_within_tick,
};
use crate::{
    body::file::{read_cached_at, read_exact_at},
    semantics::conditional::EntityTag,
};

#[cfg(feature = "embed")]
mod embedded;
mod memory;

#[cfg(feature = "embed")]
pub use self::embedded::EmbeddedFiles;
pub use self::memory::MemoryFiles;

/// Where [`StaticFiles`](super::StaticFiles) finds files.
///
/// A directory on disk is one, and what [`StaticFiles::new`](super::StaticFiles::new) makes;
/// others (an archive, a map in memory, what a program carries inside) are handed to
/// [`StaticFiles::from_source`](super::StaticFiles::from_source). What HTTP makes of a file
/// (conditions, ranges, codings, redirects, caching) is the same for all.
///
/// ```
/// use std::{io, path::Path};
/// use tower_gateway::static_files::{Found, Source, SourceFile, StaticFiles, Wait};
///
/// #[derive(Debug)]
/// struct Hello;
///
/// impl Source for Hello {
///     fn open(&self, name: &Path, _: Wait) -> io::Result<Found> {
///         Ok(match name.to_str() {
///             Some("hello.txt") => Found::File(SourceFile::from_bytes("hello")),
///             _ => Found::Nothing,
///         })
///     }
/// }
///
/// # use tower::ServiceExt;
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let request = http::Request::get("/hello.txt").body(())?;
/// let response = StaticFiles::from_source(Hello).oneshot(request).await?;
/// assert_eq!(response.headers()["content-length"], "5");
/// # Ok::<(), tower_gateway::BoxError>(())
/// # })?;
/// # Ok::<(), tower_gateway::BoxError>(())
/// ```
pub trait Source: fmt::Debug + Send + Sync + 'static {
    /// What a name stands for.
    ///
    /// `name` is relative, its segments are separated by `/`, none is empty, `.`, or `..`; the
    /// empty name is the root itself. On Unix it may have any other byte but NUL.
    ///
    /// It is called with [`Wait::Never`] on a thread of the runtime, and, if that fails with
    /// [`WouldBlock`](io::ErrorKind::WouldBlock), once more with [`Wait::Blocking`] on one of
    /// tokio's blocking pool.
    ///
    /// # Errors
    ///
    /// What is not the client's fault: it becomes a 500 and a `warn` event. That there is nothing
    /// under a name is no error but [`Found::Nothing`].
    fn open(&self, name: &Path, wait: Wait) -> io::Result<Found>;

    /// The first `limit` entries of a directory, for [`StaticFiles::listing`]; `None` if it is none,
    /// or if nothing is to be shown of it. Those whose names begin with a dot are left out unless
    /// `dotfiles`. It may take its time.
    ///
    /// The default shows nothing.
    ///
    /// [`StaticFiles::listing`]: super::StaticFiles::listing
    ///
    /// # Errors
    ///
    /// What is not the client's fault: it becomes a 500 and a `warn` event.
    fn list(&self, directory: &Path, limit: usize, dotfiles: bool) -> io::Result<Option<Listed>> {
        let _ = (directory, limit, dotfiles);
        Ok(None)
    }
}

/// Whether to wait for a disk, or for whatever is slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it is one or the other")]
pub enum Wait {
    /// What would wait fails with [`WouldBlock`](io::ErrorKind::WouldBlock).
    Never,
    /// As long as it takes: not on a thread of the runtime.
    Blocking,
}

/// What a name stands for.
#[derive(Debug)]
#[non_exhaustive]
pub enum Found {
    /// A file, open.
    File(SourceFile),
    /// A directory: its index file may be asked for next.
    Directory,
    /// Nothing that is served.
    Nothing,
}

/// A file as it was when it was opened.
#[derive(Debug)]
#[must_use]
pub struct SourceFile {
    pub(super) content: Content,
    pub(super) length: u64,
    pub(super) modified: Option<SystemTime>,
    pub(super) identity: Option<Identity>,
    pub(super) etag: Option<EntityTag>,
}

impl SourceFile {
    /// A file that is in memory.
    ///
    /// Without [`modified`](Self::modified) or [`etag`](Self::etag), its tag is the hash of
    /// its bytes, computed for each request that no cache answers.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            length: bytes.len() as u64,
            content: Content::Bytes(bytes),
            modified: None,
            identity: None,
            etag: None,
        }
    }

    /// A file of the system's, which must be a regular one, open for reading. It is read at
    /// positions; where it stands does not matter.
    ///
    /// # Errors
    ///
    /// What asking for its length and time fails with.
    pub fn from_file(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self::of(file, &metadata))
    }

    /// Whether it may change again and have the same identity: within a tick of the clock that
    /// says when it was last changed. What is remembered of it would be said of both.
    pub(super) fn is_young(&self, now: SystemTime) -> bool {
        let changed = self.identity.and_then(|identity| {
            let since = u64::try_from(identity.changed).ok()?;
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(since))
        });
        changed.is_some_and(|changed| is_within_tick(changed, now))
    }

    pub(super) fn of(file: File, metadata: &Metadata) -> Self {
        Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
            identity: Identity::of(metadata),
            content: Content::File(Arc::new(file)),
            etag: None,
        }
    }

    /// When it was last changed, for `Last-Modified` and, without another tag, for `ETag`.
    pub fn modified(self, time: SystemTime) -> Self {
        Self {
            modified: Some(time),
            ..self
        }
    }

    /// What tells this state of it from every other: its tag, whatever the layer is told about
    /// tags. A coding of it (see [`StaticFiles::precompressed`](super::StaticFiles::precompressed))
    /// gets one of its own.
    pub fn etag(self, etag: EntityTag) -> Self {
        Self {
            etag: Some(etag),
            ..self
        }
    }
}

/// A source that is known here, or one of the user's.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    Directory(Root),
    Other(Arc<dyn Source>),
}

impl Source for Origin {
    fn open(&self, name: &Path, wait: Wait) -> io::Result<Found> {
        match self {
            Self::Directory(root) => root.open(name, wait),
            Self::Other(source) => source.open(name, wait),
        }
    }

    fn list(&self, directory: &Path, limit: usize, dotfiles: bool) -> io::Result<Option<Listed>> {
        match self {
            Self::Directory(root) => root.list(directory, limit, dotfiles),
            Self::Other(source) => source.list(directory, limit, dotfiles),
        }
    }
}

/// What tells a file, and the state it is in, from every other of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) length: u64,
    /// In nanoseconds since 1970.
    pub(super) modified: i128,
    /// When anything of it was last changed; no program can set it.
    pub(super) changed: i128,
}

impl Identity {
    #[cfg(unix)]
    pub(super) fn of(metadata: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;

        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    #[cfg(not(unix))]
    pub(super) fn of(_: &Metadata) -> Option<Self> {
        None
    }
}

#[cfg(unix)]
fn nanoseconds(seconds: i64, nanoseconds: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
}

/// The bytes of a file. Clones share them.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Bytes(Bytes),
    File(Arc<File>),
}

impl Content {
    /// What the file is at this moment; `None` if it is none of the system's.
    pub(super) fn identity(&self) -> io::Result<Option<Identity>> {
        match self {
            Self::Bytes(_) => Ok(None),
            Self::File(file) => Ok(Identity::of(&file.metadata()?)),
        }
    }

    /// Exactly these bytes.
    ///
    /// # Errors
    ///
    /// The disk's; `UnexpectedEof`, if the file is shorter by now; and `WouldBlock`, if it is not
    /// to wait.
    pub(super) fn read(&self, offset: u64, length: usize, wait: Wait) -> io::Result<Bytes> {
        match (self, wait) {
            (Self::Bytes(bytes), _) => {
                let range = usize::try_from(offset)
                    .ok()
                    .and_then(|start| Some(start..start.checked_add(length)?))
                    .filter(|range| range.end <= bytes.len());
                range
                    .map(|range| bytes.slice(range))
                    .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
            }
            (Self::File(file), Wait::Blocking) => read_exact_at(file, offset, length),
            (Self::File(file), Wait::Never) => {
                read_cached_at(file, offset, length).map_err(|error| {
                    if error.kind() == io::ErrorKind::Unsupported {
                        cannot_read_cached(file);
                    }
                    // Whatever it was, a read that waits will tell.
                    io::ErrorKind::WouldBlock.into()
                })
            }
        }
    }
}
