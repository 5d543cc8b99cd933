//! From the client's request to the one that the upstream gets.

use bytes::{BufMut, BytesMut};
use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header, request,
    uri::{PathAndQuery, Scheme},
};
use http_body_util::BodyExt;
use hyper::upgrade::OnUpgrade;

use super::{
    ForwardedHeaders, HostPolicy,
    activity::{Activity, Upload},
    layer::Config,
    upgrade::{Extended, is_extended},
    upstream::Upstream,
};
use crate::{
    Body, BoxError, Error, ErrorKind, PeerAddr,
    body::{Drain, Hold, spool::Spooled},
    semantics::{
        forwarded::{self, Identity, Node},
        hop::{self, Stripped},
        host, mount,
    },
};

/// The head of a request as it goes out.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) method: Method,
    target: Uri,
    headers: HeaderMap,
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

/// The body of a request as it goes out.
#[derive(Debug)]
pub(super) enum Content {
    Empty,
    Spooled(Spooled),
    /// As the client sends it, with limits. Gone once it was sent.
    Streamed(Body),
}

impl Head {
    /// Reads the head of a request and makes it fit to be sent on.
    pub(super) fn prepare(
        config: &Config,
        upstream: &Upstream,
        parts: request::Parts,
    ) -> Result<(Self, Option<Upgrade>), Error> {
        let request::Parts {
            mut method,
            uri,
            version,
            mut headers,
            mut extensions,
            ..
        } = parts;
        // RFC 9110 §9.3.6: CONNECT is for proxies that a client chose, not for gateways.
        if method == Method::CONNECT && !is_extended(&method, &extensions) {
            return Err(ErrorKind::UnsupportedMethod.into());
        }
        // RFC 9112 §6.1: "A server that receives a request message with a transfer coding it does
        // not understand SHOULD respond with 501 (Not Implemented)."
        if !hop::is_plain_or_chunked(&headers) {
            return Err(ErrorKind::UnknownTransferCoding.into());
        }
        let host = host::of(version, &uri, &headers).map_err(bad_request)?;
        let stripped = hop::strip_request(&mut headers).map_err(bad_request)?;

        if config.drops_ambiguous_names {
            drop_ambiguous(&mut headers);
        }
        identify(config, &mut headers, &extensions, &uri, host.as_ref());
        let host = match &config.host {
            HostPolicy::Keep => host.unwrap_or_else(|| upstream.host()),
            HostPolicy::Upstream => upstream.host(),
            HostPolicy::Fixed(authority) => {
                HeaderValue::from_str(authority.as_str()).map_err(bad_request)?
            }
        };
        headers.insert(header::HOST, host);
        // The server has answered 100 when the body was first asked for.
        headers.remove(header::EXPECT);
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
        let head = Self {
            method,
            target: origin_form(uri),
            headers,
        };
        Ok((head, upgrade))
    }

    /// Writes the fields that say where the body ends. hyper would do it too, but it takes an
    /// unknown length for none on a GET.
    pub(super) fn frame(&mut self, content: &Content) {
        let headers = &mut self.headers;
        let had_length = headers.remove(header::CONTENT_LENGTH).is_some();
        let length = match content {
            Content::Empty => (had_length || has_content_by_nature(&self.method)).then_some(0),
            Content::Spooled(spooled) => {
                let trailers = trailers_of(spooled);
                if !trailers.is_empty() {
                    headers.remove(header::TRAILER);
                    for name in trailers.keys() {
                        headers.append(header::TRAILER, HeaderValue::from(name.clone()));
                    }
                    return chunked(headers);
                }
                Some(spooled.len())
            }
            Content::Streamed(body) => match http_body::Body::size_hint(body).exact() {
                None => return chunked(headers),
                length => length,
            },
        };
        // RFC 9112 §7.1.2: trailers come with the chunked coding only.
        headers.remove(header::TRAILER);
        if let Some(length) = length {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
    }

    pub(super) fn into_request(self, body: Body) -> Request<Body> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.target;
        *request.headers_mut() = self.headers;
        request
    }
}

impl Content {
    /// Whether it can be sent more than once.
    pub(super) fn is_replayable(&self) -> bool {
        !matches!(self, Self::Streamed(_))
    }

    /// The body to send, and a way to see how it is getting on when that may take a while.
    pub(super) fn take(&mut self) -> (Body, Option<Activity>) {
        match self {
            Self::Empty => (Body::empty(), None),
            Self::Spooled(spooled) => {
                let body = with_trailers(spooled.body(), trailers_of(spooled));
                if spooled.is_in_file() {
                    observed(body)
                } else {
                    (body, None)
                }
            }
            Self::Streamed(body) => observed(std::mem::take(body)),
        }
    }
}

fn observed(body: Body) -> (Body, Option<Activity>) {
    let activity = Activity::new();
    let body = Body::new(Upload::new(body, activity.clone()));
    (body, Some(activity))
}

fn with_trailers(body: Body, trailers: HeaderMap) -> Body {
    if trailers.is_empty() {
        return body;
    }
    Body::new(body.with_trailers(std::future::ready(Some(Ok(trailers)))))
}

fn trailers_of(spooled: &Spooled) -> HeaderMap {
    let mut trailers = spooled.trailers().cloned().unwrap_or_default();
    remove_if(&mut trailers, |name| !hop::is_forwardable_trailer(name));
    trailers
}

fn chunked(headers: &mut HeaderMap) {
    headers.insert(
        header::TRANSFER_ENCODING,
        HeaderValue::from_static("chunked"),
    );
}

/// RFC 9110 §8.6: "a user agent normally sends Content-Length in a POST request even when the
/// value is 0 (indicating empty content)".
fn has_content_by_nature(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

fn bad_request(source: impl Into<BoxError>) -> Error {
    Error::new(ErrorKind::BadRequest).with_source(source)
}

fn drop_ambiguous(headers: &mut HeaderMap) {
    remove_if(headers, |name| {
        let is_ambiguous = hop::is_ambiguous_name(name);
        if is_ambiguous {
            tracing::debug!(%name, "dropped a field whose name a CGI application cannot tell from another");
        }
        is_ambiguous
    });
}

fn remove_if(headers: &mut HeaderMap, condemned: impl Fn(&HeaderName) -> bool) {
    let names: Vec<_> = headers
        .keys()
        .filter(|name| condemned(name))
        .cloned()
        .collect();
    for name in names {
        headers.remove(name);
    }
}

/// Tells the upstream who asked: what is known here, and what a trusted peer said.
fn identify(
    config: &Config,
    headers: &mut HeaderMap,
    extensions: &Extensions,
    uri: &Uri,
    host: Option<&HeaderValue>,
) {
    let peer = PeerAddr::of(extensions);
    let mut identity = if config.trusts(peer) {
        Identity::read(headers)
    } else {
        remove_if(headers, forwarded::is_identity);
        Identity::default()
    };
    if let Some(ip) = peer.and_then(|peer| peer.ip()) {
        identity.chain.push(Node::Ip(ip));
    }
    if let Some(host) = host.filter(|host| !host.is_empty()) {
        identity.host.get_or_insert_with(|| host.clone());
    }
    identity.proto.get_or_insert_with(|| {
        let scheme = extensions.get().unwrap_or(&config.scheme);
        if *scheme == Scheme::HTTPS {
            HeaderValue::from_static("https")
        } else {
            HeaderValue::from_static("http")
        }
    });
    identity
        .prefix
        .push_str(&mount::external_prefix(extensions, uri.path()));
    match config.forwarded {
        ForwardedHeaders::Both => {
            identity.write_x_forwarded(headers);
            identity.write_forwarded(headers);
        }
        ForwardedHeaders::XForwarded => {
            identity.write_x_forwarded(headers);
            headers.remove(header::FORWARDED);
        }
        ForwardedHeaders::Forwarded => {
            Identity::default().write_x_forwarded(headers);
            identity.write_forwarded(headers);
        }
        ForwardedHeaders::Neither => {}
    }
}

impl Config {
    /// Whether what this peer says of others is believed. What is unknown is not trusted.
    fn trusts(&self, peer: Option<PeerAddr>) -> bool {
        match peer {
            None => false,
            Some(PeerAddr::Unix(_)) => self.trusts_unix_peers,
            Some(peer) => peer
                .ip()
                .is_some_and(|ip| self.trusted.iter().any(|network| network.contains(&ip))),
        }
    }
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
fn origin_form(uri: Uri) -> Uri {
    if uri.scheme().is_none() && uri.authority().is_none() {
        return uri;
    }
    let target = uri.into_parts().path_and_query;
    Uri::from(target.unwrap_or_else(|| PathAndQuery::from_static("/")))
}
