//! Those who start workers, and replace them.
//!
//! One task does it all: it is told what happens (a process ended, a slot said hello, somebody wishes for
//! something, it has become later), asks the [`fleet`], which is pure, what is to be done, and does that.

mod actor;
mod children;
mod crew;
pub(super) mod desk;
pub(super) mod fleet;
mod listener;
mod look;
mod meeting;
mod memory;
mod plan;
mod seen;
mod template;
mod watch;
mod wishes;

use std::{sync::Arc, time::Duration};

use tokio::{
    signal::unix::signal,
    sync::{Notify, mpsc, oneshot, watch as shared},
    task::JoinSet,
};

use self::{
    actor::Supervisor,
    fleet::{Fleet, Rules},
    meeting::Meeting,
    plan::Plan,
};
use super::{SpawnError, builder::Processes, dispatch::Dispatch, handle::Handle};

/// What the supervisor has to know of requests.
#[derive(Clone, Debug)]
pub(super) struct Requests<'a> {
    /// Variables that each has.
    pub(super) environ: &'a [(String, String)],
    /// How long one may take.
    pub(super) timeout: Duration,
    /// How many may wait, and how long.
    pub(super) queue: usize,
    pub(super) queue_timeout: Duration,
}

/// Starts the workers; ready when all of them are.
pub(super) async fn spawn(
    processes: &Processes,
    requests: Requests<'_>,
) -> Result<(Arc<Dispatch>, Handle), SpawnError> {
    let meeting = Meeting::new()?;
    let plan = Plan::new(processes, requests.environ, meeting.socket())?;
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let rules = Rules {
        min: *processes.workers.start(),
        max: *processes.workers.end(),
        threads: processes.threads,
        boots: cpus,
        startup_timeout: processes.startup_timeout,
        graceful_timeout: processes.graceful_timeout,
        request_timeout: requests.timeout,
        max_requests: processes.requests_bound(),
        max_lifetime: processes.lifetime_bound(),
        max_memory: processes.max_memory,
    };
    let mut background = JoinSet::new();
    // One is enough: whatever else changes before it is looked at is in the same reload.
    let (reloads, reload) = mpsc::channel(1);
    if let Some(kind) = processes.reload_signal {
        let mut signals = signal(kind).map_err(|error| {
            let why = format!("this signal cannot be waited for: {error}");
            SpawnError::option("reload_on_signal", kind.as_raw_value(), &why)
        })?;
        let reloads = reloads.clone();
        background.spawn(async move {
            while signals.recv().await.is_some() {
                reloads.try_send("a signal").ok();
            }
        });
    }
    if let Some(paths) = &processes.watched {
        let paths = watch::paths(paths, &plan.directory, &plan.path);
        background.spawn(watch::watch(paths, reloads));
    }
    let known = Arc::new(shared::Sender::default());
    let (heard, openings) = mpsc::channel(16);
    background.spawn(listener::listen(meeting.door, Arc::clone(&known), heard));
    let (said, sayings) = mpsc::channel(16);
    let wake = Arc::new(Notify::new());
    let dispatch = Arc::new(Dispatch::new(
        requests.queue,
        requests.queue_timeout,
        Arc::clone(&wake),
    ));
    let (front, back) = desk::desk();
    let (told, outcome) = oneshot::channel();
    let supervisor = Supervisor {
        fleet: Fleet::new(rules, fastrand::u64(..)),
        plan,
        startup_timeout: processes.startup_timeout,
        threads: processes.threads,
        queue_timeout: requests.queue_timeout,
        scales: processes.workers.start() < processes.workers.end(),
        dispatch: Arc::clone(&dispatch),
        is_refusing: false,
        known,
        crew: crew::Crew::default(),
        processes: JoinSet::new(),
        openings,
        preload: processes.preload,
        templates: template::Templates::default(),
        sayings,
        said,
        reload,
        wake,
        desk: back,
        waiting: vec![(0, told)],
        fatal: None,
        seen: seen::Seen::new(&processes.public_name()),
        background,
        directory: meeting.directory,
    };
    tokio::spawn(supervisor.run());
    let handle = Handle::new(front, Arc::clone(&dispatch));
    let outcome = outcome.await;
    outcome.unwrap_or_else(|_nobody| Err(SpawnError::shut_down()))?;
    Ok((dispatch, handle))
}
