//! The body of a request on its way through.

use http::HeaderMap;
use http_body_util::BodyExt;

use super::upstream::{Coding, trailers};
use crate::{
    Body, Error,
    body::spool::{Spool, Spooled},
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
        let coding = self.coding();
        let body = match self {
            Self::Empty | Self::Gone => Body::empty(),
            Self::Spooled(spooled) => {
                let body = spooled.body();
                match trailers_of(spooled) {
                    None => body,
                    Some(trailers) => {
                        Body::new(body.with_trailers(std::future::ready(Some(Ok(trailers)))))
                    }
                }
            }
            Self::Streamed(body) => {
                let body = std::mem::take(body);
                *self = Self::Gone;
                body
            }
        };
        (body, coding)
    }

    /// How its end is told to a server that knows more of it than its length. The head says the
    /// same as the bytes, since both ask here.
    pub(super) fn coding(&self) -> Coding {
        match self {
            Self::Empty | Self::Gone => Coding::Length(0),
            Self::Spooled(spooled) if self.trailers().is_none() => Coding::Length(spooled.len()),
            Self::Spooled(_) => Coding::Chunked,
            Self::Streamed(body) => match http_body::Body::size_hint(body).exact() {
                Some(length) => Coding::Length(length),
                None => Coding::Chunked,
            },
        }
    }

    /// How many bytes it has, if that is known.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::Empty | Self::Gone => None,
            Self::Spooled(spooled) => Some(spooled.len()),
            Self::Streamed(body) => http_body::Body::size_hint(body).exact(),
        }
    }

    /// The trailers that will come after it, where they are known.
    pub(super) fn trailers(&self) -> Option<HeaderMap> {
        match self {
            Self::Spooled(spooled) => trailers_of(spooled),
            _ => None,
        }
    }
}

/// Those of its trailers that may pass.
fn trailers_of(spooled: &Spooled) -> Option<HeaderMap> {
    spooled.trailers().cloned().and_then(trailers::of_request)
}
