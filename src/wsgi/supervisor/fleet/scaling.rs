//! How many workers there are to be, by what they have to do.

use std::time::Duration;

use tokio::time::Instant;

/// One more is started when a request has waited for so long while none was idle: longer than a
/// burst that the workers there are get over, shorter than anybody's patience.
pub(super) const OVERLOAD: Duration = Duration::from_millis(100);
/// At most one more is started in such a time: a boot is work for the same machine.
pub(super) const STEP: Duration = Duration::from_secs(1);
/// One less is kept when for so long the others would have had enough hands.
pub(super) const QUIET: Duration = Duration::from_secs(60);

/// What all workers together have to do right now.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::wsgi) struct Demand {
    /// Threads without a request.
    pub(in crate::wsgi) idle: usize,
    /// Threads with one.
    pub(in crate::wsgi) busy: usize,
    /// For how long the request has waited that has waited longest.
    pub(in crate::wsgi) oldest_wait: Option<Duration>,
}

#[derive(Debug, Default)]
pub(super) struct Scaling {
    last_step_up: Option<Instant>,
    quiet_since: Option<Instant>,
}

impl Scaling {
    /// How many workers of so many threads there are to be, where `target` were.
    pub(super) fn look(
        &mut self,
        demand: Demand,
        target: usize,
        threads: usize,
        (min, max): (usize, usize),
        now: Instant,
    ) -> usize {
        let is_overloaded =
            demand.idle == 0 && demand.oldest_wait.is_some_and(|wait| wait >= OVERLOAD);
        if is_overloaded {
            self.quiet_since = None;
            let may_step = self.last_step_up.is_none_or(|last| now >= last + STEP);
            if target < max && may_step {
                self.last_step_up = Some(now);
                return target + 1;
            }
            return target;
        }
        // With one less, a quarter of all threads would still have nothing to do.
        let would_do = target > min
            && demand.oldest_wait.is_none()
            && demand.busy * 4 <= (target - 1) * threads * 3;
        if !would_do {
            self.quiet_since = None;
            return target;
        }
        let since = *self.quiet_since.get_or_insert(now);
        if now >= since + QUIET {
            self.quiet_since = None;
            return target - 1;
        }
        target
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: Demand = Demand {
        idle: 0,
        busy: 2,
        oldest_wait: Some(OVERLOAD),
    };

    #[test]
    fn one_more_a_second_while_requests_wait() {
        let start = Instant::now();
        let mut scaling = Scaling::default();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(scaling.look(WAITS, 2, 1, (1, 4), at(0)), 3);
        assert_eq!(scaling.look(WAITS, 3, 1, (1, 4), at(999)), 3);
        assert_eq!(scaling.look(WAITS, 3, 1, (1, 4), at(1000)), 4);
        assert_eq!(scaling.look(WAITS, 4, 1, (1, 4), at(9000)), 4);
    }

    #[test]
    fn a_short_wait_and_one_beside_idle_threads_are_no_overload() {
        let now = Instant::now();
        let mut scaling = Scaling::default();
        let short = Demand {
            oldest_wait: Some(OVERLOAD - Duration::from_millis(1)),
            ..WAITS
        };
        assert_eq!(scaling.look(short, 2, 1, (2, 4), now), 2);
        let idle = Demand { idle: 1, ..WAITS };
        assert_eq!(scaling.look(idle, 2, 1, (2, 4), now), 2);
    }

    #[test]
    fn one_less_after_a_quiet_minute_and_no_fewer_than_the_least() {
        let start = Instant::now();
        let mut scaling = Scaling::default();
        let quiet = Demand::default();
        let at = |s| start + Duration::from_secs(s);
        assert_eq!(scaling.look(quiet, 3, 2, (1, 4), at(0)), 3);
        assert_eq!(scaling.look(quiet, 3, 2, (1, 4), at(59)), 3);
        assert_eq!(scaling.look(quiet, 3, 2, (1, 4), at(60)), 2);
        // The next minute begins.
        assert_eq!(scaling.look(quiet, 2, 2, (1, 4), at(61)), 2);
        assert_eq!(scaling.look(quiet, 2, 2, (1, 4), at(120)), 2);
        assert_eq!(scaling.look(quiet, 2, 2, (1, 4), at(121)), 1);
        assert_eq!(scaling.look(quiet, 1, 2, (1, 4), at(900)), 1);
    }

    #[test]
    fn a_busy_moment_begins_the_quiet_minute_anew() {
        let start = Instant::now();
        let mut scaling = Scaling::default();
        let at = |s| start + Duration::from_secs(s);
        let busy = |busy| Demand {
            idle: 8 - busy,
            busy,
            oldest_wait: None,
        };
        // Four workers of two threads: three have six, three quarters of which are four and a half.
        assert_eq!(scaling.look(busy(4), 4, 2, (1, 4), at(0)), 4);
        assert_eq!(scaling.look(busy(5), 4, 2, (1, 4), at(59)), 4);
        assert_eq!(scaling.look(busy(4), 4, 2, (1, 4), at(60)), 4);
        assert_eq!(scaling.look(busy(4), 4, 2, (1, 4), at(119)), 4);
        assert_eq!(scaling.look(busy(4), 4, 2, (1, 4), at(120)), 3);
    }
}
