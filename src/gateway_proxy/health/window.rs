//! How many of the latest requests failed.

use std::mem;

use tokio::time::Instant;

use super::layer::Rate;

/// Counts of the running half of the window and of the half before it: two numbers each, whatever
/// the traffic, for a reach that varies between half of the window and all of it.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// When the running half began.
    began: Option<Instant>,
    running: Counts,
    before: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    requests: u64,
    failures: u64,
}

impl Window {
    pub(super) fn count(&mut self, rate: &Rate, failed: bool, now: Instant) {
        self.advance(rate, now);
        self.running.requests += 1;
        self.running.failures += u64::from(failed);
    }

    /// Whether the share of failures is reached, of enough requests.
    pub(super) fn is_over(&self, rate: &Rate) -> bool {
        let requests = self.running.requests + self.before.requests;
        let failures = self.running.failures + self.before.failures;
        requests >= u64::from(rate.min_requests) && failures as f64 >= rate.share * requests as f64
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn advance(&mut self, rate: &Rate, now: Instant) {
        let half = rate.window / 2;
        let began = *self.began.get_or_insert(now);
        // Threads may report a little out of order: the time before the beginning is part of it.
        let age = now.saturating_duration_since(began);
        if age < half {
            return;
        }
        let ended = mem::take(&mut self.running);
        if age - half < half {
            // On a grid, so that what is older than the window is not counted.
            self.before = ended;
            self.began = Some(began + half);
        } else {
            self.before = Counts::default();
            self.began = Some(now);
        }
    }
}
