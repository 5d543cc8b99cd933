//! What became of one try.

use std::time::Duration;

use http::StatusCode;

use crate::ErrorKind;

/// What became of one try, for those who judge it: [`health`](super::health) (is the server well?)
/// and [`retry`](super::retry) (is there another try?).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Failed(Failed),
    Answered {
        status: StatusCode,
        /// What `Retry-After` said, if the answer has one that can be read.
        retry_after: Option<Duration>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) kind: ErrorKind,
    /// Whether a byte of the request, of its head or its body, may have reached the upstream.
    pub(super) bytes_taken: bool,
    /// Whether a byte of an answer came back.
    pub(super) was_heard: bool,
    /// Whether the connection had been used before.
    pub(super) on_kept: bool,
}

impl Outcome {
    /// Whether the server wants fewer requests: 429 and 503 say so.
    pub(super) fn asks_for_less(&self) -> bool {
        const TOO_MANY: [StatusCode; 2] = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ];
        matches!(self, Self::Answered { status, .. } if TOO_MANY.contains(status))
    }
}

impl Failed {
    /// Whether a kept connection was closed while nobody used it, as far as can be told from here.
    ///
    /// RFC 9112 §9.5: "A client, server, or proxy MAY close the transport connection at any time.
    /// For example, a client might have started to send a new request at the same time that the
    /// server has decided to close the "idle" connection." That says nothing about its health.
    pub(super) fn is_stale(&self) -> bool {
        self.on_kept && !self.was_heard && self.kind == ErrorKind::UpstreamReset
    }
}

impl Outcome {
    /// How long a server is asked less for what it did.
    pub(super) fn penalty(&self) -> Duration {
        const FAILED: Duration = Duration::from_secs(5);
        match self {
            Self::Answered {
                retry_after: Some(after),
                ..
            } => *after,
            _ => FAILED,
        }
    }
}
