//! What is known of one server.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{Ejection, HealthCheck, window::Window};

/// The health of one server; what happens to the server is told to it, and when.
///
/// A server that is well costs a look and a success one atomic load each. Everything else is behind
/// a lock that is held for some arithmetic.
#[derive(Debug)]
pub(in crate::gateway_proxy) struct Health {
    /// Whether the record says anything but "up, and no failures".
    is_marked: AtomicBool,
    record: Mutex<Record>,
}

#[derive(Debug)]
struct Record {
    probes: Probes,
    /// Failures since the last success.
    failures: u32,
    window: Window,
    /// Ejections in a row.
    ejections: u32,
    /// When the latest of them is over, or was.
    until: Option<Instant>,
    /// Nothing succeeded since the latest ejection: one failure is enough for the next.
    on_trial: bool,
    /// An ejection was told, and no return yet.
    is_away: bool,
}

#[derive(Debug)]
struct Probes {
    says: Says,
    /// Good ones in a row.
    good: u32,
    /// Bad ones in a row.
    bad: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Nothing,
    Up,
    Down,
}

/// How a server is at a moment.
///
/// They are ordered: a balancer chooses among those of the lowest [`rank`](State::rank) that the
/// table has, so that servers which are not well are used when there is nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway_proxy) enum State {
    Up,
    /// It failed, and is left out until then.
    Ejected {
        until: Instant,
    },
    /// It is new, and has to pass a probe first.
    Unknown,
    /// Its probes are bad.
    Down,
}

/// What an operator wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway_proxy) enum Change {
    /// It is left out for a while: a warning.
    Ejected(Ejected),
    /// An ejection is over: the first success of a server on trial, or good probes.
    Returned,
    /// Its probes are bad: a warning.
    Down,
    /// Its probes are good, after bad ones or none.
    Up,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway_proxy) struct Ejected {
    pub(in crate::gateway_proxy) until: Instant,
    pub(in crate::gateway_proxy) time: Duration,
    /// How many in a row, with this one.
    pub(in crate::gateway_proxy) ejections: u32,
}

impl State {
    /// All that [`rank`](State::rank) can be, best first.
    pub(in crate::gateway_proxy) const RANKS: std::ops::RangeInclusive<u8> = 0..=3;

    /// The order in which servers are asked for help. The ejected come first after those that
    /// are up: it is seconds since they worked, and their time is a guess. What fails its probes
    /// comes last.
    pub(in crate::gateway_proxy) fn rank(self) -> u8 {
        match self {
            Self::Up => 0,
            Self::Ejected { .. } => 1,
            Self::Unknown => 2,
            Self::Down => 3,
        }
    }
}

impl Health {
    /// Of a new server, which [waits](HealthCheck::waits) for a good probe, or does not.
    pub(in crate::gateway_proxy) fn new(needs_probe: bool) -> Self {
        let says = match needs_probe {
            true => Says::Nothing,
            false => Says::Up,
        };
        Self {
            is_marked: AtomicBool::new(needs_probe),
            record: Mutex::new(Record {
                probes: Probes {
                    says,
                    good: 0,
                    bad: 0,
                },
                failures: 0,
                window: Window::default(),
                ejections: 0,
                until: None,
                on_trial: false,
                is_away: false,
            }),
        }
    }

    pub(in crate::gateway_proxy) fn state(&self, now: Instant) -> State {
        if !self.is_marked.load(Ordering::Acquire) {
            return State::Up;
        }
        self.lock().state(now)
    }

    pub(in crate::gateway_proxy) fn is_usable(&self, now: Instant) -> bool {
        self.state(now) == State::Up
    }

    /// Whether a [success](Self::succeeded) changes anything.
    pub(in crate::gateway_proxy) fn counts_successes(&self, config: &Ejection) -> bool {
        config.counts_all() || self.is_marked.load(Ordering::Acquire)
    }

    /// A request was answered to the end, and not with a failure.
    pub(in crate::gateway_proxy) fn succeeded(
        &self,
        config: &Ejection,
        now: Instant,
    ) -> Option<Change> {
        if !self.counts_successes(config) {
            return None;
        }
        let mut record = self.lock();
        if let (Some(rate), true) = (&config.rate, config.counts_all()) {
            record.window.count(rate, false, now);
        }
        let change = record.succeeded(config, now);
        self.mark(&record);
        change
    }

    /// A request that was sent at `sent` failed. Whether it is time to [`eject`](Self::eject) the
    /// server, if its table [may](super::table::may_eject).
    #[must_use]
    pub(in crate::gateway_proxy::health) fn failed(
        &self,
        config: &Ejection,
        sent: Instant,
        now: Instant,
    ) -> bool {
        if !config.is_on {
            return false;
        }
        let mut record = self.lock();
        let is_enough = record.failed(config, sent, now);
        self.mark(&record);
        is_enough
    }

    /// Leaves the server out for a while, unless it already is.
    pub(in crate::gateway_proxy::health) fn eject(
        &self,
        config: &Ejection,
        now: Instant,
    ) -> Option<Ejected> {
        let mut record = self.lock();
        let ejected = record.eject(config, now);
        self.mark(&record);
        ejected
    }

    /// A probe was good, or bad.
    pub(in crate::gateway_proxy) fn probe(
        &self,
        config: &HealthCheck,
        is_good: bool,
        now: Instant,
    ) -> Option<Change> {
        let mut record = self.lock();
        let change = match is_good {
            true => record.good_probe(config, now),
            false => record.bad_probe(config),
        };
        self.mark(&record);
        change
    }

    fn mark(&self, record: &Record) {
        self.is_marked.store(record.is_marked(), Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    fn is_marked(&self) -> bool {
        self.failures > 0 || self.until.is_some() || self.probes.says != Says::Up
    }

    fn state(&self, now: Instant) -> State {
        match (self.probes.says, self.until) {
            (Says::Down, _) => State::Down,
            (_, Some(until)) if now < until => State::Ejected { until },
            (Says::Nothing, _) => State::Unknown,
            (Says::Up, _) => State::Up,
        }
    }

    // ## Up, on trial => Up
    fn succeeded(&mut self, config: &Ejection, now: Instant) -> Option<Change> {
        self.failures = 0;
        self.forget(config, now);
        // A late answer, or one in need, does not end an ejection.
        if self.until.is_some_and(|until| now < until) {
            return None;
        }
        self.on_trial = false;
        let was_away = std::mem::replace(&mut self.is_away, false);
        was_away.then_some(Change::Returned)
    }

    // ## Up => Up | (Ejected, if the table may)
    fn failed(&mut self, config: &Ejection, sent: Instant, now: Instant) -> bool {
        // What was sent before the ejection was over was lost then, not now: a request that times
        // out after a minute is no verdict on a server that came back within it.
        if self.until.is_some_and(|until| sent < until) {
            return false;
        }
        self.forget(config, now);
        self.failures = self.failures.saturating_add(1);
        let is_over = config.rate.is_some_and(|rate| {
            self.window.count(&rate, true, now);
            self.window.is_over(&rate)
        });
        self.on_trial || is_over || self.failures >= config.consecutive
    }

    // ## Up => Ejected
    fn eject(&mut self, config: &Ejection, now: Instant) -> Option<Ejected> {
        if self.until.is_some_and(|until| now < until) {
            return None;
        }
        self.ejections = self.ejections.saturating_add(1);
        let time = config.time(self.ejections);
        let until = later(now, time);
        self.until = Some(until);
        self.on_trial = true;
        self.is_away = true;
        self.failures = 0;
        self.window.clear();
        // Those before it do not count for a return.
        self.probes.good = 0;
        Some(Ejected {
            until,
            time,
            ejections: self.ejections,
        })
    }

    /// Ejections do not count for ever.
    fn forget(&mut self, config: &Ejection, now: Instant) {
        let Some(until) = self.until else { return };
        if now >= until && now.duration_since(until) >= config.reset_after {
            self.until = None;
            self.ejections = 0;
            self.on_trial = false;
        }
    }

    fn good_probe(&mut self, config: &HealthCheck, now: Instant) -> Option<Change> {
        self.probes.bad = 0;
        self.probes.good = self.probes.good.saturating_add(1);
        let is_enough = self.probes.good >= config.rises;
        // ## Ejected => Up, on trial
        let is_out = self.until.is_some_and(|until| now < until);
        let returns = is_out && is_enough && self.ejections == 1;
        if returns {
            self.until = Some(now);
            self.is_away = false;
        }
        match self.probes.says {
            // ## Unknown => Up
            Says::Nothing => {}
            // ## Down => (Down | Up)
            Says::Down if is_enough => {}
            Says::Down => return None,
            Says::Up => return returns.then_some(Change::Returned),
        }
        self.probes.says = Says::Up;
        Some(Change::Up)
    }

    // ## Up | Unknown => Down
    fn bad_probe(&mut self, config: &HealthCheck) -> Option<Change> {
        self.probes.good = 0;
        self.probes.bad = self.probes.bad.saturating_add(1);
        if self.probes.says == Says::Down || self.probes.bad < config.falls {
            return None;
        }
        self.probes.says = Says::Down;
        Some(Change::Down)
    }
}

/// That moment, or one that nobody lives to see: clocks end.
fn later(now: Instant, time: Duration) -> Instant {
    const YEARS: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    now.checked_add(time)
        .or_else(|| now.checked_add(YEARS))
        .unwrap_or(now)
}
