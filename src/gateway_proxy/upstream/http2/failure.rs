//! Why there is no answer, or not a whole one.

use std::{error, fmt};

use ::http::Request;
use h2::Reason;

use super::driver::Pulse;
use crate::{Body, BoxError, Error, ErrorKind};

/// Why a request was not answered, or its answer broke off.
#[derive(Debug)]
pub(in crate::gateway_proxy) struct Failure {
    kind: Kind,
    source: BoxError,
    untaken: Option<Box<Request<Body>>>,
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway_proxy) enum Kind {
    /// The request was certainly not processed; sending it again is safe whatever its method.
    ///
    /// RFC 9113 §8.7: "The GOAWAY frame indicates the highest stream number that might have been
    /// processed. Requests on streams with higher numbers are therefore guaranteed to be safe to
    /// retry. The REFUSED_STREAM error code can be included in a RST_STREAM frame to indicate that
    /// the stream is being closed prior to any processing having occurred."
    Unprocessed,
    /// The upstream broke a rule of HTTP/2, or does not speak it.
    Protocol,
    /// The upstream reset the stream.
    Reset,
    /// The connection ended.
    Closed,
    /// The upstream did not answer a PING.
    Unresponsive,
    /// The request's own body failed; the stream was reset.
    RequestBody,
    /// The request cannot be said in HTTP/2.
    Unsendable,
}

impl Failure {
    pub(super) fn new(kind: Kind, source: impl Into<BoxError>) -> Self {
        Self {
            kind,
            source: source.into(),
            untaken: None,
        }
    }

    /// Of a stream.
    pub(super) fn of(error: h2::Error, pulse: &Pulse) -> Self {
        let kind = if error.is_go_away() && error.is_remote() {
            // h2 says this to streams beyond the last that GOAWAY names, and to no others: those
            // may still be answered, and hear of the end of the connection otherwise.
            Kind::Unprocessed
        } else if error.is_reset() && error.is_remote() {
            if error.reason() == Some(Reason::REFUSED_STREAM) {
                Kind::Unprocessed
            } else {
                Kind::Reset
            }
        } else if error.is_library() {
            Kind::Protocol
        } else if error.is_io() && pulse.is_unresponsive() {
            Kind::Unresponsive
        } else if error.is_io() {
            Kind::Closed
        } else {
            // Of a stream that was reset here.
            Kind::Reset
        };
        Self::new(kind, error)
    }

    /// The connection was over before the request was begun.
    pub(super) fn untaken(error: h2::Error, request: Request<Body>) -> Self {
        Self {
            untaken: Some(Box::new(request)),
            ..Self::new(Kind::Unprocessed, error)
        }
    }

    /// The head could not be sent.
    pub(super) fn unsent(error: h2::Error) -> Self {
        let is_of_the_connection = error.is_io() || error.is_go_away();
        let kind = if is_of_the_connection {
            Kind::Unprocessed
        } else {
            Kind::Unsendable
        };
        Self::new(kind, error)
    }

    pub(in crate::gateway_proxy) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the upstream has certainly done nothing about the request.
    pub(in crate::gateway_proxy) fn is_unprocessed(&self) -> bool {
        self.kind == Kind::Unprocessed
    }

    /// The request, if nothing of it was taken: head and body are as they were.
    pub(in crate::gateway_proxy) fn take_untaken(&mut self) -> Option<Request<Body>> {
        self.untaken.take().map(|request| *request)
    }

    /// As layers outside are told.
    pub(in crate::gateway_proxy) fn into_error(self) -> Error {
        let kind = match self.kind {
            Kind::RequestBody => {
                // A body with limits has said which it has broken.
                return match self.source.downcast::<Error>() {
                    Ok(error) => *error,
                    Err(source) => Error::new(ErrorKind::RequestBodyIncomplete).with_source(source),
                };
            }
            Kind::Unprocessed | Kind::Reset | Kind::Closed => ErrorKind::UpstreamReset,
            Kind::Protocol => ErrorKind::UpstreamProtocol,
            Kind::Unresponsive => ErrorKind::UpstreamTimeout,
            Kind::Unsendable => ErrorKind::BadRequest,
        };
        Error::new(kind).with_source(self.source)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Unprocessed => "the upstream did not take the request",
            Kind::Protocol => "the upstream broke a rule of HTTP/2",
            Kind::Reset => "the upstream reset the stream",
            Kind::Closed => "the connection ended",
            Kind::Unresponsive => "the upstream did not answer a PING",
            Kind::RequestBody => "the request's body failed",
            Kind::Unsendable => "the request cannot be sent as HTTP/2",
        })
    }
}

impl error::Error for Failure {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&*self.source)
    }
}
