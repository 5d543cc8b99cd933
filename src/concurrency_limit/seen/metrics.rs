//! What is counted, told to the `metrics` facade.
//!
//! Names are looked up once, at the first request, and kept. A limit that never sees one is never
//! told of.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use metrics::{
    Counter, Gauge, Histogram, SharedString, Unit, counter, describe_counter, describe_gauge,
    describe_histogram, gauge, histogram,
};
use tokio::time::Instant;

use super::Outcome;

/// The numbers of one limit.
#[derive(Debug)]
pub(super) struct Numbers {
    name: SharedString,
    handles: OnceLock<Handles>,
    limit: Mutex<Told>,
}

#[derive(Debug)]
struct Handles {
    decided: [OnceLock<Counter>; Outcome::COUNT],
    in_use: Gauge,
    queued: Gauge,
    wait: Histogram,
}

/// What is said of the limit itself. Limits of one name add up, as all gauges do.
#[derive(Debug)]
struct Told {
    limit: usize,
    /// `None` as long as nothing was said.
    gauge: Option<Gauge>,
}

impl Numbers {
    pub(super) fn new(name: &Arc<str>, limit: usize) -> Self {
        Self {
            name: SharedString::from_shared(Arc::clone(name)),
            handles: OnceLock::new(),
            limit: Mutex::new(Told { limit, gauge: None }),
        }
    }

    pub(super) fn decided(&self, outcome: Outcome) {
        let counter = &self.handles().decided[outcome.index()];
        let counter = counter.get_or_init(|| {
            counter!(
                "tower_gateway_limit_requests_total",
                "limit" => self.name.clone(),
                "outcome" => outcome.name(),
                "reason" => outcome.reason()
            )
        });
        counter.increment(1);
    }

    pub(super) fn entered(&self, cost: usize) {
        self.handles().in_use.increment(cost as f64);
    }

    pub(super) fn left(&self, cost: usize) {
        self.handles().in_use.decrement(cost as f64);
    }

    pub(super) fn waits(&self, now: Instant) -> Waiting {
        let handles = self.handles();
        handles.queued.increment(1.0);
        Waiting {
            since: now,
            queued: handles.queued.clone(),
            wait: handles.wait.clone(),
        }
    }

    pub(super) fn resized(&self, limit: impl Fn() -> usize) {
        let mut told = lock(&self.limit);
        // Asked for under the lock: the last one to come here says what is.
        let limit = limit();
        if let Some(gauge) = &told.gauge {
            gauge.increment(limit as f64 - told.limit as f64);
        }
        told.limit = limit;
    }

    fn handles(&self) -> &Handles {
        self.handles.get_or_init(|| {
            describe();
            let limit = || self.name.clone();
            let gauge = gauge!("tower_gateway_limit_limit", "limit" => limit());
            let mut told = lock(&self.limit);
            gauge.increment(told.limit as f64);
            told.gauge = Some(gauge);
            Handles {
                decided: [const { OnceLock::new() }; Outcome::COUNT],
                in_use: gauge!("tower_gateway_limit_in_use", "limit" => limit()),
                queued: gauge!("tower_gateway_limit_queued", "limit" => limit()),
                wait: histogram!("tower_gateway_limit_wait_seconds", "limit" => limit()),
            }
        })
    }
}

impl Drop for Numbers {
    fn drop(&mut self) {
        let told = lock(&self.limit);
        if let Some(gauge) = &told.gauge {
            gauge.decrement(told.limit as f64);
        }
    }
}

/// One who waits, for as long as it is there.
pub(in crate::concurrency_limit) struct Waiting {
    since: Instant,
    queued: Gauge,
    wait: Histogram,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.queued.decrement(1.0);
        self.wait.record(self.since.elapsed());
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

/// Nothing panics while it is locked but a recorder's own code, and what is in it holds at any moment.
fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the numbers mean, for those who export them. To be called once for each recorder; more often
/// does no harm.
fn describe() {
    macro_rules! describe {
        ($($describe:ident, $name:literal, $unit:ident, $text:literal;)*) => {
            $($describe!(concat!("tower_gateway_limit_", $name), Unit::$unit, $text);)*
        };
    }
    describe! {
        describe_gauge, "limit", Count, "How much is let in at once.";
        describe_gauge, "in_use", Count, "How much of the limit is in use.";
        describe_gauge, "queued", Count, "Requests that wait for their turn.";
        describe_counter, "requests_total", Count, "Requests, by what became of them at the limit, and why.";
        describe_histogram, "wait_seconds", Seconds, "How long those waited who did, whatever became of them.";
    }
}
