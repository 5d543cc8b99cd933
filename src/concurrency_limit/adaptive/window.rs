//! What the requests of a while say together.

use std::time::Duration;

use super::{Outcome, Sample};

/// No shorter window says anything, whatever the latency.
pub(super) const DEFAULT_LENGTH: Duration = Duration::from_millis(100);
/// A window need not be longer than this to span the requests in it.
const LONG_ENOUGH: Duration = Duration::from_secs(10);
/// Of fewer requests, one slow one would decide.
const MIN_REQUESTS: u32 = 30;
/// More than this share of overloads is overload; less may be one page or one client.
const OVERLOADED: f64 = 0.1;
/// Below is what the scheduler does, not what the application waits for.
const LEAST_LATENCY: Duration = Duration::from_micros(100);

/// The running window.
///
/// It ends when it is as long as twice the mean latency (one for what was admitted before the limit
/// was last changed, one for what came of it), and has enough requests.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// The least length.
    pub(super) length: Duration,
    began: Option<Duration>,
    /// Whether it is passed over.
    settling: bool,
    overloads: u32,
    /// The sum of latency times weight, in seconds.
    work: f64,
    /// Requests that succeeded.
    all: Mean,
    /// Of these, those admitted while more than half of the limit was in use.
    busy: Mean,
}

/// What a window has seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) overloaded: bool,
    /// The mean weight in the application: admitted, and not answered yet. The rest of the limit is
    /// not used, or used by bodies that are still sent.
    pub(super) inside: f64,
    /// The mean latency in seconds while more than half of the limit was in use, if it often was.
    pub(super) busy: Option<f64>,
}

/// A mean of latencies.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mean {
    sum: Duration,
    pub(super) count: u32,
}

impl Window {
    pub(super) fn new(length: Duration) -> Self {
        Self {
            length,
            began: None,
            settling: false,
            overloads: 0,
            work: 0.0,
            all: Mean::default(),
            busy: Mean::default(),
        }
    }

    /// Counts a request; says what was seen, if that ends the window.
    pub(super) fn add(&mut self, sample: &Sample, limit: usize) -> Option<Seen> {
        let began = *self.began.get_or_insert(sample.at);
        self.work += sample.latency.as_secs_f64() * sample.weight as f64;
        match sample.outcome {
            Outcome::Overload => self.overloads = self.overloads.saturating_add(1),
            Outcome::Success => {
                self.all.add(sample.latency);
                if sample.in_flight > limit / 2 {
                    self.busy.add(sample.latency);
                }
            }
        }
        let requests = self.all.count.saturating_add(self.overloads);
        // Threads may report a little out of order.
        let age = sample.at.saturating_sub(began);
        if requests < MIN_REQUESTS || age < self.wanted() {
            return None;
        }
        let seen = Seen {
            // Little's law. Of no time the quotient is not a number, and `min` passes over it.
            inside: (self.work / age.as_secs_f64()).min(limit as f64),
            overloaded: f64::from(self.overloads) > OVERLOADED * f64::from(requests),
            busy: (self.busy.count >= MIN_REQUESTS).then(|| self.busy.get().as_secs_f64()),
        };
        let settling = self.settling;
        self.clear();
        (!settling).then_some(seen)
    }

    /// Passes over the next window: of the requests that begin together, the short ones end first.
    pub(super) fn settle(&mut self) {
        self.clear();
        self.settling = true;
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.length);
    }

    fn wanted(&self) -> Duration {
        let twice = self.all.get().saturating_mul(2);
        twice.min(LONG_ENOUGH).max(self.length)
    }
}

impl Mean {
    pub(super) fn add(&mut self, latency: Duration) {
        self.sum = self.sum.saturating_add(latency.max(LEAST_LATENCY));
        self.count = self.count.saturating_add(1);
    }

    /// Zero of no latencies, and of nothing else.
    pub(super) fn get(&self) -> Duration {
        self.sum.checked_div(self.count).unwrap_or_default()
    }
}
