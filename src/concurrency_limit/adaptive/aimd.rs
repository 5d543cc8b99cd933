use std::{ops::RangeInclusive, time::Duration};

use super::{
    LimitAlgorithm, Outcome, Sample,
    layer::{Bounds, assert_within},
    window::{self, Window},
};

/// Up by one while all is well, down by a tenth when it is not: additive increase, multiplicative
/// decrease, as TCP does it.
///
/// Right for an application that says when it is too much (503, 429, a timeout), or whose latency
/// should stay below a number you know: see [`slow`](Self::slow). Where neither is true nothing
/// holds it back, and it grows to its maximum; take [`Vegas`](super::Vegas) or
/// [`Gradient2`](super::Gradient2) there.
///
/// At the end of a [window](super#windows), where `inside` is what was in the application:
///
/// ```text
/// overloaded                        limit − inside × (1 − backoff), or 1 if that is less
/// more than half of it was in use   limit + 1
/// ```
///
/// ```
/// use std::time::Duration;
/// use tower_gateway::concurrency_limit::adaptive::{Aimd, LimitAlgorithm, Outcome, Sample};
///
/// let mut limit = Aimd::new().initial(20).slow(Duration::from_millis(200));
/// let ms = Duration::from_millis;
/// // A tenth of a second, in which one of fifty is too slow: that is no overload.
/// for i in 0..=50 {
///     let latency = ms(if i == 5 { 400 } else { 20 });
///     limit.observe(&Sample::new(ms(i * 2), latency, 20, Outcome::Success));
/// }
/// assert_eq!(limit.limit(), 21);
/// // One of five is.
/// for i in 51..=200 {
///     let latency = ms(if i % 5 == 0 { 400 } else { 20 });
///     limit.observe(&Sample::new(ms(i * 2), latency, 21, Outcome::Success));
/// }
/// assert!(limit.limit() < 20);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Aimd {
    bounds: Bounds,
    backoff: f64,
    slow: Duration,
    estimate: f64,
    window: Window,
}

impl Aimd {
    /// Begins at 20, and stays within 4 and 200.
    pub fn new() -> Self {
        Self::default()
    }

    /// The limit at first; the nearest one in the [range](Self::range), if it is outside of it.
    /// Defaults to 20.
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
    /// The least one is what is let in even if all goes wrong; an application with fewer workers
    /// wants it lower. The greatest one is what the memory is for.
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

    /// What is left in the application after an overload, of what was there. Defaults to 0.9.
    ///
    /// A smaller one lets go faster, and leaves more of the application unused.
    ///
    /// # Panics
    ///
    /// If it is less than 0.5, or not less than 1.
    #[track_caller]
    pub fn backoff(mut self, factor: f64) -> Self {
        assert_within("a backoff", factor, 0.5, 1.0);
        self.backoff = factor;
        self
    }

    /// A request that takes longer to its head counts as an overload. Defaults to 5 seconds.
    ///
    /// The limit settles where a tenth of the requests is slower: about the ninetieth percentile
    /// you want to keep. It must be above the one of an application at rest, or the limit falls to
    /// its minimum.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn slow(mut self, latency: Duration) -> Self {
        assert!(!latency.is_zero(), "every request is slower than zero");
        self.slow = latency;
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
        self.window.clear();
        self
    }
}

impl Default for Aimd {
    fn default() -> Self {
        let bounds = Bounds::default();
        Self {
            // As `AIMDLimit` of concurrency-limits. But that one changes with each request, so that
            // a burst of failures is many steps down for one overload, and a single page that
            // fails holds the limit down.
            backoff: 0.9,
            slow: Duration::from_secs(5),
            estimate: bounds.start() as f64,
            bounds,
            window: Window::new(window::DEFAULT_LENGTH),
        }
    }
}

impl LimitAlgorithm for Aimd {
    fn limit(&self) -> usize {
        self.estimate as usize
    }

    fn observe(&mut self, sample: &Sample) -> usize {
        let mut sample = *sample;
        if sample.latency > self.slow {
            sample.outcome = Outcome::Overload;
        }
        if let Some(seen) = self.window.add(&sample, self.limit()) {
            let wanted = if seen.overloaded {
                self.estimate - (seen.inside * (1.0 - self.backoff)).max(1.0)
            } else if seen.busy.is_some() {
                self.estimate + 1.0
            } else {
                self.estimate
            };
            self.estimate = self.bounds.clamp(wanted);
        }
        self.limit()
    }

    fn at_most(&mut self, max: usize) {
        self.bounds.at_most(max);
        *self = std::mem::take(self).restart();
    }
}
