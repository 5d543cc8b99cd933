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
/// At the end of a [window](super#windows):
///
/// ```text
/// gradient = tolerance × latency at rest / latency,   within 0.5 and 1
/// wanted   = limit × gradient + queue
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
/// let mut limit = Gradient2::new().initial(20);
/// let mut tell = |at: u64, latency: u64, in_flight| {
///     let ms = Duration::from_millis;
///     limit.observe(&Sample::new(ms(at), ms(latency), in_flight, Outcome::Success))
/// };
/// // A hundred requests say what one takes when the application is not busy: 10 ms.
/// for at in 0..100 {
///     assert_eq!(tell(at, 10, 20), 20);
/// }
/// // It takes twice as long: 20 × 0.55 + 4 are wanted, and a fifth of the way is gone at once.
/// let fallen = (100..=200).map(|at| tell(at, 20, 20)).last();
/// assert_eq!(fallen, Some(19));
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
    /// With an application of `n` workers, the limit settles at about `tolerance × n + queue`.
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

    /// How many requests more than that may wait inside the application. Defaults to 4.
    ///
    /// It is also how fast the limit grows: by this times [`smoothing`](Self::smoothing) in a
    /// window.
    ///
    /// # Panics
    ///
    /// If it is zero: the limit would never grow.
    #[track_caller]
    pub fn queue(mut self, waiting: u32) -> Self {
        assert!(
            waiting > 0,
            "with a queue of zero the limit never grows: give at least 1"
        );
        self.queue = f64::from(waiting);
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

    /// After what time under load the latency at rest is [measured anew](super#probes). Defaults to
    /// 30 seconds.
    pub fn recheck(mut self, interval: Duration) -> Self {
        self.baseline.recheck = interval;
        self
    }

    /// The least length of a [window](super#windows). Defaults to 100 milliseconds.
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
            // concurrency-limits has 1.5, as its latency at rest may be far off. This one is measured, so it
            // need only cover the error of a mean.
            tolerance: 1.1,
            // These two as in concurrency-limits.
            queue: 0.5,
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
        self.baseline.add(sample, self.estimate as usize, least);
        if self.baseline.probe().is_some() {
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
}
