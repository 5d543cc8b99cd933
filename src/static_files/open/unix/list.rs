//! Reading a directory.

use std::{
    ffi::OsStr,
    time::{Duration, SystemTime},
};

use rustix::fs::{AtFlags, Dir, FileType, statat};

use super::*;
use crate::static_files::listing::{DirEntry, Listed, is_shown};

impl Directory {
    /// Up to `limit` entries of a directory below this one, of which `path` is the path.
    pub(in super::super) fn list(
        &self,
        path: &Path,
        name: &Path,
        symlinks: Symlinks,
        limit: usize,
        dotfiles: bool,
    ) -> io::Result<Listed> {
        let mut directory = Dir::new(self.open(path, name, symlinks, Wait::Blocking)?)?;
        let mut listed = Listed::default();
        let mut read = 0;
        while let Some(found) = directory.read() {
            let found = found?;
            let file_name = found.file_name();
            if matches!(file_name.to_bytes(), b"." | b"..") {
                continue;
            }
            if read == limit {
                listed.truncated = true;
                break;
            }
            read += 1;
            let entry_name = OsStr::from_bytes(file_name.to_bytes());
            if !is_shown(entry_name, dotfiles) {
                continue;
            }
            // What is gone by now, or may not be asked, is not there.
            let Ok(stat) = statat(directory.fd()?, file_name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let modified = at_second(i128::from(stat.st_mtime));
            let entry_name = entry_name.to_owned();
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => {
                    let length = u64::try_from(stat.st_size).unwrap_or_default();
                    listed
                        .entries
                        .push(DirEntry::file(entry_name, length, modified));
                }
                FileType::Directory => {
                    listed
                        .entries
                        .push(DirEntry::directory(entry_name, modified));
                }
                FileType::Symlink => {
                    let linked = name.join(&entry_name);
                    let leads_to = self
                        .open(path, &linked, symlinks, Wait::Blocking)
                        .and_then(|file| file.metadata());
                    if let Ok(metadata) = leads_to {
                        listed.entries.extend(entry(entry_name, &metadata));
                    }
                }
                _ => {}
            }
        }
        Ok(listed)
    }
}

fn at_second(second: i128) -> Option<SystemTime> {
    let distance = Duration::from_secs(u64::try_from(second.unsigned_abs()).ok()?);
    match second < 0 {
        true => SystemTime::UNIX_EPOCH.checked_sub(distance),
        false => SystemTime::UNIX_EPOCH.checked_add(distance),
    }
}
