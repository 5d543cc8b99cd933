//! From the upstream's answer to the one that the client gets.

use std::{
    error, io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header, response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use super::{pool::Lease, upstream::Upstream};
use crate::{Error, ErrorKind, body::quiet::Quiet, semantics::hop};

/// Makes the head of an answer fit to be sent on; the protocol that it upgrades to is returned.
pub(super) fn prepare(
    parts: &mut response::Parts,
    method: &Method,
) -> Result<Option<HeaderValue>, Error> {
    let headers = &mut parts.headers;
    if !hop::is_plain_or_chunked(headers) {
        let reason = "its transfer coding is not chunked alone";
        return Err(Error::new(ErrorKind::UpstreamProtocol).with_source(reason));
    }
    // RFC 9112 §6.3: "If a message is received with both a Transfer-Encoding and a Content-Length
    // header field, the Transfer-Encoding overrides the Content-Length."
    if headers.contains_key(header::TRANSFER_ENCODING) || parts.status == StatusCode::NO_CONTENT {
        headers.remove(header::CONTENT_LENGTH);
    }
    let has_body = *method != Method::HEAD && parts.status != StatusCode::NOT_MODIFIED;
    one_length(headers, has_body)?;
    let upgrade = hop::strip_response(headers);
    // RFC 9110 §6.2: "A server MUST NOT send a version to which it is not conformant", and the
    // upstream's may be 1.0: what the client is told is for the server to say.
    parts.version = Version::HTTP_11;
    Ok(upgrade)
}

/// RFC 9110 §8.6: a list of equal values is to be replaced "with a single valid Content-Length".
fn one_length(headers: &mut HeaderMap, has_body: bool) -> Result<(), Error> {
    if !headers.contains_key(header::CONTENT_LENGTH) {
        return Ok(());
    }
    match agreed_length(headers) {
        Some(length) => {
            headers.insert(header::CONTENT_LENGTH, length);
        }
        // Without a body it is a remark, and a wrong one.
        None if !has_body => {
            headers.remove(header::CONTENT_LENGTH);
        }
        None => {
            let reason = "its Content-Length has no one meaning";
            return Err(Error::new(ErrorKind::UpstreamProtocol).with_source(reason));
        }
    }
    Ok(())
}

fn agreed_length(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut lengths = headers
        .get_all(header::CONTENT_LENGTH)
        .iter()
        .flat_map(hop::tokens);
    let first = lengths.next()?;
    let agreed = first.iter().all(u8::is_ascii_digit) && lengths.all(|length| length == first);
    agreed.then(|| HeaderValue::from_bytes(first).ok())?
}

/// The body of an answer, which holds the connection that it comes from: given back at its end,
/// closed if it is dropped before.
#[derive(Debug)]
pub(super) struct ResponseBody {
    incoming: Incoming,
    lease: Option<Lease>,
    quiet: Quiet,
}

impl ResponseBody {
    pub(super) fn new(incoming: Incoming, lease: Lease, read_timeout: Duration) -> Self {
        Self {
            incoming,
            lease: Some(lease),
            quiet: Quiet::new(read_timeout),
        }
    }

    pub(super) fn finish(&mut self, cx: &mut Context<'_>) {
        if let Some(lease) = self.lease.take() {
            lease.finish(cx);
        }
    }

    fn fail(&mut self, error: Error) -> Error {
        // Dropped here, which closes it: there may be more of this answer to come.
        if let Some(lease) = self.lease.take() {
            broken_off(lease.upstream(), &error);
        }
        error
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
        if let Some(lease) = &mut this.lease {
            lease.connection.drive(cx);
        }
        let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) else {
            ready!(this.quiet.poll(cx));
            let error = this.fail(ErrorKind::UpstreamTimeout.into());
            return Poll::Ready(Some(Err(error)));
        };
        this.quiet.rest();
        let frame = frame
            .transpose()
            .map_err(|error| this.fail(broken_body(error)))?;
        // With a known length the server need not ask again.
        if frame.is_none() || this.incoming.is_end_stream() {
            this.finish(cx);
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

fn broken_body(error: hyper::Error) -> Error {
    let broken_rule = find::<io::Error>(&error).is_some_and(|error| {
        matches!(
            error.kind(),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
        )
    });
    let kind = if broken_rule {
        ErrorKind::UpstreamProtocol
    } else {
        ErrorKind::UpstreamReset
    };
    Error::new(kind).with_source(error)
}

fn broken_off(upstream: &Upstream, error: &Error) {
    tracing::warn!(
        %upstream,
        reason = %error,
        cause = error::Error::source(error).map(tracing::field::display),
        "an upstream did not finish its answer"
    );
}

/// The first cause of this type.
pub(super) fn find<'a, E: error::Error + 'static>(
    error: &'a (dyn error::Error + 'static),
) -> Option<&'a E> {
    let mut cause = Some(error);
    while let Some(this) = cause {
        if let Some(found) = this.downcast_ref() {
            return Some(found);
        }
        cause = this.source();
    }
    None
}
