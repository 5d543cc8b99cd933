//! From a name to an open file: the only place of this layer that touches the disk.
//!
//! Everything can be asked in two ways, see [`Wait`]: as far as the system's caches have the
//! answer, which takes a few microseconds and may be done anywhere, or however long it takes.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::source::{Found, Source, SourceFile, Wait};

#[cfg(not(unix))]
mod other;
#[cfg(all(test, target_os = "linux"))]
mod tests;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
use self::other::{self as system, Directory};
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
            state: Arc::default(),
        }
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
        let opened = directory.open(&self.path, name, wait).and_then(|file| {
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
