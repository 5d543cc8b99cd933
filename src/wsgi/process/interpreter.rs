//! Which Python.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

/// The interpreter to start: what was said, else that of a virtual environment, else `python3`.
///
/// Never the file that a link points to: an interpreter finds its environment by the path it is called by.
pub(in crate::wsgi) fn choose(
    said: Option<&Path>,
    directory: &Path,
    virtual_env: Option<OsString>,
) -> io::Result<PathBuf> {
    if let Some(said) = said {
        // A bare name is for `PATH`; a path is meant from here, and the process starts elsewhere.
        return match said.components().count() {
            0 | 1 => Ok(said.to_owned()),
            _ => super::absolute(said),
        };
    }
    let beside = [".venv", "venv"].map(|name| directory.join(name));
    let environments = beside.into_iter().map(|path| path.join("bin/python"));
    if let Some(python) = environments.into_iter().find(|python| python.exists()) {
        return Ok(python);
    }
    match virtual_env.filter(|path| !path.is_empty()) {
        Some(environment) => super::absolute(&Path::new(&environment).join("bin/python")),
        None => Ok(PathBuf::from("python3")),
    }
}

#[cfg(test)]
mod tests {
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
}
