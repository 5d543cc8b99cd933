//! Opening below a directory that is held by its descriptor.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::Path,
};

use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::Errno,
};

use super::{super::source::Wait, Symlinks, entry, resolve};

#[cfg(target_os = "linux")]
pub(super) mod linux;
mod list;
pub(super) mod owner;

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
    device: u64,
    #[cfg(target_os = "linux")]
    kernel: linux::Kernel,
}

impl Directory {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let directory = File::from(openat(CWD, path, DIRECTORY, Mode::empty())?);
        Ok(Self {
            device: directory.metadata()?.dev(),
            #[cfg(target_os = "linux")]
            kernel: linux::Kernel::here(directory.as_fd()),
            descriptor: directory.into(),
        })
    }

    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn without_openat2(self) -> Self {
        Self {
            kernel: linux::Kernel::default(),
            ..self
        }
    }

    /// The file system on which it is.
    pub(super) fn device(&self) -> Option<u64> {
        Some(self.device)
    }

    /// Opens what `name` stands for below this directory, of which `path` is the path.
    pub(super) fn open(
        &self,
        path: &Path,
        name: &Path,
        symlinks: Symlinks,
        wait: Wait,
    ) -> io::Result<File> {
        // What is given is below a mount and canonical, so this is for those to come who are not
        // as careful.
        if climbs(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        #[cfg(target_os = "linux")]
        if let Some(opened) = self
            .kernel
            .open(self.descriptor.as_fd(), name, symlinks, wait)
        {
            return opened;
        }
        if wait == Wait::Never {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match symlinks {
            Symlinks::Within => self.walk(&resolve(path, name)?),
            Symlinks::None => self.walk(name),
            Symlinks::OwnerMatch => owner::walk(self, path, name),
            Symlinks::Anywhere => {
                Ok(openat(&self.descriptor, or_itself(name), FILE, Mode::empty())?.into())
            }
        }
    }

    /// Opens a path without links, one component after the other. A link that took the place
    /// of a component meanwhile is not followed, so nothing leads out.
    pub(super) fn walk(&self, below: &Path) -> io::Result<File> {
        Ok(self.descend(below, FILE)?.into())
    }

    fn descend(&self, below: &Path, last: OFlags) -> Result<OwnedFd, Errno> {
        let mut components = or_itself(below).components().peekable();
        let mut parent = None;
        loop {
            let Some(component) = components.next() else {
                return Err(Errno::NOENT);
            };
            let is_last = components.peek().is_none();
            let opened = openat(
                parent.as_ref().unwrap_or(&self.descriptor),
                component.as_os_str(),
                OFlags::NOFOLLOW | if is_last { last } else { DIRECTORY },
                Mode::empty(),
            )?;
            if is_last {
                return Ok(opened);
            }
            parent = Some(opened);
        }
    }
}

/// Whether a name is not below what it is relative to, links aside.
fn climbs(name: &Path) -> bool {
    let name = name.as_os_str().as_bytes();
    name.starts_with(b"/") || name.split(|byte| *byte == b'/').any(|part| part == b"..")
}

/// The empty name is the directory itself.
fn or_itself(name: &Path) -> &Path {
    match name.as_os_str().is_empty() {
        true => Path::new("."),
        false => name,
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
