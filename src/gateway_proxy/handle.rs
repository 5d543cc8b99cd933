//! Looking at the upstreams from beside, and changing them.

mod status;

use std::{sync::Arc, time::Duration};

use futures_core::Stream;
use tokio::task::JoinSet;

pub use self::status::{UpstreamErrors, UpstreamHealth, UpstreamStatus};

use super::{
    layer::{Shared, Upstream},
    server::Server,
    upstream::InvalidUpstream,
};

/// What looks at the upstreams of a [`GatewayProxy`](super::GatewayProxy) while it runs, and
/// changes them.
///
/// ```
/// use tower_gateway::gateway_proxy::{GatewayProxy, Upstream};
///
/// let proxy = GatewayProxy::to_all(["http://10.0.0.1:8000", "http://10.0.0.2:8000"])?;
/// let handle = proxy.handle();
///
/// handle.add(Upstream::new("http://10.0.0.3:8000")?);
/// handle.drain("http://10.0.0.1:8000")?;
/// assert!(handle.upstreams()[0].is_draining);
/// assert!(handle.remove("http://10.0.0.1:8000")?);
/// assert_eq!(handle.upstreams().len(), 2);
/// # Ok::<(), tower_gateway::gateway_proxy::InvalidUpstream>(())
/// ```
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The upstreams as they are now, in their order.
    ///
    /// For a status page, or for a log when something is wrong:
    ///
    /// ```
    /// # use tower_gateway::GatewayProxy;
    /// # let proxy = GatewayProxy::to_all(["http://10.0.0.1:8000", "http://10.0.0.2:8000"])?;
    /// # let handle = proxy.handle();
    /// let mut page = format!("{:<24}{:<14}{:>9}{:>9}\n", "upstream", "health", "requests", "failures");
    /// for status in handle.upstreams() {
    ///     page += &format!(
    ///         "{:<24}{:<14}{:>9}{:>9}\n",
    ///         status.upstream, status.health, status.requests, status.failures,
    ///     );
    /// }
    /// assert_eq!(page, "\
    /// upstream                health         requests failures
    /// http://10.0.0.1:8000    up                    0        0
    /// http://10.0.0.2:8000    up                    0        0
    /// ");
    /// # Ok::<(), tower_gateway::gateway_proxy::InvalidUpstream>(())
    /// ```
    #[must_use]
    pub fn upstreams(&self) -> Vec<UpstreamStatus> {
        let members = self.shared.table.members();
        members
            .servers
            .iter()
            .map(|server| UpstreamStatus::of(server))
            .collect()
    }

    /// Adds an upstream, or changes what was said of the one at its address.
    pub fn add(&self, upstream: Upstream) {
        self.shared.table.change(|upstreams| {
            match upstreams
                .iter_mut()
                .find(|other| other.address == upstream.address)
            {
                Some(same) => *same = upstream,
                None => upstreams.push(upstream),
            }
        });
    }

    /// Takes the upstream at `url` out; `false` if there is none. What it is working on, it ends.
    ///
    /// # Errors
    ///
    /// If it is no URL of an upstream.
    pub fn remove(&self, url: &str) -> Result<bool, InvalidUpstream> {
        let gone = Upstream::new(url)?;
        let mut was_there = false;
        self.shared.table.change(|upstreams| {
            let before = upstreams.len();
            upstreams.retain(|upstream| upstream.address != gone.address);
            was_there = upstreams.len() < before;
        });
        Ok(was_there)
    }

    /// These upstreams and no others. Those that stay keep their connections, and what is known
    /// of them.
    pub fn set(&self, upstreams: impl IntoIterator<Item = Upstream>) {
        self.shared.table.set(upstreams.into_iter().collect());
    }

    /// Sends no more requests to the upstream at `url`, but those of sessions that
    /// [stick](super::Sticky) to it; `false` if there is none. What it is working on, it ends:
    /// [`upstreams`](Handle::upstreams) tells how much that is. Sessions leave it when it is
    /// [removed](Handle::remove).
    ///
    /// # Errors
    ///
    /// If it is no URL of an upstream.
    pub fn drain(&self, url: &str) -> Result<bool, InvalidUpstream> {
        self.set_draining(url, true)
    }

    /// Takes back a [`drain`](Handle::drain).
    ///
    /// # Errors
    ///
    /// If it is no URL of an upstream.
    pub fn resume(&self, url: &str) -> Result<bool, InvalidUpstream> {
        self.set_draining(url, false)
    }

    fn set_draining(&self, url: &str, drain: bool) -> Result<bool, InvalidUpstream> {
        let upstream = Upstream::new(url)?;
        Ok(self.shared.table.drain(&upstream, drain))
    }

    /// Begins at once with what the first request would begin: [health
    /// checks](super::GatewayProxy::health_check) and the [looking up of
    /// names](super::GatewayProxy::resolve).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[track_caller]
    pub fn start(&self) {
        assert!(
            tokio::runtime::Handle::try_current().is_ok(),
            "start it inside of a tokio runtime: there is none here"
        );
        self.shared.start();
    }

    /// How many upgraded connections (WebSockets) are open.
    #[must_use]
    pub fn tunnels(&self) -> usize {
        self.shared.tunnels.count()
    }

    /// Tells the upgraded connections to end within this time, and waits for it: WebSockets are
    /// sent a Close frame (1001), others go on until the time is up. Returns how many had to be
    /// cut off.
    ///
    /// `serve` does it when it stops; this is for other servers, and for moving clients elsewhere.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it waits no more; what was told stays told.
    pub async fn drain_tunnels(&self, within: Duration) -> usize {
        self.shared.tunnels.drain(within).await
    }

    /// [Sets](Handle::set) the upstreams to each list that comes, until the stream ends.
    ///
    /// A future to be spawned by whoever knows where the upstreams are: a watcher of a file, of
    /// Kubernetes, of Consul.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves the upstreams as they are.
    pub async fn follow(&self, changes: impl Stream<Item = Vec<Upstream>>) {
        let mut changes = std::pin::pin!(changes);
        while let Some(upstreams) = std::future::poll_fn(|cx| changes.as_mut().poll_next(cx)).await
        {
            self.set(upstreams);
        }
    }

    /// Makes up to `connections` connections to each upstream, so that the first requests need not
    /// wait for them. Returns how many were made; an upstream that cannot be reached is told in an
    /// event.
    ///
    /// No more are made than may be [kept](super::GatewayProxy::max_idle), and they are closed
    /// when they were idle for [too long](super::GatewayProxy::idle_timeout).
    ///
    /// # Cancel safety
    ///
    /// Dropped, it makes no more; what was made is kept.
    pub async fn warm_up(&self, connections: usize) -> usize {
        let warm_up = |server: &Arc<Server>| {
            let server = Arc::clone(server);
            async move {
                let warmed_up = server.pool().warm_up(connections).await;
                warmed_up.unwrap_or_else(|error| {
                    tracing::warn!(upstream = %server.address(), reason = %error, "cannot be warmed up");
                    0
                })
            }
        };
        // All at once: one that hangs keeps no other waiting.
        let members = self.shared.table.members();
        let all: JoinSet<_> = members.servers.iter().map(warm_up).collect();
        drop(members);
        all.join_all().await.into_iter().sum()
    }
}
