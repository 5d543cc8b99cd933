//! What you can say to a gateway proxy.

use std::{error, fmt, net::IpAddr, sync::Arc, time::Duration};

use http::uri::{Authority, Scheme};
use ipnet::IpNet;
use tower_layer::Layer;

use super::{
    GatewayProxyService,
    pool::{Limits, Pool},
    upgrade::Tunnels,
    upstream::{InvalidUpstream, Upstream},
};
use crate::{PathPolicy, body::spool::Spool, semantics::mount::Prefix};

/// Passes requests to an application server. See the [module docs](super) for an example.
///
/// A layer (what is [`at`](GatewayProxy::at) its prefixes goes to the upstream, the rest to the
/// inner service) and a service of its own. Its clones, and the services it makes, share one
/// pool of connections; a setter makes a new pool.
#[derive(Clone, Debug)]
#[must_use]
pub struct GatewayProxy {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) pool: Arc<Pool>,
    pub(super) tunnels: Tunnels,
}

#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) prefixes: Vec<Prefix>,
    pub(super) paths: PathPolicy,
    pub(super) host: HostPolicy,
    pub(super) forwarded: ForwardedHeaders,
    pub(super) scheme: Scheme,
    pub(super) trusted: Vec<IpNet>,
    pub(super) trusts_unix_peers: bool,
    pub(super) drops_ambiguous_names: bool,
    pub(super) spool: Spool,
    pub(super) streams_requests: bool,
    pub(super) response_timeout: Duration,
    pub(super) read_timeout: Duration,
    pub(super) upgrade_idle_timeout: Duration,
    pub(super) limits: Limits,
}

/// What the upstream is told in `Host`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostPolicy {
    /// What the client said. The default: an application makes links of it.
    #[default]
    Keep,
    /// The upstream's own name (and port, if its URL has one); `localhost` for a Unix socket.
    Upstream,
    /// Always this.
    Fixed(Authority),
}

/// Which fields tell the upstream who asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardedHeaders {
    /// `X-Forwarded-*` and `Forwarded`, saying the same. The default: frameworks read one or the
    /// other, and what they do not find they may take from somewhere else.
    #[default]
    Both,
    /// `X-Forwarded-For`, `-Proto`, `-Host`, `-Port` and `-Prefix`.
    XForwarded,
    /// `Forwarded`, RFC 7239. It has no word for the prefix.
    Forwarded,
    /// Neither. What an untrusted client says of itself is removed all the same.
    Neither,
}

impl GatewayProxy {
    /// A proxy to the upstream at `url`: `http://host:port`, or `http+unix:/path/of/socket`.
    ///
    /// A name is looked up anew for every connection, and its addresses are tried in turn.
    /// Nothing is connected before the first request.
    ///
    /// # Errors
    ///
    /// If it is not such a URL, or one with a path, a query, or a user name.
    pub fn to(url: &str) -> Result<Self, InvalidUpstream> {
        let config = Config {
            prefixes: Vec::new(),
            paths: PathPolicy::new(),
            host: HostPolicy::Keep,
            forwarded: ForwardedHeaders::Both,
            scheme: Scheme::HTTP,
            trusted: Vec::new(),
            trusts_unix_peers: false,
            drops_ambiguous_names: true,
            spool: Spool::new(),
            streams_requests: false,
            response_timeout: Duration::from_secs(60),
            read_timeout: Duration::from_secs(60),
            upgrade_idle_timeout: Duration::from_secs(60 * 60),
            limits: Limits {
                max_connections: 512,
                max_waiting: 1024,
                max_idle: 64,
                wait: Duration::from_secs(5),
                connect: Duration::from_secs(5),
                idle: Duration::from_millis(1500),
                max_head: 64 << 10,
            },
        };
        Ok(Self::new(url.parse()?, config))
    }

    fn new(upstream: Upstream, config: Config) -> Self {
        let pool = Arc::new(Pool::new(upstream, config.limits.clone()));
        Self {
            shared: Arc::new(Shared {
                config,
                pool,
                tunnels: Tunnels::default(),
            }),
        }
    }

    fn with(self, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = self.shared.config.clone();
        change(&mut config);
        Self::new(self.shared.pool.upstream().clone(), config)
    }

    /// Sends the paths below `prefix` to the upstream; may be given more than once. Without any,
    /// every path is sent there.
    ///
    /// The rest goes to the inner service, or, when the proxy ends the stack, is answered 404.
    /// The upstream is sent the path as it is read: nothing is stripped from it.
    ///
    /// # Panics
    ///
    /// If `prefix` is not a canonical path that begins with a slash.
    #[track_caller]
    pub fn at(self, prefix: &str) -> Self {
        match prefix.parse() {
            Ok(prefix) => self.with(|config| config.prefixes.push(prefix)),
            Err(invalid) => panic!("{invalid}"),
        }
    }

    /// What to do with paths that are not canonical. See [`PathPolicy`] for its default.
    pub fn paths(self, policy: PathPolicy) -> Self {
        self.with(|config| config.paths = policy)
    }

    /// What the upstream is told in `Host`. Defaults to [`HostPolicy::Keep`].
    pub fn host(self, policy: HostPolicy) -> Self {
        self.with(|config| config.host = policy)
    }

    /// Which fields tell the upstream who asked. Defaults to [`ForwardedHeaders::Both`].
    pub fn forwarded(self, families: ForwardedHeaders) -> Self {
        self.with(|config| config.forwarded = families)
    }

    /// The scheme by which clients reach this server. Defaults to `http`.
    ///
    /// Say `https` when TLS ends in this process. A request with a [`Scheme`] among its
    /// extensions has that one. The scheme in the target of a request (HTTP/2's `:scheme`) is
    /// not used: it is what the client claims, over a plain connection too.
    pub fn forwarded_scheme(self, scheme: Scheme) -> Self {
        self.with(|config| config.scheme = scheme)
    }

    /// Believes what peers in this network (`10.0.0.0/8`, or one address) say of whom they
    /// speak for; may be given more than once. Nobody is trusted by default.
    ///
    /// The chain of a trusted peer is continued; what anybody else says is replaced.
    ///
    /// # Errors
    ///
    /// If it is neither a network nor an address.
    pub fn trust(self, network: &str) -> Result<Self, InvalidNetwork> {
        let parsed = network
            .parse::<IpNet>()
            .or_else(|_| network.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_invalid| InvalidNetwork(network.to_owned()))?;
        Ok(self.with(|config| config.trusted.push(parsed)))
    }

    /// Whether peers on a Unix socket are believed. Defaults to `false`.
    pub fn trust_unix_peers(self, trust: bool) -> Self {
        self.with(|config| config.trusts_unix_peers = trust)
    }

    /// Whether fields of requests with `_` or `.` in their name, and `Proxy`, are dropped.
    /// Defaults to `true`.
    ///
    /// To a CGI or WSGI application they are the same as others that only a proxy may set: see
    /// [`is_ambiguous_name`](crate::semantics::hop::is_ambiguous_name).
    pub fn drop_ambiguous_names(self, drop: bool) -> Self {
        self.with(|config| config.drops_ambiguous_names = drop)
    }

    /// How request bodies are collected before a connection is taken: see [`Spool`] for its
    /// defaults (64 KiB in memory, 100 MiB in all, 60 seconds between reads).
    pub fn spool(self, spool: Spool) -> Self {
        self.with(|config| config.spool = spool)
    }

    /// Sends request bodies as they come, and does not collect them.
    ///
    /// It saves memory, disk and time, and costs this: a slow client holds an upstream connection
    /// (and a synchronous worker) for as long as it likes to send, and a request with a body is
    /// not tried again on a fresh connection. The spool's limit and timeout still hold.
    pub fn stream_requests(self) -> Self {
        self.with(|config| config.streams_requests = true)
    }

    /// How long a connection may take to be made, with the lookup of its name. Defaults to 5
    /// seconds; beyond, the answer is 504.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.limits.connect = timeout)
    }

    /// How long the head of an answer may take once the request is sent, and how long the
    /// upstream may take no more of a request. Defaults to 60 seconds, as nginx's
    /// `proxy_read_timeout`; beyond, the answer is 504.
    pub fn response_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.response_timeout = timeout)
    }

    /// How long the body of an answer may pause. Defaults to 60 seconds; beyond, the client's
    /// connection is broken off. Raise it for event streams that are quiet for longer.
    pub fn read_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.read_timeout = timeout)
    }

    /// How long an upgraded connection may be quiet in both directions. Defaults to one hour:
    /// WebSocket peers that care send a ping every minute or less, and those that do not should
    /// not be cut. It costs two descriptors for each peer that vanished without a word.
    pub fn upgrade_idle_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.upgrade_idle_timeout = timeout)
    }

    /// How many connections to the upstream are used at once. Defaults to 512.
    ///
    /// A connection counts until the body of its answer is over, an upgraded one until it ends.
    /// Set it to what the upstream can work on: more only wait in its backlog, where they cannot
    /// be told to go away.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn max_connections(self, max: usize) -> Self {
        assert!(max > 0, "with no connection nothing is ever answered");
        let max = max.min(tokio::sync::Semaphore::MAX_PERMITS);
        self.with(|config| config.limits.max_connections = max)
    }

    /// How many requests may wait for a connection, in the order of their coming. Defaults to
    /// 1024; the next is answered 503 at once. Each costs its head and its spooled body.
    pub fn max_waiting(self, max: usize) -> Self {
        self.with(|config| config.limits.max_waiting = max)
    }

    /// How long a request waits for a connection. Defaults to 5 seconds; beyond, the answer is
    /// 503.
    pub fn pool_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.limits.wait = timeout)
    }

    /// How many connections are kept when nobody uses them. Defaults to 64; zero keeps none.
    pub fn max_idle(self, max: usize) -> Self {
        self.with(|config| config.limits.max_idle = max)
    }

    /// How long a connection is kept when nobody uses it. Defaults to 1.5 seconds.
    ///
    /// It should be shorter than the upstream's own limit, or requests are sent into connections
    /// that are being closed: Gunicorn's `keepalive` is 2 seconds, and says so nowhere on the
    /// wire.
    pub fn idle_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.limits.idle = timeout)
    }

    /// How many bytes the head of an answer may have. Defaults to 64 KiB (and 100 fields, which
    /// is fixed); beyond, the answer is 502.
    pub fn max_response_head(self, bytes: usize) -> Self {
        self.with(|config| config.limits.max_head = bytes)
    }
}

impl<S> Layer<S> for GatewayProxy {
    type Service = GatewayProxyService<S>;

    fn layer(&self, inner: S) -> GatewayProxyService<S> {
        GatewayProxyService::new(self.clone(), inner)
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
