//! The body of a request on its way through.

use http::HeaderMap;
use http_body_util::BodyExt;

use super::{request::remove_if, upstream::Coding};
use crate::{
    Body, Error,
    body::spool::{Spool, Spooled},
    semantics::hop,
};

/// The body of a request as it goes out.
#[derive(Debug)]
pub(super) enum Content {
    Empty,
    Spooled(Spooled),
    /// As the client sends it, with limits. Gone once it was sent.
    Streamed(Body),
    /// It was streamed.
    Gone,
}

impl Content {
    /// Whether it can be sent more than once.
    pub(super) fn is_kept(&self) -> bool {
        matches!(self, Self::Empty | Self::Spooled(_))
    }

    /// Whether all of it can be sent (once more).
    pub(super) fn is_whole(&self) -> bool {
        !matches!(self, Self::Gone)
    }

    /// Collects what has no length, for a server that has to be told one.
    pub(super) async fn measure(&mut self, spool: &Spool) -> Result<bool, Error> {
        let Self::Streamed(body) = self else {
            return Ok(false);
        };
        if http_body::Body::size_hint(body).exact().is_some() {
            return Ok(false);
        }
        let body = std::mem::take(body);
        *self = Self::Gone;
        *self = Self::Spooled(spool.collect(body).await?);
        Ok(true)
    }

    /// The body to send to a server that knows no end of it but its length.
    pub(super) fn take_measured(&mut self) -> (Body, Coding) {
        match self {
            Self::Spooled(spooled) => (spooled.body(), Coding::Length(spooled.len())),
            _ => self.take(),
        }
    }

    /// The body to send, and how its end is told.
    pub(super) fn take(&mut self) -> (Body, Coding) {
        match self {
            Self::Empty => (Body::empty(), Coding::Length(0)),
            Self::Spooled(spooled) => {
                let trailers = trailers_of(spooled);
                let coding = match trailers.is_empty() {
                    true => Coding::Length(spooled.len()),
                    false => Coding::Chunked,
                };
                (with_trailers(spooled.body(), trailers), coding)
            }
            Self::Streamed(_) | Self::Gone => {
                let Self::Streamed(body) = std::mem::replace(self, Self::Gone) else {
                    return (Body::empty(), Coding::Length(0));
                };
                let coding = match http_body::Body::size_hint(&body).exact() {
                    Some(length) => Coding::Length(length),
                    None => Coding::Chunked,
                };
                (body, coding)
            }
        }
    }
}

fn with_trailers(body: Body, trailers: HeaderMap) -> Body {
    if trailers.is_empty() {
        return body;
    }
    Body::new(body.with_trailers(std::future::ready(Some(Ok(trailers)))))
}

/// Those of its trailers that may pass.
pub(super) fn trailers_of(spooled: &Spooled) -> HeaderMap {
    let mut trailers = spooled.trailers().cloned().unwrap_or_default();
    remove_if(&mut trailers, |name| !hop::is_forwardable_trailer(name));
    trailers
}
