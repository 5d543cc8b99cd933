//! Where workers dial: a socket in a directory that nobody else can enter.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use tokio::net::UnixListener;

use super::super::SpawnError;

const SOCKET: &str = "socket";

/// The directory, which is removed with it, and the socket.
#[derive(Debug)]
pub(super) struct Meeting {
    pub(super) directory: TempDir,
    pub(super) door: Door,
}

/// The socket of the workers, and what its path leads to.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// The file by which it was bound.
    file: File,
}

/// Which file it is: the device, and the number there.
type File = (u64, u64);

impl Meeting {
    pub(super) fn new() -> Result<Self, SpawnError> {
        let places = [std::env::temp_dir(), PathBuf::from("/tmp")];
        let mut failure = None;
        for place in places {
            match Self::at(&place) {
                Ok(meeting) => return Ok(meeting),
                // The path is too long for a socket, maybe: 104 or 108 bytes, by system.
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let error = failure.unwrap_or_else(|| io::ErrorKind::NotFound.into());
        Err(SpawnError::io(
            "there is no place for the socket of the workers",
            error,
        ))
    }

    fn at(place: &Path) -> io::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("wsgi-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(place)?;
        let door = Door::open(directory.path().join(SOCKET))?;
        Ok(Self { directory, door })
    }

    pub(super) fn socket(&self) -> &Path {
        &self.door.path
    }
}

impl Door {
    fn open(path: PathBuf) -> io::Result<Self> {
        let listener = UnixListener::bind(&path)?;
        let file = file(&path)?;
        Ok(Self {
            listener,
            path,
            file,
        })
    }

    /// Opens it anew at the same path, which all processes know, if that does not lead there any more:
    /// whoever clears up temporary directories does not ask. Whether it had to.
    pub(super) fn reopen(&mut self) -> io::Result<bool> {
        if file(&self.path).is_ok_and(|file| file == self.file) {
            return Ok(false);
        }
        if let Some(directory) = self.path.parent() {
            make_private(directory)?;
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        *self = Self::open(self.path.clone())?;
        Ok(true)
    }
}

/// Sees to it that there is this directory, and that nobody else can enter it: in a temporary
/// directory anybody may have made one of the same name meanwhile.
fn make_private(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let metadata = fs::symlink_metadata(directory)?;
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
    match metadata.is_dir() && is_own && metadata.mode() & 0o077 == 0 {
        true => Ok(()),
        false => {
            let why = "what is in the place of their directory is somebody else's";
            Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
        }
    }
}

fn file(path: &Path) -> io::Result<File> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests;
