//! From a name to an open file: the only place of this layer that touches the disk. Everything
//! here blocks.

use std::{
    fs::File,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use self::system::Directory;

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

/// What a name stands for.
#[derive(Debug)]
pub(super) enum Found {
    File(OpenFile),
    Directory,
    /// Nothing that is served.
    Nothing,
}

/// A regular file, and what it was when it was opened.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) file: File,
    pub(super) length: u64,
    pub(super) modified: Option<SystemTime>,
}

impl Root {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            // Without a working directory the relative path is as good as none.
            path: std::path::absolute(&path).unwrap_or(path),
            state: Arc::default(),
        }
    }

    /// Opens the file of a relative name, which has no `..` in it.
    ///
    /// # Errors
    ///
    /// What is neither the client's fault nor the tree's: the disk fails, no descriptor is left.
    pub(super) fn open(&self, name: &Path) -> io::Result<Found> {
        let Some(directory) = self.directory()? else {
            return Ok(Found::Nothing);
        };
        let opened = directory.open(&self.path, name).and_then(|file| {
            // What was opened is asked, not the path: nothing can come between the two.
            let metadata = file.metadata()?;
            Ok((file, metadata))
        });
        match opened {
            Ok((file, metadata)) if metadata.is_file() => Ok(Found::File(OpenFile {
                length: metadata.len(),
                modified: metadata.modified().ok(),
                file,
            })),
            Ok((_, metadata)) if metadata.is_dir() => Ok(Found::Directory),
            // A FIFO or a device; opening it did not wait for anybody.
            Ok(_) => Ok(Found::Nothing),
            // Of a system that does not open directories.
            Err(error) if error.kind() == ErrorKind::IsADirectory => Ok(Found::Directory),
            Err(error) if is_miss(&error) => Ok(Found::Nothing),
            Err(error) => Err(error),
        }
    }

    /// The root itself; `None` if there is none.
    fn directory(&self) -> io::Result<Option<Arc<Directory>>> {
        let now = Instant::now();
        let mut state = self.state();
        if let Some((directory, since)) = &state.directory
            && now.saturating_duration_since(*since) < HELD_FOR
        {
            return Ok(Some(Arc::clone(directory)));
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

#[cfg(unix)]
mod system {
    use std::{
        fs::File,
        io,
        os::fd::{AsFd, OwnedFd},
        path::Path,
    };

    use rustix::{
        fs::{CWD, Mode, OFlags, openat},
        io::Errno,
    };

    use super::resolve;

    /// `NONBLOCK` does not wait for the other end of a FIFO; `NOCTTY` does not take a terminal.
    const FILE: OFlags = OFlags::RDONLY
        .union(OFlags::CLOEXEC)
        .union(OFlags::NONBLOCK)
        .union(OFlags::NOCTTY);

    const DIRECTORY: OFlags = OFlags::RDONLY
        .union(OFlags::CLOEXEC)
        .union(OFlags::DIRECTORY);

    /// An open directory.
    #[derive(Debug)]
    pub(super) struct Directory {
        descriptor: OwnedFd,
        #[cfg(target_os = "linux")]
        has_openat2: bool,
    }

    impl Directory {
        pub(super) fn of(path: &Path) -> io::Result<Self> {
            let descriptor = openat(CWD, path, DIRECTORY, Mode::empty())?;
            Ok(Self {
                #[cfg(target_os = "linux")]
                has_openat2: linux::has_openat2(descriptor.as_fd()),
                descriptor,
            })
        }

        /// Opens what `name` stands for below this directory, of which `path` is the path.
        pub(super) fn open(&self, path: &Path, name: &Path) -> io::Result<File> {
            #[cfg(target_os = "linux")]
            if self.has_openat2 {
                return linux::open_beneath(self.descriptor.as_fd(), path, name);
            }
            self.walk(&resolve(path, name)?)
        }

        /// Opens a path without links, one component after the other. A link that took the place
        /// of a component meanwhile is not followed, so nothing leads out.
        fn walk(&self, below: &Path) -> io::Result<File> {
            let mut components = below.components().peekable();
            let mut parent = None;
            while let Some(component) = components.next() {
                let at = parent.as_ref().unwrap_or(&self.descriptor);
                let flags = match components.peek() {
                    Some(_) => DIRECTORY,
                    None => FILE,
                };
                let opened = openat(
                    at,
                    component.as_os_str(),
                    flags | OFlags::NOFOLLOW,
                    Mode::empty(),
                )?;
                if components.peek().is_none() {
                    return Ok(opened.into());
                }
                parent = Some(opened);
            }
            Ok(openat(&self.descriptor, ".", DIRECTORY, Mode::empty())?.into())
        }
    }

    pub(super) fn is_miss(error: &io::Error) -> bool {
        matches!(
            Errno::from_io_error(error),
            Some(
                // A link that leads out of the root, or in circles.
                Errno::XDEV | Errno::LOOP | Errno::MLINK
                | Errno::NAMETOOLONG | Errno::ILSEQ
                // A socket, or a device that is not there.
                | Errno::NXIO | Errno::NODEV | Errno::OPNOTSUPP
            )
        )
    }

    #[cfg(target_os = "linux")]
    mod linux {
        use std::os::fd::BorrowedFd;

        use rustix::fs::{ResolveFlags, openat2};

        use super::*;

        /// The kernel gives up when a directory is renamed while it walks a `..` in a link. It is
        /// a matter of luck, so a few attempts are enough.
        const ATTEMPTS: usize = 32;

        const CONFINED: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

        /// ENOSYS before Linux 5.6; ENOSYS or EPERM under some seccomp profiles.
        pub(super) fn has_openat2(directory: BorrowedFd<'_>) -> bool {
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            openat2(directory, ".", flags, Mode::empty(), CONFINED).is_ok()
        }

        pub(super) fn open_beneath(
            directory: BorrowedFd<'_>,
            path: &Path,
            name: &Path,
        ) -> io::Result<File> {
            match attempt(directory, name, CONFINED) {
                // An absolute link counts as leading out, also where it leads back in.
                Err(Errno::XDEV) => {
                    let confined = CONFINED | ResolveFlags::NO_SYMLINKS;
                    Ok(attempt(directory, &resolve(path, name)?, confined)?)
                }
                opened => Ok(opened?),
            }
        }

        fn attempt(
            directory: BorrowedFd<'_>,
            name: &Path,
            resolve: ResolveFlags,
        ) -> Result<File, Errno> {
            let name = match name.as_os_str().is_empty() {
                true => Path::new("."),
                false => name,
            };
            let mut attempts = 0;
            loop {
                attempts += 1;
                match openat2(directory, name, FILE, Mode::empty(), resolve) {
                    Ok(descriptor) => return Ok(descriptor.into()),
                    Err(Errno::AGAIN | Errno::INTR) if attempts < ATTEMPTS => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

#[cfg(not(unix))]
mod system {
    use std::{
        fs::File,
        io,
        path::{Component, Path},
    };

    use super::resolve;

    /// Nothing is held: this system opens by path.
    #[derive(Debug)]
    pub(super) struct Directory;

    impl Directory {
        pub(super) fn of(path: &Path) -> io::Result<Self> {
            match path.metadata()?.is_dir() {
                true => Ok(Self),
                false => Err(io::ErrorKind::NotADirectory.into()),
            }
        }

        /// Between the check and the opening lies a race that this system gives no means to close.
        pub(super) fn open(&self, path: &Path, name: &Path) -> io::Result<File> {
            // "C:", a device, a stream of a file: none is a plain name.
            let is_plain = |component: Component<'_>| match component {
                Component::Normal(name) => !name.to_string_lossy().contains([':', '\\']),
                Component::CurDir => true,
                _ => false,
            };
            if !name.components().all(is_plain) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let below = resolve(path, name)?;
            let path = path.canonicalize()?.join(below);
            let kind = path.metadata()?.file_type();
            if kind.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            match kind.is_file() {
                true => File::open(path),
                false => Err(io::ErrorKind::NotFound.into()),
            }
        }
    }

    pub(super) fn is_miss(_: &io::Error) -> bool {
        false
    }
}
