//! What makes a new generation of workers.

use std::{path::PathBuf, time::Duration};

use tokio::signal::unix::SignalKind;

use super::Builder;

impl Builder {
    /// Reloads when this process gets this signal: `SignalKind::hangup()` is customary. None by default.
    ///
    /// A signal that would end the process no longer does, as long as the process lives. What comes of the reload is in the
    /// log. To know it, call [`Handle::reload`](crate::wsgi::Handle::reload).
    ///
    /// Gunicorn and uWSGI reload on SIGHUP.
    ///
    /// A signal that nobody may handle (SIGKILL, SIGSTOP, SIGILL, SIGFPE, SIGSEGV) is an error of [`spawn`](Self::spawn).
    pub fn reload_on_signal(mut self, signal: SignalKind) -> Self {
        self.processes.reload_signal = Some(signal);
        self
    }

    /// Reloads when a file changes: each of these files, and each `*.py` below each of these
    /// directories; without any, below the [`directory`](Self::directory) and each
    /// [`pythonpath`](Self::pythonpath). By default none is watched. A relative one is meant from the
    /// directory of this process. What is not there may come later; a warning tells of it at the
    /// beginning. May be given more than once; where any path is given, only what is given is watched, also with
    /// [`development`](Self::development). For development.
    ///
    /// Virtual environments, `node_modules`, `__pycache__`, and hidden directories are left out, and
    /// symbolic links to directories not followed. Cost: every half second, the metadata of at most 10,000 files is read; a warning tells if there are more.
    ///
    /// Gunicorn's `reload` and `reload_extra_files`, uWSGI's `py-autoreload`.
    pub fn reload_on_change<P: Into<PathBuf>>(
        mut self,
        paths: impl IntoIterator<Item = P>,
    ) -> Self {
        let paths = paths.into_iter().map(Into::into);
        self.processes.watched.get_or_insert_default().extend(paths);
        self
    }

    /// What one wants while one writes the application: one worker, which is
    /// [reloaded](Self::reload_on_change) when a file changes, without waiting for more than a second for
    /// what it is at, and the traceback of an exception [in the browser](Self::traceback_page).
    ///
    /// Not for a server that others reach.
    pub fn development(self) -> Self {
        let here: [PathBuf; 0] = [];
        self.workers(1)
            .reload_on_change(here)
            .traceback_page(true)
            .graceful_timeout(Duration::from_secs(1))
    }
}
