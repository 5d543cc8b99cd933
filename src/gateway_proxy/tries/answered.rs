//! What a request comes to: an answer, or a failure.

use std::sync::Arc;

use http::{HeaderValue, Response, header};

use super::Credit;
#[cfg(feature = "http2")]
use crate::gateway_proxy::{activity::Activity, upstream::http2::Http2Body};
use crate::{
    Error, ErrorKind,
    gateway_proxy::{
        balance::InFlight,
        outcome::{Failed, Outcome},
        pool::Turn,
        server::Server,
        upstream::{Address, Call, uwsgi},
    },
    semantics::retry_after,
};

/// The head of an answer, and where the rest of it comes from.
pub(in crate::gateway_proxy) struct Answered {
    pub(in crate::gateway_proxy) head: Response<()>,
    /// Before the turn: the connection is closed before that is given to the next.
    pub(in crate::gateway_proxy) source: Source,
    pub(in crate::gateway_proxy) turn: Turn,
    pub(in crate::gateway_proxy) work: Work,
    /// What keeps the session where it went, if it is elsewhere yet.
    pub(in crate::gateway_proxy) session_cookie: Option<HeaderValue>,
    /// None if the head says that the server failed.
    pub(in crate::gateway_proxy) credit: Option<Credit>,
}

/// What the body of an answer comes out of. The usual one is the larger, and not worth a box.
#[allow(clippy::large_enum_variant)]
pub(in crate::gateway_proxy) enum Source {
    Call(Call),
    /// With what tells of the request, while that may still be on its way.
    #[cfg(feature = "http2")]
    Stream(Http2Body, Option<Activity>),
}

/// A server has one more request to work on, for as long as this is there.
#[derive(Debug)]
pub(in crate::gateway_proxy) struct Work(InFlight<Arc<Server>>);

impl Work {
    /// A try begins.
    pub(super) fn start(server: &Arc<Server>) -> Self {
        Self(InFlight::start(Arc::clone(server)))
    }

    pub(in crate::gateway_proxy) fn server(&self) -> Arc<Server> {
        Arc::clone(&self.0)
    }
}

/// Why a request has no answer, and who was asked last.
#[derive(Debug)]
pub(in crate::gateway_proxy) struct Unanswered {
    pub(in crate::gateway_proxy) error: Error,
    pub(in crate::gateway_proxy) upstream: Option<Address>,
}

impl<E: Into<Error>> From<E> for Unanswered {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            upstream: None,
        }
    }
}

impl Unanswered {
    pub(in crate::gateway_proxy) fn by(server: &Server, error: Error) -> Self {
        Self {
            error,
            upstream: Some(server.address().clone()),
        }
    }
}

/// A try without an answer.
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) failed: Failed,
    /// The turn at the server, if one was taken.
    pub(super) turn: Option<Turn>,
}

impl Answered {
    /// Nobody will read it. With nothing left to read its connection is as good as before.
    pub(super) fn discard(self) {
        match self.source {
            Source::Call(call) if call.is_over() => self.turn.finish(call),
            // Closed before its turn is given to the next.
            source => drop(source),
        }
    }

    pub(super) fn outcome(&self) -> Outcome {
        let after = self.head.headers().get(header::RETRY_AFTER);
        Outcome::Answered {
            status: self.head.status(),
            retry_after: after
                .and_then(|after| retry_after::parse(after, std::time::SystemTime::now())),
        }
    }
}

impl Failure {
    /// Nothing of the request has left.
    pub(super) fn unsent(error: Error, turn: Option<Turn>) -> Self {
        let failed = Failed {
            kind: error.kind(),
            bytes_taken: false,
            was_heard: false,
            on_kept: false,
        };
        Self {
            error,
            failed,
            turn,
        }
    }
}

/// uWSGI closes on what is too large for it, and says so to its own log only.
pub(super) fn explain(error: Error, failed: &Failed, block: Option<uwsgi::Block>) -> Error {
    let is_silence = error.kind() == ErrorKind::UpstreamReset && !failed.was_heard;
    match block.and_then(uwsgi::Block::unanswered) {
        Some(reason) if is_silence => error.with_source(reason),
        _ => error,
    }
}
