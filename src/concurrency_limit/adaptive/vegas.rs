use std::{ops::RangeInclusive, time::Duration};

use super::{
    LimitAlgorithm, Sample,
    baseline::{self, Baseline},
    layer::Bounds,
    window::{self, Seen, Window},
};

/// Keeps a few requests waiting inside the application, and no more: as TCP Vegas does with packets
/// in the network.
///
/// Right for most applications: it needs no number of yours. A request that takes twice as long
/// as it takes when the application is not [busy](super#probes) has waited half of its time; so
/// half of those in flight are waiting (Little's law).
///
/// At the end of a [window](super#windows), where `inside` is what was in the application, and `low`
/// and `high` are the ends of [`queue`](Self::queue) times √limit:
///
/// ```text
/// waiting = inside × (1 − latency at rest / latency)
///
/// overloaded         limit − a tenth of inside, or 1 if that is less
/// waiting ≤ low / 2  limit + low
/// waiting < low      limit + low / 2
/// waiting > high     limit − half of what is too much, or low / 2 if that is less
/// ```
///
/// TCP Vegas goes down by one at a time. An application that got slower would keep too much for
/// many windows, each of them long.
///
/// ```
/// use std::time::Duration;
/// use tower_gateway::concurrency_limit::adaptive::{LimitAlgorithm, Outcome, Sample, Vegas};
///
/// // An application with 32 workers: beyond, each waits for the others.
/// let mut limit = Vegas::new();
/// let mut now = Duration::ZERO;
/// for _ in 0..50_000 {
///     let in_flight = limit.limit();
///     let latency = Duration::from_millis(10).mul_f64(f64::max(1.0, in_flight as f64 / 32.0));
///     now += latency / in_flight as u32;
///     limit.observe(&Sample::new(now, latency, in_flight, Outcome::Success));
/// }
/// assert!((33..=37).contains(&limit.limit()));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Vegas {
    bounds: Bounds,
    /// How many may wait, times the square root of the limit.
    queue: RangeInclusive<f64>,
    estimate: f64,
    baseline: Baseline,
    window: Window,
}

impl Vegas {
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

    /// How many requests are to wait inside the application: times √limit. Defaults to
    /// `0.4..=0.8`: with a limit of 36, from 2.4 to 4.8.
    ///
    /// More keeps an application with an uneven load busier, at the price of latency.
    ///
    /// # Panics
    ///
    /// If the lower end is less than 0.1, or more than the upper one, or that is not finite.
    #[track_caller]
    pub fn queue(mut self, waiting: RangeInclusive<f64>) -> Self {
        let (low, high) = (*waiting.start(), *waiting.end());
        assert!(
            low >= 0.1 && high >= low && high.is_finite(),
            "a queue of {low}..={high} cannot be meant: give two numbers, from 0.1 on, the smaller \
             one first"
        );
        self.queue = waiting;
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
        let root = self.estimate.sqrt();
        let (low, high) = (self.queue.start() * root, self.queue.end() * root);
        let wanted = if seen.overloaded {
            self.estimate - (seen.inside * 0.1).max(1.0)
        } else if let Some(busy) = seen.busy {
            let at_rest = self.baseline.latency(busy);
            let waiting = seen.inside * (1.0 - at_rest / busy);
            if waiting <= low / 2.0 {
                self.estimate + low
            } else if waiting < low {
                self.estimate + low / 2.0
            } else if waiting > high {
                self.estimate - ((waiting - high) / 2.0).max(low / 2.0)
            } else {
                self.estimate
            }
        } else {
            self.estimate
        };
        self.estimate = self.bounds.clamp(wanted);
    }
}

impl Default for Vegas {
    fn default() -> Self {
        let bounds = Bounds::default();
        Self {
            // `VegasLimit` of concurrency-limits has 3 and 6, times log10 rounded down, but at least
            // once. The root is what the error of the means grows with, and by how much a
            // queue that keeps the workers busy grows with their number (square-root staffing).
            // With 4 workers and a price for switching, even 2 and 4 cost a tenth of the goodput.
            queue: 0.4..=0.8,
            estimate: bounds.start() as f64,
            baseline: Baseline::new(baseline::DEFAULT_RECHECK, bounds.start()),
            bounds,
            window: Window::new(window::DEFAULT_LENGTH),
        }
    }
}

impl LimitAlgorithm for Vegas {
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
