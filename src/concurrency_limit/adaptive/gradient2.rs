use std::{ops::RangeInclusive, time::Duration};

use super::{
    LimitAlgorithm, Sample,
    baseline::{self, Baseline},
    layer::{Bounds, assert_within},
    window::{self, Seen, Window},
};

/// Keeps the latency at a multiple of what it is at rest: the gradient of Netflix's
/// concurrency-limits and of Envoy's adaptive concurrency filter.
///
/// Where latencies vary much from one minute to the next it is steadier than
/// [`Vegas`](super::Vegas), and slower.
///
/// At the end of a [window](super#windows), where `inside` is what was in the application:
///
/// ```text
/// gradient = tolerance × latency at rest / latency, within 0.5 and 1
/// wanted   = limit − inside × (1 − gradient) + queue × √limit
/// limit    = limit + (wanted − limit) × smoothing
/// ```
///
/// and in an overload the gradient is 0.5, and there is no queue.
///
/// The original takes a long-term average of all requests for the latency at rest. In an overload
/// that lasts, this average becomes that of the overload, and the limit grows to its maximum
/// (Netflix/concurrency-limits issue 137). Here it is [measured](super#probes).
///
/// ```
/// use std::time::Duration;
/// use tower_gateway::concurrency_limit::adaptive::{Gradient2, LimitAlgorithm, Outcome, Sample};
///
/// // An application with 32 workers: beyond, each waits for the others.
/// let mut limit = Gradient2::new();
/// let mut now = Duration::ZERO;
/// for _ in 0..50_000 {
///     let in_flight = limit.limit();
///     let latency = Duration::from_millis(10).mul_f64(f64::max(1.0, in_flight as f64 / 32.0));
///     now += latency / in_flight as u32;
///     limit.observe(&Sample::new(now, latency, in_flight, Outcome::Success));
/// }
/// assert!((36..=40).contains(&limit.limit()));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Gradient2 {
    bounds: Bounds,
    tolerance: f64,
    queue: f64,
    smoothing: f64,
    estimate: f64,
    baseline: Baseline,
    window: Window,
}

impl Gradient2 {
    /// Begins at 20, and stays within 4 and 200.
    pub fn new() -> Self {
        Self::default()
    }

    /// The limit at first; the nearest one in the [range](Self::range), if it is outside of it.
    /// Defaults to 20.
    ///
    /// As long as so many are not too much for the application, what a request takes at rest is
    /// right from the beginning.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn initial(mut self, limit: usize) -> Self {
        self.bounds.initial(limit);
        self.restart()
    }

    /// The least and the greatest limit. Defaults to `4..=200`.
    ///
    /// The least one is what is let in even if all goes wrong, and for a [probe](super#probes); an
    /// application with fewer workers wants it lower. The greatest one is what the memory is for.
    ///
    /// # Panics
    ///
    /// If the least one is zero, or more than the greatest one, or that is more than
    /// `usize::MAX >> 12`.
    #[track_caller]
    pub fn range(mut self, range: RangeInclusive<usize>) -> Self {
        self.bounds.range(range);
        self.restart()
    }

    /// How many times the latency at rest is still well. Defaults to 1.1.
    ///
    /// With an application of `n` workers, the limit settles at about `tolerance × n + queue × √n`.
    ///
    /// # Panics
    ///
    /// If it is less than 1, or not less than 100.
    #[track_caller]
    pub fn tolerance(mut self, times: f64) -> Self {
        assert_within("a tolerance", times, 1.0, 100.0);
        self.tolerance = times;
        self
    }

    /// How many requests more than that may wait inside the application: times the square root of
    /// the limit. Defaults to 0.5: with a limit of 36, three.
    ///
    /// It is also how fast the limit grows: by so many times [`smoothing`](Self::smoothing) in a
    /// window. The default goes from 20 to 40 in 4 seconds, and to 200 in 20, if windows are as short
    /// as they may be.
    ///
    /// # Panics
    ///
    /// If it is less than 0.01 (the limit would hardly grow), or not less than 100.
    #[track_caller]
    pub fn queue(mut self, waiting: f64) -> Self {
        assert_within("a queue", waiting, 0.01, 100.0);
        self.queue = waiting;
        self
    }

    /// How much of the way to what is wanted the limit goes in a window. Defaults to 0.2.
    ///
    /// # Panics
    ///
    /// If it is less than 0.01, or more than 1.
    #[track_caller]
    pub fn smoothing(mut self, share: f64) -> Self {
        assert!(
            (0.01..=1.0).contains(&share),
            "a smoothing of {share} cannot be meant: give at least 0.01, and at most 1"
        );
        self.smoothing = share;
        self
    }

    /// The time from one [probe](super#probes) to the next, under load. Defaults to 10 seconds.
    ///
    /// A probe lasts for about 24 times the latency at rest. However long that is, probes are at most
    /// a thirtieth of the time, in which half of what was in the application is kept out: a fifteenth
    /// while what they find is new, and a fifth while there is a doubt.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn recheck(mut self, interval: Duration) -> Self {
        assert!(!interval.is_zero(), "there is no time between two probes");
        self.baseline = Baseline::new(interval, self.bounds.start());
        self
    }

    /// The least length of a [window](super#windows). Defaults to 100 milliseconds.
    ///
    /// A longer one is steadier, and slower.
    pub fn window(mut self, length: Duration) -> Self {
        self.window = Window::new(length);
        self
    }

    fn restart(mut self) -> Self {
        self.estimate = self.bounds.start() as f64;
        self.baseline = Baseline::new(self.baseline.recheck, self.bounds.start());
        self.window.clear();
        self
    }

    fn adjust(&mut self, seen: &Seen) {
        let wanted = if seen.overloaded {
            self.estimate - (seen.inside * 0.5).max(5.0)
        } else if let Some(busy) = seen.busy {
            let at_rest = self.baseline.latency(busy);
            let gradient = (self.tolerance * at_rest / busy).clamp(0.5, 1.0);
            self.estimate - seen.inside * (1.0 - gradient) + self.queue * self.estimate.sqrt()
        } else {
            self.estimate
        };
        let smooth = self.estimate + (wanted - self.estimate) * self.smoothing;
        self.estimate = self.bounds.clamp(smooth);
    }
}

impl Default for Gradient2 {
    fn default() -> Self {
        let bounds = Bounds::default();
        Self {
            // `Gradient2Limit` of concurrency-limits has 1.5, as its latency at rest may be far off.
            // This one is measured, so it need only cover the error of a mean.
            tolerance: 1.1,
            // There it is 4, whatever the limit: as many as an application with 4 workers has.
            queue: 0.5,
            // As there.
            smoothing: 0.2,
            estimate: bounds.start() as f64,
            baseline: Baseline::new(baseline::DEFAULT_RECHECK, bounds.start()),
            bounds,
            window: Window::new(window::DEFAULT_LENGTH),
        }
    }
}

impl LimitAlgorithm for Gradient2 {
    fn limit(&self) -> usize {
        self.baseline.probe().unwrap_or(self.estimate as usize)
    }

    fn observe(&mut self, sample: &Sample) -> usize {
        let least = self.bounds.least();
        let is_probe = self.baseline.probe().is_some();
        self.baseline.add(sample, self.estimate as usize, least);
        if is_probe {
            return self.limit();
        }
        if let Some(seen) = self.window.add(sample, self.estimate as usize) {
            self.adjust(&seen);
            let limit = self.estimate as usize;
            if self.baseline.probe_if_due(sample.at, &seen, limit, least) {
                self.window.settle();
            }
        }
        self.limit()
    }

    fn at_most(&mut self, max: usize) {
        self.bounds.at_most(max);
        *self = std::mem::take(self).restart();
    }
}
