//! The short plain answers that a layer gives in place of the application.

#[cfg(any(feature = "gateway-proxy", feature = "wsgi"))]
use http::Version;
use http::{Extensions, HeaderValue, Response, StatusCode, header};

use crate::{
    Body, Error, ErrorKind,
    semantics::{
        mount::external_prefix,
        path::{PathError, PathRefusal},
    },
};

/// The status in words, and nothing else.
pub(crate) fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::from(status.canonical_reason().unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// What an error is answered with: its status in words for the client, and the error itself in
/// the response's extensions for the layers outside.
pub(crate) fn error(error: Error) -> Response<Body> {
    let mut response = plain(error.status());
    // An answer to this moment's load or fault says nothing about the next request.
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.extensions_mut().insert(error);
    response
}

/// What an error is answered with that may have left a part of the request's body unread.
#[cfg(any(feature = "gateway-proxy", feature = "wsgi"))]
pub(crate) fn refuse_body(reason: Error, version: Version) -> Response<Body> {
    let kind = reason.kind();
    let mut response = error(reason);
    // RFC 7231 §6.5.7, of a 408: "A server SHOULD send the "close" connection option"; RFC 9110
    // §15.5.14 lets it with a 413. What is left of the body is not waited for. Nor is it looked for
    // behind a coding that is not known here: others may have seen the end of it elsewhere, and
    // what is behind it as the next request.
    let leaves_body = matches!(
        kind,
        ErrorKind::RequestBodyTimeout
            | ErrorKind::RequestBodyTooLarge
            | ErrorKind::UnknownTransferCoding
    );
    if leaves_body && version < Version::HTTP_2 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// A redirect to a path (and query) of this host.
pub(crate) fn redirect(status: StatusCode, location: &str) -> Response<Body> {
    match HeaderValue::try_from(location) {
        Ok(location) => {
            let mut response = plain(status);
            response.headers_mut().insert(header::LOCATION, location);
            response
        }
        Err(source) => error(Error::new(ErrorKind::BadPath).with_source(source)),
    }
}

/// What the client gets for a path that the policy does not let pass; the extensions are those
/// of its request.
pub(crate) fn refuse_path(refusal: PathRefusal, extensions: &Extensions) -> Response<Body> {
    match refusal {
        PathRefusal::Malformed(source) => malformed_path(source),
        PathRefusal::Redirect(location) => {
            // The client has to put before it what was stripped before it came here.
            let path = location.split('?').next().unwrap_or_default();
            let prefix = external_prefix(extensions, path);
            redirect(
                StatusCode::PERMANENT_REDIRECT,
                &format!("{prefix}{location}"),
            )
        }
    }
}

fn malformed_path(source: PathError) -> Response<Body> {
    tracing::debug!(reason = %source, "refused a request path");
    error(Error::new(ErrorKind::BadPath).with_source(source))
}
