//! Requests passed to an application server: Gunicorn, uWSGI's HTTP socket, Tornado, or any other
//! that speaks HTTP/1.1.
//!
//! [`GatewayProxy`] is a layer, which sends what is [`at`](GatewayProxy::at) its prefixes to the
//! upstream and the rest to the inner service, and a service that ends a stack.
//!
//! ```
//! use http::{HeaderMap, Request, Uri};
//! use http_body_util::BodyExt;
//! use tower::ServiceExt;
//! use tower_gateway::{Body, GatewayProxy};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! // The application, which tells what it was asked.
//! let app = axum::Router::new().fallback(|uri: Uri, headers: HeaderMap| async move {
//!     format!("{uri} at {}", headers["x-forwarded-host"].to_str().unwrap())
//! });
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let address = listener.local_addr()?;
//! tokio::spawn(async move { axum::serve(listener, app).await });
//!
//! let proxy = GatewayProxy::to(&format!("http://{address}"))?;
//! let request = Request::get("/questions//?page=2")
//!     .header("host", "example.org")
//!     .header("x-forwarded-host", "evil.test")
//!     .body(Body::empty())?;
//! let response = proxy.oneshot(request).await?;
//! assert_eq!(response.status(), 200);
//! let body = response.into_body().collect().await?.to_bytes();
//! assert_eq!(body, "/questions/?page=2 at example.org");
//!
//! // Nobody is there: 502, and the reason in the extensions for the layers outside.
//! let proxy = GatewayProxy::to("http+unix:/nowhere/gunicorn.sock")?;
//! let request = Request::get("/").header("host", "example.org").body(Body::empty())?;
//! let response = proxy.oneshot(request).await?;
//! assert_eq!(response.status(), 502);
//! let error = response.extensions().get::<tower_gateway::Error>().unwrap();
//! assert_eq!(error.kind(), tower_gateway::ErrorKind::UpstreamConnect);
//! # Ok::<(), tower_gateway::BoxError>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! # What it does
//!
//! 1. The path is read once (see [`PathPolicy`](crate::PathPolicy)) and sent on as it was read,
//!    with its query. Nothing is stripped from it; what a layer outside has stripped is told in
//!    `X-Forwarded-Prefix`.
//! 2. A request without one meaning is refused: 400 for no or more than one `Host`, or a
//!    `Connection` that names what is for all recipients (`Cookie`, `X-Forwarded-For`, …); 501
//!    for a transfer coding other than `chunked`, and for `CONNECT`.
//! 3. Fields of one connection stay on it: [`semantics::hop`](crate::semantics::hop). Fields
//!    whose names a CGI or WSGI application confuses with others are dropped.
//! 4. The upstream is told who asked ([`semantics::forwarded`](crate::semantics::forwarded)):
//!    what is known here, by [`PeerAddr`](crate::PeerAddr), and what a
//!    [trusted](GatewayProxy::trust) peer said. What anybody else says is removed, with all of
//!    `X-Forwarded-*` and `X-Real-IP`.
//! 5. The request's body is [collected](crate::body::spool) before a connection is taken, so that
//!    a slow client never holds a worker; a chunked one then has a length. A wish for an upgrade is
//!    no exception: a tunnel begins after the body (RFC 9110 §7.8).
//! 6. A connection is taken from the pool, or made, in the order of asking; it goes back when the
//!    body of the answer is over. The answer is streamed. Trailers pass both ways.
//! 7. An upgrade (WebSocket) that the upstream accepts becomes a tunnel. What outer layers keep
//!    for the request in [`Hold`](crate::body::Hold) is kept until it ends.
//!
//! # When the upstream fails
//!
//! | what | answer | [`ErrorKind`](crate::ErrorKind) |
//! |---|---|---|
//! | no connection came free in time, or too many wait | 503 | `UpstreamBusy` |
//! | there is no server, or none that may be asked | 503 | `UpstreamUnavailable` |
//! | refused, unreachable, no such name | 502 | `UpstreamConnect` |
//! | not connected in time | 504 | `UpstreamConnectTimeout` |
//! | closed or reset before the head of the answer was whole | 502 | `UpstreamReset` |
//! | not HTTP, a head too large, lengths that disagree, an unknown coding | 502 | `UpstreamProtocol` |
//! | no head in time, or the request taken no further | 504 | `UpstreamTimeout` |
//! | the body of the answer breaks off, breaks its framing, or pauses for too long | the client's connection is broken off | |
//!
//! A shorter answer never looks whole (but to an HTTP/1.0 client, which cannot tell). Each is a
//! `warn` event of `tracing` with the upstream and the reason; the client's own faults are `debug`
//! events. No event holds a header or a path.
//!
//! A request is tried once more, on a fresh connection, when a kept one turns out to be closed:
//! if nothing of it was sent; or if no byte came back, its method is idempotent (RFC 9110 §9.2.2)
//! and its body is spooled. Nothing else is retried.
//!
//! # What is seen
//!
//! Each request for the upstream (after its path was read) is a span of
//! [`tracing`](https://docs.rs/tracing), of level `DEBUG` as those of tower-http's `TraceLayer` are; its
//! name is `gateway_proxy` and its target `tower_gateway::gateway_proxy`. What happens to the request is told inside of it, so that a
//! warning says whose it is. When it is over (the body of its answer, or its tunnel, has come to its
//! end or was dropped), there is an event `a request is over`: with the filter
//! `tower_gateway::gateway_proxy=debug` that is a log of requests. If nobody listens at that level, no
//! clock is read and nothing is allocated for it.
//!
//! | field | |
//! |---|---|
//! | `method` | of the request. Its path, query and fields are in no span and no event: they hold secrets |
//! | `upstream`, `tries` | who was asked last, and which try that was |
//! | `wait_ms` | for a connection to come free, if there was none |
//! | `connect_ms` | for a connection to be made, if none was kept |
//! | `first_byte_ms` | from the beginning of the last try to the head of the answer, with the two before |
//! | `total_ms` | from the call to the end: with the time in which the client sent its body, and took the answer's |
//! | `status` | of the answer; none, if the client left before |
//! | `outcome` | how it ended, see below |
//! | `error` | the [`ErrorKind`](crate::ErrorKind), by its [name](crate::ErrorKind::name), if there was one |
//! | `request_bytes`, `response_bytes` | of the bodies, without their framing, or of what went through the tunnel |
//!
//! | outcome | |
//! |---|---|
//! | `complete` | the answer was taken to its end, or is in memory as a whole; both sides of a tunnel have closed |
//! | `local` | it was answered here: `OPTIONS` or `TRACE` with `Max-Forwards: 0` |
//! | `refused` | for what the client did: `error` says what |
//! | `unanswered` | there was no answer of an upstream: `error` says why |
//! | `broken_off` | the upstream did not finish its answer; one side broke a tunnel off |
//! | `timeout` | a part of the answer is there, and the time is up; a tunnel was cut for its silence, its age, or to stop |
//! | `client_left` | it was dropped before its end: the client went away, or a layer outside gave it up |
//! | `unread` | nobody asked for the body of the answer: an error page or a file was sent in its place |
//! | `failed` | a temporary file could not be written or read; a panic |
//!
//! With the feature `metrics` the [`metrics`](https://docs.rs/metrics) facade is told this. All names
//! begin with `tower_gateway_proxy_`:
//!
//! | name | kind | labels | |
//! |---|---|---|---|
//! | `requests_total` | counter | `outcome`, `status` | those that are over; `status` is `2xx`, …, or `none` |
//! | `errors_total` | counter | `kind` | those answered with an error from here |
//! | `request_duration_seconds` | histogram | | `total_ms` above |
//! | `request_bytes_total`, `response_bytes_total` | counter | | as above |
//! | `tunnels` | gauge | | that are open |
//! | `tries_total` | counter | `upstream` | requests sent, each try for one |
//! | `retries_total` | counter | `upstream`, `reason` | tries that were followed by another: `failed`, `status`, or `stale` (a kept connection was closed) |
//! | `failures_total` | counter | `upstream`, `kind` | answers that did not come, or not to their end |
//! | `first_byte_seconds`, `wait_seconds`, `connect_seconds` | histogram | `upstream` | of each try, as above |
//! | `connections_opened_total` | counter | `upstream` | |
//! | `connections_in_use`, `connections_idle` | gauge | `upstream` | one in use stands for a request that is not over: over HTTP/2 several share a connection |
//! | `requests_waiting` | gauge | `upstream` | for a connection |
//! | `ejections_total` | counter | `upstream` | |
//! | `health_changes_total` | counter | `upstream`, `to` | `up` or `down` |
//!
//! No label comes from a request. `upstream` is the address: there are as many as were ever in the table,
//! which [`resolve`](GatewayProxy::resolve) and [`Handle::set`] may make more than there are now. Kinds are
//! [names](crate::ErrorKind::name) of [`ErrorKind`](crate::ErrorKind)s. The gauges add up what all proxies
//! of the process do. Install the recorder before the first request: what is counted often is looked
//! up once.
//!
//! For a status page: [`Handle::upstreams`] and [`Handle::tunnels`].
//!
//! # What it does not do
//!
//! - It is no forward proxy: where a request goes is never the client's choice.
//! - It does not tunnel HTTP/2 (`Upgrade: h2c`): that would be a way past every rule above.
//! - It writes no log of requests and changes no `Location`, cookie or body.
//!
//! # Deployment
//!
//! - Without a [`PeerAddr`](crate::PeerAddr) among the request's extensions nobody knows who is
//!   asking, and the upstream is told so. `serve` and (feature `axum`) axum's
//!   `into_make_service_with_connect_info` put it there.
//! - Where TLS ends in this process, say [`forwarded_scheme`](GatewayProxy::forwarded_scheme).
//! - Behind another proxy, say [`trust`](GatewayProxy::trust), and no wider than needed.
//! - The application must believe this proxy and nobody else (Gunicorn: `forwarded_allow_ips`,
//!   which is the local host by default).
//! - It must run in a tokio runtime with I/O and time enabled.

#[cfg(feature = "http2")]
mod activity;
mod answer;
mod background;
mod balance;
mod content;
mod exchange;
mod handle;
mod health;
mod identity;
mod layer;
mod outcome;
mod pool;
mod probe;
mod request;
mod response;
mod retry;
mod seen;
mod server;
mod service;
mod statuses;
mod table;
mod tries;
mod upgrade;
mod upstream;

#[cfg(feature = "tls")]
pub use self::layer::tls::{InvalidTls, Tls};
pub use self::{
    answer::layer::{
        AccelFields, Asked, Buffering, ErrorAnswers, HeaderEdits, NamedFiles, Refused, Rewrites,
    },
    balance::{Balance, HashKey, SameSite, Sticky},
    handle::{Handle, UpstreamErrors, UpstreamHealth, UpstreamStatus},
    health::{Ejection, HealthCheck},
    layer::{ForwardedHeaders, GatewayProxy, HostPolicy, InvalidNetwork, Upstream},
    retry::Retries,
    service::{GatewayProxyService, ProxyFuture, ResponseFuture},
    upstream::InvalidUpstream,
};
