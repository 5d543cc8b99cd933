//! Opening below a directory that is held by its descriptor.

#[cfg(target_os = "linux")]
use std::sync::atomic::{AtomicBool, Ordering};
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

use super::{super::source::Wait, resolve};

/// `NONBLOCK` does not wait for the other end of a FIFO; `NOCTTY` does not take a terminal.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

/// To open what is below it; where the system has a flag for that, it need not be readable.
const DIRECTORY: OFlags = OFlags::CLOEXEC.union(OFlags::DIRECTORY).union(
    #[cfg(target_os = "linux")]
    OFlags::PATH,
    #[cfg(not(target_os = "linux"))]
    OFlags::RDONLY,
);

/// An open directory.
#[derive(Debug)]
pub(super) struct Directory {
    descriptor: OwnedFd,
    #[cfg(target_os = "linux")]
    support: linux::Support,
}

impl Directory {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let descriptor = openat(CWD, path, DIRECTORY, Mode::empty())?;
        Ok(Self {
            #[cfg(target_os = "linux")]
            support: linux::Support::of(descriptor.as_fd()),
            descriptor,
        })
    }

    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn without_openat2(self) -> Self {
        Self {
            support: linux::Support::default(),
            ..self
        }
    }

    /// Opens what `name` stands for below this directory, of which `path` is the path.
    pub(super) fn open(&self, path: &Path, name: &Path, wait: Wait) -> io::Result<File> {
        #[cfg(target_os = "linux")]
        match wait {
            Wait::Never if self.support.cached.load(Ordering::Relaxed) => {
                return linux::open_cached(self.descriptor.as_fd(), name);
            }
            Wait::Blocking if self.support.openat2 => {
                return linux::open_beneath(self.descriptor.as_fd(), path, name);
            }
            _ => {}
        }
        if wait == Wait::Never {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.walk(&resolve(path, name)?)
    }

    /// A file system below it cannot tell whether a read would wait: do not try.
    pub(super) fn cannot_read_cached(&self) {
        #[cfg(target_os = "linux")]
        self.support.cached.store(false, Ordering::Relaxed);
    }

    /// Opens a path without links, one component after the other. A link that took the place
    /// of a component meanwhile is not followed, so nothing leads out.
    pub(super) fn walk(&self, below: &Path) -> io::Result<File> {
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
            // A name that this file system cannot have.
            | Errno::ILSEQ
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

    /// What the kernel, and a seccomp profile around this process, let us do.
    #[derive(Debug, Default)]
    pub(super) struct Support {
        /// ENOSYS before Linux 5.6; ENOSYS or EPERM under some seccomp profiles.
        pub(super) openat2: bool,
        /// `RESOLVE_CACHED` (EINVAL before Linux 5.12), and reading from the page cache.
        pub(super) cached: AtomicBool,
    }

    impl Support {
        pub(super) fn of(directory: BorrowedFd<'_>) -> Self {
            let attempt = |resolve| {
                let flags = OFlags::PATH | OFlags::CLOEXEC;
                openat2(directory, ".", flags, Mode::empty(), resolve)
            };
            Self {
                openat2: attempt(CONFINED).is_ok(),
                cached: matches!(
                    attempt(CONFINED | ResolveFlags::CACHED),
                    Ok(_) | Err(Errno::AGAIN)
                )
                .into(),
            }
        }
    }

    /// Opens what the kernel can find without asking a disk.
    pub(super) fn open_cached(directory: BorrowedFd<'_>, name: &Path) -> io::Result<File> {
        let resolve = CONFINED | ResolveFlags::CACHED;
        match openat2(directory, or_itself(name), FILE, Mode::empty(), resolve) {
            Ok(descriptor) => Ok(descriptor.into()),
            // For a link that seems to lead out there is more to ask.
            Err(Errno::AGAIN | Errno::INTR | Errno::XDEV) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => Err(error.into()),
        }
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
        let name = or_itself(name);
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

    /// The empty name is the directory itself.
    fn or_itself(name: &Path) -> &Path {
        match name.as_os_str().is_empty() {
            true => Path::new("."),
            false => name,
        }
    }
}
