//! One server, and what is known of it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::{
    layer::Upstream,
    pool::{Limits, Pool},
    upstream::Address,
};

/// A server in the table. What is known of it outlives a change of its weight.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) upstream: Upstream,
    pub(super) known: Arc<Known>,
}

#[derive(Debug)]
pub(super) struct Known {
    pub(super) pool: Arc<Pool>,
    is_draining: AtomicBool,
    requests: AtomicU64,
    failures: AtomicU64,
}

impl Server {
    pub(super) fn new(upstream: Upstream, limits: &Limits) -> Self {
        let pool = Pool::new(upstream.address.clone(), limits.clone());
        Self {
            upstream,
            known: Arc::new(Known {
                pool: Arc::new(pool),
                is_draining: AtomicBool::new(false),
                requests: AtomicU64::new(0),
                failures: AtomicU64::new(0),
            }),
        }
    }

    pub(super) fn address(&self) -> &Address {
        &self.upstream.address
    }

    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.known.pool
    }

    /// Whether it gets no more requests.
    pub(super) fn is_draining(&self) -> bool {
        self.known.is_draining.load(Ordering::Relaxed)
    }

    pub(super) fn drain(&self, drain: bool) {
        self.known.is_draining.store(drain, Ordering::Relaxed);
        if drain {
            self.pool().close_idle();
        }
    }

    pub(super) fn requests(&self) -> u64 {
        self.known.requests.load(Ordering::Relaxed)
    }

    pub(super) fn failures(&self) -> u64 {
        self.known.failures.load(Ordering::Relaxed)
    }

    pub(super) fn count_request(&self) {
        self.known.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_failure(&self) {
        self.known.failures.fetch_add(1, Ordering::Relaxed);
    }
}
