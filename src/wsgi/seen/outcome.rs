//! How a request ended.

use crate::{Error, ErrorKind, Fault};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The answer was passed on to its end.
    Complete,
    /// It was refused for what the client did.
    Refused,
    /// The application raised an exception, or made a body that is too short.
    Exception,
    /// It got no answer: all workers were busy, or the one that was asked went.
    Unanswered,
    /// The answer broke off.
    BrokenOff,
    /// The worker took too long.
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
            Self::Refused => "refused",
            Self::Exception => "exception",
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
        match (kind, Error::new(kind).fault()) {
            (ErrorKind::Application, _) => Self::Exception,
            (ErrorKind::UpstreamTimeout, _) => Self::Timeout,
            (ErrorKind::Io, _) => Self::Failed,
            (_, Fault::Client) => Self::Refused,
            _ => Self::Unanswered,
        }
    }

    /// Of an answer whose body ends with an error.
    pub(super) fn of_body(kind: ErrorKind) -> Self {
        match (kind, Error::new(kind).fault()) {
            (ErrorKind::Application, _) => Self::Exception,
            (ErrorKind::UpstreamTimeout, _) => Self::Timeout,
            (_, Fault::Upstream) => Self::BrokenOff,
            // The request's body ended before its time, while it was answered already.
            (_, Fault::Client) => Self::ClientLeft,
            (_, Fault::Gateway) => Self::Failed,
        }
    }
}
