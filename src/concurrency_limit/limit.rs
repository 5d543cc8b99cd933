//! One limit, shared by every service of a layer.

use std::{
    fmt,
    sync::{
        Arc, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Response, request::Parts};
use tokio::{sync::Notify, time::Instant};

use super::{
    RejectReason, Rejection,
    adaptive::{LimitAlgorithm, Outcome, Sample},
    gate::{Entry, Gate, GaveUp},
    key::Key,
    layer::{Adaptive, Config, LimitUntil},
    line::{Number, Refusal, Ticket},
    rejection::delay,
};

pub(super) struct Limit {
    pub(super) config: Config,
    pub(super) gate: Gate<Key>,
    /// Where each class stands in the line.
    pub(super) order: Vec<usize>,
    pub(super) tally: Tally,
    began: Instant,
    /// Whether nobody new is let in.
    is_draining: AtomicBool,
    is_dry_run: AtomicBool,
    /// Told when nobody is in while nobody new is let in.
    pub(super) idle: Notify,
    /// Whether the latest request that found no room at once was turned away: so that an overload
    /// is one warning, not one for each request.
    is_overloaded: AtomicBool,
}

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) admitted: AtomicU64,
    pub(super) bypassed: AtomicU64,
    pub(super) rejected: [AtomicU64; RejectReason::ALL.len()],
    /// What a dry run would have done with it.
    pub(super) would_reject: AtomicU64,
    pub(super) would_queue: AtomicU64,
}

/// What becomes of a request.
pub(super) enum Admission {
    Past,
    In(Permit),
    Waits(Place, Duration),
    Rejected(RejectReason),
}

/// Leave to be with the inner service.
pub(super) struct Permit {
    limit: Arc<Limit>,
    ticket: Ticket<Key>,
    /// If anybody wants to know.
    timed: Option<Timed>,
}

/// When a request was let in, and how much was in use then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timed {
    since: Instant,
    in_flight: usize,
}

/// A place in the line. Dropped, it is given up.
pub(super) struct Place {
    limit: Arc<Limit>,
    /// `None` once the turn has come.
    waiting: Option<(Number, Ticket<Key>)>,
}

impl Limit {
    pub(super) fn new(config: Config) -> Self {
        let limit = match &config.adaptive {
            None => config.max,
            Some(adaptive) => lock(adaptive).limit().clamp(1, config.max),
        };
        Self {
            gate: Gate::new(limit, config.rules()),
            began: Instant::now(),
            order: config.order(),
            tally: Tally::default(),
            is_draining: AtomicBool::new(false),
            is_dry_run: AtomicBool::new(config.is_dry_run),
            idle: Notify::new(),
            is_overloaded: AtomicBool::new(false),
            config,
        }
    }

    /// `parts` is there if it is [looked at](Config::looks_at_requests).
    pub(super) fn admit(self: &Arc<Self>, parts: Option<&Parts>) -> Admission {
        let Some(ticket) = self.ticket(parts) else {
            self.tally.bypassed.fetch_add(1, Ordering::Relaxed);
            return Admission::Past;
        };
        if self.is_draining() {
            return self.reject(RejectReason::Draining);
        }
        match self.gate.enter(ticket.clone(), Instant::now) {
            Entry::In(ticket) => {
                self.note_free_entry();
                Admission::In(self.let_in(ticket))
            }
            Entry::Waits(number, _) if self.is_dry_run() => {
                self.gate.abandon(number, Instant::now());
                self.tally.would_queue.fetch_add(1, Ordering::Relaxed);
                self.let_past(ticket)
            }
            Entry::Refused(reason) if self.is_dry_run() => {
                let reason = RejectReason::from(reason);
                tracing::debug!(
                    limit = &*self.config.name,
                    reason = reason.name(),
                    "would have turned a request away"
                );
                self.tally.would_reject.fetch_add(1, Ordering::Relaxed);
                self.let_past(ticket)
            }
            Entry::Waits(number, patience) => {
                let place = Place {
                    limit: Arc::clone(self),
                    waiting: Some((number, ticket)),
                };
                Admission::Waits(place, patience)
            }
            Entry::Refused(reason) => self.reject(reason.into()),
        }
    }

    /// What a request asks for; `None`: nothing.
    fn ticket(&self, parts: Option<&Parts>) -> Option<Ticket<Key>> {
        let config = &self.config;
        let Some(parts) = parts else {
            return Some(Ticket {
                cost: 1,
                class: 0,
                key: None,
            });
        };
        if config
            .bypass
            .as_ref()
            .is_some_and(|is_exempt| is_exempt(parts))
        {
            return None;
        }
        let class = config
            .classes
            .iter()
            .position(|class| (class.is_one)(parts));
        Some(Ticket {
            cost: config.cost.as_ref().map_or(1, |cost| cost(parts).max(1)),
            class: self.order[class.unwrap_or(config.classes.len())],
            key: config.key.as_ref().and_then(|key| key.of(parts)),
        })
    }

    fn let_in(self: &Arc<Self>, ticket: Ticket<Key>) -> Permit {
        self.tally.admitted.fetch_add(1, Ordering::Relaxed);
        let timed = self.config.adaptive.is_some().then(|| Timed {
            since: Instant::now(),
            in_flight: self.gate.in_use(),
        });
        Permit {
            limit: Arc::clone(self),
            ticket,
            timed,
        }
    }

    fn let_past(self: &Arc<Self>, ticket: Ticket<Key>) -> Admission {
        self.gate.force(&ticket);
        Admission::In(self.let_in(ticket))
    }

    fn reject(&self, reason: RejectReason) -> Admission {
        Admission::Rejected(reason)
    }

    /// The answer to one who is turned away; tells the operator.
    pub(super) fn refusal(&self, reason: RejectReason) -> Response<Bytes> {
        self.tally.rejected[reason as usize].fetch_add(1, Ordering::Relaxed);
        let limit = &*self.config.name;
        // Only the log depends on it, so no order is needed.
        if reason != RejectReason::Draining && !self.is_overloaded.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                limit,
                reason = reason.name(),
                "overloaded: requests are turned away"
            );
        } else {
            tracing::debug!(limit, reason = reason.name(), "turned a request away");
        }
        let rejection = Rejection {
            reason,
            retry_after: delay(self.config.retry_after, self.config.retry_jitter),
        };
        rejection.finish(match &self.config.answer {
            Some(answer) => answer(&rejection),
            None => rejection.plain(),
        })
    }

    /// Somebody came in without waiting.
    fn note_free_entry(&self) {
        let was = &self.is_overloaded;
        if was.load(Ordering::Relaxed) && was.swap(false, Ordering::Relaxed) {
            tracing::info!(limit = &*self.config.name, "the overload is over");
        }
    }

    /// The head of an answer is there.
    fn observe(&self, timed: &Timed, weight: usize, outcome: Outcome) {
        let Some(adaptive) = &self.config.adaptive else {
            return;
        };
        let now = Instant::now();
        let at = now.duration_since(self.began);
        let latency = now.duration_since(timed.since);
        let sample = Sample {
            weight,
            ..Sample::new(at, latency, timed.in_flight, outcome)
        };
        let limit = lock(adaptive).observe(&sample).clamp(1, self.config.max);
        if limit != self.gate.limit() {
            tracing::trace!(
                limit = &*self.config.name,
                to = limit,
                "the limit has changed"
            );
            self.gate.resize(limit, now);
        }
    }

    pub(super) fn resize(&self, limit: usize) {
        self.gate.resize(limit.max(1), Instant::now());
    }

    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::SeqCst)
    }

    pub(super) fn set_draining(&self, is_draining: bool) {
        self.is_draining.store(is_draining, Ordering::SeqCst);
    }

    pub(super) fn is_dry_run(&self) -> bool {
        self.is_dry_run.load(Ordering::Relaxed)
    }

    pub(super) fn set_dry_run(&self, is_dry_run: bool) {
        self.is_dry_run.store(is_dry_run, Ordering::Relaxed);
    }
}

impl Place {
    /// Waits for the turn.
    pub(super) fn poll(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<Permit, RejectReason>> {
        let Some((number, _)) = self.waiting else {
            return std::task::Poll::Pending;
        };
        self.limit.gate.poll(number, cx.waker()).map(|turn| {
            let ticket = self.waiting.take().map(|(_, ticket)| ticket);
            turn?;
            Ok(self.limit.let_in(ticket.expect("a place has a turn once")))
        })
    }

    /// It was waited for long enough. There may still be a permit, or else there is a reason.
    pub(super) fn give_up(&mut self) -> Result<Permit, RejectReason> {
        let (number, ticket) = self.waiting.take().expect("a place is given up once");
        match self.limit.gate.give_up(number, Instant::now()) {
            GaveUp::In => Ok(self.limit.let_in(ticket)),
            GaveUp::Out { by_key: true } => Err(RejectReason::KeyTimeout),
            GaveUp::Out { by_key: false } => Err(RejectReason::QueueTimeout),
        }
    }

    pub(super) fn limit(&self) -> &Arc<Limit> {
        &self.limit
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((number, _)) = self.waiting.take() {
            self.limit.gate.abandon(number, Instant::now());
        }
    }
}

impl Permit {
    /// The head of the answer is there.
    pub(super) fn answered(&self, outcome: Outcome) {
        if let Some(timed) = &self.timed {
            self.limit.observe(timed, self.ticket.cost, outcome);
        }
    }

    pub(super) fn until(&self) -> LimitUntil {
        self.limit.config.until
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let is_idle = self.limit.gate.exit(&self.ticket, Instant::now);
        if is_idle && self.limit.is_draining() {
            self.limit.idle.notify_waiters();
        }
    }
}

/// What is in it holds after any of its own panics, as well as it did before.
fn lock(adaptive: &Adaptive) -> MutexGuard<'_, Box<dyn LimitAlgorithm>> {
    adaptive.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<Refusal> for RejectReason {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Full => Self::QueueFull,
            Refusal::KeyFull => Self::KeyQueueFull,
            Refusal::Displaced => Self::Displaced,
        }
    }
}

impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limit")
            .field("config", &self.config)
            .field("limit", &self.gate.limit())
            .field("in_use", &self.gate.in_use())
            .field("queued", &self.gate.waiting())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}
