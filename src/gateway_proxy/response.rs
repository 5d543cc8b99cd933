//! From the upstream's answer to the one that the client gets.

#[cfg(feature = "http2")]
pub(super) mod stream;

use std::{
    error,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Version, response};
use http_body::{Frame, SizeHint};

use super::{
    pool::Turn,
    server::Server,
    tries::{Credit, Work},
    upstream::Call,
};
use crate::{
    Error,
    semantics::{
        hop,
        via::{self, Pseudonym},
    },
};

/// Makes the head of an answer fit to be sent on; the protocol that it upgrades to is returned.
pub(super) fn prepare(
    parts: &mut response::Parts,
    pseudonym: Option<&Pseudonym>,
) -> Option<HeaderValue> {
    if let Some(pseudonym) = pseudonym {
        // A map without room for it has other troubles.
        let _full = via::append(&mut parts.headers, parts.version, pseudonym);
    }
    // RFC 9110 §6.2: "A server MUST NOT send a version to which it is not conformant", and the
    // upstream's may be 1.0: what the client is told is for the server to say.
    parts.version = Version::HTTP_11;
    hop::strip_response(&mut parts.headers)
}

/// The body of an answer, which holds the connection that it comes from: given back at its end,
/// closed if it is dropped before.
#[derive(Debug)]
pub(super) struct ResponseBody {
    /// `None` when it is over.
    rest: Option<Rest>,
}

/// In this order: the connection is closed before the turn is given to the next.
#[derive(Debug)]
struct Rest {
    call: Call,
    turn: Turn,
    work: Work,
    credit: Option<Credit>,
}

impl ResponseBody {
    pub(super) fn new(
        mut call: Call,
        turn: Turn,
        work: Work,
        credit: Option<Credit>,
        read_timeout: Duration,
    ) -> Self {
        call.pause(read_timeout);
        let is_over = call.is_over();
        let rest = Rest {
            call,
            turn,
            work,
            credit,
        };
        let mut body = Self { rest: Some(rest) };
        if is_over {
            body.finish();
        }
        body
    }

    fn finish(&mut self) {
        if let Some(rest) = self.rest.take() {
            rest.turn.finish(rest.call);
            drop((rest.work, rest.credit));
        }
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
        let Some(rest) = &mut this.rest else {
            return Poll::Ready(None);
        };
        let frame = ready!(rest.call.poll_body(cx));
        match &frame {
            // With a known length the server need not ask again.
            None | Some(Ok(_)) if rest.call.is_over() => this.finish(),
            Some(Err(error)) => {
                broken_off(&rest.work.server(), rest.credit.take(), error);
                // Dropped here, which closes it: there may be more of this answer to come.
                this.rest = None;
            }
            _ => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            None => SizeHint::with_exact(0),
            Some(rest) => rest
                .call
                .length()
                .map_or_else(SizeHint::new, SizeHint::with_exact),
        }
    }
}

pub(super) fn broken_off(server: &Server, credit: Option<Credit>, error: &Error) {
    server.failed(error.kind());
    tracing::warn!(
        upstream = %server.address(),
        reason = %error,
        cause = error::Error::source(error).map(tracing::field::display),
        "an upstream did not finish its answer"
    );
    if let Some(credit) = credit {
        credit.lose(error.kind());
    }
}
