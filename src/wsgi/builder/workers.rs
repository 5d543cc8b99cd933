//! How many workers, and how long they may take.

use std::{ops::RangeInclusive, time::Duration};

use super::Builder;

impl Builder {
    /// How many processes work. Defaults to 2: one is there while the other is replaced, and a
    /// machine with many CPUs is not filled with copies of an application that nobody has measured.
    ///
    /// Python runs on one CPU in each process, so an application that computes wants as many as
    /// there are CPUs. Cost: the memory of the whole application for each, and its connections to
    /// a database. Also one alone has another beside it while it is replaced, so `wsgi.multiprocess` is always true.
    ///
    /// Gunicorn's `workers` (1 by default), uWSGI's `processes`.
    ///
    /// # Panics
    ///
    /// If it is zero: nothing would ever be answered.
    #[track_caller]
    pub fn workers(self, workers: usize) -> Self {
        assert!(
            workers > 0,
            "a container of zero workers answers nothing: give at least 1"
        );
        self.scale(workers..=workers)
    }

    /// Lets the number of processes follow the work: never fewer than the first number, which is what
    /// it begins with, and never more than the last. By default the number is fixed.
    ///
    /// One more is started when a request has waited for 100 ms while no thread was idle, at most one a second. One
    /// less is kept when for 60 seconds a quarter of the threads would have been idle without it.
    ///
    /// Cost: while a new one boots, the requests that made it necessary wait or are answered by the
    /// others. Where boots take many seconds, a fixed number does better.
    ///
    /// uWSGI's `cheaper` and `processes`.
    ///
    /// # Panics
    ///
    /// If the first number is zero, or the last one is smaller than the first.
    #[track_caller]
    pub fn scale(mut self, workers: RangeInclusive<usize>) -> Self {
        let (min, max) = (*workers.start(), *workers.end());
        assert!(
            min > 0,
            "a container that may have zero workers would answer nothing: begin at 1 or more"
        );
        assert!(
            min <= max,
            "there cannot be at least {min} and at most {max} workers: give the smaller number first"
        );
        self.processes.workers = min..=max;
        self
    }

    /// How many requests one process works on at once, each in a thread of its own. Defaults to 1:
    /// the application's code runs in the main thread, and nothing it uses has to be thread-safe.
    ///
    /// Threads are for applications that wait (for a database, for another server); what computes they
    /// slow down, as one runs at a time. Cost: a stack, and a connection to each database, for each.
    ///
    /// Gunicorn's and uWSGI's `threads`.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn threads(mut self, threads: u16) -> Self {
        assert!(
            threads > 0,
            "a worker of zero threads answers nothing: give at least 1"
        );
        self.processes.threads = threads;
        self
    }

    /// Whether the application is imported once, in a process from which the workers are forked: they
    /// boot in milliseconds, and share the memory of what was imported. Defaults to `false`: each
    /// imports it for itself.
    ///
    /// What the application opens while it is imported (a connection, a thread, a file) is shared by all
    /// workers, or not there in any of them, which few libraries expect. Do not use it on macOS, where
    /// system libraries do not survive a fork.
    ///
    /// That process is replaced when it is needed and is not there: if it has ended, if it has not forked within the
    /// [`startup_timeout`](Self::startup_timeout), or does not kill within 5 s whom it was told to
    /// (somebody has stopped it). Its workers go on.
    ///
    /// Gunicorn's `preload_app`; the opposite of uWSGI's `lazy-apps`.
    pub fn preload(mut self, preload: bool) -> Self {
        self.processes.preload = preload;
        self
    }

    /// How long a worker may take from its start until it is ready to work: importing the
    /// application, most of all. Defaults to 60 seconds. With [`preload`](Self::preload), the process that imports it has as
    /// long, and then each that is forked.
    ///
    /// One that takes longer is killed. What follows is what follows when it fails: see
    /// [`spawn`](Self::spawn) and [`Handle::reload`](crate::wsgi::Handle::reload).
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn startup_timeout(mut self, timeout: Duration) -> Self {
        assert!(
            !timeout.is_zero(),
            "no worker is ready in no time: give a startup timeout of seconds"
        );
        self.processes.startup_timeout = timeout;
        self
    }

    /// How long a worker that is to go (a reload, a shutdown, [recycling](Self::max_requests)) may take to finish the requests that it
    /// works on. Defaults to 30 seconds. Zero: they are broken off.
    ///
    /// Then its whole process group gets SIGKILL. At a shutdown it has to be shorter than whatever
    /// kills this process (90 s for systemd, 30 s for Kubernetes, 10 s for Docker).
    ///
    /// Gunicorn's `graceful_timeout`, uWSGI's `worker-reload-mercy`.
    pub fn graceful_timeout(mut self, timeout: Duration) -> Self {
        self.processes.graceful_timeout = timeout;
        self
    }
}
