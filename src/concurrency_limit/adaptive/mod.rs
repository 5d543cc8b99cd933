//! Limits that are found, not given.

mod aimd;
mod baseline;
mod gradient2;
mod layer;
#[cfg(test)]
mod tests;
mod vegas;
mod window;

use std::{fmt, time::Duration};

pub use self::{aimd::Aimd, gradient2::Gradient2, vegas::Vegas};

/// One request, as a limit sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sample {
    /// When its answer began: the time since the limit was made.
    pub at: Duration,
    /// The time from its admission to the head of its answer.
    pub latency: Duration,
    /// Its weight.
    pub weight: usize,
    /// The weight in use when it was admitted, its own included.
    pub in_flight: usize,
    /// What became of it.
    pub outcome: Outcome,
}

impl Sample {
    /// A sample, for tests of an algorithm of your own.
    #[must_use]
    pub fn new(at: Duration, latency: Duration, in_flight: usize, outcome: Outcome) -> Self {
        Self {
            at,
            latency,
            weight: 1,
            in_flight,
            outcome,
        }
    }
}

/// What became of a request.
///
/// A request whose client went away is neither: it is not told at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was answered, with whatever status that is not an overload.
    Success,
    /// The application said that it is too much (429, 503), or did not answer in time (504), or not
    /// at all (an error).
    Overload,
}

/// How a limit follows from what became of requests.
pub trait LimitAlgorithm: fmt::Debug + Send + 'static {
    /// How much is let in at once.
    fn limit(&self) -> usize;

    /// Hears of a request; returns what [`limit`](Self::limit) says from now on.
    fn observe(&mut self, sample: &Sample) -> usize;
}
