//! Who asked: what is known here, and what a trusted peer said.

use std::net::IpAddr;

use http::{Extensions, HeaderMap, HeaderValue, Uri, header, uri::Scheme};

use super::{ForwardedHeaders, layer::Config, request::remove_if};
use crate::{
    ClientAddr, PeerAddr,
    semantics::{
        forwarded::{self, Identity, Node},
        mount,
    },
};

/// What is known of the client of a request.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) addr: Option<IpAddr>,
    /// The port of the connection, if it is the client's own.
    pub(super) port: Option<u16>,
    /// By what the client came: `http` or `https`, or what a trusted peer says.
    pub(super) scheme: HeaderValue,
    /// The path that was stripped on the way.
    pub(super) prefix: String,
}

impl Client {
    /// This process itself.
    pub(super) fn nobody() -> Self {
        Self {
            addr: None,
            port: None,
            scheme: HeaderValue::from_static("http"),
            prefix: String::new(),
        }
    }
}

/// Tells the upstream who asked.
pub(super) fn identify(
    config: &Config,
    headers: &mut HeaderMap,
    extensions: &Extensions,
    uri: &Uri,
    host: Option<&HeaderValue>,
) -> Client {
    let peer = PeerAddr::of(extensions);
    if !config.trusts(peer) {
        remove_if(headers, forwarded::is_identity);
    }
    let mut identity = known(config, headers, peer);
    let addr = identity.client();
    let is_own = peer.is_some_and(|peer| peer.ip() == addr);
    if let Some(host) = host.filter(|host| !host.is_empty()) {
        identity.host.get_or_insert_with(|| host.clone());
    }
    let scheme = identity
        .proto
        .get_or_insert_with(|| {
            let scheme = extensions.get().unwrap_or(&config.scheme);
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
    match config.forwarded {
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
        prefix: identity.prefix,
    }
}

/// Who asked, for the service inside.
pub(super) fn client_addr(
    config: &Config,
    headers: &HeaderMap,
    extensions: &Extensions,
) -> Option<ClientAddr> {
    let identity = known(config, headers, PeerAddr::of(extensions));
    identity.client().map(ClientAddr)
}

/// What is known by the peer, and by what it says if it is trusted.
fn known(config: &Config, headers: &HeaderMap, peer: Option<PeerAddr>) -> Identity {
    let is_trusted = |node: &Node| matches!(node, Node::Ip(ip) if config.trusts_ip(*ip));
    let mut identity = match config.trusts(peer) {
        true => Identity::read(headers, is_trusted),
        false => Identity::default(),
    };
    let peer = peer.and_then(|peer| peer.ip());
    identity.chain.extend(peer.map(Node::Ip));
    identity
}

impl Config {
    /// Whether what this peer says of others is believed. What is unknown is not trusted.
    fn trusts(&self, peer: Option<PeerAddr>) -> bool {
        match peer {
            None => false,
            Some(PeerAddr::Unix(_)) => self.trusts_unix_peers,
            Some(peer) => peer.ip().is_some_and(|ip| self.trusts_ip(ip)),
        }
    }

    fn trusts_ip(&self, ip: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&ip))
    }
}
