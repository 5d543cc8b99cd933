//! How a request ended.

use crate::{Error, ErrorKind, Fault, gateway_proxy::upgrade::Ended};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The answer was passed on to its end.
    Complete,
    /// It was answered here, and no upstream was to be asked.
    Local,
    /// It was refused for what the client did.
    Refused,
    /// It got no answer from an upstream.
    Unanswered,
    /// The answer broke off.
    BrokenOff,
    /// The time was up when a part of the answer was there.
    Timeout,
    /// Whoever asked went away before the end.
    ClientLeft,
    /// Nobody asked for the body of the answer: something else was sent in its place.
    Unread,
    /// This process could not do its part: its disk, or a panic.
    Failed,
}

impl Outcome {
    /// How many there are.
    #[cfg(feature = "metrics")]
    pub(super) const COUNT: usize = Self::Failed as usize + 1;

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Local => "local",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
            Self::BrokenOff => "broken_off",
            Self::Timeout => "timeout",
            Self::ClientLeft => "client_left",
            Self::Unread => "unread",
            Self::Failed => "failed",
        }
    }

    /// Of a request that is answered with an error.
    pub(super) fn of_request(kind: ErrorKind) -> Self {
        match Error::new(kind).fault() {
            Fault::Client => Self::Refused,
            _ => Self::Unanswered,
        }
    }

    /// Of an answer whose body ends with an error.
    pub(super) fn of_body(kind: ErrorKind) -> Self {
        match (kind, Error::new(kind).fault()) {
            (ErrorKind::UpstreamTimeout, _) => Self::Timeout,
            (_, Fault::Upstream) => Self::BrokenOff,
            // The request's body ended before its time, while it was answered already.
            (_, Fault::Client) => Self::ClientLeft,
            (_, Fault::Gateway) => Self::Failed,
        }
    }

    pub(super) fn of_tunnel(ended: &Ended) -> Self {
        match ended {
            Ended::Closed | Ended::Drained => Self::Complete,
            Ended::Broken(_) => Self::BrokenOff,
            Ended::Idle | Ended::Aged | Ended::Cut => Self::Timeout,
        }
    }
}
