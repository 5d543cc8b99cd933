//! From the upstream's answer to the one that the client gets.

use std::{
    error,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Version, response};
use http_body::{Body as _, Frame, SizeHint};

use super::{
    pool::Lease,
    tries::Work,
    upstream::{Address, Call},
};
use crate::{Error, semantics::hop};

/// Makes the head of an answer fit to be sent on; the protocol that it upgrades to is returned.
pub(super) fn prepare(parts: &mut response::Parts) -> Option<HeaderValue> {
    // RFC 9110 §6.2: "A server MUST NOT send a version to which it is not conformant", and the
    // upstream's may be 1.0: what the client is told is for the server to say.
    parts.version = Version::HTTP_11;
    hop::strip_response(&mut parts.headers)
}

/// The body of an answer, which holds the connection that it comes from: given back at its end,
/// closed if it is dropped before.
#[derive(Debug)]
pub(super) struct ResponseBody {
    call: Call,
    lease: Option<Lease>,
    work: Option<Work>,
}

impl ResponseBody {
    pub(super) fn new(
        mut call: Call,
        mut lease: Lease,
        work: Work,
        read_timeout: Duration,
    ) -> Self {
        call.pause(&mut lease.connection, read_timeout);
        let mut body = Self {
            call,
            lease: Some(lease),
            work: Some(work),
        };
        if body.is_end_stream() {
            body.finish();
        }
        body
    }

    fn finish(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.finish(&self.call);
        }
        self.work = None;
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let Some(lease) = &mut this.lease else {
            return Poll::Ready(None);
        };
        let frame = ready!(this.call.poll_body(&mut lease.connection, cx));
        match &frame {
            // With a known length the server need not ask again.
            None | Some(Ok(_)) if this.call.is_over() => this.finish(),
            Some(Err(error)) => {
                broken_off(lease.address(), error);
                // Dropped here, which closes it: there may be more of this answer to come.
                this.lease = None;
                this.work = None;
            }
            _ => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.call.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        self.call
            .length()
            .map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

fn broken_off(upstream: &Address, error: &Error) {
    tracing::warn!(
        %upstream,
        reason = %error,
        cause = error::Error::source(error).map(tracing::field::display),
        "an upstream did not finish its answer"
    );
}
