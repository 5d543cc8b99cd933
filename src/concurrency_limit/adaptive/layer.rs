//! What can be said about any of the algorithms, and what cannot be meant.

use std::ops::RangeInclusive;

/// Where a limit begins, and what it never leaves.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    initial: usize,
    least: usize,
    most: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            initial: 20,
            least: 4,
            most: 200,
        }
    }
}

impl Bounds {
    #[track_caller]
    pub(super) fn initial(&mut self, limit: usize) {
        assert!(
            limit > 0,
            "an initial limit of zero admits nothing: give at least 1"
        );
        self.initial = limit;
    }

    #[track_caller]
    pub(super) fn range(&mut self, range: RangeInclusive<usize>) {
        let (least, most) = range.into_inner();
        assert!(
            least > 0,
            "a limit of zero admits nothing, and so learns nothing: give at least 1"
        );
        assert!(
            least <= most,
            "no limit is within {least}..={most}: give the smaller one first"
        );
        // What is counted with must be counted in `f64` without a loss.
        let countable = usize::MAX >> 12;
        assert!(
            most <= countable,
            "{most} is more than can be counted: give at most {countable}"
        );
        (self.least, self.most) = (least, most);
    }

    /// Whatever was said: no more than that.
    pub(super) fn at_most(&mut self, max: usize) {
        self.most = self.most.min(max.max(1));
        self.least = self.least.min(self.most);
    }

    pub(super) fn start(&self) -> usize {
        self.initial.clamp(self.least, self.most)
    }

    pub(super) fn least(&self) -> usize {
        self.least
    }

    /// `limit`, or what is nearest to it within the range.
    pub(super) fn clamp(&self, limit: f64) -> f64 {
        // In this order, as `max` and `min` pass over a NaN.
        limit.max(self.least as f64).min(self.most as f64)
    }
}

/// A number of `from` or more, and less than `below`.
#[track_caller]
pub(super) fn assert_within(name: &str, value: f64, from: f64, below: f64) {
    assert!(
        (from..below).contains(&value),
        "{name} of {value} cannot be meant: give at least {from}, and less than {below}"
    );
}
