//! What was said, and cannot be meant.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::{Builder, Processes};
use crate::{semantics::host, wsgi::SpawnError};

impl Builder {
    /// Refuses what no process and no request could be told, before anything is started.
    pub(super) fn check(&self) -> Result<(), SpawnError> {
        self.processes.check_paths()?;
        self.processes.check_env()?;
        match &self.requests.server_name {
            Some(name) => check_server_name(name),
            None => Ok(()),
        }
    }
}

impl Processes {
    fn check_paths(&self) -> Result<(), SpawnError> {
        let all: [(&str, &[PathBuf]); 4] = [
            ("directory", self.directory.as_slice()),
            ("pythonpath", &self.pythonpath),
            ("python", self.python.as_slice()),
            (
                "reload_on_change",
                self.watched.as_deref().unwrap_or_default(),
            ),
        ];
        for (option, paths) in all {
            paths.iter().try_for_each(|path| check_path(option, path))?;
        }
        Ok(())
    }

    // environ(7): "The strings have the form name=value", and each ends by a NUL.
    fn check_env(&self) -> Result<(), SpawnError> {
        for (name, value) in &self.env {
            // What stands behind `=` may be a secret, and so may a value.
            let shown = name.as_bytes().split(|byte| *byte == b'=').next();
            let shown = OsStr::from_bytes(shown.unwrap_or_default());
            let refuse = |why| Err(SpawnError::option("env", shown, why));
            if name.is_empty() {
                return refuse("a variable has a name");
            }
            if has(name, b'=') || has(name, 0) {
                return refuse("the name of a variable has no `=` and no NUL in it");
            }
            if has(value, 0) {
                return refuse("the value of a variable has no NUL in it");
            }
        }
        Ok(())
    }
}

fn check_path(option: &str, path: &Path) -> Result<(), SpawnError> {
    let refuse = |why| Err(SpawnError::option(option, path, why));
    if path.as_os_str().is_empty() {
        return refuse("a path is not empty; that of the directory of this process is `.`");
    }
    if has(path.as_os_str(), 0) {
        return refuse("a path has no NUL in it");
    }
    Ok(())
}

// RFC 3875 §4.1.14: "server-name = hostname | ipv4-address | ( "[" ipv6-address "]" )".
fn check_server_name(name: &str) -> Result<(), SpawnError> {
    let has_port = name.contains(':') && !name.ends_with(']');
    if name.is_empty() || has_port || !host::is_host(name.as_bytes()) {
        let why = "it is the name of a host, or its address (of IPv6: in brackets), without a port";
        return Err(SpawnError::option("server_name", name, why));
    }
    Ok(())
}

fn has(text: &OsStr, byte: u8) -> bool {
    text.as_bytes().contains(&byte)
}
