//! Looking at the upstreams from beside, and changing them.

use std::{sync::Arc, time::Duration};

use futures_core::Stream;
use tokio::time::Instant;

use super::{
    health::State,
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

/// What is known of an upstream at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UpstreamStatus {
    /// Where it is, and its part of the work.
    pub upstream: Upstream,
    /// Whether it gets no more requests.
    pub is_draining: bool,
    /// What is known of its health.
    pub health: UpstreamHealth,
    /// How long it takes to the head of its answers, at the worst of late.
    pub latency: Duration,
    /// Requests that it works on.
    pub in_flight: usize,
    /// Connections in use: one for each request that is not over.
    pub in_use: usize,
    /// Connections that are kept for the next requests.
    pub idle: usize,
    /// Requests that wait for a connection.
    pub waiting: usize,
    /// Connections that were made since it is known.
    pub connected: u64,
    /// Requests that were sent to it, each try for one.
    pub requests: u64,
    /// Those that failed: without an answer, or with one of a status that [is a
    /// failure](super::Ejection::on_status).
    pub failures: u64,
}

/// Whether an upstream is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpstreamHealth {
    /// It is.
    Up,
    /// It has [failed too often](super::GatewayProxy::ejection) and is left alone for so long.
    Ejected(Duration),
    /// It has yet to show that it is well.
    Unknown,
    /// [Health checks](super::GatewayProxy::health_check) fail.
    Down,
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The upstreams as they are now, in their order.
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

    /// Sends no more requests to the upstream at `url`; `false` if there is none. What it is
    /// working on, it ends: [`upstreams`](Handle::upstreams) tells how much that is.
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
    pub async fn warm_up(&self, connections: usize) -> usize {
        let servers = self.shared.table.members().servers.clone();
        let mut made = 0;
        for server in servers {
            match server.pool().warm_up(connections).await {
                Ok(some) => made += some,
                Err(error) => {
                    tracing::warn!(upstream = %server.address(), reason = %error, "cannot be warmed up");
                }
            }
        }
        made
    }
}

impl UpstreamStatus {
    fn of(server: &Server) -> Self {
        let counts = server.pool().counts();
        let now = Instant::now();
        let known = &server.known;
        Self {
            health: match known.health.state(now) {
                State::Up => UpstreamHealth::Up,
                State::Ejected { until } => UpstreamHealth::Ejected(until - now),
                State::Unknown => UpstreamHealth::Unknown,
                State::Down => UpstreamHealth::Down,
            },
            latency: known.load.latency(now),
            in_flight: known.load.in_flight(),
            upstream: server.upstream.clone(),
            is_draining: server.is_draining(),
            in_use: counts.in_use,
            idle: counts.idle,
            waiting: counts.waiting,
            connected: counts.connected,
            requests: server.requests(),
            failures: server.failures(),
        }
    }
}
