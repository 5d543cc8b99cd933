#![allow(clippy::unwrap_used)]

use std::fs;

use super::*;

#[test]
fn what_was_said_goes_before_what_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let at = |path: &str| directory.path().join(path);
    let chosen = |said: Option<&str>, env: Option<&str>| {
        let env = env.map(OsString::from);
        choose(said.map(Path::new), directory.path(), env).unwrap()
    };
    assert_eq!(chosen(None, None), Path::new("python3"));
    assert_eq!(chosen(None, Some("")), Path::new("python3"));
    assert_eq!(chosen(None, Some("/env")), Path::new("/env/bin/python"));
    for name in ["venv", ".venv"] {
        fs::create_dir_all(at(name).join("bin")).unwrap();
        std::os::unix::fs::symlink("/bin/sh", at(name).join("bin/python")).unwrap();
        // The link itself, not what it points to.
        assert_eq!(chosen(None, Some("/env")), at(name).join("bin/python"));
    }
    assert_eq!(chosen(Some("pypy"), Some("/env")), Path::new("pypy"));
    let here = std::env::current_dir().unwrap();
    assert_eq!(chosen(Some("my/python"), None), here.join("my/python"));
}
