//! What this kernel does at once: `openat2`.

use std::{os::fd::BorrowedFd, sync::OnceLock};

use rustix::fs::{ResolveFlags, openat2};

use super::*;

/// The kernel gives up when anything is renamed, anywhere, while it walks a `..` in a link. A few
/// attempts are enough, but where there are many `..` and much is renamed.
const ATTEMPTS: usize = 32;

/// What the kernel, and a seccomp profile around this process, let us do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Kernel {
    /// ENOSYS before Linux 5.6; ENOSYS or EPERM under some seccomp profiles.
    openat2: bool,
    /// `RESOLVE_CACHED`: EINVAL before Linux 5.12.
    cached: bool,
}

impl Kernel {
    /// Asked until there is an answer: neither a kernel nor a profile takes one back.
    pub(super) fn here(directory: BorrowedFd<'_>) -> Self {
        static HERE: OnceLock<Kernel> = OnceLock::new();

        HERE.get().copied().unwrap_or_else(|| {
            let asked = Self::asked(|resolve| {
                let flags = OFlags::PATH | OFlags::CLOEXEC;
                openat2(directory, ".", flags, Mode::empty(), resolve).map(drop)
            });
            // Without an answer, it is for this time as if there were nothing.
            asked.map_or_else(Self::default, |known| *HERE.get_or_init(|| known))
        })
    }

    /// What opening a directory with these flags says of them. `None` if it says nothing: there may
    /// be no descriptor left, or this directory may not be searched.
    pub(in super::super) fn asked(
        attempt: impl Fn(ResolveFlags) -> Result<(), Errno>,
    ) -> Option<Self> {
        let has = |resolve| match attempt(resolve) {
            Ok(()) | Err(Errno::AGAIN) => Some(true),
            Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => Some(false),
            Err(_) => None,
        };
        Some(Self {
            openat2: has(ResolveFlags::BENEATH)?,
            cached: has(ResolveFlags::BENEATH | ResolveFlags::CACHED)?,
        })
    }

    /// `None` if the kernel cannot say: it lacks the means, or no flag says what is asked for.
    pub(super) fn open(
        self,
        directory: BorrowedFd<'_>,
        name: &Path,
        symlinks: Symlinks,
        wait: Wait,
    ) -> Option<io::Result<File>> {
        let opened = match wait {
            Wait::Never if self.cached => open_cached(directory, name, allowed(symlinks)),
            Wait::Blocking if self.openat2 => open(directory, name, allowed(symlinks)),
            _ => return None,
        };
        match (opened, symlinks) {
            // An absolute link counts as leading out, also where it leads back in.
            (Err(Errno::XDEV), Symlinks::Within) => None,
            // There is a link: whose?
            (Err(Errno::LOOP), Symlinks::OwnerMatch) => None,
            // Others rename, and a walk does not mind.
            (Err(Errno::AGAIN), _) if wait == Wait::Blocking => None,
            (opened, _) => Some(opened.map(File::from).map_err(io::Error::from)),
        }
    }
}

fn allowed(symlinks: Symlinks) -> ResolveFlags {
    match symlinks {
        Symlinks::Within => ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
        Symlinks::None | Symlinks::OwnerMatch => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
        Symlinks::Anywhere => ResolveFlags::empty(),
    }
}

/// Opens what the kernel can find without asking a disk.
fn open_cached(
    directory: BorrowedFd<'_>,
    name: &Path,
    allowed: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let resolve = allowed | ResolveFlags::CACHED;
    match openat2(directory, or_itself(name), FILE, Mode::empty(), resolve) {
        // `WouldBlock`, as `AGAIN` is.
        Err(Errno::INTR) => Err(Errno::AGAIN),
        opened => opened,
    }
}

fn open(directory: BorrowedFd<'_>, name: &Path, allowed: ResolveFlags) -> Result<OwnedFd, Errno> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match openat2(directory, or_itself(name), FILE, Mode::empty(), allowed) {
            Err(Errno::AGAIN | Errno::INTR) if attempts < ATTEMPTS => {}
            opened => return opened,
        }
    }
}
