//! What went wrong with a server.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::ErrorKind;

/// The errors that a server can be the reason of.
pub(in crate::gateway_proxy) const KINDS: [ErrorKind; 6] = [
    ErrorKind::UpstreamBusy,
    ErrorKind::UpstreamConnect,
    ErrorKind::UpstreamConnectTimeout,
    ErrorKind::UpstreamReset,
    ErrorKind::UpstreamProtocol,
    ErrorKind::UpstreamTimeout,
];

#[derive(Debug, Default)]
pub(in crate::gateway_proxy) struct Errors {
    counts: [AtomicU64; KINDS.len()],
    ejections: AtomicU64,
    changed: Mutex<Option<Instant>>,
}

impl Errors {
    /// Counts one; `false` if no server can be the reason of it.
    pub(super) fn count(&self, kind: ErrorKind) -> bool {
        let at = KINDS.iter().position(|known| *known == kind);
        let count = at.and_then(|at| self.counts.get(at));
        count.is_some_and(|count| {
            count.fetch_add(1, Ordering::Relaxed);
            true
        })
    }

    /// Its health is another one.
    pub(super) fn changed(&self, was_ejected: bool) {
        let ejections = u64::from(was_ejected);
        self.ejections.fetch_add(ejections, Ordering::Relaxed);
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        *changed = Some(Instant::now());
    }

    /// As many as there were of each kind.
    pub(in crate::gateway_proxy) fn counts(&self) -> [u64; KINDS.len()] {
        self.counts
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed))
    }

    pub(in crate::gateway_proxy) fn ejections(&self) -> u64 {
        self.ejections.load(Ordering::Relaxed)
    }

    pub(in crate::gateway_proxy) fn last_change(&self, now: Instant) -> Option<Duration> {
        let changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        changed.map(|changed| now.saturating_duration_since(changed))
    }
}
