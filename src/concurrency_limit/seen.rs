//! What an operator sees: events, what was counted, and, with the feature `metrics`, numbers of it.

#[cfg(feature = "metrics")]
mod metrics;
#[cfg(not(feature = "metrics"))]
#[path = "seen/no_metrics.rs"]
mod metrics;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

use self::metrics::Numbers;
pub(super) use self::metrics::Waiting;
use super::RejectReason;

/// What is seen of one limit.
#[derive(Debug)]
pub(super) struct Seen {
    name: Arc<str>,
    began: Instant,
    counts: [AtomicU64; Outcome::COUNT],
    numbers: Numbers,
    /// Whether somebody was turned away of late: an overload is one warning, not one for each request.
    is_overloaded: AtomicBool,
    /// When somebody was turned away last, in milliseconds since the beginning.
    latest: AtomicU64,
    /// How many were turned away since the warning.
    turned_away: AtomicU64,
}

/// For so long nobody is turned away, and the overload is over.
const QUIET: Duration = Duration::from_secs(1);

/// What became of a request at the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Let in at once.
    Admitted,
    /// Let in when its turn came.
    Waited,
    /// Let past.
    Bypassed,
    /// Its client went away before its turn came.
    Left,
    Rejected(RejectReason),
    /// In a dry run: let in, though it would have had to wait.
    WouldQueue,
    /// In a dry run: let in, though it would have been turned away.
    WouldReject(RejectReason),
}

impl Outcome {
    const COUNT: usize = 5 + 2 * RejectReason::ALL.len();

    fn index(self) -> usize {
        match self {
            Self::Admitted => 0,
            Self::Waited => 1,
            Self::Bypassed => 2,
            Self::Left => 3,
            Self::WouldQueue => 4,
            Self::Rejected(reason) => 5 + reason as usize,
            Self::WouldReject(reason) => 5 + RejectReason::ALL.len() + reason as usize,
        }
    }

    #[cfg(feature = "metrics")]
    fn name(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Waited => "waited",
            Self::Bypassed => "bypassed",
            Self::Left => "left",
            Self::WouldQueue => "would_queue",
            Self::Rejected(_) => "rejected",
            Self::WouldReject(_) => "would_reject",
        }
    }

    #[cfg(feature = "metrics")]
    fn reason(self) -> &'static str {
        match self {
            Self::Rejected(reason) | Self::WouldReject(reason) => reason.name(),
            _ => "none",
        }
    }
}

impl Seen {
    pub(super) fn new(name: &Arc<str>, limit: usize) -> Self {
        Self {
            name: Arc::clone(name),
            began: Instant::now(),
            counts: [const { AtomicU64::new(0) }; Outcome::COUNT],
            numbers: Numbers::new(name, limit),
            is_overloaded: AtomicBool::new(false),
            latest: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
        }
    }

    /// How long there has been a limit.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    /// How many of this kind there were.
    pub(super) fn count(&self, outcome: Outcome) -> u64 {
        self.counts[outcome.index()].load(Relaxed)
    }

    /// It is decided what becomes of a request.
    pub(super) fn decided(&self, outcome: Outcome) {
        self.counts[outcome.index()].fetch_add(1, Relaxed);
        self.numbers.decided(outcome);
        let limit = &*self.name;
        match outcome {
            Outcome::Admitted => self.look_for_the_end_of_an_overload(),
            Outcome::Rejected(reason) => self.rejected(reason),
            Outcome::WouldReject(reason) => {
                let reason = reason.name();
                tracing::debug!(limit, reason, "would have turned a request away");
            }
            _ => {}
        }
    }

    /// So much more is in use.
    pub(super) fn entered(&self, cost: usize) {
        self.numbers.entered(cost);
    }

    /// So much less is in use.
    pub(super) fn left(&self, cost: usize) {
        self.numbers.left(cost);
    }

    /// One begins to wait.
    pub(super) fn waits(&self, now: Instant) -> Waiting {
        self.numbers.waits(now)
    }

    /// There is another limit, namely `now`.
    pub(super) fn resized(&self, now: impl Fn() -> usize) {
        let (limit, to) = (&*self.name, now());
        tracing::trace!(limit, to, "the limit has changed");
        self.numbers.resized(now);
    }

    /// A drain begins, or is called off.
    pub(super) fn drains(&self, is_draining: bool) {
        let limit = &*self.name;
        match is_draining {
            true => tracing::info!(limit, "draining: nobody new is let in"),
            false => tracing::info!(limit, "requests are let in again"),
        }
    }

    fn rejected(&self, reason: RejectReason) {
        let limit = &*self.name;
        tracing::debug!(limit, reason = reason.name(), "turned a request away");
        // What one client asks too much of, or the operator has ordered, is no overload.
        if !reason.is_overload() {
            return;
        }
        // Only the log depends on these, so no order is needed.
        self.latest.store(self.milliseconds(), Relaxed);
        self.turned_away.fetch_add(1, Relaxed);
        if !self.is_overloaded.swap(true, Relaxed) {
            let reason = reason.name();
            tracing::warn!(limit, reason, "overloaded: requests are turned away");
        }
    }

    fn look_for_the_end_of_an_overload(&self) {
        if !self.is_overloaded.load(Relaxed) {
            return;
        }
        let quiet = self
            .milliseconds()
            .saturating_sub(self.latest.load(Relaxed));
        if u128::from(quiet) >= QUIET.as_millis() && self.is_overloaded.swap(false, Relaxed) {
            let turned_away = self.turned_away.swap(0, Relaxed);
            tracing::info!(limit = &*self.name, turned_away, "the overload is over");
        }
    }

    fn milliseconds(&self) -> u64 {
        u64::try_from(self.age(Instant::now()).as_millis()).unwrap_or(u64::MAX)
    }
}
