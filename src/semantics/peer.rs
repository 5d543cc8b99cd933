//! Who is connected.
//!
//! ```
//! use http::Request;
//! use tower_gateway::PeerAddr;
//!
//! let mut request = Request::new(());
//! assert_eq!(PeerAddr::of(request.extensions()), None);
//!
//! request.extensions_mut().insert(PeerAddr::Tcp("192.0.2.7:50000".parse()?));
//! let peer = PeerAddr::of(request.extensions()).unwrap();
//! assert_eq!(peer.ip(), Some("192.0.2.7".parse()?));
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use http::Extensions;

/// The other end of the connection on which a request came: an extension of the request.
///
/// The crate's own server puts it there, or the user of another server does; with the feature
/// `axum`, axum's `ConnectInfo<SocketAddr>` is understood too. A request without it came from an
/// unknown peer, and what is unknown is never trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerAddr {
    /// The address and port of a TCP connection.
    Tcp(SocketAddr),
    /// A process on this machine, over a Unix socket.
    Unix(UnixPeer),
}

/// The address of the client of a request, which may be behind proxies: an extension of requests.
///
/// `GatewayProxy`, as a layer, puts it there for the service inside: the [`PeerAddr`], or, where
/// that is a proxy which is trusted, the last address before all that are. Absent means unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs)]
pub struct ClientAddr(pub IpAddr);

/// The process at the other end of a Unix socket, as the kernel knew it when it connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct UnixPeer {
    /// Its process id, where the system tells.
    pub pid: Option<i32>,
    /// Its user id, where the system tells.
    pub uid: Option<u32>,
}

impl UnixPeer {
    /// A peer with these ids.
    #[must_use]
    pub fn new(pid: Option<i32>, uid: Option<u32>) -> Self {
        Self { pid, uid }
    }
}

impl PeerAddr {
    /// The peer of the request that has these extensions, if it is known.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions
            .get::<Self>()
            .copied()
            .or_else(|| connect_info(extensions))
    }

    /// The IP address, for a TCP connection. An IPv4 address that a dual-stack socket shows as
    /// IPv6 (`::ffff:192.0.2.7`) is given as IPv4, so that it matches IPv4 networks.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip().to_canonical()),
            Self::Unix(_) => None,
        }
    }
}

#[cfg(feature = "axum")]
fn connect_info(extensions: &Extensions) -> Option<PeerAddr> {
    let axum::extract::ConnectInfo(address) = extensions.get()?;
    Some(PeerAddr::Tcp(*address))
}

#[cfg(not(feature = "axum"))]
fn connect_info(_: &Extensions) -> Option<PeerAddr> {
    None
}

impl fmt::Display for PeerAddr {
    /// The IP address, or `unix:`: as it is written to a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().fmt(f),
            Self::Unix(_) => f.write_str("unix:"),
        }
    }
}
