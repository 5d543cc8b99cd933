//! How long to wait before the next boot, when the last ones came to nothing.

use std::time::Duration;

use tokio::time::Instant;

/// How long after the first boot that failed; each that follows doubles it.
const FIRST: Duration = Duration::from_millis(100);
/// No pause is longer.
const LONGEST: Duration = Duration::from_secs(30);
/// A worker that lived for so long has come up.
pub(super) const PROBATION: Duration = Duration::from_secs(1);

/// The boots that failed in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    latest: Option<Instant>,
}

impl Backoff {
    /// A worker did not come up, or not for long.
    pub(super) fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.latest = Some(now);
    }

    /// What is booted next is another thing.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// A worker is ready since then. If it began to be so after the last failure and has lived
    /// through its probation, boots work again.
    pub(super) fn is_ready(&mut self, since: Instant, now: Instant) {
        if self.is_on_probation(since) && now >= since + PROBATION {
            self.reset();
        }
    }

    /// Whether one that is ready since then is to show first that boots work again.
    pub(super) fn is_on_probation(&self, since: Instant) -> bool {
        self.latest.is_some_and(|latest| since >= latest)
    }

    /// Whether boots fail.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// When the next boot is allowed, if the last ones failed.
    pub(super) fn until(&self) -> Option<Instant> {
        Some(self.latest? + self.pause())
    }

    fn pause(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(16);
        (FIRST * 2_u32.pow(doublings)).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_half_a_minute() {
        let start = Instant::now();
        let mut backoff = Backoff::default();
        assert_eq!(backoff.until(), None);
        let pauses = [
            100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000,
        ];
        for pause in pauses {
            backoff.failed(start);
            assert_eq!(backoff.until(), Some(start + Duration::from_millis(pause)));
        }
        for _ in 0..100 {
            backoff.failed(start);
        }
        assert_eq!(backoff.until(), Some(start + LONGEST));
    }

    #[test]
    fn only_who_came_after_the_failure_and_lived_shows_that_boots_work() {
        let start = Instant::now();
        let mut backoff = Backoff::default();
        backoff.failed(start + PROBATION);
        backoff.is_ready(start, start + 10 * PROBATION);
        assert!(backoff.is_failing());
        backoff.is_ready(start + PROBATION, start + PROBATION);
        assert!(backoff.is_failing());
        backoff.is_ready(start + PROBATION, start + 2 * PROBATION);
        assert!(!backoff.is_failing());
    }
}
