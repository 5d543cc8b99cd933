//! From an HTTP/1.1 head to one of HTTP/2, and back.

use ::http::{
    HeaderValue, Request, Uri, Version, header,
    uri::{Authority, PathAndQuery, Scheme},
};

use crate::{BoxError, Error, ErrorKind, semantics::hop};

/// Makes a request with an HTTP/1.1 head (origin-form, `Host`, connection fields) fit for
/// [`Http2::send`](super::Http2::send). `scheme` is the one of the connection.
///
/// # Errors
///
/// `BadRequest`, if `Host` is missing or is none, or a connection option is malformed.
pub(in crate::gateway_proxy) fn prepare<B>(
    request: &mut Request<B>,
    scheme: &Scheme,
) -> Result<(), Error> {
    // RFC 9113 §8.2.2: "An intermediary transforming an HTTP/1.x message to HTTP/2 MUST remove
    // connection-specific header fields as discussed in Section 7.6.1 of [HTTP]".
    let stripped = hop::strip_request(request.headers_mut()).map_err(bad_request)?;
    if stripped.trailers {
        // RFC 9113 §8.2.2: "the TE header field [...] MAY be present in an HTTP/2 request; when it
        // is, it MUST NOT contain any value other than "trailers"."
        request
            .headers_mut()
            .insert(header::TE, HeaderValue::from_static("trailers"));
    }
    // RFC 9113 §8.3.1: "An intermediary that forwards a request over HTTP/2 MUST construct an
    // ":authority" pseudo-header field using the authority information from the control data of
    // the original request".
    let authority = authority(request.headers_mut().remove(header::HOST))?;
    let mut target = std::mem::take(request.uri_mut()).into_parts();
    target.scheme = Some(scheme.clone());
    target.authority = Some(authority);
    // RFC 9113 §8.3.1: the path "MUST NOT be empty for "http" or "https" URIs; "http" or "https"
    // URIs that do not contain a path component MUST include a value of '/'".
    target
        .path_and_query
        .get_or_insert_with(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from_parts(target).map_err(bad_request)?;
    *request.version_mut() = Version::HTTP_2;
    Ok(())
}

fn authority(host: Option<HeaderValue>) -> Result<Authority, Error> {
    let host = host.ok_or_else(|| bad_request("it has no host"))?;
    let authority = Authority::try_from(host.as_bytes()).map_err(bad_request)?;
    // RFC 9113 §8.3.1: "":authority" MUST NOT include the deprecated userinfo subcomponent".
    if authority.as_str().contains('@') {
        return Err(bad_request("its host has a user name"));
    }
    Ok(authority)
}

fn bad_request(source: impl Into<BoxError>) -> Error {
    Error::new(ErrorKind::BadRequest).with_source(source)
}
