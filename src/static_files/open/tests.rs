//! What no public option reaches: the way without `openat2`, on the system that has it.

use std::{
    fs,
    io::Read,
    os::unix::fs::{MetadataExt, symlink},
};

use rustix::{fs::ResolveFlags, io::Errno};

use self::symlinks::linked;
use super::{unix::linux::Kernel, *};
use crate::static_files::listing::DirEntry;

mod symlinks;

fn both_ways(path: &Path) -> [Directory; 2] {
    let directory = Directory::of(path).expect("a directory");
    let walking = Directory::of(path).expect("a directory").without_openat2();
    [directory, walking]
}

#[test]
fn both_ways_to_open_find_the_same() -> io::Result<()> {
    let temporary = tempfile::tempdir()?;
    let root = temporary.path().join("root");
    fs::create_dir_all(root.join("dir/sub"))?;
    fs::write(temporary.path().join("secret"), "secret")?;
    fs::write(root.join("a"), "a")?;
    fs::write(root.join("dir/sub/b"), "b")?;
    for (target, link) in [
        ("a", "to-a"),
        ("dir/../a", "to-a-by-dir"),
        ("dir", "to-dir"),
        ("../secret", "out"),
        ("..", "out-dir"),
        ("/etc/passwd", "passwd"),
        ("loop", "loop"),
        ("none", "dangling"),
    ] {
        symlink(target, root.join(link))?;
    }
    symlink(root.join("dir/sub"), root.join("absolute"))?;

    for (name, content) in [
        ("a", Some("a")),
        ("dir/sub/b", Some("b")),
        ("to-a", Some("a")),
        ("to-a-by-dir", Some("a")),
        ("to-dir/sub/b", Some("b")),
        ("absolute/b", Some("b")),
        ("out", None),
        ("out-dir/secret", None),
        // Where a name ends is what counts, not the way.
        ("out-dir/root/a", Some("a")),
        ("passwd", None),
        ("loop", None),
        ("dangling", None),
        ("a/b", None),
        ("none/a", None),
    ] {
        for directory in both_ways(&root) {
            match directory.open(&root, Path::new(name), Symlinks::Within, Wait::Blocking) {
                Ok(mut file) => {
                    let mut read = String::new();
                    file.read_to_string(&mut read)?;
                    assert_eq!(content, Some(read.as_str()), "{name}, {directory:?}");
                }
                Err(error) => {
                    assert!(is_miss(&error), "{name}, {directory:?}: {error:?}");
                    assert_eq!(content, None, "{name}, {directory:?}: {error:?}");
                }
            }
        }
    }
    for directory in both_ways(&root) {
        for name in ["", "dir", "to-dir"] {
            let opened =
                directory.open(&root, Path::new(name), Symlinks::Within, Wait::Blocking)?;
            assert!(opened.metadata()?.is_dir(), "{name}, {directory:?}");
        }
    }
    Ok(())
}

/// Else a process that lacks a descriptor when it opens its first root is slow for ever.
#[test]
fn a_kernel_that_has_no_descriptor_left_has_not_said_what_it_can() {
    let all = Kernel::asked(|_| Ok(()));
    assert!(all.is_some());
    for nothing_said in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::ACCESS] {
        assert_eq!(Kernel::asked(|_| Err(nothing_said)), None);
        let second = |resolve| match resolve {
            ResolveFlags::BENEATH => Ok(()),
            _ => Err(nothing_said),
        };
        assert_eq!(Kernel::asked(second), None);
    }
    // What has to ask a disk is there.
    assert_eq!(Kernel::asked(|_| Err(Errno::AGAIN)), all);
    for lacking in [Errno::NOSYS, Errno::PERM, Errno::INVAL] {
        assert_eq!(Kernel::asked(|_| Err(lacking)), Some(Kernel::default()));
    }
}

#[test]
fn the_walk_does_not_follow_a_link_that_came_meanwhile() -> io::Result<()> {
    let temporary = tempfile::tempdir()?;
    let root = temporary.path().join("root");
    fs::create_dir(&root)?;
    fs::write(temporary.path().join("secret"), "secret")?;
    symlink("..", root.join("dir"))?;
    symlink("../secret", root.join("file"))?;
    let [_, walking] = both_ways(&root);
    // The paths that `resolve` gave a moment ago, when they were a directory and a file.
    for resolved in ["dir/secret", "file"] {
        let error = walking.walk(Path::new(resolved)).expect_err("confined");
        assert!(is_miss(&error), "{error:?}");
    }
    Ok(())
}

#[test]
fn a_root_that_is_missing_is_complained_about_once() -> io::Result<()> {
    let temporary = tempfile::tempdir()?;
    let root = Root::new(temporary.path().join("later"));
    let name = Path::new("a");
    assert!(matches!(root.open(name, Wait::Blocking)?, Found::Nothing));
    let complained = root.state().complained;
    assert!(complained.is_some());
    assert!(matches!(root.open(name, Wait::Blocking)?, Found::Nothing));
    assert_eq!(root.state().complained, complained, "not for each request");

    fs::create_dir(temporary.path().join("later"))?;
    fs::write(temporary.path().join("later/a"), "a")?;
    assert!(matches!(root.open(name, Wait::Blocking)?, Found::File(_)));
    assert_eq!(root.state().complained, None, "the next time is news");
    Ok(())
}

fn file(found: Found) -> SourceFile {
    match found {
        Found::File(file) => Some(file),
        Found::Directory | Found::Nothing => None,
    }
    .expect("a file")
}

fn sorted(mut listed: Listed) -> Vec<DirEntry> {
    listed.entries.sort_by_key(|entry| format!("{entry:?}"));
    listed.entries
}

#[test]
fn a_listing_has_what_can_be_opened() -> io::Result<()> {
    let temporary = linked()?;
    let root = temporary.path().join("root");
    let other = root.join("other");
    fs::create_dir(&other)?;
    for name in ["file", ".hidden", "back\\slash"] {
        fs::write(other.join(name), name)?;
    }
    fs::create_dir(other.join(".well-known"))?;
    for (target, link) in [
        ("../a", "to-a"),
        ("../dir", "to-dir"),
        ("../../secret", "out"),
        ("/dev/zero", "zero"),
        ("fifo", "to-fifo"),
        ("none", "dangling"),
        ("loop", "loop"),
    ] {
        symlink(target, other.join(link))?;
    }
    rustix::fs::mknodat(
        rustix::fs::CWD,
        other.join("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )?;
    let modified = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for name in ["other/file", "a", "other/.hidden"] {
        File::options()
            .write(true)
            .open(root.join(name))?
            .set_modified(modified)?;
    }

    let names = |symlinks, dotfiles| -> io::Result<Vec<String>> {
        let mut got = Vec::new();
        for directory in both_ways(&root) {
            let listed = directory.list(&root, Path::new("other"), symlinks, 100, dotfiles)?;
            assert!(!listed.truncated);
            got.push(sorted(listed));
        }
        assert_eq!(got[0], got[1]);
        let of_length = |name: &str, length| DirEntry::file(name, length, Some(modified));
        assert!(got[0].contains(&of_length("file", 4)));
        let has_link = got[0].contains(&of_length("to-a", 1));
        assert_eq!(has_link, symlinks != Symlinks::None);
        let mut names: Vec<_> = got[0].iter().map(|entry| entry.href()).collect();
        names.sort();
        Ok(names)
    };
    let plain = ["./.well-known/", "./file"];
    assert_eq!(names(Symlinks::None, false)?, plain);
    let with_links = ["./.well-known/", "./file", "./to-a", "./to-dir/"];
    assert_eq!(names(Symlinks::Within, false)?, with_links);
    assert_eq!(names(Symlinks::OwnerMatch, false)?, with_links);
    assert_eq!(
        names(Symlinks::Anywhere, true)?,
        [
            "./.hidden",
            "./.well-known/",
            "./file",
            "./out",
            "./to-a",
            "./to-dir/"
        ]
    );
    Ok(())
}

#[test]
fn a_listing_is_confined_as_a_file_is() -> io::Result<()> {
    let temporary = linked()?;
    let root = Root::new(temporary.path().join("root"));
    let list = |name: &str, limit| root.list(Path::new(name), limit, false);
    for name in ["out-dir", "a", "none", "..", "/", "loop", "dir/sub/b"] {
        assert_eq!(list(name, 10)?, None, "{name}");
    }
    for name in ["dir/sub", "to-dir/sub", "absolute"] {
        let listed = list(name, 10)?.expect("a directory");
        assert_eq!(listed.entries.len(), 2, "{name}");
        assert!(!listed.truncated, "{name}");
        let listed = list(name, 2)?.expect("a directory");
        assert!(!listed.truncated, "{name} has no more");
        let listed = list(name, 1)?.expect("a directory");
        assert_eq!((listed.entries.len(), listed.truncated), (1, true));
    }
    assert!(list("", 100)?.is_some());

    let mut root = root.clone();
    root.set_symlinks(Symlinks::None);
    assert_eq!(root.list(Path::new("to-dir"), 10, false)?, None);
    Ok(())
}

#[test]
fn an_identity_changes_with_the_file() -> io::Result<()> {
    let temporary = tempfile::tempdir()?;
    let path = temporary.path().join("a");
    fs::write(&path, "one")?;
    let root = Root::new(temporary.path().to_owned());
    let identity = || {
        let found = root.open(Path::new("a"), Wait::Blocking);
        file(found.expect("found")).identity.expect("on Linux")
    };
    let first = identity();
    assert_eq!(first, identity());
    let metadata = path.metadata()?;
    assert_eq!(first.device, metadata.dev());
    assert_eq!(first.inode, metadata.ino());
    assert_eq!(first.length, 3);
    let modified = metadata.modified()?.duration_since(std::time::UNIX_EPOCH);
    let modified = modified.expect("after 1970").as_nanos();
    assert_eq!(u128::try_from(first.modified).ok(), Some(modified));

    // The times are set back, and the length is the same.
    let modified = metadata.modified()?;
    let changed = loop {
        fs::write(&path, "two")?;
        File::options()
            .write(true)
            .open(&path)?
            .set_modified(modified)?;
        let changed = identity();
        // The clock of a file system may be slower than this.
        if changed != first {
            break changed;
        }
    };
    assert_eq!(
        (first.modified, first.length),
        (changed.modified, changed.length)
    );
    assert!(changed.changed > first.changed);

    let old = std::time::UNIX_EPOCH - Duration::from_millis(1500);
    File::options().write(true).open(&path)?.set_modified(old)?;
    assert_eq!(identity().modified, -1_500_000_000);
    Ok(())
}

#[test]
fn file_systems_that_cannot_tell_are_remembered() {
    let devices = Devices::new();
    assert!(!devices.has(Some(0)) && !devices.has(None));
    for device in 0..8 {
        devices.remember(Some(device));
        devices.remember(Some(device));
    }
    devices.remember(None);
    assert!((0..8).all(|device| devices.has(Some(device))));
    devices.remember(Some(8));
    assert!(
        devices.has(Some(8)) && !devices.has(Some(0)),
        "no more than eight"
    );
}
