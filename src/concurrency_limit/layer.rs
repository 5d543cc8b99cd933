use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_layer::Layer;

use super::service::ConcurrencyLimitService;

/// Lets a number of requests in at once. See the [module docs](super) for an example.
///
/// Clones share one limit. A setter makes a new limit of its own, so set up first, then clone.
#[derive(Clone, Debug)]
#[must_use]
pub struct ConcurrencyLimit {
    limit: Arc<Limit>,
}

/// One limit, shared by every service of a layer.
#[derive(Debug)]
pub(super) struct Limit {
    pub(super) config: Config,
    /// Hands permits out first come, first served; a waiter that leaves gives its place on.
    permits: Arc<Semaphore>,
    /// One permit for each place in the queue.
    places: Arc<Semaphore>,
    /// Whether the latest request that found no permit at once was turned away: so that an
    /// overload is one warning, not one for each request.
    overloaded: std::sync::atomic::AtomicBool,
}

#[derive(Clone, Debug)]
pub(super) struct Config {
    max: usize,
    queue: usize,
    pub(super) queue_timeout: Duration,
    pub(super) retry_after: Duration,
}

impl ConcurrencyLimit {
    /// Lets at most `max` requests in at once.
    ///
    /// Worst-case memory is that of `max` running and [`queue`](Self::queue) waiting requests.
    ///
    /// # Panics
    ///
    /// If `max` is zero, or more than `usize::MAX >> 3`.
    #[track_caller]
    pub fn new(max: usize) -> Self {
        assert!(
            max > 0,
            "a concurrency limit of zero admits nothing: give at least 1"
        );
        assert_in_range(max);
        Self::with(Config {
            max,
            queue: 256,
            queue_timeout: Duration::from_secs(5),
            retry_after: Duration::from_secs(1),
        })
    }

    /// How many requests may wait for their turn, first come, first served. Zero: none waits.
    /// Defaults to 256.
    ///
    /// A waiting request costs its head, and two allocations for its place.
    ///
    /// # Panics
    ///
    /// If it is more than `usize::MAX >> 3`.
    #[track_caller]
    pub fn queue(self, length: usize) -> Self {
        assert_in_range(length);
        Self::with(Config {
            queue: length,
            ..self.limit.config.clone()
        })
    }

    /// How long a request may wait for its turn. Defaults to 5 seconds.
    ///
    /// Longer than a client's patience is work for nobody.
    pub fn queue_timeout(self, timeout: Duration) -> Self {
        Self::with(Config {
            queue_timeout: timeout,
            ..self.limit.config.clone()
        })
    }

    /// What `Retry-After` tells those who were turned away, rounded up to seconds. Defaults to
    /// 1 second.
    pub fn retry_after(self, delay: Duration) -> Self {
        Self::with(Config {
            retry_after: delay,
            ..self.limit.config.clone()
        })
    }

    /// How many requests are let in right now.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.limit.config.max - self.limit.permits.available_permits()
    }

    /// How many requests wait right now.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.limit.config.queue - self.limit.places.available_permits()
    }

    fn with(config: Config) -> Self {
        Self {
            limit: Arc::new(Limit::new(config)),
        }
    }
}

#[track_caller]
fn assert_in_range(permits: usize) {
    let most = Semaphore::MAX_PERMITS;
    assert!(
        permits <= most,
        "{permits} is more than can be counted: give at most {most}"
    );
}

impl<S> Layer<S> for ConcurrencyLimit {
    type Service = ConcurrencyLimitService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ConcurrencyLimitService::new(inner, Arc::clone(&self.limit))
    }
}

/// Leave to be with the inner service, or to wait for it.
pub(super) type Permit = OwnedSemaphorePermit;

impl Limit {
    fn new(config: Config) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(config.max)),
            places: Arc::new(Semaphore::new(config.queue)),
            overloaded: false.into(),
            config,
        }
    }

    /// A permit, if one is free and nobody waits for it.
    pub(super) fn try_enter(&self) -> Option<Permit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }

    /// A place in the queue, if one is free.
    pub(super) fn try_queue(&self) -> Option<Permit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Waits for a permit, behind those who wait already.
    pub(super) async fn enter(self: Arc<Self>) -> Option<Permit> {
        // The semaphore is never closed, so this is never `None`.
        Arc::clone(&self.permits).acquire_owned().await.ok()
    }

    /// Notes that somebody was turned away; says whether that is news.
    pub(super) fn note_rejection(&self) -> bool {
        use std::sync::atomic::Ordering::Relaxed;
        // Only the log depends on it, so no order is needed.
        !self.overloaded.swap(true, Relaxed)
    }

    /// Notes that somebody came in without waiting; says whether that is news.
    pub(super) fn note_free_entry(&self) -> bool {
        use std::sync::atomic::Ordering::Relaxed;
        self.overloaded.load(Relaxed) && self.overloaded.swap(false, Relaxed)
    }
}
