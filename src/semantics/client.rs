//! Who asks, by what name and over what, as told to the application behind: once, for every way
//! there.

use std::net::IpAddr;

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Uri, header, uri::Scheme};

use super::{
    forwarded::{self, Identity},
    mount,
    peer::PeerAddr,
    trust::Trust,
};

/// Which fields tell the application who asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardedHeaders {
    /// `X-Forwarded-*` and `Forwarded`, saying the same: frameworks read one or the other, and what
    /// they do not find they may take from somewhere else.
    #[default]
    Both,
    /// `X-Forwarded-For`, `-Proto`, `-Host`, `-Port` and `-Prefix`.
    XForwarded,
    /// `Forwarded`, RFC 7239. It has no word for the prefix.
    Forwarded,
    /// Neither. What an untrusted client says of itself is removed all the same.
    Neither,
}

/// What is to be known for that, of a whole service.
#[derive(Clone, Debug)]
pub(crate) struct Introduction {
    pub(crate) trust: Trust,
    pub(crate) forwarded: ForwardedHeaders,
    /// By what clients come, where neither the request nor a trusted peer says so.
    pub(crate) scheme: Scheme,
}

/// What is known of the client of a request.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) addr: Option<IpAddr>,
    /// The port of the connection, if it is the client's own.
    pub(crate) port: Option<u16>,
    /// By what the client came: `http` or `https`, or what a trusted peer says.
    pub(crate) scheme: HeaderValue,
    /// The host that the client asked for, if it is known.
    #[cfg_attr(not(feature = "wsgi"), allow(dead_code))]
    pub(crate) host: Option<HeaderValue>,
    /// The path that was stripped on the way.
    pub(crate) prefix: String,
}

impl Introduction {
    pub(crate) fn new(forwarded: ForwardedHeaders) -> Self {
        Self {
            trust: Trust::nobody(),
            forwarded,
            scheme: Scheme::HTTP,
        }
    }

    /// Who asks; the fields that tell of it are written anew, and those that a client may not
    /// write are gone. `host` is what the request itself is for.
    pub(crate) fn of(
        &self,
        headers: &mut HeaderMap,
        extensions: &Extensions,
        uri: &Uri,
        host: Option<&HeaderValue>,
    ) -> Client {
        let peer = PeerAddr::of(extensions);
        if !self.trust.believes(peer) {
            remove_if(headers, forwarded::is_identity);
        }
        let mut identity = self.trust.identity(headers, peer);
        let addr = identity.client();
        let is_own = peer.is_some_and(|peer| peer.ip() == addr);
        if let Some(host) = host.filter(|host| !host.is_empty()) {
            identity.host.get_or_insert_with(|| host.clone());
        }
        let scheme = identity
            .proto
            .get_or_insert_with(|| {
                let scheme = extensions.get().unwrap_or(&self.scheme);
                if *scheme == Scheme::HTTPS {
                    HeaderValue::from_static("https")
                } else {
                    HeaderValue::from_static("http")
                }
            })
            .clone();
        identity
            .prefix
            .push_str(&mount::external_prefix(extensions, uri.path()));
        match self.forwarded {
            ForwardedHeaders::Both => identity.write_both(headers),
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
        Client {
            addr,
            port: match peer {
                Some(PeerAddr::Tcp(peer)) if is_own => Some(peer.port()),
                _ => None,
            },
            scheme,
            host: identity.host,
            prefix: identity.prefix,
        }
    }
}

impl Client {
    /// This process itself.
    #[cfg(feature = "gateway-proxy")]
    pub(crate) fn nobody() -> Self {
        Self {
            addr: None,
            port: None,
            scheme: HeaderValue::from_static("http"),
            host: None,
            prefix: String::new(),
        }
    }
}

/// Says how many names there were.
pub(crate) fn remove_if(headers: &mut HeaderMap, condemned: impl Fn(&HeaderName) -> bool) -> usize {
    let names = headers.keys().filter(|name| condemned(name));
    let names: Vec<_> = names.cloned().collect();
    for name in &names {
        headers.remove(name);
    }
    names.len()
}
