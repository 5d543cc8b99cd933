//! One server, and what is known of it.

mod errors;

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use http::HeaderMap;
use tokio::time::Instant;

use self::errors::Errors;
pub(super) use self::errors::KINDS;
use super::{
    balance::{Candidate, Load, server_id},
    health::{Change, Health, HealthCheck, Unwell},
    layer::{Config, Upstream},
    outcome::Failed,
    pool::Pool,
    upstream::{Address, Dialer, uwsgi::reading::Reading},
};
use crate::ErrorKind;

/// A server in the table. What is known of it outlives a change of its weight.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) upstream: Upstream,
    pub(super) known: Arc<Known>,
}

#[derive(Debug)]
pub(super) struct Known {
    pub(super) pool: Arc<Pool>,
    pub(super) load: Load,
    pub(super) health: Arc<Health>,
    id: u64,
    is_draining: AtomicBool,
    requests: AtomicU64,
    failures: AtomicU64,
    pub(super) errors: Errors,
    reading: Mutex<Reading>,
}

impl Known {
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// How it reads a path, as far as its answers told (uwsgi).
    pub(super) fn reading(&self) -> Reading {
        *self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn learn_reading(&self, answer: &HeaderMap) {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        *reading = reading.learn(answer);
    }
}

impl Server {
    /// One that was not in the table before.
    pub(super) fn new(upstream: Upstream, config: &Config) -> Self {
        let dialer = Dialer::new(
            upstream.address.clone(),
            config.limits.max_head,
            #[cfg(feature = "tls")]
            &config.tls,
        );
        let needs_probe = config.health_check.as_ref().is_some_and(HealthCheck::waits);
        let pool = Pool::new(dialer, config.limits.clone());
        Self {
            known: Arc::new(Known {
                pool: Arc::new(pool),
                load: Load::new(Instant::now()),
                health: Arc::new(Health::new(needs_probe)),
                id: server_id(&upstream.address.to_string()),
                is_draining: AtomicBool::new(false),
                requests: AtomicU64::new(0),
                failures: AtomicU64::new(0),
                errors: Errors::default(),
                reading: Mutex::default(),
            }),
            upstream,
        }
    }

    /// Something about its health has changed.
    pub(super) fn changed(&self, change: &Change, why: Option<&Unwell>) {
        let upstream = tracing::field::display(self.address());
        let cause = why
            .and_then(std::error::Error::source)
            .map(tracing::field::display);
        let why = why.map(tracing::field::display);
        let was_ejected = matches!(change, Change::Ejected(_));
        self.known.errors.changed(was_ejected);
        self.pool().tally().changed(change);
        match change {
            Change::Ejected(ejected) => tracing::warn!(
                upstream,
                seconds = ejected.time.as_secs_f64(),
                times = ejected.ejections,
                "an upstream failed too often and is left alone for a while"
            ),
            Change::Down => tracing::warn!(upstream, why, cause, "an upstream is down"),
            Change::Up | Change::Returned => {
                self.known.load.came_back(Instant::now());
                tracing::info!(upstream, "an upstream is back");
            }
        }
    }

    /// An answer did not come, or not to its end.
    pub(super) fn failed(&self, kind: ErrorKind) {
        if self.known.errors.count(kind) {
            self.pool().tally().failed(kind);
        }
    }

    /// A try failed, though maybe not by its fault.
    pub(super) fn failed_with(&self, failed: &Failed) {
        // That a kept connection was closed says nothing of it.
        if !failed.is_stale() {
            self.failed(failed.kind);
        }
    }

    pub(super) fn address(&self) -> &Address {
        &self.upstream.address
    }

    /// Whether both are the same, whatever is said of them.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.known, &other.known)
    }

    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.known.pool
    }

    /// Whether it gets no more requests, but those of sticky sessions.
    pub(super) fn is_draining(&self) -> bool {
        self.known.is_draining.load(Ordering::Relaxed)
    }

    pub(super) fn drain(&self, drain: bool) {
        self.known.is_draining.store(drain, Ordering::Relaxed);
        if drain {
            self.pool().close_idle();
        }
    }

    /// A try begins.
    pub(super) fn waits(&self, since: Instant) -> Waits<'_> {
        Waits {
            server: self,
            since,
        }
    }

    pub(super) fn requests(&self) -> u64 {
        self.known.requests.load(Ordering::Relaxed)
    }

    pub(super) fn failures(&self) -> u64 {
        self.known.failures.load(Ordering::Relaxed)
    }

    pub(super) fn count_request(&self) {
        self.pool().tally().tried();
        self.known.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_failure(&self) {
        self.known.failures.fetch_add(1, Ordering::Relaxed);
    }
}

/// Somebody waits for a server. Dropped while that is so, it was given up.
pub(super) struct Waits<'a> {
    server: &'a Server,
    since: Instant,
}

impl Waits<'_> {
    pub(super) fn end(self) {
        std::mem::forget(self);
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        // The answer would have come later still: a server that hangs, and whose clients go away,
        // must not look as good as its last answer.
        let now = Instant::now();
        self.server.known.load.observe(now - self.since, now);
    }
}

impl Candidate for Server {
    fn weight(&self) -> u32 {
        match self.is_draining() {
            true => 0,
            false => self.upstream.weight,
        }
    }

    fn is_backup(&self) -> bool {
        self.upstream.is_backup
    }

    fn load(&self) -> &Load {
        &self.known.load
    }

    fn id(&self) -> u64 {
        self.known.id
    }
}
