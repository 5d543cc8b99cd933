//! What an operator sees: an event for each request that comes to this layer's paths, and, with the
//! feature `metrics`, how many there were of each kind.

use http::{Response, StatusCode};
use http_body::Body as _;

use crate::Body;

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A file, or a part of it, that the cache had.
    Memory,
    /// One that was looked for.
    Disk,
    /// 304.
    NotModified,
    /// To the directory, with a slash behind it.
    Redirect,
    Listing,
    /// A file in the place of an answer: the page of an application or of an error, or one that
    /// the service inside named.
    Instead,
    /// 412 or 416 of a file; 400 or a redirect of a path that is not canonical.
    Refused,
    /// There is no file, or it is another method: the service inside was asked.
    Passed,
    /// The same, and nobody was asked.
    Missing,
    /// The disk failed.
    Failed,
}

impl Outcome {
    /// Of an answer with a file.
    pub(super) fn of_file(status: StatusCode, is_known: bool) -> Self {
        match status {
            StatusCode::NOT_MODIFIED => Self::NotModified,
            StatusCode::PRECONDITION_FAILED | StatusCode::RANGE_NOT_SATISFIABLE => Self::Refused,
            _ if is_known => Self::Memory,
            _ => Self::Disk,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::NotModified => "not_modified",
            Self::Redirect => "redirect",
            Self::Listing => "listing",
            Self::Instead => "instead",
            Self::Refused => "refused",
            Self::Passed => "passed",
            Self::Missing => "missing",
            Self::Failed => "failed",
        }
    }
}

/// An answer of this layer's own.
pub(super) fn answered(outcome: Outcome, path: &str, response: &Response<Body>) {
    let bytes = || response.body().size_hint().exact().unwrap_or_default();
    tracing::debug!(
        outcome = outcome.name(),
        path,
        status = response.status().as_u16(),
        bytes = bytes(),
        "answered"
    );
    #[cfg(feature = "metrics")]
    {
        count(outcome);
        metrics::counter!("tower_gateway_static_bytes_total").increment(bytes());
    }
}

/// The service inside is asked.
pub(super) fn passed(path: &str) {
    tracing::debug!(
        outcome = Outcome::Passed.name(),
        path,
        "left to the service inside"
    );
    #[cfg(feature = "metrics")]
    count(Outcome::Passed);
}

#[cfg(feature = "metrics")]
fn count(outcome: Outcome) {
    // A key of constants costs no allocation.
    macro_rules! counter {
        ($name:literal) => {
            metrics::counter!("tower_gateway_static_requests_total", "outcome" => $name)
        };
    }
    let counter = match outcome {
        Outcome::Memory => counter!("memory"),
        Outcome::Disk => counter!("disk"),
        Outcome::NotModified => counter!("not_modified"),
        Outcome::Redirect => counter!("redirect"),
        Outcome::Listing => counter!("listing"),
        Outcome::Instead => counter!("instead"),
        Outcome::Refused => counter!("refused"),
        Outcome::Passed => counter!("passed"),
        Outcome::Missing => counter!("missing"),
        Outcome::Failed => counter!("failed"),
    };
    counter.increment(1);
}

/// What something weighs that a cache keeps, for as long as it is kept. The gauges add up what all
/// caches of the process keep.
#[derive(Debug)]
pub(super) struct Kept {
    bytes: u64,
}

impl Kept {
    pub(super) fn new(bytes: u64) -> Self {
        #[cfg(feature = "metrics")]
        {
            metrics::gauge!("tower_gateway_static_cache_entries").increment(1.0);
            metrics::gauge!("tower_gateway_static_cache_bytes").increment(bytes as f64);
        }
        Self { bytes }
    }

    pub(super) fn weight(&self) -> u64 {
        self.bytes
    }
}

#[cfg(feature = "metrics")]
impl Drop for Kept {
    fn drop(&mut self) {
        metrics::gauge!("tower_gateway_static_cache_entries").decrement(1.0);
        metrics::gauge!("tower_gateway_static_cache_bytes").decrement(self.bytes as f64);
    }
}
