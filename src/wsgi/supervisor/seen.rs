//! What an operator sees of the workers: events, counts, and, with the feature `metrics`, numbers of it.

#[cfg(feature = "metrics")]
mod metrics;
#[cfg(not(feature = "metrics"))]
#[path = "seen/no_metrics.rs"]
mod metrics;

use std::{sync::Arc, time::Duration};

use self::metrics::Numbers;
use super::{
    super::{SpawnError, worker::Worker},
    desk::Row,
    fleet::Why,
};

/// What is seen of one container's workers.
#[derive(Debug)]
pub(super) struct Seen {
    application: Arc<str>,
    counts: Counts,
    numbers: Numbers,
}

/// How often what has happened since the beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) crashes: u64,
    pub(super) failed_boots: u64,
    pub(super) stuck: u64,
    pub(super) recycled: u64,
    pub(super) killed: u64,
}

impl Seen {
    pub(super) fn new(application: &str) -> Self {
        let application = Arc::from(application);
        Self {
            numbers: Numbers::new(&application),
            application,
            counts: Counts::default(),
        }
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    // ## => Starting
    pub(super) fn started(&self, worker: &Worker) {
        let Worker {
            id,
            pid,
            generation,
            ..
        } = worker;
        tracing::info!(
            application = &*self.application,
            worker = id,
            pid,
            generation,
            "worker starts"
        );
    }

    pub(super) fn template(&self, pid: u32, generation: u32) {
        tracing::info!(
            application = &*self.application,
            pid,
            generation,
            "template starts: it imports the application for all workers"
        );
    }

    pub(super) fn template_is_deaf(&self, pid: u32) {
        tracing::warn!(
            application = &*self.application,
            pid,
            "template is killed: it does not do what it is told"
        );
    }

    pub(super) fn template_ended(&self, pid: u32, generation: u32, how: &str, is_expected: bool) {
        let application = &*self.application;
        match is_expected {
            true => tracing::info!(application, pid, generation, "template {how}"),
            false => tracing::warn!(
                application,
                pid,
                generation,
                "template {how}; its workers go on, and another one is started for the next"
            ),
        }
    }

    // ## Starting => Ready
    pub(super) fn ready(&self, worker: Option<&Worker>) {
        if let Some(worker) = worker {
            let boot = worker.started.elapsed();
            let (worker, pid) = (worker.id, worker.pid);
            tracing::info!(
                application = &*self.application,
                worker,
                pid,
                ?boot,
                "worker is ready"
            );
        }
    }

    // ## (Ready | Leaving) => Draining
    pub(super) fn retires(&mut self, worker: Option<&Worker>, why: Why) {
        self.numbers.replaced(why.name());
        if why.is_recycling() {
            self.counts.recycled += 1;
        }
        let Some(worker) = worker else {
            return;
        };
        let (application, why_name) = (&*self.application, why.name());
        let (requests, age) = (worker.requests(), worker.started.elapsed());
        let (worker, pid) = (worker.id, worker.pid);
        match why {
            Why::TimedOut => {
                self.counts.stuck += 1;
                tracing::warn!(
                    application,
                    worker,
                    pid,
                    requests,
                    "worker is replaced: a request went beyond its time"
                );
            }
            Why::LostSlot => {
                self.counts.stuck += 1;
                tracing::warn!(
                    application,
                    worker,
                    pid,
                    requests,
                    "worker is replaced: a thread of it does not come back"
                );
            }
            _ => tracing::info!(
                application,
                worker,
                pid,
                requests,
                ?age,
                why = why_name,
                "worker retires"
            ),
        }
    }

    // ## (Starting | Draining) => Killed
    pub(super) fn killed(&mut self, worker: Option<&Worker>, was_retired: bool) {
        let Some(worker) = worker else {
            return;
        };
        let application = &*self.application;
        let (worker, pid) = (worker.id, worker.pid);
        if was_retired {
            self.counts.killed += 1;
            tracing::warn!(
                application,
                worker,
                pid,
                "worker is killed: it did not end in time"
            );
        } else {
            tracing::info!(
                application,
                worker,
                pid,
                "worker is killed: it is not to come up"
            );
        }
    }

    // ## any => gone
    pub(super) fn ended(&self, worker: Option<&Worker>, how: &str) {
        if let Some(worker) = worker {
            let (worker, pid) = (worker.id, worker.pid);
            tracing::info!(
                application = &*self.application,
                worker,
                pid,
                "worker {how}"
            );
        }
    }

    pub(super) fn crashed(&mut self, worker: Option<&Worker>) {
        self.counts.crashes += 1;
        self.numbers.replaced("crash");
        if let Some(worker) = worker {
            let (worker, pid) = (worker.id, worker.pid);
            tracing::warn!(
                application = &*self.application,
                worker,
                pid,
                "nobody had told this worker to end; it is replaced"
            );
        }
    }

    pub(super) fn boot_failed(&mut self, worker: u32, error: &SpawnError, retry_in: Duration) {
        self.counts.failed_boots += 1;
        self.numbers.replaced("failed_boot");
        tracing::error!(application = &*self.application, worker, %error, ?retry_in, "worker did not come up");
    }

    pub(super) fn reload(&self, why: &'static str) {
        tracing::info!(
            application = &*self.application,
            why,
            "a new generation of workers is asked for"
        );
    }

    pub(super) fn serving(&self, generation: u32) {
        tracing::info!(
            application = &*self.application,
            generation,
            "this generation of workers serves"
        );
    }

    pub(super) fn broken(&mut self, generation: u32, error: &SpawnError) {
        self.counts.failed_boots += 1;
        self.numbers.replaced("failed_boot");
        tracing::error!(application = &*self.application, generation, %error, "this generation of workers did not come up");
    }

    pub(super) fn resized(&self, min: usize, max: usize) {
        tracing::info!(
            application = &*self.application,
            min,
            max,
            "the number of workers is changed"
        );
    }

    pub(super) fn stops(&self) {
        tracing::info!(
            application = &*self.application,
            "draining: no new requests, the workers finish what they are at"
        );
    }

    pub(super) fn stopped(&self) {
        tracing::info!(
            application = &*self.application,
            "there are no workers any more"
        );
    }

    /// What workers there are.
    pub(super) fn workers(&mut self, rows: &[Row]) {
        self.numbers.workers(rows);
    }
}
