//! Opening by path, where a directory cannot be held.

use std::{
    fs::File,
    io,
    path::{Component, Path},
};

use super::{super::source::Wait, resolve};

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

    /// Every read waits here as it is.
    pub(super) fn cannot_read_cached(&self) {}

    /// Between the check and the opening lies a race that this system gives no means to close.
    pub(super) fn open(&self, path: &Path, name: &Path, wait: Wait) -> io::Result<File> {
        if wait == Wait::Never {
            return Err(io::ErrorKind::WouldBlock.into());
        }
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

pub(super) fn is_miss(error: &io::Error) -> bool {
    /// Windows says so of links in circles; its `ErrorKind` is not stable.
    const CANNOT_RESOLVE: i32 = 1921;

    error.raw_os_error() == Some(CANNOT_RESOLVE)
}
