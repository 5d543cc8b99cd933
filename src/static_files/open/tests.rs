//! What no public option reaches: the way without `openat2`, on the system that has it.

use std::{fs, io::Read, os::unix::fs::symlink};

use super::*;

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
            match directory.open(&root, Path::new(name), Wait::Blocking) {
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
            let opened = directory.open(&root, Path::new(name), Wait::Blocking)?;
            assert!(opened.metadata()?.is_dir(), "{name}, {directory:?}");
        }
    }
    Ok(())
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
