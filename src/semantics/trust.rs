//! Whose word about others counts: peers that are proxies of one's own.
//!
//! ```
//! use http::{Extensions, HeaderMap, HeaderValue};
//! use tower_gateway::{PeerAddr, semantics::trust::Trust};
//!
//! let trust = Trust::nobody().network("10.0.0.0/8")?;
//! let mut headers = HeaderMap::new();
//! headers.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.7"));
//! let mut extensions = Extensions::new();
//!
//! extensions.insert(PeerAddr::Tcp("10.1.2.3:5000".parse()?));
//! assert_eq!(trust.client(&headers, &extensions), Some("192.0.2.7".parse()?));
//!
//! // Who is not trusted speaks for himself.
//! extensions.insert(PeerAddr::Tcp("203.0.113.9:5000".parse()?));
//! assert_eq!(trust.client(&headers, &extensions), Some("203.0.113.9".parse()?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::{error, fmt, net::IpAddr};

use http::{Extensions, HeaderMap};
use ipnet::IpNet;

use super::{
    forwarded::{Identity, Node},
    peer::PeerAddr,
};

/// The peers that are believed what they say of others.
///
/// A trusted peer must itself set or remove each of `X-Forwarded-For`, `-Proto`, `-Host`,
/// `-Prefix` and `Forwarded`: what it passes on of a client's, the client chooses.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Trust {
    networks: Vec<IpNet>,
    unix_peers: bool,
}

impl Trust {
    /// Believes nobody.
    pub fn nobody() -> Self {
        Self::default()
    }

    /// Also believes the peers in this network (`10.0.0.0/8`), or at this one address.
    ///
    /// # Errors
    ///
    /// If it is neither.
    pub fn network(mut self, network: &str) -> Result<Self, InvalidNetwork> {
        let parsed = network
            .parse::<IpNet>()
            .or_else(|_| network.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_invalid| InvalidNetwork(network.to_owned()))?;
        self.networks.push(parsed);
        Ok(self)
    }

    /// Whether it believes peers on a Unix socket. Defaults to `false`.
    pub fn unix_peers(mut self, believe: bool) -> Self {
        self.unix_peers = believe;
        self
    }

    /// Whether what this peer says of others is believed. What is unknown is not.
    #[must_use]
    pub fn believes(&self, peer: Option<PeerAddr>) -> bool {
        match peer {
            None => false,
            Some(PeerAddr::Unix(_)) => self.unix_peers,
            Some(peer) => peer.ip().is_some_and(|ip| self.believes_ip(ip)),
        }
    }

    /// Who asked, by the peer, and by what it says if it is believed.
    #[must_use]
    pub fn identity(&self, headers: &HeaderMap, peer: Option<PeerAddr>) -> Identity {
        let is_trusted = |node: &Node| matches!(node, Node::Ip(ip) if self.believes_ip(*ip));
        let mut identity = match self.believes(peer) {
            true => Identity::read(headers, is_trusted),
            false => Identity::default(),
        };
        let peer = peer.and_then(|peer| peer.ip());
        identity.chain.extend(peer.map(Node::Ip));
        identity
    }

    /// The address of the client, if it is known.
    #[must_use]
    pub fn client(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let peer = PeerAddr::of(extensions);
        if !self.believes(peer) {
            return peer?.ip();
        }
        self.identity(headers, peer).client()
    }

    fn believes_ip(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&ip))
    }
}

/// A text that is neither a network in CIDR notation nor an IP address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidNetwork(String);

impl fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is neither a network, as in 10.0.0.0/8, nor an IP address",
            self.0
        )
    }
}

impl error::Error for InvalidNetwork {}
