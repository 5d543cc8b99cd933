//! What is done with a limit while it is in use.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{RejectReason, limit::Limit, seen::Outcome};

/// A limit in use: to look at it, and to change it.
///
/// It is one with the [`ConcurrencyLimit`](super::ConcurrencyLimit) that gave it, and with its clones and services.
#[derive(Clone, Debug)]
pub struct LimitHandle {
    limit: Arc<Limit>,
}

/// What a limit is doing. It is read piece by piece, so the numbers need not be of one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LimitSnapshot {
    /// How much is let in at once, now.
    pub limit: usize,
    /// How much of it is in use. After a limit was made smaller, or in a dry run, it may be more.
    pub in_use: usize,
    /// How many requests wait.
    pub queued: usize,
    /// How long the one has waited who has waited longest.
    pub oldest_wait: Option<Duration>,
    /// How many keys have a request with the inner service.
    pub keys: usize,
    /// The classes, as they were given; the last is that of all other requests.
    pub classes: Vec<ClassSnapshot>,
    /// How many requests were let in since the beginning.
    pub admitted: u64,
    /// How many were let past without being counted.
    pub bypassed: u64,
    /// How many went away before their turn came.
    pub left: u64,
    /// How many a dry run would have turned away.
    pub would_reject: u64,
    /// How many a dry run would have let wait.
    pub would_queue: u64,
    /// Whether nobody new is let in.
    pub is_draining: bool,
    /// Whether nobody is turned away.
    pub is_dry_run: bool,
    rejected: [u64; RejectReason::ALL.len()],
}

/// What a class of requests is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClassSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// How much of the limit it uses.
    pub in_use: usize,
    /// How many of its requests wait.
    pub queued: usize,
}

impl LimitSnapshot {
    /// How many requests were turned away for this reason since the beginning.
    #[must_use]
    pub fn rejected(&self, reason: RejectReason) -> u64 {
        self.rejected[reason as usize]
    }

    /// How many requests were turned away since the beginning.
    #[must_use]
    pub fn rejected_total(&self) -> u64 {
        self.rejected.iter().sum()
    }
}

impl LimitHandle {
    pub(super) fn new(limit: Arc<Limit>) -> Self {
        Self { limit }
    }

    /// Lets so much in at once from now on; 0 counts as 1.
    ///
    /// What is in use beyond it is left alone, and nobody new is let in until it is over. If it is
    /// more than before, those who wait come in at once. An adaptive limit goes back to what
    /// its algorithm says with the next answer.
    pub fn resize(&self, limit: usize) {
        self.limit.resize(limit);
    }

    /// What the limit is doing.
    #[must_use]
    pub fn snapshot(&self) -> LimitSnapshot {
        let limit = &*self.limit;
        let names = limit.config.classes.iter().map(|class| &class.name);
        let names: Vec<_> = names.cloned().chain([Arc::from("default")]).collect();
        let now = Instant::now();
        let (oldest_wait, keys, mut classes) = limit.gate.look(|line| {
            let classes = names.into_iter().enumerate().map(|(class, name)| {
                let (in_use, queued) = line.class(class);
                ClassSnapshot {
                    name,
                    in_use,
                    queued,
                }
            });
            (line.oldest(now), line.keys(), classes.collect::<Vec<_>>())
        });
        let in_use = limit.gate.in_use();
        // One class alone is not counted: it is all.
        if let [all] = &mut *classes {
            all.in_use = in_use;
        }
        let count = |outcome| limit.seen.count(outcome);
        let rejected = RejectReason::ALL.map(|reason| count(Outcome::Rejected(reason)));
        let would_reject = RejectReason::ALL.map(|reason| count(Outcome::WouldReject(reason)));
        let would_reject = would_reject.iter().sum();
        let would_queue = count(Outcome::WouldQueue);
        LimitSnapshot {
            limit: limit.gate.limit(),
            in_use,
            queued: limit.gate.waiting(),
            oldest_wait,
            keys,
            classes,
            admitted: count(Outcome::Admitted)
                + count(Outcome::Waited)
                + would_queue
                + would_reject,
            bypassed: count(Outcome::Bypassed),
            left: count(Outcome::Left),
            would_reject,
            would_queue,
            is_draining: limit.is_draining(),
            is_dry_run: limit.is_dry_run(),
            rejected,
        }
    }

    /// Lets nobody new in from now on (503), and waits until nobody is in and nobody waits. Those who
    /// wait already still have their turn.
    ///
    /// What is let past ([`bypass`](super::ConcurrencyLimit::bypass)) is neither stopped nor waited
    /// for. Dropped, it waits no longer; nobody new is let in until [`resume`](Self::resume), which
    /// ends the wait as well. A dry run is no exception.
    pub fn drain(&self) -> impl Future<Output = ()> + Send + 'static {
        self.limit.set_draining(true);
        let limit = Arc::clone(&self.limit);
        async move { limit.drained().await }
    }

    /// Lets requests in again.
    pub fn resume(&self) {
        self.limit.set_draining(false);
    }

    /// See [`ConcurrencyLimit::dry_run`](super::ConcurrencyLimit::dry_run).
    pub fn set_dry_run(&self, is_dry_run: bool) {
        self.limit.set_dry_run(is_dry_run);
    }
}
