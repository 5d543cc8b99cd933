//! Which application, and where its Python is.

use std::{ffi::OsString, path::PathBuf};

use super::Builder;

impl Builder {
    /// The application's directory: the working directory of its workers, and the first place where modules are looked
    /// for. Defaults to the directory of this process. A relative one is meant from there.
    ///
    /// Gunicorn's and uWSGI's `chdir`.
    ///
    /// If there is no such directory, that is an error of [`spawn`](Self::spawn). So is, here and in all options that
    /// take a path, one that is empty or has a NUL in it.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.processes.directory = Some(directory.into());
        self
    }

    /// One more directory in which modules are looked for, after the [`directory`](Self::directory) and
    /// before those of the interpreter and of `PYTHONPATH`. None by default; may be given more than once. A relative one is
    /// meant from the directory of this process. It need not exist.
    ///
    /// Gunicorn's and uWSGI's `pythonpath`.
    pub fn pythonpath(mut self, directory: impl Into<PathBuf>) -> Self {
        self.processes.pythonpath.push(directory.into());
        self
    }

    /// An environment variable of the workers, beside those of this process (or in place of the one of
    /// that name): `("DJANGO_SETTINGS_MODULE", "config.settings")`. None by default; may be given more
    /// than once, and the last one of a name counts.
    ///
    /// Gunicorn's `raw_env`, uWSGI's `env`. For the variables of each request see [`environ`](Self::environ).
    ///
    /// A name that is empty or has a `=` in it, and a NUL anywhere, are an error of [`spawn`](Self::spawn).
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.processes.env.push((name.into(), value.into()));
        self
    }

    /// Keeps the environment variables of this process from the workers: they have `PATH`, `HOME`, `LANG`, `LANGUAGE`,
    /// the `LC_`s, `TZ` and `TMPDIR`, and what is given by [`env`](Self::env). By default they have all.
    ///
    /// For secrets of this process that are not the application's.
    pub fn env_clear(mut self) -> Self {
        self.processes.clears_env = true;
        self
    }

    /// The Python interpreter, CPython 3.9 or newer: a path, or a name that is looked up in `PATH`. Give that of a virtual environment
    /// (`venv/bin/python`) to have its packages.
    ///
    /// By default: that of `.venv` or `venv` in the [`directory`](Self::directory), if there is one; else that
    /// of the environment variable `VIRTUAL_ENV`, if it is set; else `python3`. A symbolic link is not
    /// resolved, since that is how an interpreter finds its environment. A program that starts the
    /// interpreter in its place (a wrapper) has to `exec` it.
    ///
    /// uWSGI's `virtualenv`.
    ///
    /// If it cannot be started, that is an error of [`spawn`](Self::spawn).
    pub fn python(mut self, interpreter: impl Into<PathBuf>) -> Self {
        self.processes.python = Some(interpreter.into());
        self
    }
}
