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
mod tests;
