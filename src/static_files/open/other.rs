//! Opening by path, where a directory cannot be held.

use std::{
    fs::{File, Metadata},
    io,
    path::{Component, Path, PathBuf},
};

use super::{super::source::Wait, Symlinks, entry, resolve};
use crate::static_files::listing::{Listed, is_shown};

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

    pub(super) fn device(&self) -> Option<u64> {
        None
    }

    /// Between the check and the opening lies a race that this system gives no means to close.
    pub(super) fn open(
        &self,
        path: &Path,
        name: &Path,
        symlinks: Symlinks,
        wait: Wait,
    ) -> io::Result<File> {
        let path = leads_to(path, name, symlinks, wait)?;
        let kind = path.metadata()?.file_type();
        if kind.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        match kind.is_file() {
            true => File::open(path),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Up to `limit` entries of a directory below this one, of which `path` is the path.
    pub(super) fn list(
        &self,
        path: &Path,
        name: &Path,
        symlinks: Symlinks,
        limit: usize,
        dotfiles: bool,
    ) -> io::Result<Listed> {
        let mut listed = Listed::default();
        let directory = leads_to(path, name, symlinks, Wait::Blocking)?;
        for (read, found) in directory.read_dir()?.enumerate() {
            if read == limit {
                listed.truncated = true;
                break;
            }
            let entry_name = found?.file_name();
            if !is_shown(&entry_name, dotfiles) {
                continue;
            }
            let leads_to = leads_to(path, &name.join(&entry_name), symlinks, Wait::Blocking);
            if let Ok(metadata) = leads_to.and_then(|path| path.metadata()) {
                listed.entries.extend(entry(entry_name, &metadata));
            }
        }
        Ok(listed)
    }
}

/// Where a name ends, if the policy lets it end there.
fn leads_to(path: &Path, name: &Path, symlinks: Symlinks, wait: Wait) -> io::Result<PathBuf> {
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
    match symlinks {
        Symlinks::Anywhere => return Ok(path.join(name)),
        Symlinks::Within => {}
        // Nobody can be asked for the owner here, so no link has the right one.
        Symlinks::None | Symlinks::OwnerMatch => {
            let mut way = path.to_owned();
            for component in name.components() {
                way.push(component);
                if way.symlink_metadata()?.file_type().is_symlink() {
                    return Err(io::ErrorKind::NotFound.into());
                }
            }
        }
    }
    Ok(path.canonicalize()?.join(resolve(path, name)?))
}

pub(super) fn is_miss(error: &io::Error) -> bool {
    /// Windows says so of links in circles; its `ErrorKind` is not stable.
    const CANNOT_RESOLVE: i32 = 1921;

    error.raw_os_error() == Some(CANNOT_RESOLVE)
}
