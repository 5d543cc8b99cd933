//! From the client's request to the one that the upstream gets.

use bytes::{BufMut, BytesMut};
use http::{
    Extensions, HeaderMap, HeaderValue, Method, Response, Uri, Version, header, request,
    uri::PathAndQuery,
};
use hyper::upgrade::OnUpgrade;

#[cfg(feature = "http2")]
use super::upstream::http2;
use super::{
    HealthCheck, HostPolicy,
    content::Content,
    layer::Config,
    seen::Seen,
    server::Server,
    upgrade::{Extended, is_extended},
    upstream::{Coding, Speech, http1, uwsgi},
};
use crate::{
    Body, BoxError, Error, ErrorKind,
    body::{Drain, Hold},
    semantics::{
        cgi::Meta,
        client::{Client, remove_if},
        hop::{self, Stripped},
        host,
        max_forwards::{self, Turn},
        via,
    },
};

/// The head of a request as it goes out.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: Method,
    target: PathAndQuery,
    headers: HeaderMap,
    /// Whether `Host` is that of whichever server it goes to.
    is_named_by_server: bool,
    /// Whether the client waits to be told that its body is wanted.
    awaits_continue: bool,
    client: Client,
    /// How long the body is, if there is one and it was counted.
    length: Option<u64>,
    /// The protocols to which the connection may be upgraded.
    upgrade: Option<HeaderValue>,
}

/// A wish to speak another protocol on this connection.
#[derive(Debug)]
pub(super) struct Upgrade {
    /// The client's list.
    pub(super) protocols: HeaderValue,
    pub(super) client: OnUpgrade,
    /// What outer layers keep for as long as this goes on.
    pub(super) hold: Option<Hold>,
    /// Tells when the server stops.
    pub(super) drain: Option<Drain>,
    /// How it was asked for, if that was over HTTP/2.
    pub(super) extended: Option<Extended>,
}

impl Head {
    /// Reads the head of a request and makes it fit to be sent on.
    pub(super) fn prepare(
        config: &Config,
        parts: request::Parts,
        seen: &Seen,
    ) -> Result<(Self, Option<Upgrade>), Error> {
        let host = host_of(&parts)?;
        let request::Parts {
            mut method,
            uri,
            version,
            mut headers,
            mut extensions,
            ..
        } = parts;
        // At once, for what is added below.
        headers.try_reserve(8).map_err(bad_request)?;
        if method == Method::TRACE {
            if !config.forwards_trace {
                return Err(ErrorKind::MethodNotAllowed.into());
            }
            max_forwards::strip_credentials(&mut headers);
        }
        if let Some(pseudonym) = &config.via {
            // RFC 9110 §7.6: "An intermediary MUST NOT forward a message to itself unless it is
            // protected from an infinite request loop."
            if via::has_passed(&headers, pseudonym) {
                return Err(ErrorKind::LoopDetected.into());
            }
            via::append(&mut headers, version, pseudonym).map_err(bad_request)?;
        }
        let stripped = hop::strip_request(&mut headers).map_err(bad_request)?;

        if config.drops_ambiguous_names {
            seen.dropped(drop_ambiguous(&mut headers));
        }
        let clients = &config.clients;
        let client = clients.of(&mut headers, &extensions, &uri, host.as_ref());
        let is_named_by_server = match (&config.host, host) {
            (HostPolicy::Keep, Some(host)) => {
                headers.insert(header::HOST, host);
                false
            }
            (HostPolicy::Keep, None) | (HostPolicy::Upstream, _) => true,
            (HostPolicy::Fixed(authority), _) => {
                let host = HeaderValue::from_str(authority.as_str())
                    .expect("an authority holds no byte that a header value may not");
                headers.insert(header::HOST, host);
                false
            }
        };
        // RFC 9110 §10.1.1: "A server that receives a 100-continue expectation in an HTTP/1.0
        // request MUST ignore that expectation."
        let awaits_continue = headers.remove(header::EXPECT).is_some_and(|expectation| {
            version > Version::HTTP_10
                && expectation.as_bytes().eq_ignore_ascii_case(b"100-continue")
        });
        if version >= Version::HTTP_2 {
            join_cookies(&mut headers);
        }
        let upgrade = upgrade(
            version,
            &mut method,
            &mut headers,
            &mut extensions,
            stripped,
        );
        // An extended one, on a connection that cannot be had.
        if method == Method::CONNECT {
            return Err(ErrorKind::UnsupportedMethod.into());
        }
        config.request_headers.apply(&mut headers);
        let head = Self {
            method,
            target: origin_form(uri),
            headers,
            is_named_by_server,
            awaits_continue,
            client,
            length: None,
            upgrade: upgrade.as_ref().map(|upgrade| upgrade.protocols.clone()),
        };
        Ok((head, upgrade))
    }

    /// The request that asks a server whether it is well.
    pub(super) fn probe(check: &HealthCheck) -> Self {
        Self {
            method: Method::GET,
            target: check.path().clone(),
            headers: check.headers().clone(),
            is_named_by_server: !check.headers().contains_key(header::HOST),
            awaits_continue: false,
            client: Client::nobody(),
            length: None,
            upgrade: None,
        }
    }

    /// Writes the fields that say where the body ends.
    pub(super) fn frame(&mut self, content: &Content) {
        if self.holds(content) {
            let expectation = HeaderValue::from_static("100-continue");
            self.headers.insert(header::EXPECT, expectation);
        }
        let headers = &mut self.headers;
        let had_length = headers.remove(header::CONTENT_LENGTH).is_some();
        self.length = content.length();
        let length = match content.coding() {
            Coding::Chunked => {
                if let Some(trailers) = content.trailers() {
                    headers.remove(header::TRAILER);
                    for name in trailers.keys() {
                        headers.append(header::TRAILER, HeaderValue::from(name.clone()));
                    }
                }
                let chunked = HeaderValue::from_static("chunked");
                headers.insert(header::TRANSFER_ENCODING, chunked);
                return;
            }
            Coding::Length(length) => length,
        };
        // RFC 9112 §7.1.2: trailers come with the chunked coding only.
        headers.remove(header::TRAILER);
        if self.length.is_some() || had_length || has_content_by_nature(&self.method) {
            self.length = Some(length);
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
    }

    /// Writes them anew for a body that is another one by now.
    pub(super) fn reframe(&mut self, content: &Content) {
        self.headers.remove(header::EXPECT);
        self.headers.remove(header::TRANSFER_ENCODING);
        self.frame(content);
    }

    pub(super) fn path(&self) -> &str {
        self.target.path()
    }

    /// Writes the head as this server is sent it.
    pub(super) fn write(
        &mut self,
        server: &Server,
        out: &mut BytesMut,
    ) -> Result<Option<uwsgi::Block>, Error> {
        let address = server.address();
        if self.is_named_by_server {
            self.headers.insert(header::HOST, address.host());
        }
        match address.speech {
            Speech::Http1 => {
                http1::write_request(&self.method, self.target.as_str(), &self.headers, out);
                Ok(None)
            }
            Speech::Uwsgi => self.write_uwsgi(server, out).map(Some),
            // It has no head of bytes: see `for_http2`.
            #[cfg(feature = "http2")]
            Speech::Http2 => Ok(None),
        }
    }

    fn write_uwsgi(&self, server: &Server, out: &mut BytesMut) -> Result<uwsgi::Block, Error> {
        let path = self.target.path();
        let mut meta = Meta::new(&self.method, path, &self.headers);
        meta.path_info = server
            .known
            .reading()
            .path_info(path)
            .map_err(bad_request)?;
        meta.script_name = &self.client.prefix;
        meta.query = self.target.query().unwrap_or_default();
        meta.scheme = self.client.scheme.to_str().unwrap_or("http");
        meta.content_length = self.length;
        meta.remote_addr = self.client.addr;
        meta.remote_port = self.client.port;
        meta.upgrade = self.upgrade.as_ref();
        uwsgi::encode(&meta, uwsgi::WSGI, uwsgi::MAX_BLOCK, out)
            .map_err(|too_large| Error::new(ErrorKind::RequestHeadTooLarge).with_source(too_large))
    }

    /// The request as a server that speaks HTTP/2 is sent it.
    #[cfg(feature = "http2")]
    pub(super) fn for_http2(
        &mut self,
        server: &Server,
        body: Body,
    ) -> Result<http::Request<Body>, Error> {
        let address = server.address();
        if self.is_named_by_server {
            self.headers.insert(header::HOST, address.host());
        }
        let mut request = http::Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = Uri::from(self.target.clone());
        *request.headers_mut() = self.headers.clone();
        let scheme = match address.is_tls {
            true => http::uri::Scheme::HTTPS,
            false => http::uri::Scheme::HTTP,
        };
        http2::prepare(&mut request, &scheme)?;
        Ok(request)
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the body is to be held until the upstream wants it.
    pub(super) fn holds(&self, content: &Content) -> bool {
        self.awaits_continue && matches!(content, Content::Streamed(_))
    }
}

/// The host that a request is for. What has not one meaning is refused.
fn host_of(parts: &request::Parts) -> Result<Option<HeaderValue>, Error> {
    let (method, uri, headers) = (&parts.method, &parts.uri, &parts.headers);
    let is_extended = is_extended(method, &parts.extensions);
    // RFC 9110 §9.3.6: CONNECT is for proxies that a client chose, not for gateways.
    if *method == Method::CONNECT && !is_extended {
        return Err(ErrorKind::UnsupportedMethod.into());
    }
    // RFC 9112 §6.1: "A server that receives a request message with a transfer coding it does
    // not understand SHOULD respond with 501 (Not Implemented)."
    if !hop::is_plain_or_chunked(headers) {
        return Err(ErrorKind::UnknownTransferCoding.into());
    }
    if !host::is_target_of(method, uri) && !is_extended {
        return Err(bad_request(
            "its target has not the form that goes with its method",
        ));
    }
    host::of(parts.version, uri, headers).map_err(bad_request)
}

/// What is for this proxy to answer: a request that may go no further.
pub(super) fn answer_here(parts: &mut request::Parts) -> Result<Option<Response<Body>>, Error> {
    let turn = max_forwards::turn(&parts.method, &mut parts.headers);
    if turn != Turn::Forward {
        host_of(parts)?;
    }
    match turn {
        Turn::Forward => Ok(None),
        Turn::Malformed => Err(bad_request("its Max-Forwards is not a number")),
        Turn::Answer if parts.method == Method::TRACE => Err(ErrorKind::MethodNotAllowed.into()),
        Turn::Answer => {
            let mut response = Response::new(Body::empty());
            let allow = max_forwards::ALLOW;
            response.headers_mut().insert(header::ALLOW, allow);
            Ok(Some(response))
        }
    }
}

/// RFC 9110 §8.6: "a user agent normally sends Content-Length in a POST request even when the
/// value is 0 (indicating empty content)".
fn has_content_by_nature(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

fn bad_request(source: impl Into<BoxError>) -> Error {
    Error::new(ErrorKind::BadRequest).with_source(source)
}

/// Says how many there were.
fn drop_ambiguous(headers: &mut HeaderMap) -> usize {
    remove_if(headers, |name| {
        let is_ambiguous = hop::is_ambiguous_name(name);
        if is_ambiguous {
            tracing::debug!(%name, "dropped a field whose name a CGI application cannot tell from another");
        }
        is_ambiguous
    })
}

/// RFC 9113 §8.2.3: "If there are multiple Cookie header fields after decompression, these MUST be
/// concatenated into a single octet string using the two-octet delimiter of 0x3b, 0x20".
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().count() < 2 {
        return;
    }
    let mut joined = BytesMut::new();
    for cookie in headers.get_all(header::COOKIE) {
        if !joined.is_empty() {
            joined.put_slice(b"; ");
        }
        joined.put_slice(cookie.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_maybe_shared(joined.freeze()) {
        headers.insert(header::COOKIE, joined);
    }
}

/// Puts back the connection fields that this hop repeats.
fn upgrade(
    version: Version,
    method: &mut Method,
    headers: &mut HeaderMap,
    extensions: &mut Extensions,
    stripped: Stripped,
) -> Option<Upgrade> {
    let wish = |protocols, client, extended, extensions: &mut Extensions| Upgrade {
        protocols,
        client,
        hold: extensions.remove(),
        drain: extensions.remove(),
        extended,
    };
    if is_extended(method, extensions)
        && let Some(client) = extensions.remove::<OnUpgrade>()
        && let Some((extended, protocol)) = Extended::turn(method, headers)
    {
        return Some(wish(protocol, client, Some(extended), extensions));
    }
    // RFC 9110 §7.8: "A server MUST ignore an Upgrade header field that is received in an
    // HTTP/1.0 request."
    if version == Version::HTTP_11
        && let Some(protocols) = stripped.upgrade
        && is_tunnelled(&protocols)
        && let Some(client) = extensions.remove::<OnUpgrade>()
    {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocols.clone());
        return Some(wish(protocols, client, None, extensions));
    }
    if stripped.trailers {
        // RFC 9110 §10.1.4: "A sender of TE MUST also send a "TE" connection option".
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
    None
}

/// An upgrade to HTTP/2 would be a tunnel past everything that is decided here; RFC 9110 §7.8
/// lets a server ignore what it does not want.
fn is_tunnelled(protocols: &HeaderValue) -> bool {
    !hop::tokens(protocols).any(|protocol| {
        protocol.eq_ignore_ascii_case(b"h2c")
            || protocol[..protocol.len().min(5)].eq_ignore_ascii_case(b"HTTP/")
    })
}

/// RFC 9112 §3.2.1: "a client MUST send only the absolute path and query components of the target
/// URI as the request-target" to an origin server, which the upstream is.
fn origin_form(uri: Uri) -> PathAndQuery {
    let target = uri.into_parts().path_and_query;
    let target = target.unwrap_or_else(|| PathAndQuery::from_static("/"));
    // RFC 9112 §3.2.1: "If the target URI's path component is empty, the client MUST send "/" as
    // the path within the origin-form of request-target."
    // Written out, it has one; `as_str` is what it was read as.
    match target.as_str().starts_with('?') {
        true => PathAndQuery::try_from(target.to_string()).unwrap_or(target),
        false => target,
    }
}
