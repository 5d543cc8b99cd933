//! Limits that find themselves.
//!
//! A fixed limit is right for one application, on one machine, on one day. A limit of this module
//! watches what requests become, and moves to where the application does most:
//!
//! | | what it goes by | needs to know |
//! |---|---|---|
//! | [`Vegas`] | how many wait inside the application | nothing |
//! | [`Gradient2`] | how much slower requests are than at rest | nothing |
//! | [`Aimd`] | 429, 503, 504, and latency above a bound | the bound, if there are no such answers |
//!
//! Take `Vegas` if in doubt. All is computed from [`Sample`]s: there is no clock, no task, and no
//! chance in it, and the same samples give the same limits. Your own algorithm is a
//! [`LimitAlgorithm`]:
//!
//! ```
//! use std::time::Duration;
//! use tower_gateway::concurrency_limit::adaptive::{LimitAlgorithm, Outcome, Sample};
//!
//! /// Twice as much by day.
//! #[derive(Debug)]
//! struct ByDay(usize);
//!
//! impl LimitAlgorithm for ByDay {
//!     fn limit(&self) -> usize {
//!         self.0
//!     }
//!
//!     fn observe(&mut self, sample: &Sample) -> usize {
//!         let hours = sample.at.as_secs() / 3600;
//!         self.0 = if hours % 24 < 12 { 64 } else { 32 };
//!         self.0
//!     }
//! }
//!
//! let mut limit = ByDay(64);
//! let hour = Duration::from_secs(3600);
//! let sample = Sample::new(13 * hour, Duration::from_millis(5), 1, Outcome::Success);
//! assert_eq!(limit.observe(&sample), 32);
//! ```
//!
//! # What is measured
//!
//! Latency is the time from admission to the head of the answer; the wait before admission is not in
//! it, and neither is the body, whose time is the client's. Permits are held to the end of the body,
//! so a part of the limit may be bodies that are still sent. The weight that is in the application
//! follows from Little's law, and only that is taken back: a limit does not fall below the bodies
//! that it cannot end.
//!
//! A request whose client went away is not told. Where all clients go before the first answer
//! comes, nothing is told, and the limit stays too high: have a timeout inside of the limit that is
//! shorter than the patience of clients, so that they see 504, and the limit an
//! [`Overload`](Outcome::Overload).
//!
//! # Windows
//!
//! The limit changes at the end of a window, which is at least 100 milliseconds and twice the mean
//! latency long (10 seconds suffice), and has at least 30 requests. It is one of overload if more
//! than a tenth of its requests were: less may be one page that fails, or one client who is told
//! 429, and neither shall decide for all. Latencies count as 100 microseconds at least.
//!
//! A request that is admitted while at most half of the limit is in use says nothing about whether
//! the limit could be higher: with less than 30 others in a window, nothing changes, so that a
//! quiet night does not raise it. It never gets above twice of what was in use, and a step.
//!
//! # Probes
//!
//! [`Vegas`] and [`Gradient2`] compare latencies with the mean latency at rest: of requests that were
//! admitted while at most half of the limit was in use. Under a load that lasts there are none, and a
//! baseline that creeps along with the load would let the limit grow without end. So from time to
//! time a probe keeps out half of what is in the application, for about 24 times the latency at
//! rest. If requests are faster by more than a quarter for it, the application was full, and the
//! probe goes on with a half of the half. The first requests are such a probe.
//!
//! There is one sooner if the limit has halved or doubled since, or requests under load are faster
//! by a fifth than those at rest were: the application may have changed. As TCP BBR looks for its
//! least round trip, and Envoy for its `minRTT`; but those leave 4 or 3 in flight.
//!
//! What that costs is said at [`Vegas::recheck`].
//!
//! # What it reaches
//!
//! In a simulation: three times as many requests as the application can do, of which those are
//! refused that find the limit reached, and no word of the best concurrency, which is 4, 32, or 128.
//! Beyond, the application gets slower than waiting explains: a third of its work is lost at twice
//! as much. What requests take is the same, exponential, or of two kinds.
//!
//! Once it has settled, each of the three has more than nine tenths of the goodput of the best
//! fixed limit: `Vegas` 0.95 to 0.99, `Gradient2` 0.94 to 0.99, `Aimd` 0.92 to 1 if its bound is
//! right. They settle at 1 to 1.2 times the best limit, with 4 workers at 1 to 1.75 times. After
//! the application lost or found workers, or got slower or faster, that takes 2 to 9 seconds; from 20
//! to 128 workers of 10 milliseconds at first, 10 to 25: say [`initial`](Vegas::initial) if you
//! know better. While requests take 30 milliseconds, probes are a thirtieth of the time, and
//! `Vegas` and `Gradient2` have 0.9 to 0.92.
//!
//! Where it falls short:
//!
//! * Several gateways before one application take the others' load for a part of the latency at
//!   rest, unless they probe at the same time.
//! * With few requests in flight, latencies that vary much, or both, a mean is not exact, and the
//!   limit wanders by a quarter.
//! * [`Aimd`] sees only the slow requests whose clients stay: its bound is well below their patience,
//!   or it is too high by a third.
//! * Of long answers that are streamed, only the time to the head is seen. If their bodies are the
//!   work, a fixed limit is better.

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
    /// A request with a weight of 1, to test an algorithm with.
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

/// How a limit follows from what became of requests. See the [module docs](self) for an example.
///
/// It is asked behind a lock, once for each answer: it should be quick.
pub trait LimitAlgorithm: fmt::Debug + Send + 'static {
    /// How much is let in at once.
    fn limit(&self) -> usize;

    /// Hears of a request; returns what [`limit`](Self::limit) says from now on.
    fn observe(&mut self, sample: &Sample) -> usize;

    /// Hears, before anything else, that there will never be more than this, whatever it says. One that
    /// knows can begin below, and does not go on beyond it in its own mind. By default nothing
    /// is done with it.
    fn at_most(&mut self, max: usize) {
        let _ = max;
    }
}
