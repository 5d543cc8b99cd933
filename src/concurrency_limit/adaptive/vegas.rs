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
/// At the end of a [window](super#windows), where `few` is log₁₀ of the limit, or 1 if that is less:
///
/// ```text
/// waiting = limit × (1 − latency at rest / latency)
///
/// overloaded            limit × 0.9
/// waiting ≤ few         limit + 4 few                        the upper end of `queue`
/// waiting < 2 few       limit + few                          the lower end
/// waiting > 4 few       limit − half of what is too much
/// ```
///
/// ```
/// use std::time::Duration;
/// use tower_gateway::concurrency_limit::adaptive::{LimitAlgorithm, Outcome, Sample, Vegas};
///
/// let mut limit = Vegas::new().initial(20);
/// let mut tell = |at: u64, latency: u64, in_flight| {
///     let ms = Duration::from_millis;
///     limit.observe(&Sample::new(ms(at), ms(latency), in_flight, Outcome::Success))
/// };
/// // A hundred requests say what one takes when the application is not busy: 10 ms.
/// for at in 0..100 {
///     assert_eq!(tell(at, 10, 20), 20);
/// }
/// // It still does with all of the limit in use: there is room.
/// let grown = (100..=200).map(|at| tell(at, 10, 20)).last();
/// assert!(grown > Some(20));
/// // Now it takes three times as long: two of three are waiting.
/// let fallen = (201..=320).map(|at| tell(at, 30, 25)).last();
/// assert!(fallen < grown);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Vegas {
    bounds: Bounds,
    /// How many may wait, in units of `few`.
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

    /// How many requests are to wait inside the application: times log₁₀ of the limit, or times 1
    /// if that is less. Defaults to `2.0..=4.0`: with a limit of 40, from 3.2 to 6.4.
    ///
    /// More keeps an application with an uneven load busier, at the price of latency.
    ///
    /// # Panics
    ///
    /// If the lower end is less than 1, or more than the upper one, or that is not finite.
    #[track_caller]
    pub fn queue(mut self, waiting: RangeInclusive<f64>) -> Self {
        let (low, high) = (*waiting.start(), *waiting.end());
        assert!(
            low >= 1.0 && high >= low && high.is_finite(),
            "a queue of {low}..={high} cannot be meant: give two numbers, from 1 on, the smaller \
             one first"
        );
        self.queue = waiting;
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
        let few = self.estimate.log10().max(0.5);
        let (low, high) = (self.queue.start() * few, self.queue.end() * few);
        let wanted = if seen.overloaded {
            self.estimate - (seen.inside * 0.1).max(1.0)
        } else if let Some(busy) = seen.busy {
            let at_rest = self.baseline.latency(busy);
            let waiting = seen.inside * (1.0 - at_rest / busy);
            if waiting <= few {
                self.estimate + low
            } else if waiting < low {
                self.estimate + few
            } else if waiting > high {
                self.estimate - ((waiting - high) / 2.0).max(few)
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
            // As in Linux (net/ipv4/tcp_vegas.c), and times log10 as concurrency-limits does, which has 3
            // and 6 times log10 rounded down.
            queue: 1.5..=3.0,
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
