//! What an operator sees: events, and, with the feature `metrics`, how many requests went where.

#[cfg(feature = "metrics")]
use std::sync::OnceLock;

use super::place::Place;

/// How a request was answered here.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    /// To the prefix with a slash behind it.
    Redirected,
    /// A path or a host that cannot be read, or is not canonical.
    Refused,
    MethodNotAllowed,
}

/// How a mounted service failed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failure {
    Error,
    Panic,
}

/// How many requests went to one mount, or to the inner service. The counter is looked up once.
#[derive(Debug, Default)]
pub(super) struct Tally {
    #[cfg(feature = "metrics")]
    counter: OnceLock<metrics::Counter>,
}

impl Tally {
    /// `place` names the mount.
    pub(super) fn mounted(&self, place: &Place) {
        #[cfg(feature = "metrics")]
        self.one_more(|| {
            metrics::counter!(
                "tower_gateway_dispatch_requests_total",
                "outcome" => "mounted",
                "mount" => place.to_string()
            )
        });
        #[cfg(not(feature = "metrics"))]
        let _ = (self, place);
    }

    /// No mount matched.
    pub(super) fn inside(&self) {
        #[cfg(feature = "metrics")]
        self.one_more(
            || metrics::counter!("tower_gateway_dispatch_requests_total", "outcome" => "inside"),
        );
    }

    #[cfg(feature = "metrics")]
    fn one_more(&self, look_up: impl FnOnce() -> metrics::Counter) {
        self.counter.get_or_init(look_up).increment(1);
    }
}

#[cfg(feature = "metrics")]
pub(super) fn answered(outcome: Outcome) {
    // A key of constants costs no allocation.
    macro_rules! counter {
        ($name:literal) => {
            metrics::counter!("tower_gateway_dispatch_requests_total", "outcome" => $name)
        };
    }
    let counter = match outcome {
        Outcome::Redirected => counter!("redirected"),
        Outcome::Refused => counter!("refused"),
        Outcome::MethodNotAllowed => counter!("method_not_allowed"),
    };
    counter.increment(1);
}

#[cfg(not(feature = "metrics"))]
pub(super) fn answered(_: Outcome) {}

#[cfg(feature = "metrics")]
pub(super) fn failed(failure: Failure) {
    let reason = match failure {
        Failure::Error => "error",
        Failure::Panic => "panic",
    };
    metrics::counter!("tower_gateway_dispatch_failures_total", "reason" => reason).increment(1);
}

#[cfg(not(feature = "metrics"))]
pub(super) fn failed(_: Failure) {}
