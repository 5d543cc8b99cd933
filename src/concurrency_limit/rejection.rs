//! What those are told who are not let in.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, header};

use crate::{Error, ErrorKind};

/// Why a request was turned away: an extension of the response, beside the
/// [`Error`](crate::Error).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejection {
    /// Why.
    pub reason: RejectReason,
    /// When to come again, in whole seconds, with its share of chance.
    pub retry_after: Duration,
}

/// Why a request was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectReason {
    /// The queue was full: 503.
    QueueFull,
    /// It waited for as long as one may: 503.
    QueueTimeout,
    /// It had to leave its place in the full queue to one who goes before it: 503.
    Displaced,
    /// As many requests of its key waited already as may: 429.
    KeyQueueFull,
    /// It waited for as long as one may, for others of its key to end: 429.
    KeyTimeout,
    /// No new requests are let in: 503.
    Draining,
}

impl RejectReason {
    pub(super) const ALL: [Self; 6] = [
        Self::QueueFull,
        Self::QueueTimeout,
        Self::Displaced,
        Self::KeyQueueFull,
        Self::KeyTimeout,
        Self::Draining,
    ];

    /// Its name in snake case, for labels and fields: `queue_full`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
            Self::Displaced => "displaced",
            Self::KeyQueueFull => "key_queue_full",
            Self::KeyTimeout => "key_timeout",
            Self::Draining => "draining",
        }
    }

    /// Whether it says that there is too much of it all: not of one key, and not by an order.
    pub(super) fn is_overload(self) -> bool {
        match self {
            Self::QueueFull | Self::QueueTimeout | Self::Displaced => true,
            Self::KeyQueueFull | Self::KeyTimeout | Self::Draining => false,
        }
    }

    /// What kind of [`Error`](crate::Error) it is.
    #[must_use]
    pub fn kind(self) -> ErrorKind {
        match self {
            Self::QueueFull | Self::Displaced => ErrorKind::QueueFull,
            Self::QueueTimeout => ErrorKind::QueueTimeout,
            Self::KeyQueueFull | Self::KeyTimeout => ErrorKind::KeyLimit,
            Self::Draining => ErrorKind::Draining,
        }
    }
}

impl Rejection {
    /// The answer, unless the user has one of his own.
    pub(super) fn plain(&self) -> Response<Bytes> {
        let status = Error::new(self.reason.kind()).status();
        let text = status.canonical_reason().unwrap_or_default();
        let mut response = Response::new(Bytes::from_static(text.as_bytes()));
        *response.status_mut() = status;
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        response
    }

    /// Whatever the answer looks like, nobody keeps it, and it says when to come again.
    ///
    /// RFC 6585 §4: "Responses with the 429 status code MUST NOT be stored by a cache." Nobody
    /// wants a stored 503 either.
    pub(super) fn finish(self, mut response: Response<Bytes>) -> Response<Bytes> {
        let headers = response.headers_mut();
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
        // RFC 9110 §10.2.3: "Retry-After = HTTP-date / delay-seconds", whole seconds.
        headers
            .entry(header::RETRY_AFTER)
            .or_insert(HeaderValue::from(self.retry_after.as_secs()));
        let extensions = response.extensions_mut();
        extensions.insert(Error::new(self.reason.kind()));
        extensions.insert(self);
        response
    }
}

/// Whole seconds, rounded up, and up to so many more by chance: clients that were turned away
/// together do not come again together.
pub(super) fn delay(base: Duration, jitter: Duration) -> Duration {
    let whole = |time: Duration| {
        time.as_secs()
            .saturating_add(u64::from(time.subsec_nanos() > 0))
    };
    let more = fastrand::u64(..=whole(jitter));
    Duration::from_secs(whole(base).saturating_add(more))
}
