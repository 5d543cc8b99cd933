//! What you can say to a gateway proxy.

mod answers;
mod identity;
mod limits;
mod several;
#[cfg(feature = "tls")]
pub(super) mod tls;
mod upstream;

use std::{sync::Arc, time::Duration};

use http::uri::Authority;

use tokio::time::Instant;
use tower_layer::Layer;

#[cfg(feature = "tls")]
use self::tls::Tls;

pub use self::upstream::Upstream;
use super::{
    AccelFields, Balance, Ejection, ErrorAnswers, GatewayProxyService, Handle, HashKey,
    HeaderEdits, HealthCheck, NamedFiles, Retries, Rewrites, Sticky, background::Background,
    pool::Limits, retry::Budget, seen::Requests, table::Table, upgrade::Tunnels,
    upstream::InvalidUpstream,
};
use crate::{
    PathPolicy,
    body::{buffer::Buffering, spool::Spool},
    semantics::{
        client::{ForwardedHeaders, Introduction},
        host,
        mount::Prefix,
        via::Pseudonym,
    },
};

/// Passes requests to an application server. See the [module docs](super) for an example.
///
/// A layer (what is [`at`](GatewayProxy::at) its prefixes goes to the upstream, the rest to the
/// inner service) and a service of its own. Its clones, and the services it makes, share their
/// connections and what is known of the upstreams; a setter begins anew.
#[derive(Clone, Debug)]
#[must_use]
pub struct GatewayProxy {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Arc<Config>,
    pub(super) table: Table,
    pub(super) budget: Budget,
    pub(super) tunnels: Tunnels,
    pub(super) background: Background,
    pub(super) requests: Requests,
}

#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) prefixes: Vec<Prefix>,
    pub(super) paths: PathPolicy,
    pub(super) host: HostPolicy,
    pub(super) clients: Introduction,
    pub(super) drops_ambiguous_names: bool,
    pub(super) via: Option<Pseudonym>,
    pub(super) forwards_trace: bool,
    pub(super) spool: Spool,
    pub(super) streams: Streams,
    pub(super) reuses_always: bool,
    pub(super) response_timeout: Duration,
    pub(super) read_timeout: Duration,
    pub(super) total_timeout: Option<Duration>,
    pub(super) upgrade_idle_timeout: Duration,
    pub(super) upgrade_lifetime: Option<Duration>,
    pub(super) limits: Limits,
    #[cfg(feature = "tls")]
    pub(super) tls: Tls,
    pub(super) balance: Balance,
    pub(super) slow_start: Duration,
    pub(super) sticky: Option<Sticky>,
    pub(super) ejection: Ejection,
    pub(super) health_check: Option<HealthCheck>,
    pub(super) retries: Retries,
    pub(super) buffering: Buffering,
    pub(super) rewrites: Rewrites,
    pub(super) request_headers: HeaderEdits,
    pub(super) response_headers: HeaderEdits,
    pub(super) error_answers: Option<ErrorAnswers>,
    pub(super) accel_fields: AccelFields,
    pub(super) named_files: NamedFiles,
    /// How often names are looked up.
    pub(super) resolve: Option<Duration>,
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

/// Which request bodies are sent on as they come.
#[derive(Clone, Debug)]
pub(super) enum Streams {
    All,
    /// Those below these paths.
    At(Vec<Prefix>),
}

impl Config {
    fn new() -> Self {
        Self {
            prefixes: Vec::new(),
            paths: PathPolicy::new(),
            host: HostPolicy::Keep,
            clients: Introduction::new(ForwardedHeaders::Both),
            drops_ambiguous_names: true,
            via: Some(Pseudonym::numbered(fastrand::u32(..))),
            forwards_trace: false,
            spool: Spool::new(),
            streams: Streams::At(Vec::new()),
            reuses_always: false,
            response_timeout: Duration::from_secs(60),
            read_timeout: Duration::from_secs(60),
            total_timeout: None,
            upgrade_idle_timeout: Duration::from_secs(60 * 60),
            upgrade_lifetime: None,
            limits: Limits {
                max_connections: 512,
                max_waiting: 1024,
                max_idle: 64,
                wait: Duration::from_secs(5),
                connect: Duration::from_secs(5),
                idle: Duration::from_millis(1500),
                max_age: Duration::from_secs(60 * 60),
                max_requests: 1000,
                max_head: 64 << 10,
            },
            #[cfg(feature = "tls")]
            tls: Tls::new(),
            balance: Balance::default(),
            slow_start: Duration::ZERO,
            sticky: None,
            ejection: Ejection::new(),
            health_check: None,
            retries: Retries::new(),
            buffering: Buffering::new(),
            rewrites: Rewrites::new(),
            request_headers: HeaderEdits::new(),
            response_headers: HeaderEdits::new(),
            error_answers: None,
            accel_fields: AccelFields::Take,
            named_files: NamedFiles::ToLayer,
            resolve: None,
        }
    }

    /// Whether the upstream is asked by another name than the client's.
    pub(super) fn sends_own_host(&self) -> bool {
        self.host != HostPolicy::Keep
    }

    /// What a hash is made of, if that decides.
    pub(super) fn hash_key(&self) -> Option<&HashKey> {
        match &self.balance {
            Balance::Hash(key) => Some(key),
            _ => None,
        }
    }

    /// Whether the body of a request for this path is sent on as it comes.
    pub(super) fn streams(&self, path: &str) -> bool {
        match &self.streams {
            Streams::All => true,
            Streams::At(prefixes) => prefixes.iter().any(|prefix| prefix.strip(path).is_some()),
        }
    }
}

impl GatewayProxy {
    /// A proxy to the upstream at `url`:
    ///
    /// - `http://host:port`, `http+unix:/path/of/socket`: HTTP/1.1, on port 80 if none is said;
    /// - `https://host:port` (feature `tls`): the same inside TLS, on port 443;
    /// - `uwsgi://host:port`, `uwsgi+unix:/path/of/socket`: the protocol of uWSGI;
    /// - `h2c://host:port`, `h2c+unix:/path/of/socket` (feature `http2`): HTTP/2 from the first
    ///   byte on, on port 80;
    /// - `h2://host:port` (features `http2` and `tls`): HTTP/2 inside TLS, on port 443.
    ///
    /// A name is looked up anew for every connection, and its addresses are tried in turn.
    /// Nothing is connected before the first request.
    ///
    /// # Errors
    ///
    /// If it is not such a URL, one with a path, a query, or a user name, or one of a protocol
    /// whose feature is missing.
    pub fn to(url: &str) -> Result<Self, InvalidUpstream> {
        Self::to_all([url])
    }

    /// A proxy to several upstreams that serve the same: each request goes to one of them, by
    /// default to the one of two that promises to answer sooner. They need not speak the same
    /// protocol. One that is given twice counts once.
    ///
    /// # Errors
    ///
    /// If one of them is not a URL as in [`to`](GatewayProxy::to).
    pub fn to_all<U: AsRef<str>>(
        urls: impl IntoIterator<Item = U>,
    ) -> Result<Self, InvalidUpstream> {
        let upstreams = urls.into_iter().map(|url| Upstream::new(url.as_ref()));
        Ok(Self::to_upstreams(
            upstreams.collect::<Result<Vec<_>, _>>()?,
        ))
    }

    /// A proxy to upstreams of which more is said than where they are.
    ///
    /// Without any, every request is answered 503 until the [`handle`](GatewayProxy::handle) adds
    /// one.
    pub fn to_upstreams(upstreams: impl IntoIterator<Item = Upstream>) -> Self {
        Self::new(upstreams.into_iter().collect(), Config::new())
    }

    fn new(upstreams: Vec<Upstream>, config: Config) -> Self {
        let config = Arc::new(config);
        let table = Table::new(upstreams, Arc::clone(&config));
        let budget = Budget::new(&config.retries, Instant::now());
        Self {
            shared: Arc::new(Shared {
                config,
                table,
                budget,
                tunnels: Tunnels::default(),
                background: Background::default(),
                requests: Requests::new(),
            }),
        }
    }

    fn with(self, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::clone(&self.shared.config);
        change(&mut config);
        Self::new(self.shared.table.upstreams(), config)
    }

    /// What looks at the upstreams while the proxy runs, and changes them. To be taken when all is
    /// said: a setter begins anew, with upstreams of its own.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.shared))
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
    ///
    /// # Panics
    ///
    /// If a [fixed](HostPolicy::Fixed) one is not a host and an optional port: it has a user name.
    #[track_caller]
    pub fn host(self, policy: HostPolicy) -> Self {
        if let HostPolicy::Fixed(authority) = &policy
            && !host::is_host(authority.as_str().as_bytes())
        {
            panic!("{authority} is not a host and an optional port");
        }
        self.with(|config| config.host = policy)
    }

    /// Whether fields of requests with `_` or `.` in their name, and `Proxy`, are dropped.
    /// Defaults to `true`; they are counted in `tower_gateway_proxy_dropped_fields_total`.
    ///
    /// To a CGI or WSGI application they are the same as others that only a proxy may set: see
    /// [`is_ambiguous_name`](crate::semantics::hop::is_ambiguous_name).
    pub fn drop_ambiguous_names(self, drop: bool) -> Self {
        self.with(|config| config.drops_ambiguous_names = drop)
    }

    /// How servers at `https://` and `h2://` are known, and who they are told that this is. See
    /// [`Tls`] for its defaults.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn tls(self, tls: Tls) -> Self {
        self.with(|config| config.tls = tls)
    }

    /// By which name this proxy signs in `Via`, of requests and answers, and knows a request that
    /// has come by before: it is answered 508. Defaults to `gateway-` and a random number.
    ///
    /// Say it where several processes are one gateway. RFC 9110 §7.6.3: "An HTTP-to-HTTP gateway
    /// MUST send an appropriate Via header field in each inbound request message".
    pub fn via(self, pseudonym: Pseudonym) -> Self {
        self.with(|config| config.via = Some(pseudonym))
    }

    /// Sends no `Via`, against the RFC, and finds no loops: a gateway that is its own upstream then
    /// takes every connection there is.
    pub fn without_via(self) -> Self {
        self.with(|config| config.via = None)
    }

    /// Passes `TRACE` on, without the fields that are known to hold credentials. By default it is
    /// answered 405: what the answer repeats (RFC 9110 §9.3.8) is more than a script should see.
    pub fn forward_trace(self) -> Self {
        self.with(|config| config.forwards_trace = true)
    }

    /// How request bodies are collected before a connection is taken: see [`Spool`] for its
    /// defaults (64 KiB in memory, 100 MiB in all, 60 seconds between reads). A body counts
    /// against no limit of connections while it comes, so it takes memory and disk beside those.
    pub fn spool(self, spool: Spool) -> Self {
        self.with(|config| config.spool = spool)
    }

    /// Sends request bodies as they come, and does not collect them.
    ///
    /// By default all are where every upstream speaks HTTP/2 (as gRPC wants it), and none elsewhere:
    /// the client's `Content-Type` has no say in it.
    ///
    /// It saves memory, disk and time, and costs this: a slow client holds an upstream connection
    /// (and a synchronous worker) for as long as it likes to send, and a request of whose body a
    /// byte was taken is not tried again. The spool's limit and timeout still hold. A body of
    /// unknown length is collected all the same for an upstream that speaks uwsgi, which has to be
    /// told one.
    ///
    /// An answer that begins before the request is over, and is not read ahead (see
    /// [`Buffering`](super::Buffering)), moves the rest of the request on while its client reads it.
    /// A client that reads nothing before all is sent stands still over HTTP/1.1 and uwsgi when the
    /// buffers of the sockets between are full, until the server's own limit on sending ends it. Over
    /// HTTP/2 the request goes on by itself.
    pub fn stream_requests(self) -> Self {
        self.with(|config| config.streams = Streams::All)
    }

    /// Sends request bodies below this path as they come; may be given more than once. See
    /// [`stream_requests`](GatewayProxy::stream_requests) for what it costs.
    ///
    /// # Panics
    ///
    /// If `prefix` is not a canonical path that begins with a slash.
    #[track_caller]
    pub fn stream_requests_at(self, prefix: &str) -> Self {
        match prefix.parse() {
            Ok(prefix) => self.with(|config| match &mut config.streams {
                Streams::All => {}
                Streams::At(prefixes) => prefixes.push(prefix),
            }),
            Err(invalid) => panic!("{invalid}"),
        }
    }
}

impl<S> Layer<S> for GatewayProxy {
    type Service = GatewayProxyService<S>;

    fn layer(&self, inner: S) -> GatewayProxyService<S> {
        GatewayProxyService::new(self.clone(), inner)
    }
}
