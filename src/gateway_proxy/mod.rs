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
