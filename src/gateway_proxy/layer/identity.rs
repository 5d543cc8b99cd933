//! What can be said of who asks.

use http::uri::Scheme;

use super::GatewayProxy;
use crate::semantics::{client::ForwardedHeaders, trust::InvalidNetwork};

impl GatewayProxy {
    /// Which fields tell the upstream who asked. Defaults to [`ForwardedHeaders::Both`], which is
    /// up to seven fields more in each request.
    pub fn forwarded(self, families: ForwardedHeaders) -> Self {
        self.with(|config| config.clients.forwarded = families)
    }

    /// The scheme by which clients reach this server. Defaults to `http`.
    ///
    /// Say `https` when TLS ends in this process. A request with a [`Scheme`] among its
    /// extensions has that one. The scheme in the target of a request (HTTP/2's `:scheme`) is
    /// not used: it is what the client claims, over a plain connection too.
    pub fn forwarded_scheme(self, scheme: Scheme) -> Self {
        self.with(|config| config.clients.scheme = scheme)
    }

    /// Believes what peers in this network (`10.0.0.0/8`, or one address) say of whom they
    /// speak for; may be given more than once. Nobody is trusted by default.
    ///
    /// The chain of a trusted peer is continued; what anybody else says is replaced.
    ///
    /// A trusted peer must itself set or remove each of `X-Forwarded-For`, `-Proto`, `-Host`,
    /// `-Prefix` and `Forwarded`: what it passes on of a client's, the client chooses. For one, nginx
    /// that is told to set `-For` and `-Proto` passes on the rest. `X-Forwarded-For` wins over
    /// `Forwarded`, and `X-Forwarded-Host` over `Host`; the prefix becomes `SCRIPT_NAME`. It may
    /// append: the chain is read from its end, and of several hosts, schemes or prefixes the last
    /// counts. See [`Identity::read`](crate::semantics::forwarded::Identity::read).
    ///
    /// # Errors
    ///
    /// If it is neither a network nor an address.
    pub fn trust(self, network: &str) -> Result<Self, InvalidNetwork> {
        let trust = self.shared.config.clients.trust.clone().network(network)?;
        Ok(self.with(|config| config.clients.trust = trust))
    }

    /// Whether peers on a Unix socket are believed. Defaults to `false`.
    pub fn trust_unix_peers(self, trust: bool) -> Self {
        self.with(|config| config.clients.trust = config.clients.trust.clone().unix_peers(trust))
    }
}
