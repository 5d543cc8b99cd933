//! One limit, shared by every service of a layer.

use std::{
    fmt,
    sync::{
        Arc, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Response, request::Parts};
use tokio::{sync::Notify, time::Instant};

use super::{
    RejectReason, Rejection,
    adaptive::{self, LimitAlgorithm, Sample},
    gate::{Entry, Gate, GaveUp},
    key::Key,
    layer::{Adaptive, Config, LimitUntil},
    line::{Number, Refusal, Ticket},
    rejection::delay,
    seen::{Outcome, Seen, Waiting},
};

pub(super) struct Limit {
    pub(super) config: Config,
    pub(super) gate: Gate<Key>,
    pub(super) seen: Seen,
    /// Whether nobody new is let in.
    is_draining: AtomicBool,
    is_dry_run: AtomicBool,
    /// Told when nobody is in while nobody new is let in.
    pub(super) idle: Notify,
}

/// What becomes of a request.
pub(super) enum Admission {
    /// Without a permit: it is let past.
    In(Option<Permit>, Option<Timed>),
    Waits(Place, Duration),
    Rejected(RejectReason),
}

/// Leave to be with the inner service.
pub(super) struct Permit {
    limit: Arc<Limit>,
    ticket: Ticket<Key>,
}

/// When a request was let in, and how much was in use then: if anybody wants to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timed {
    since: Instant,
    in_flight: usize,
}

/// What comes of waiting.
pub(super) type Turn = Result<(Permit, Option<Timed>), RejectReason>;

/// A place in the line. Dropped, it is given up.
pub(super) struct Place {
    limit: Arc<Limit>,
    /// `None` once it is over.
    waiting: Option<(Number, Ticket<Key>, Waiting)>,
}

impl Limit {
    pub(super) fn new(config: Config) -> Self {
        let limit = match &config.adaptive {
            None => config.max,
            Some(adaptive) => {
                let mut algorithm = lock(adaptive);
                algorithm.at_most(config.max);
                algorithm.limit().clamp(1, config.max)
            }
        };
        Self {
            gate: Gate::new(limit, config.rules()),
            seen: Seen::new(&config.name, limit),
            is_draining: AtomicBool::new(false),
            is_dry_run: AtomicBool::new(config.is_dry_run),
            idle: Notify::new(),
            config,
        }
    }

    /// `parts` is there if it is [looked at](Config::looks_at_requests).
    pub(super) fn admit(self: &Arc<Self>, parts: Option<&Parts>) -> Admission {
        let Some(mut ticket) = self.ticket(parts) else {
            self.seen.decided(Outcome::Bypassed);
            return Admission::In(None, None);
        };
        if self.is_draining() {
            return self.reject(RejectReason::Draining);
        }
        let (entry, outcome) = match self.is_dry_run() {
            true => (Entry::In, self.enter_anyway(&mut ticket)),
            false => (
                self.gate.enter(&mut ticket, Instant::now),
                Outcome::Admitted,
            ),
        };
        // A drain that has begun meanwhile may have seen nobody, and be over.
        if self.is_draining() {
            let is_idle = match entry {
                Entry::In => self.gate.exit(&ticket, Instant::now),
                Entry::Waits(number, _) => self.gate.abandon(number, Instant::now()),
                Entry::Refused(_) => false,
            };
            self.given_back(is_idle);
            return self.reject(RejectReason::Draining);
        }
        match entry {
            Entry::In => {
                let (permit, timed) = self.let_in(ticket, outcome);
                Admission::In(Some(permit), timed)
            }
            Entry::Waits(number, patience) => {
                let waiting = self.seen.waits(Instant::now());
                let place = Place {
                    limit: Arc::clone(self),
                    waiting: Some((number, ticket, waiting)),
                };
                Admission::Waits(place, patience)
            }
            Entry::Refused(reason) => self.reject(reason.into()),
        }
    }

    /// In a dry run nobody waits, and nobody takes another's place.
    fn enter_anyway(&self, ticket: &mut Ticket<Key>) -> Outcome {
        let Err(refusal) = self.gate.try_enter(ticket) else {
            return Outcome::Admitted;
        };
        self.gate.force(ticket);
        match refusal {
            None => Outcome::WouldQueue,
            Some(refusal) => Outcome::WouldReject(refusal.into()),
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
            class: class.unwrap_or(config.classes.len()),
            key: config.key.as_ref().and_then(|key| key.of(parts)),
        })
    }

    fn let_in(self: &Arc<Self>, ticket: Ticket<Key>, outcome: Outcome) -> (Permit, Option<Timed>) {
        self.seen.decided(outcome);
        self.seen.entered(ticket.cost);
        let timed = self.config.adaptive.is_some().then(|| Timed {
            since: Instant::now(),
            in_flight: self.in_flight(),
        });
        let limit = Arc::clone(self);
        (Permit { limit, ticket }, timed)
    }

    fn reject(&self, reason: RejectReason) -> Admission {
        self.seen.decided(Outcome::Rejected(reason));
        Admission::Rejected(reason)
    }

    /// The answer to one who is turned away.
    pub(super) fn refusal(&self, reason: RejectReason) -> Response<Bytes> {
        let rejection = Rejection {
            reason,
            retry_after: delay(self.config.retry_after, self.config.retry_jitter),
        };
        rejection.finish(match &self.config.answer {
            Some(answer) => answer(&rejection),
            None => rejection.plain(),
        })
    }

    /// Something was given back, and perhaps that was all.
    fn given_back(&self, is_idle: bool) {
        if is_idle && self.is_draining() {
            self.idle.notify_waiters();
        }
    }

    /// Waits until nobody is in and nobody waits, or until that is called off.
    pub(super) async fn drained(&self) {
        loop {
            let idle = self.idle.notified();
            tokio::pin!(idle);
            // Whoever is the last from here on is heard of.
            idle.as_mut().enable();
            if self.gate.is_idle() || !self.is_draining() {
                return;
            }
            idle.await;
        }
    }

    /// How much nobody else may have: what is in use, and what is kept for those who do not use it.
    /// Without that, a limit of which much is kept would never look busy, and never grow.
    fn in_flight(&self) -> usize {
        let in_use = self.gate.in_use();
        if self.config.classes.iter().all(|class| class.reserve == 0) {
            return in_use;
        }
        let limit = self.gate.limit();
        in_use + self.gate.look(|line| line.kept_and_idle(limit))
    }

    /// The head of an answer is there.
    fn observe(&self, timed: Timed, weight: usize, outcome: adaptive::Outcome) {
        let Some(adaptive) = &self.config.adaptive else {
            return;
        };
        let now = Instant::now();
        let at = self.seen.age(now);
        let latency = now.duration_since(timed.since);
        let sample = Sample {
            weight,
            ..Sample::new(at, latency, timed.in_flight, outcome)
        };
        let limit = lock(adaptive).observe(&sample).clamp(1, self.config.max);
        if limit != self.gate.limit() {
            self.gate.resize(limit, now);
            self.seen.resized(|| self.gate.limit());
        }
    }

    pub(super) fn resize(&self, limit: usize) {
        self.gate.resize(limit.max(1), Instant::now());
        self.seen.resized(|| self.gate.limit());
    }

    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::SeqCst)
    }

    pub(super) fn set_draining(&self, is_draining: bool) {
        if self.is_draining.swap(is_draining, Ordering::SeqCst) != is_draining {
            self.seen.drains(is_draining);
        }
        if !is_draining {
            self.idle.notify_waiters();
        }
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
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let Some((number, ..)) = self.waiting else {
            return Poll::Pending;
        };
        let turn = self.limit.gate.poll(number, cx.waker());
        turn.map(|turn| self.over(turn.map_err(RejectReason::from)))
    }

    /// It was waited for long enough. There may still be a permit, or else there is a reason.
    pub(super) fn give_up(&mut self) -> Turn {
        let waiting = self.waiting.as_ref();
        let (number, ..) = *waiting.expect("a place is given up once");
        let turn = match self.limit.gate.give_up(number, Instant::now()) {
            GaveUp::In(ticket) => Ok(ticket),
            GaveUp::Out { by_key: true } => Err(RejectReason::KeyTimeout),
            GaveUp::Out { by_key: false } => Err(RejectReason::QueueTimeout),
            GaveUp::Displaced => Err(RejectReason::Displaced),
        };
        self.over(turn)
    }

    /// The waiting is over.
    fn over(&mut self, turn: Result<Ticket<Key>, RejectReason>) -> Turn {
        let limit = &self.limit;
        match (turn, self.waiting.take()) {
            (Ok(ticket), _) => Ok(limit.let_in(ticket, Outcome::Waited)),
            // It began to wait before the dry run did.
            (Err(reason), Some((_, mut ticket, _))) if limit.is_dry_run() => {
                limit.gate.force(&mut ticket);
                Ok(limit.let_in(ticket, Outcome::WouldReject(reason)))
            }
            (Err(reason), _) => {
                limit.seen.decided(Outcome::Rejected(reason));
                Err(reason)
            }
        }
    }

    pub(super) fn limit(&self) -> &Arc<Limit> {
        &self.limit
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((number, ..)) = self.waiting.take() {
            self.limit.seen.decided(Outcome::Left);
            let is_idle = self.limit.gate.abandon(number, Instant::now());
            self.limit.given_back(is_idle);
        }
    }
}

impl Permit {
    /// The head of the answer is there.
    pub(super) fn answered(&self, timed: Timed, outcome: adaptive::Outcome) {
        self.limit.observe(timed, self.ticket.cost, outcome);
    }

    pub(super) fn until(&self) -> LimitUntil {
        self.limit.config.until
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let is_idle = self.limit.gate.exit(&self.ticket, Instant::now);
        self.limit.seen.left(self.ticket.cost);
        self.limit.given_back(is_idle);
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
