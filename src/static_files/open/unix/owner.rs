//! Following links by hand: no flag of the kernel's says whose they are.

use std::{
    ffi::{OsStr, OsString},
    os::{fd::BorrowedFd, unix::ffi::OsStringExt},
    path::{Component, PathBuf},
};

#[cfg(any(test, not(target_os = "linux")))]
use rustix::fs::{AtFlags, statat};
use rustix::fs::{FileType, fstat, readlinkat};

use super::*;

/// As many links as Linux follows (path_resolution(7)).
const LINKS: usize = 40;

/// How many directories are opened on the way: far more than a path of the longest kind has.
const OPENED: usize = 8192;

/// What is still to be done on the way; the next one is the last of a list.
#[derive(Debug)]
enum Step {
    Enter(OsString),
    /// `.`, or a slash at the end: what was reached must be a directory.
    Stay,
    Up,
    /// A link ends here. What it led to must have this owner.
    OwnedBy(u32),
}

/// Opens a name below `root`, of which `path` is the path. Each link has to have the owner of what
/// it leads to, and leads to something in the root.
///
/// # Errors
///
/// `PermissionDenied` for a link of another owner; `XDEV` for one that leads out.
pub(super) fn walk(root: &Directory, path: &Path, name: &Path) -> io::Result<File> {
    let mut steps = Vec::new();
    push_steps(&mut steps, name);
    // The directory that was reached: its path, in which there is no link, and its descriptor.
    // Two descriptors are enough, however deep the tree is.
    let mut at = PathBuf::new();
    let mut directory: Option<OwnedFd> = None;
    let mut file: Option<OwnedFd> = None;
    let (mut links, mut opened_so_far) = (0, 0);
    while let Some(step) = steps.pop() {
        let here = directory.as_ref().unwrap_or(&root.descriptor);
        match step {
            Step::Stay => {}
            Step::OwnedBy(owner) => {
                if fstat(file.as_ref().unwrap_or(here))?.st_uid != owner {
                    return Err(Errno::ACCESS.into());
                }
            }
            Step::Up => {
                if !at.pop() {
                    return Err(Errno::XDEV.into());
                }
                // By name, and not `..`: this directory may have been moved elsewhere.
                opened_so_far += at.components().count();
                directory = match at.as_os_str().is_empty() {
                    true => None,
                    false => Some(root.descend(&at, DIRECTORY)?),
                };
            }
            Step::Enter(name) => {
                opened_so_far += 1;
                if opened_so_far > OPENED {
                    return Err(Errno::NAMETOOLONG.into());
                }
                let is_last = steps.iter().all(|step| matches!(step, Step::OwnedBy(_)));
                let flags = if is_last { FILE } else { DIRECTORY };
                match openat(here, &name, flags | OFlags::NOFOLLOW, Mode::empty()) {
                    Ok(opened) if is_last => file = Some(opened),
                    Ok(opened) => {
                        at.push(&name);
                        directory = Some(opened);
                    }
                    Err(error) => {
                        // Systems say differently that it is a link.
                        let Some(link) = read_link(here.as_fd(), &name)? else {
                            return Err(error.into());
                        };
                        links += 1;
                        if links > LINKS {
                            return Err(Errno::LOOP.into());
                        }
                        steps.push(Step::OwnedBy(link.owner));
                        let below = match link.target.is_absolute() {
                            true => {
                                at.clear();
                                directory = None;
                                below_root(path, &link.target)?
                            }
                            false => &link.target,
                        };
                        push_steps(&mut steps, below);
                    }
                }
            }
        }
    }
    match file {
        Some(file) => Ok(file.into()),
        None => {
            let here = directory.as_ref().unwrap_or(&root.descriptor);
            Ok(openat(here, ".", FILE, Mode::empty())?.into())
        }
    }
}

fn push_steps(steps: &mut Vec<Step>, path: &Path) {
    if path.as_os_str().as_bytes().ends_with(b"/") {
        steps.push(Step::Stay);
    }
    for component in path.components().rev() {
        steps.push(match component {
            Component::Normal(name) => Step::Enter(name.to_owned()),
            Component::ParentDir => Step::Up,
            // An absolute path was made relative before.
            Component::CurDir | Component::RootDir | Component::Prefix(_) => Step::Stay,
        });
    }
}

/// What an absolute path names below the root, by the path that the root was given, or by its own.
fn below_root<'a>(root: &Path, target: &'a Path) -> io::Result<&'a Path> {
    if let Ok(below) = target.strip_prefix(root) {
        return Ok(below);
    }
    match target.strip_prefix(root.canonicalize()?) {
        Ok(below) => Ok(below),
        Err(_) => Err(Errno::XDEV.into()),
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Link {
    pub(super) owner: u32,
    pub(super) target: PathBuf,
}

/// A link and its owner; `None` if it is none. One descriptor is asked for both.
#[cfg(target_os = "linux")]
pub(in super::super) fn read_link(
    directory: BorrowedFd<'_>,
    name: &OsStr,
) -> Result<Option<Link>, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let link = openat(directory, name, flags, Mode::empty())?;
    let stat = fstat(&link)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        return Ok(None);
    }
    let target = readlinkat(&link, "", Vec::new())?;
    Ok(Some(Link {
        owner: stat.st_uid,
        target: OsString::from_vec(target.into_bytes()).into(),
    }))
}

#[cfg(not(target_os = "linux"))]
use self::read_link_by_name as read_link;

/// The same without a descriptor. A link cannot be changed but only be replaced, so it is asked who
/// it is before and after it is read.
#[cfg(any(test, not(target_os = "linux")))]
pub(in super::super) fn read_link_by_name(
    directory: BorrowedFd<'_>,
    name: &OsStr,
) -> Result<Option<Link>, Errno> {
    let stat = || statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
    let before = stat()?;
    if FileType::from_raw_mode(before.st_mode) != FileType::Symlink {
        return Ok(None);
    }
    let target = readlinkat(directory, name, Vec::new())?;
    let after = stat()?;
    if (before.st_dev, before.st_ino, before.st_uid) != (after.st_dev, after.st_ino, after.st_uid) {
        return Err(Errno::LOOP);
    }
    Ok(Some(Link {
        owner: before.st_uid,
        target: OsString::from_vec(target.into_bytes()).into(),
    }))
}
