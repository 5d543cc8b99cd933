//! Whose a request is, where that counts.

use std::{fmt, net::IpAddr, sync::Arc};

use http::{HeaderName, request::Parts};

use crate::{
    MountPoint, PeerAddr,
    semantics::{
        path::match_key,
        trust::{InvalidNetwork, Trust},
    },
};

/// Whose a request is, for a limit for each of them: see
/// [`ConcurrencyLimit::per_key`](super::ConcurrencyLimit::per_key).
///
/// A request of nobody (no address is known, there is no such header) counts for the limit of all
/// only, as an empty key does in nginx's `limit_conn`.
#[derive(Clone, Debug)]
#[must_use]
pub struct LimitKey(Kind);

#[derive(Clone)]
enum Kind {
    Client { trust: Trust, v6_prefix: u8 },
    Header(HeaderName),
    Mount,
    By(Arc<dyn Fn(&Parts) -> Option<String> + Send + Sync>),
}

/// Whose a request is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Addr(IpAddr),
    Text(Arc<[u8]>),
}

impl LimitKey {
    /// The client's address, as far as it is known: that of the peer, or what a peer that is
    /// trusted says ([`trust`](Self::trust)). Clients of which it says no address count as that
    /// peer, all of them together.
    ///
    /// Of an IPv6 address the first 64 bits count, since that is what one subscriber has: see
    /// [`v6_prefix`](Self::v6_prefix).
    ///
    /// Cost: no allocation, unless a trusted peer's fields are to be read.
    pub fn client() -> Self {
        Self(Kind::Client {
            trust: Trust::nobody(),
            v6_prefix: 64,
        })
    }

    /// Of the key [`client`](Self::client): also believes the proxies in this network
    /// (`10.0.0.0/8`, or one address). Nobody by default. On any other key it has no effect.
    ///
    /// # Errors
    ///
    /// If it is neither a network nor an address.
    pub fn trust(self, network: &str) -> Result<Self, InvalidNetwork> {
        Ok(Self(match self.0 {
            Kind::Client { trust, v6_prefix } => Kind::Client {
                trust: trust.network(network)?,
                v6_prefix,
            },
            kind => kind,
        }))
    }

    /// Of the key [`client`](Self::client): whether peers on a Unix socket are believed. Defaults to `false`. On any
    /// other key it has no effect.
    pub fn trust_unix_peers(self, believe: bool) -> Self {
        Self(match self.0 {
            Kind::Client { trust, v6_prefix } => Kind::Client {
                trust: trust.unix_peers(believe),
                v6_prefix,
            },
            kind => kind,
        })
    }

    /// Of the key [`client`](Self::client): how many bits of an IPv6 address count, at most 128.
    /// Defaults to 64. On any other key it has no effect.
    pub fn v6_prefix(self, bits: u8) -> Self {
        Self(match self.0 {
            Kind::Client { trust, .. } => Kind::Client {
                trust,
                v6_prefix: bits.min(128),
            },
            kind => kind,
        })
    }

    /// The value of this header field (the first, if there are several): an API key, a tenant.
    ///
    /// A client that may choose it has as many shares as it makes up: only for a field that
    /// somebody outside has checked.
    ///
    /// Cost: the value is copied.
    pub fn header(name: HeaderName) -> Self {
        Self(Kind::Header(name))
    }

    /// Where the request's application is mounted: the prefix that
    /// [`PathDispatch`](crate::PathDispatch) stripped, as [`MountPoint`] tells it.
    ///
    /// Cost: the prefix is copied.
    pub fn mount() -> Self {
        Self(Kind::Mount)
    }

    /// What this function says. `None`: nobody's.
    pub fn by<F>(key: F) -> Self
    where
        F: Fn(&Parts) -> Option<String> + Send + Sync + 'static,
    {
        Self(Kind::By(Arc::new(key)))
    }

    pub(super) fn of(&self, parts: &Parts) -> Option<Key> {
        let text = |text: &[u8]| (!text.is_empty()).then(|| Key::Text(text.into()));
        match &self.0 {
            Kind::Client { trust, v6_prefix } => trust
                .client(&parts.headers, &parts.extensions)
                // A client that hides behind a proxy shares with all who do.
                .or_else(|| PeerAddr::of(&parts.extensions)?.ip())
                .map(|ip| Key::Addr(network(ip, *v6_prefix))),
            Kind::Header(name) => text(parts.headers.get(name)?.as_bytes()),
            Kind::Mount => {
                let mount = MountPoint::of(&parts.extensions)?;
                text(match_key(mount.prefix()).as_bytes())
            }
            Kind::By(key) => text(key(parts)?.as_bytes()),
        }
    }
}

/// The network of a client: the address itself for IPv4, also where it is written as IPv6.
fn network(ip: IpAddr, v6_prefix: u8) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => {
            let host_bits = 128 - u32::from(v6_prefix);
            let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
            IpAddr::V6((ip.to_bits() & mask).into())
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client { trust, v6_prefix } => f
                .debug_struct("Client")
                .field("trust", trust)
                .field("v6_prefix", v6_prefix)
                .finish(),
            Self::Header(name) => f.debug_tuple("Header").field(name).finish(),
            Self::Mount => f.write_str("Mount"),
            Self::By(_) => f.debug_struct("By").finish_non_exhaustive(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
