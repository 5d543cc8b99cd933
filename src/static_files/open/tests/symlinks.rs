//! Which links are followed, by policy.

use std::{
    fs,
    io::Read,
    os::unix::fs::{MetadataExt, lchown, symlink},
    sync::atomic::{AtomicBool, Ordering},
};

use super::{super::*, both_ways};

/// What a name gives under a policy: by the kernel, by a walk, and, where that is possible, without
/// waiting, which must agree.
fn content(root: &Path, name: &str, symlinks: Symlinks) -> Option<String> {
    let read = |directory: &Directory, wait| -> io::Result<String> {
        let mut content = String::new();
        directory
            .open(root, Path::new(name), symlinks, wait)?
            .read_to_string(&mut content)?;
        Ok(content)
    };
    let of = |read: io::Result<String>| match read {
        Ok(content) => Some(content),
        Err(error) => {
            assert!(is_miss(&error), "{name}, {symlinks:?}: {error:?}");
            None
        }
    };
    let [directory, walking] = both_ways(root);
    let by_kernel = of(read(&directory, Wait::Blocking));
    let by_walk = of(read(&walking, Wait::Blocking));
    assert_eq!(by_kernel, by_walk, "{name}, {symlinks:?}");
    for directory in [directory, walking] {
        match read(&directory, Wait::Never) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            at_once => assert_eq!(of(at_once), by_kernel, "{name}, {symlinks:?}"),
        }
    }
    by_kernel
}

/// A root with links of all kinds, beside something that is not in it.
pub(super) fn linked() -> io::Result<tempfile::TempDir> {
    let temporary = tempfile::tempdir()?;
    let root = temporary.path().join("root");
    fs::create_dir_all(root.join("dir/sub"))?;
    fs::write(temporary.path().join("secret"), "secret")?;
    fs::write(root.join("a"), "a")?;
    fs::write(root.join("dir/sub/b"), "b")?;
    for (target, link) in [
        ("a", "to-a"),
        ("./a", "to-a-here"),
        ("to-a", "to-to-a"),
        ("dir/../a", "to-a-by-dir"),
        ("../a", "dir/up"),
        ("../../dir/up", "dir/sub/up-up"),
        ("dir", "to-dir"),
        ("dir/", "to-dir-slash"),
        ("a/", "to-a-slash"),
        ("../secret", "out"),
        ("..", "out-dir"),
        ("dir/../../secret", "out-by-dir"),
        ("loop", "loop"),
        ("none", "dangling"),
        (".", "here"),
        ("../root/a", "out-and-in"),
    ] {
        symlink(target, root.join(link))?;
    }
    symlink(root.join("dir/sub"), root.join("absolute"))?;
    symlink(&root, root.join("absolute-root"))?;
    symlink(temporary.path().join("secret"), root.join("absolute-out"))?;
    symlink(root.join("../secret"), root.join("absolute-up"))?;
    Ok(temporary)
}

#[test]
fn each_policy_follows_the_links_it_names() -> io::Result<()> {
    let temporary = linked()?;
    let root = temporary.path().join("root");
    let (within, anywhere) = ([false, true, true, true], [false, false, false, true]);
    for (name, expected, followed) in [
        ("a", "a", [true; 4]),
        ("dir/sub/b", "b", [true; 4]),
        ("./a", "a", [true; 4]),
        ("to-a", "a", within),
        ("to-a-here", "a", within),
        ("to-to-a", "a", within),
        ("to-a-by-dir", "a", within),
        ("dir/up", "a", within),
        ("dir/sub/up-up", "a", within),
        ("to-dir/sub/b", "b", within),
        ("to-dir-slash/sub/b", "b", within),
        ("to-dir/up", "a", within),
        ("absolute/b", "b", within),
        ("absolute/up-up", "a", within),
        ("absolute-root/here/here/a", "a", within),
        ("out", "secret", anywhere),
        ("out-dir/secret", "secret", anywhere),
        ("out-by-dir", "secret", anywhere),
        ("absolute-out", "secret", anywhere),
        ("absolute-up", "secret", anywhere),
        // The way leads out; whose the links on it are cannot be told from inside.
        ("out-and-in", "a", [false, true, false, true]),
        ("out-dir/root/a", "a", [false, true, false, true]),
        ("to-a-slash", "", [false; 4]),
        ("loop", "", [false; 4]),
        ("loop/a", "", [false; 4]),
        ("dangling", "", [false; 4]),
        ("a/b", "", [false; 4]),
        ("to-a/b", "", [false; 4]),
        // Not by a link, but by the name itself.
        ("../secret", "", [false; 4]),
        ("dir/../a", "", [false; 4]),
        ("/etc/passwd", "", [false; 4]),
    ] {
        let policies = [
            Symlinks::None,
            Symlinks::Within,
            Symlinks::OwnerMatch,
            Symlinks::Anywhere,
        ];
        for (symlinks, followed) in policies.into_iter().zip(followed) {
            let expected = followed.then_some(expected);
            let got = content(&root, name, symlinks);
            assert_eq!(got.as_deref(), expected, "{name}, {symlinks:?}");
        }
    }
    for directory in both_ways(&root) {
        for name in ["", "dir", "to-dir", "to-dir-slash", "here", "absolute-root"] {
            let name = Path::new(name);
            for symlinks in [Symlinks::OwnerMatch, Symlinks::Anywhere] {
                let opened = directory.open(&root, name, symlinks, Wait::Blocking)?;
                assert!(opened.metadata()?.is_dir(), "{name:?}, {directory:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn a_name_without_links_is_opened_at_once_under_each_policy() -> io::Result<()> {
    let temporary = linked()?;
    let root = temporary.path().join("root");
    let [directory, _] = both_ways(&root);
    for symlinks in [
        Symlinks::None,
        Symlinks::Within,
        Symlinks::OwnerMatch,
        Symlinks::Anywhere,
    ] {
        let name = Path::new("dir/sub/b");
        directory.open(&root, name, symlinks, Wait::Blocking)?;
        match directory.open(&root, name, symlinks, Wait::Never) {
            // A kernel without `RESOLVE_CACHED` cannot.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let within = directory.open(&root, name, Symlinks::Within, Wait::Never);
                assert!(within.is_err(), "{symlinks:?} waits");
            }
            opened => drop(opened?),
        }
    }
    Ok(())
}

#[test]
fn forty_links_are_followed_and_no_more() -> io::Result<()> {
    let temporary = linked()?;
    let root = temporary.path().join("root");
    symlink("a", root.join("1"))?;
    for link in 2..=41 {
        symlink((link - 1).to_string(), root.join(link.to_string()))?;
    }
    for symlinks in [Symlinks::OwnerMatch, Symlinks::Anywhere] {
        assert_eq!(content(&root, "40", symlinks).as_deref(), Some("a"));
        assert_eq!(content(&root, "41", symlinks), None, "{symlinks:?}");
    }
    Ok(())
}

#[test]
fn a_link_full_of_detours_is_given_up() -> io::Result<()> {
    let temporary = linked()?;
    let root = temporary.path().join("root");
    let deep = "d/".repeat(200);
    fs::create_dir_all(root.join(&deep))?;
    symlink(
        "../d/".repeat(100) + "../b",
        root.join(&deep).join("detours"),
    )?;
    fs::write(root.join(&deep).join("../b"), "b")?;
    let name = format!("{deep}detours");
    let [directory, _] = both_ways(&root);
    let open = |symlinks| directory.open(&root, Path::new(&name), symlinks, Wait::Blocking);
    assert!(open(Symlinks::Within).is_ok());
    let error = open(Symlinks::OwnerMatch).expect_err("too much work");
    assert!(is_miss(&error), "{error:?}");
    Ok(())
}

/// The kernel does not know then whether `..` leads out, however often it is asked.
#[test]
fn a_long_way_is_found_while_others_rename() -> io::Result<()> {
    let temporary = linked()?;
    let root = temporary.path().join("root");
    symlink("dir/../".repeat(200) + "a", root.join("long"))?;
    let [directory, _] = both_ways(&root);
    let [here, there] = ["here", "there"].map(|name| temporary.path().join(name));
    fs::create_dir(&here)?;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                fs::rename(&here, &there).and_then(|()| fs::rename(&there, &here))?;
            }
            io::Result::Ok(())
        });
        let opened: io::Result<Vec<_>> = (0..1000)
            .map(|_| directory.open(&root, Path::new("long"), Symlinks::Within, Wait::Blocking))
            .map(|opened| opened.map(drop))
            .collect();
        is_over.store(true, Ordering::Relaxed);
        opened.map(drop)
    })
}

#[test]
fn a_link_of_another_owner_is_not_followed() -> io::Result<()> {
    let temporary = linked()?;
    let root = temporary.path().join("root");
    let ours = root.metadata()?.uid();
    let theirs = ours ^ 1;
    let give = |name: &str| lchown(root.join(name), Some(theirs), None);
    if let Err(error) = give("to-a") {
        // Only the superuser can give a file away. What others have given away is everywhere.
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        symlink("/etc/hostname", root.join("hostname"))?;
        let link = root.join("hostname");
        let name = link.strip_prefix("/").expect("absolute").to_string_lossy();
        if fs::metadata(&link).is_ok_and(|file| file.uid() != ours) {
            assert_eq!(content(Path::new("/"), &name, Symlinks::OwnerMatch), None);
        }
        return Ok(());
    }
    let content = |name| content(&root, name, Symlinks::OwnerMatch);
    assert_eq!(content("to-a"), None);
    assert_eq!(content("to-to-a"), None, "the second link is theirs");
    give("to-to-a")?;
    assert_eq!(content("to-to-a"), None, "both are theirs, the file is not");
    give("a")?;
    assert_eq!(content("to-a").as_deref(), Some("a"), "all are theirs");
    assert_eq!(content("to-to-a").as_deref(), Some("a"));
    assert_eq!(content("a").as_deref(), Some("a"), "no link, no question");
    assert_eq!(content("to-a-here"), None, "the link is ours");

    assert_eq!(content("to-dir/sub/b").as_deref(), Some("b"));
    give("to-dir")?;
    assert_eq!(content("to-dir/sub/b"), None, "on the way");
    give("dir")?;
    assert_eq!(
        content("to-dir/sub/b").as_deref(),
        Some("b"),
        "what the link leads to is theirs, too"
    );
    give("absolute-root")?;
    assert_eq!(content("absolute-root/dir/sub/b"), None, "the root is ours");
    give("to-dir-slash")?;
    give("here")?;
    assert_eq!(content("to-dir-slash/sub/b").as_deref(), Some("b"));
    assert_eq!(content("here/dir/sub/b"), None);
    Ok(())
}

#[test]
fn a_link_says_the_same_with_and_without_a_descriptor() -> io::Result<()> {
    use std::{ffi::OsStr, os::fd::AsFd};

    use crate::static_files::open::unix::owner::{read_link, read_link_by_name};

    let temporary = linked()?;
    let root = File::open(temporary.path().join("root"))?;
    for (name, is_link) in [("a", false), ("dir", false), ("to-a", true), ("loop", true)] {
        let name = OsStr::new(name);
        let link = read_link(root.as_fd(), name)?;
        assert_eq!(link.is_some(), is_link, "{name:?}");
        assert_eq!(link, read_link_by_name(root.as_fd(), name)?);
    }
    assert!(read_link(root.as_fd(), OsStr::new("none")).is_err());
    assert!(read_link_by_name(root.as_fd(), OsStr::new("none")).is_err());
    Ok(())
}

#[test]
fn a_walk_stays_inside_while_a_directory_becomes_a_link() -> io::Result<()> {
    use std::time::Instant;

    use rustix::fs::{CWD, RenameFlags, renameat_with};

    let temporary = linked()?;
    let root = temporary.path().join("root");
    let (inside, link) = (root.join("swap"), root.join("link"));
    fs::create_dir(&inside)?;
    fs::write(inside.join("secret"), "public")?;
    symlink(temporary.path(), &link)?;
    symlink("../swap/secret", root.join("dir/through"))?;
    let [_, walking] = both_ways(&root);
    let until = Instant::now() + Duration::from_secs(1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while Instant::now() < until {
                renameat_with(CWD, &inside, CWD, &link, RenameFlags::EXCHANGE).expect("swapped");
            }
        });
        for symlinks in [Symlinks::Within, Symlinks::OwnerMatch, Symlinks::None] {
            let (walking, root) = (&walking, &root);
            scope.spawn(move || {
                let mut seen = 0;
                while Instant::now() < until {
                    for name in ["swap/secret", "dir/through"] {
                        let opened = walking.open(root, Path::new(name), symlinks, Wait::Blocking);
                        let Ok(mut file) = opened else { continue };
                        let mut content = String::new();
                        file.read_to_string(&mut content).expect("read");
                        assert_eq!(content, "public", "{name}, {symlinks:?}");
                        seen += 1;
                    }
                }
                assert!(seen > 0, "{symlinks:?}: it was never there");
            });
        }
    });
    Ok(())
}
