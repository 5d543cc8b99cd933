//! What is done with a container while it runs.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use super::{
    SpawnError,
    dispatch::Dispatch,
    supervisor::desk::{Desk, Front},
};

/// A container that runs: to look at it, and to change it.
///
/// It is one with the [`WsgiContainer`](super::WsgiContainer) that gave it, and with its clones. When the last one of all of
/// these is dropped, and the last request has its answer (its head: an answer that goes on is finished like all that runs), the workers finish what they are at and end, in the background.
#[derive(Clone, Debug)]
pub struct Handle {
    front: Arc<Front>,
    dispatch: Arc<Dispatch>,
}

/// What a container is doing. It is read piece by piece, so the numbers need not be of one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// The generation of workers to which requests go. The first is 1, and each reload makes a new one.
    pub generation: u32,
    /// What the container is at.
    pub state: State,
    /// Every process there is, those on their way out among them; the oldest first.
    pub workers: Vec<WorkerStatus>,
    /// How many workers there are to be.
    pub target: usize,
    /// How many threads have nothing to do.
    pub idle: usize,
    /// How many threads have a request.
    pub busy: usize,
    /// How many requests wait for a thread.
    pub waiting: usize,
    /// How long the one has waited who has waited longest.
    pub oldest_wait: Option<Duration>,
    /// How many workers ended though nobody had told them to, since the beginning.
    pub crashes: u64,
    /// How many did not come up.
    pub failed_boots: u64,
    /// How many were replaced since a request went beyond its time, or a thread did not come back.
    pub stuck: u64,
    /// How many were replaced since they had worked enough
    /// ([`max_requests`](super::Builder::max_requests) and its like).
    pub recycled: u64,
    /// How many had to be killed, as they did not end in time.
    pub killed: u64,
}

/// What a container is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// The first workers boot.
    #[default]
    Starting,
    /// It works.
    Serving,
    /// It works, and a new generation of workers boots.
    Reloading,
    /// Boots fail, and the next one has to wait. What workers there are work.
    Backoff,
    /// It takes no new requests.
    Draining,
    /// There are no workers any more.
    Stopped,
}

/// What a worker is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerStatus {
    /// Its number; no other worker of this container has had it.
    pub id: u32,
    /// The number of its process.
    pub pid: u32,
    /// The generation to which it belongs.
    pub generation: u32,
    /// What it is at.
    pub state: WorkerState,
    /// How many requests it was sent.
    pub requests: u64,
    /// How many of its threads have a request.
    pub busy: u32,
    /// How many threads it has.
    pub threads: u16,
    /// How many bytes of memory it occupied when it was looked at last (resident, shared pages included). Known on Linux,
    /// after a second.
    pub memory: Option<u64>,
    /// How long ago it was started.
    pub age: Duration,
    /// Its Python (`3.11.7`), once it is ready.
    pub python: Option<String>,
    /// Which Python that is (`CPython`), once it is ready.
    pub implementation: Option<String>,
    /// Whether its threads take turns (the global interpreter lock), once it is ready.
    pub gil: Option<bool>,
}

/// What a worker is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WorkerState {
    /// It boots.
    Starting,
    /// It works.
    Ready,
    /// It works until another one is there in its place.
    Leaving,
    /// It finishes what it is at.
    Draining,
    /// It was sent SIGKILL.
    Killed,
}

impl Handle {
    pub(super) fn new(front: Front, dispatch: Arc<Dispatch>) -> Self {
        Self {
            front: Arc::new(front),
            dispatch,
        }
    }

    fn desk(&self) -> &Desk {
        self.front.desk()
    }

    /// What the container is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut status = self.desk().status();
        let load = self.dispatch.load();
        status.idle = load.idle;
        status.busy = load.busy;
        status.waiting = load.waiting;
        status.oldest_wait = load.oldest_wait;
        status
    }

    /// Replaces all workers by new ones, which import the application anew, and waits until those
    /// serve.
    ///
    /// The new ones are booted two at a time, and get requests when all of them are ready; then the old ones finish
    /// what they are at. Nothing waits or is lost. Meanwhile there are twice as many processes.
    ///
    /// A reload that is asked for while another one is under way follows it.
    ///
    /// # Errors
    ///
    /// If one of the new workers does not come up, with the traceback. The others of them are stopped then, and the
    /// old ones go on as if nothing had been.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop the reload.
    pub async fn reload(&self) -> Result<(), SpawnError> {
        self.desk().reload().await
    }

    /// Lets there be so many workers from now on; 0 counts as 1. What is too many finishes what it is at.
    pub fn resize(&self, workers: usize) {
        self.scale(workers..=workers);
    }

    /// Lets the number of workers follow the work from now on, within these bounds: see
    /// [`Builder::scale`](super::Builder::scale). 0 counts as 1, and a last number that is smaller than the first as that.
    pub fn scale(&self, workers: RangeInclusive<usize>) {
        self.desk().resize(*workers.start(), *workers.end());
    }

    /// Lets every worker write to the log what its threads are at (at `info`, as all that workers write).
    pub fn dump_stacks(&self) {
        self.desk().dump();
    }

    /// Takes no new requests (503), lets the workers finish what they are at, within the
    /// [graceful timeout](super::Builder::graceful_timeout), and waits until all have ended.
    ///
    /// What waits for a worker is refused as well.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop the shutdown.
    pub async fn shutdown(&self) {
        self.desk().shut_down().await;
    }
}
