//! From a name to an open file: the only place of this layer that touches the disk.
//!
//! Everything can be asked in two ways, see [`Wait`]: as far as the system's caches have the
//! answer, which takes a few microseconds and may be done anywhere, or however long it takes.

use std::{
    ffi::OsString,
    fs::{File, Metadata},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    listing::{DirEntry, Listed},
    source::{Found, Identity, Source, SourceFile, Wait},
};

#[cfg(not(unix))]
mod other;
mod symlinks;
#[cfg(all(test, target_os = "linux"))]
mod tests;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
use self::other::{self as system, Directory};
pub use self::symlinks::Symlinks;
#[cfg(unix)]
use self::unix::{self as system, Directory};

/// For how long the directory is used that the root's path once led to.
const HELD_FOR: Duration = Duration::from_secs(1);

/// How often a root that cannot be opened is complained about.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// The directory below which everything is. Clones share what is open.
#[derive(Clone, Debug)]
pub(super) struct Root {
    path: PathBuf,
    symlinks: Symlinks,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    directory: Option<(Arc<Directory>, Instant)>,
    complained: Option<Instant>,
}

impl Root {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            // Without a working directory the relative path is as good as none.
            path: std::path::absolute(&path).unwrap_or(path),
            symlinks: Symlinks::default(),
            state: Arc::default(),
        }
    }

    /// Which links are followed; of this clone of the root.
    pub(super) fn set_symlinks(&mut self, symlinks: Symlinks) {
        self.symlinks = symlinks;
    }

    /// The root itself; `None` if there is none.
    fn directory(&self, wait: Wait) -> io::Result<Option<Arc<Directory>>> {
        let now = Instant::now();
        let mut state = self.state();
        if let Some((directory, since)) = &state.directory
            && now.saturating_duration_since(*since) < HELD_FOR
        {
            return Ok(Some(Arc::clone(directory)));
        }
        if wait == Wait::Never {
            return Err(ErrorKind::WouldBlock.into());
        }
        // A disk that does not answer must not stop those who could go on with what is held.
        drop(state);
        let opened = Directory::of(&self.path);
        state = self.state();
        match opened {
            Ok(directory) => {
                let directory = Arc::new(directory);
                state.directory = Some((Arc::clone(&directory), now));
                state.complained = None;
                Ok(Some(directory))
            }
            Err(error) if is_miss(&error) => {
                state.directory = None;
                let is_due = |last| now.saturating_duration_since(last) >= COMPLAIN_EVERY;
                if state.complained.is_none_or(is_due) {
                    state.complained = Some(now);
                    tracing::warn!(root = %self.path.display(), %error, "no files to serve");
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Every state is whole, whoever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for Root {
    fn open(&self, name: &Path, wait: Wait) -> io::Result<Found> {
        let Some(directory) = self.directory(wait)? else {
            return Ok(Found::Nothing);
        };
        // What is not read from a cache is better opened where it is read, too.
        if wait == Wait::Never && UNCACHED.has(directory.device()) {
            return Err(ErrorKind::WouldBlock.into());
        }
        let opened = directory
            .open(&self.path, name, self.symlinks, wait)
            .and_then(|file| {
                // What was opened is asked, not the path: nothing can come between the two.
                let metadata = file.metadata()?;
                Ok((file, metadata))
            });
        match opened {
            Ok((file, metadata)) if metadata.is_file() => {
                Ok(Found::File(SourceFile::of(file, &metadata)))
            }
            Ok((_, metadata)) if metadata.is_dir() => Ok(Found::Directory),
            // A FIFO or a device; opening it did not wait for anybody.
            Ok(_) => Ok(Found::Nothing),
            // Of a system that does not open directories.
            Err(error) if error.kind() == ErrorKind::IsADirectory => Ok(Found::Directory),
            Err(error) if is_miss(&error) => Ok(Found::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Regular files and directories, in the order of the disk; of a link, what it leads to, if it
    /// may be followed. Hidden names that are left out count as read.
    fn list(&self, directory: &Path, limit: usize, dotfiles: bool) -> io::Result<Option<Listed>> {
        let Some(root) = self.directory(Wait::Blocking)? else {
            return Ok(None);
        };
        match root.list(&self.path, directory, self.symlinks, limit, dotfiles) {
            Ok(listed) => Ok(Some(listed)),
            Err(error) if is_miss(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Remembers that reads of this file cannot be told not to wait.
pub(super) fn cannot_read_cached(file: &File) {
    let identity = file
        .metadata()
        .ok()
        .and_then(|metadata| Identity::of(&metadata));
    UNCACHED.remember(identity.map(|identity| identity.device));
}

/// What this process has learnt of the file systems it met.
static UNCACHED: Devices = Devices::new();

/// File systems that cannot tell whether a read would wait: on them, nothing is tried.
#[derive(Debug)]
struct Devices {
    /// Of more than these, the oldest is asked again.
    known: [AtomicU64; 8],
    remembered: AtomicUsize,
}

/// What no file system is called: device numbers have 32 bits, or on some systems 64 with gaps.
const NO_DEVICE: u64 = u64::MAX;

impl Devices {
    const fn new() -> Self {
        Self {
            known: [const { AtomicU64::new(NO_DEVICE) }; 8],
            remembered: AtomicUsize::new(0),
        }
    }

    fn has(&self, device: Option<u64>) -> bool {
        // The usual case costs one load.
        self.remembered.load(Ordering::Relaxed) > 0
            && device.is_some_and(|device| {
                let is_it = |known: &AtomicU64| known.load(Ordering::Relaxed) == device;
                self.known.iter().any(is_it)
            })
    }

    fn remember(&self, device: Option<u64>) {
        if let Some(device) = device
            && !self.has(Some(device))
        {
            let at = self.remembered.fetch_add(1, Ordering::Relaxed) % self.known.len();
            self.known[at].store(device, Ordering::Relaxed);
        }
    }
}

/// A directory's entry, of which this is the metadata; `None` if it is nothing that is served.
fn entry(name: OsString, metadata: &Metadata) -> Option<DirEntry> {
    let modified = metadata.modified().ok();
    if metadata.is_dir() {
        return Some(DirEntry::directory(name, modified));
    }
    metadata
        .is_file()
        .then(|| DirEntry::file(name, metadata.len(), modified))
}

/// Whether a failure says no more than that there is nothing to serve under this name.
fn is_miss(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound
            | ErrorKind::NotADirectory
            | ErrorKind::PermissionDenied
            // A NUL, or a name that this file system cannot have.
            | ErrorKind::InvalidInput
            | ErrorKind::InvalidFilename
    ) || system::is_miss(error)
}

/// Where `name` leads below `root` once every link is followed.
///
/// # Errors
///
/// `NotFound` if it leads out of the root, besides what following it may fail with.
fn resolve(root: &Path, name: &Path) -> io::Result<PathBuf> {
    let root = root.canonicalize()?;
    let path = root.join(name).canonicalize()?;
    match path.strip_prefix(&root) {
        Ok(below) => Ok(below.to_owned()),
        Err(_) => Err(ErrorKind::NotFound.into()),
    }
}
