use std::fmt;

use crate::gateway_proxy::upstream::{Address, InvalidUpstream};

/// An application server, and what part of the work it gets.
///
/// ```
/// use tower_gateway::gateway_proxy::{GatewayProxy, Upstream};
///
/// let proxy = GatewayProxy::to_upstreams([
///     Upstream::new("http://10.0.0.1:8000")?.weight(2),
///     Upstream::new("http://10.0.0.2:8000")?,
///     Upstream::new("uwsgi://10.0.0.9:3031")?.backup(),
/// ]);
/// let upstreams = proxy.handle().upstreams();
/// assert_eq!(upstreams[0].upstream, Upstream::new("http://10.0.0.1:8000")?.weight(2));
/// assert_eq!(upstreams[2].upstream.to_string(), "uwsgi://10.0.0.9:3031");
/// assert!(Upstream::new("ftp://10.0.0.1").is_err());
/// # Ok::<(), tower_gateway::gateway_proxy::InvalidUpstream>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Upstream {
    pub(in crate::gateway_proxy) address: Address,
    pub(in crate::gateway_proxy) weight: u32,
    pub(in crate::gateway_proxy) is_backup: bool,
}

impl Upstream {
    /// The server at `url`; see [`GatewayProxy::to`](crate::GatewayProxy::to) for what it may be.
    ///
    /// # Errors
    ///
    /// If it is not such a URL.
    pub fn new(url: &str) -> Result<Self, InvalidUpstream> {
        Ok(Self {
            address: url.parse()?,
            weight: 1,
            is_backup: false,
        })
    }

    /// How much it gets compared to the others. Defaults to 1.
    ///
    /// # Panics
    ///
    /// If it is zero: drain it instead.
    #[track_caller]
    pub fn weight(mut self, weight: u32) -> Self {
        assert!(
            weight > 0,
            "a server of weight 0 is one to be drained: Handle::drain"
        );
        self.weight = weight;
        self
    }

    /// It is asked only when none of the others can be.
    pub fn backup(mut self) -> Self {
        self.is_backup = true;
        self
    }
}

impl fmt::Display for Upstream {
    /// Its URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.address.to_string())
    }
}
