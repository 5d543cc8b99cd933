//! What one can say of a container.

mod application;
mod check;
mod recycling;
mod reloading;
mod requests;
mod workers;

use std::{ffi::OsString, ops::RangeInclusive, path::PathBuf, time::Duration};

use tokio::signal::unix::SignalKind;

pub(super) use self::requests::Requests;
use super::{SpawnError, WsgiContainer, supervisor};

/// A Python application that is to be run, and how. See the [module docs](super) for an example.
#[derive(Clone, Debug)]
#[must_use = "a container does not run before it is spawned"]
pub struct Builder {
    pub(super) processes: Processes,
    pub(super) requests: Requests,
}

/// What is said of the workers' processes.
#[derive(Clone, Debug)]
pub(super) struct Processes {
    pub(super) application: String,
    pub(super) directory: Option<PathBuf>,
    pub(super) pythonpath: Vec<PathBuf>,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) clears_env: bool,
    pub(super) python: Option<PathBuf>,
    pub(super) workers: RangeInclusive<usize>,
    pub(super) threads: u16,
    pub(super) preload: bool,
    pub(super) startup_timeout: Duration,
    pub(super) graceful_timeout: Duration,
    pub(super) max_requests: Option<u64>,
    pub(super) max_requests_jitter: Option<u64>,
    pub(super) max_lifetime: Option<Duration>,
    pub(super) max_lifetime_jitter: Option<Duration>,
    pub(super) max_memory: Option<u64>,
    pub(super) reload_signal: Option<SignalKind>,
    pub(super) watched: Option<Vec<PathBuf>>,
}

impl Builder {
    pub(super) fn new(application: String) -> Self {
        Self {
            processes: Processes {
                application,
                directory: None,
                pythonpath: Vec::new(),
                env: Vec::new(),
                clears_env: false,
                python: None,
                workers: 2..=2,
                threads: 1,
                preload: false,
                startup_timeout: Duration::from_secs(60),
                graceful_timeout: Duration::from_secs(30),
                max_requests: None,
                max_requests_jitter: None,
                max_lifetime: None,
                max_lifetime_jitter: None,
                max_memory: None,
                reload_signal: None,
                watched: None,
            },
            requests: Requests::default(),
        }
    }

    /// Starts the workers, and waits until all of them are ready.
    ///
    /// As many boot at once as there are CPUs.
    ///
    /// # Errors
    ///
    /// If the application does not run, or an option has a value that it cannot have: see
    /// [`SpawnErrorKind`](super::SpawnErrorKind) for the reasons. All that was started is
    /// stopped then, and nothing is left behind.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops what was started.
    ///
    /// # Panics
    ///
    /// If there is no tokio runtime around it, with time and I/O enabled.
    pub async fn spawn(self) -> Result<WsgiContainer, SpawnError> {
        self.check()?;
        let Self {
            processes,
            requests,
        } = self;
        let needed = supervisor::Requests {
            environ: &requests.environ,
            timeout: requests.timeout,
            queue: requests.queue,
            queue_timeout: requests.queue_timeout,
        };
        let (dispatch, handle) = supervisor::spawn(&processes, needed).await?;
        let application = processes.public_name();
        Ok(WsgiContainer::over(
            requests,
            dispatch,
            &application,
            handle,
        ))
    }
}

impl Processes {
    /// By what the application is known in logs and metrics.
    pub(super) fn public_name(&self) -> String {
        public_name(&self.application)
    }
}

/// The name of an application without what it is made of, which may be a secret.
pub(super) fn public_name(application: &str) -> String {
    match application.split_once('(') {
        Some((name, _)) => format!("{}(...)", name.trim_end()),
        None => application.to_owned(),
    }
}

#[cfg(test)]
mod tests;
