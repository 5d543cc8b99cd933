//! What is said of several upstreams.

use std::time::Duration;

use super::GatewayProxy;
use crate::gateway_proxy::{Balance, Ejection, HealthCheck, Retries, Sticky};

impl GatewayProxy {
    /// Which upstream a request goes to. Defaults to [`Balance::PeakEwma`]; what each policy costs is
    /// said there.
    ///
    /// An upstream is passed over while it has no connection to spare, is
    /// [ejected](GatewayProxy::ejection), or is [down](GatewayProxy::health_check); if that leaves
    /// none, the least doubtful are asked all the same.
    pub fn balance(self, policy: Balance) -> Self {
        self.with(|config| config.balance = policy)
    }

    /// Keeps the requests of a session on one upstream, by a cookie. Off by default: it costs a
    /// `Set-Cookie` in the first answer, and an even load.
    pub fn sticky(self, sticky: Sticky) -> Self {
        self.with(|config| config.sticky = Some(sticky))
    }

    /// How long an upstream that is new, or came back, takes to get its whole share. Defaults to
    /// zero: at once.
    pub fn slow_start(self, time: Duration) -> Self {
        self.with(|config| config.slow_start = time)
    }

    /// When an upstream that fails is left alone for a while. By default for 30 seconds after 5
    /// failures in a row, and never the only one; see [`Ejection`].
    pub fn ejection(self, ejection: Ejection) -> Self {
        self.with(|config| config.ejection = ejection)
    }

    /// Asks each upstream again and again whether it is well. Off by default. It costs a task, and a
    /// connection and a request for each upstream and interval (5 seconds by default).
    ///
    /// The first request starts it, or [`Handle::start`](crate::gateway_proxy::Handle::start).
    pub fn health_check(self, check: HealthCheck) -> Self {
        self.with(|config| config.health_check = Some(check))
    }

    /// Looks the names of upstreams up, again and again, and takes each of their addresses for an
    /// upstream of its own. Off by default: a name is one upstream, and is looked up for each
    /// connection.
    ///
    /// How long an answer holds (its TTL) is not known here, so say what the name server says. A
    /// name that cannot be looked up keeps the addresses that it had. The first request starts it,
    /// or [`Handle::start`](crate::gateway_proxy::Handle::start); until then a name is one upstream.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn resolve(self, every: Duration) -> Self {
        assert!(
            !every.is_zero(),
            "looking a name up takes time: say Duration::from_secs(30)"
        );
        self.with(|config| config.resolve = Some(every))
    }

    /// Which requests are tried again when an upstream fails. By default those that are safe to be
    /// sent twice, three times at most; see [`Retries`].
    pub fn retries(self, retries: Retries) -> Self {
        self.with(|config| config.retries = retries)
    }
}
