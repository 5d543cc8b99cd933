//! One worker, as the fleet sees it.

use std::time::Duration;

use tokio::time::Instant;

use super::{Id, Rules, Why};

/// What a worker is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wsgi) enum State {
    /// It boots, and is given up when it has not come up by then. The time counts from when its
    /// process is there.
    Starting { until: Option<Instant> },
    /// All of its slots have said hello.
    Ready { since: Instant },
    /// It works like one that is ready, and is retired as soon as there are enough others.
    Leaving { since: Instant, why: Why },
    /// It gets no new requests, and is to have ended what it is at by then.
    Draining { until: Instant, why: Why },
    /// It was sent SIGKILL.
    Killed { since: Instant },
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: Id,
    pub(super) generation: u32,
    pub(super) state: State,
    /// How many of its slots have said hello while it started.
    pub(super) slots: u16,
    /// Whether requests may go to it.
    pub(super) is_admitted: bool,
    /// Since when a thread of it is known to be stuck.
    pub(super) stuck: Option<Instant>,
    /// How many others of its threads had work when it was looked at last.
    pub(super) busy: u32,
    /// After how many requests it is replaced.
    pub(super) max_requests: Option<u64>,
    /// At what age.
    pub(super) max_lifetime: Option<Duration>,
}

/// What was found when a worker was looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::wsgi) struct Facts {
    pub(in crate::wsgi) id: Id,
    /// How many requests it was sent.
    pub(in crate::wsgi) requests: u64,
    /// On how many it works, as far as they are waited for.
    pub(in crate::wsgi) busy: u32,
    /// What it occupies, in bytes.
    pub(in crate::wsgi) memory: Option<u64>,
    /// Since when the slot is gone whose connection it let go of, and that it has not dialled again.
    pub(in crate::wsgi) lost: Option<Instant>,
    /// Since when the slot is gone whose connection was closed here.
    pub(in crate::wsgi) abandoned: Option<Instant>,
}

/// A thread whose connection is gone dials again at once, if it can.
pub(super) const REDIAL: Duration = Duration::from_secs(10);

impl Member {
    /// Whether it counts as one of those that there are to be.
    pub(super) fn counts(&self) -> bool {
        matches!(self.state, State::Starting { .. } | State::Ready { .. })
    }

    pub(super) fn is_starting(&self) -> bool {
        matches!(self.state, State::Starting { .. })
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready { .. })
    }

    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.state, State::Leaving { .. })
    }

    pub(super) fn is_killed(&self) -> bool {
        matches!(self.state, State::Killed { .. })
    }

    /// Whether requests go to it.
    pub(super) fn serves(&self) -> bool {
        self.is_admitted && (self.is_ready() || self.is_leaving())
    }

    /// Since when it has been ready, if it is to stay.
    pub(super) fn ready_since(&self) -> Option<Instant> {
        match self.state {
            State::Ready { since } => Some(since),
            _ => None,
        }
    }

    /// Whether it is on its way out because it has worked enough.
    pub(super) fn is_recycled(&self) -> bool {
        match self.state {
            State::Leaving { why, .. } | State::Draining { why, .. } => why.is_recycling(),
            _ => false,
        }
    }

    /// Why it should be replaced when that costs nothing.
    pub(super) fn has_worked_enough(&self, facts: &Facts, rules: &Rules) -> Option<Why> {
        let over = |value: Option<u64>, limit: Option<u64>| {
            value
                .zip(limit)
                .is_some_and(|(value, limit)| value >= limit)
        };
        if over(Some(facts.requests), self.max_requests) {
            return Some(Why::MaxRequests);
        }
        over(facts.memory, rules.max_memory).then_some(Why::MaxMemory)
    }

    /// When it is too old.
    pub(super) fn expires(&self) -> Option<Instant> {
        self.ready_since()?.checked_add(self.max_lifetime?)
    }

    /// Whether a thread of it does not come back, though it should have long ago.
    pub(super) fn has_lost_a_slot(&self, facts: &Facts, rules: &Rules, now: Instant) -> bool {
        let is_gone_for = |since: Option<Instant>, patience| {
            since.is_some_and(|since| now.saturating_duration_since(since) >= patience)
        };
        self.serves()
            && (is_gone_for(facts.lost, REDIAL)
                // Nobody waits for the answer, and so it is nowhere else noticed when that takes too long.
                || is_gone_for(facts.abandoned, rules.request_timeout.saturating_add(REDIAL)))
    }

    /// When something is due that concerns it alone.
    pub(super) fn due(&self, rules: &Rules) -> Option<Instant> {
        match self.state {
            State::Starting { until } => until,
            State::Ready { .. } | State::Leaving { .. } => None,
            State::Draining { until, .. } => match self.stuck {
                Some(since) if self.busy == 0 => Some(until.min(since + rules.last_words())),
                _ => Some(until),
            },
            State::Killed { .. } => None,
        }
    }
}
