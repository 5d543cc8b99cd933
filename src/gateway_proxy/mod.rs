//! Requests passed to application servers: Gunicorn, uWSGI, Tornado, or any other that speaks
//! HTTP/1.1, HTTP/2, or the protocol of uWSGI.
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
//! # Servers and protocols
//!
//! | URL | what is spoken | feature |
//! |---|---|---|
//! | `http://host:port`, `http+unix:/path.sock` | HTTP/1.1 | |
//! | `https://host:port` | HTTP/1.1 inside TLS | `tls` |
//! | `uwsgi://host:port`, `uwsgi+unix:/path.sock` | the protocol of uWSGI | |
//! | `h2c://host:port`, `h2c+unix:/path.sock` | HTTP/2 from the first byte on | `http2` |
//! | `h2://host:port` | HTTP/2 inside TLS | `http2` and `tls` |
//!
//! Without a port, HTTP has 80, and 443 inside TLS. A connection of HTTP/1.1 and of uwsgi carries
//! one request at a time, and is kept for the next where the server keeps it: uWSGI closes behind
//! each answer, Gunicorn's threads do not. One of HTTP/2 carries many at once. A certificate is
//! verified, always: see `Tls`.
//!
//! The uwsgi protocol sends a request as the variables of CGI. `SCRIPT_NAME` is the prefix that
//! was stripped on the way, so that a mounted application makes its links right; no field of a
//! request becomes a variable that means something to the server (`UWSGI_FILE`). Its head has at
//! most 64 KiB. uWSGI takes 4 KiB unless its `buffer-size` says otherwise, and closes without a
//! word on more: that is a 502, and the log says why. Gunicorn reads a path once more than others:
//! as long as no answer has told who is there, a path that would then be another one (`/%2570`) is
//! 400.
//!
//! # What it does
//!
//! 1. The path is read once (see [`PathPolicy`](crate::PathPolicy)) and sent on as it was read,
//!    with its query. Nothing is stripped from it; what a layer outside has stripped is told in
//!    `X-Forwarded-Prefix`.
//! 2. A request without one meaning is refused: for no or more than one `Host`, a `Connection`
//!    that names what is for all recipients (`Cookie`, `X-Forwarded-For`, …), an unknown transfer
//!    coding. So are `CONNECT`, `TRACE` (unless [asked for](GatewayProxy::forward_trace)), and what
//!    has [come by before](GatewayProxy::via).
//! 3. Fields of one connection stay on it: [`semantics::hop`](crate::semantics::hop). Fields
//!    whose names a CGI or WSGI application confuses with others [are
//!    dropped](GatewayProxy::drop_ambiguous_names). `Via` is added, `Max-Forwards` counted down.
//! 4. The upstream is told who asked ([`semantics::forwarded`](crate::semantics::forwarded)):
//!    what is known here, by [`PeerAddr`](crate::PeerAddr), and what a
//!    [trusted](GatewayProxy::trust) peer said. What anybody else says is removed, with all of
//!    `X-Forwarded-*` and `X-Real-IP`. The inner service finds the same as
//!    [`ClientAddr`](crate::ClientAddr).
//! 5. The request's body is [collected](crate::body::spool) before a connection is taken, so that
//!    a slow client never holds a worker; a chunked one then has a length. It is [sent as it
//!    comes](GatewayProxy::stream_requests) where that is asked for, and where all servers speak
//!    HTTP/2, as gRPC wants it. A tunnel begins after the body (RFC 9110 §7.8).
//! 6. A server is chosen ([`Balance`], [`Sticky`]), and a connection to it taken or made, in the
//!    order of asking. What fails may be [tried again](Retries), there or elsewhere.
//! 7. The answer's fields are made fit for the client: hop-by-hop ones go, [`Rewrites`],
//!    [`HeaderEdits`], [`AccelFields`] and [`NamedFiles`] have their say. `Set-Cookie` stays line by
//!    line, trailers pass both ways (uwsgi has none).
//! 8. The answer's body is sent as it comes, and [read ahead](Buffering) of a client that is
//!    slower than the upstream. The connection goes back when it is over.
//! 9. An upgrade that the upstream accepts (WebSocket, or any other that was asked for) becomes a
//!    tunnel, also for a WebSocket over HTTP/2 (RFC 8441) to an upstream of HTTP/1.1.
//!
//! # Several servers
//!
//! [`to_all`](GatewayProxy::to_all) takes URLs, [`to_upstreams`](GatewayProxy::to_upstreams)
//! [`Upstream`]s with a weight, or as a backup. Each has connections, a queue and limits of its
//! own. By default that one of two is asked which promises to answer sooner
//! ([`Balance::PeakEwma`]); one that fails five times in a row is left alone for a while
//! ([`Ejection`]); a [`HealthCheck`] is there for the asking. If none is well, those least in
//! doubt are asked all the same.
//!
//! A [`Handle`] shows the servers, drains, adds and removes them, and follows a stream of changes;
//! [`resolve`](GatewayProxy::resolve) follows a name. Requests that are under way end where they
//! are.
//!
//! # How long, and how many
//!
//! | option | default | beyond it | why that |
//! |---|---|---|---|
//! | [`connect_timeout`](GatewayProxy::connect_timeout) | 5 s | 504, or another server | one lost packet costs 1 s, two cost 3 |
//! | [`pool_timeout`](GatewayProxy::pool_timeout) | 5 s | 503 | longer than a burst, shorter than a visitor's patience |
//! | [`response_timeout`](GatewayProxy::response_timeout) | 60 s | 504 | nginx's; Gunicorn gives up after 30 |
//! | [`read_timeout`](GatewayProxy::read_timeout) | 60 s | broken off | nginx's |
//! | [`Retries::per_try_timeout`] | none | 504, or another try | the response timeout is there |
//! | [`total_timeout`](GatewayProxy::total_timeout) | none | 504 (503 in the queue), or broken off | a download may take hours |
//! | [`Spool::timeout`](crate::body::spool::Spool::timeout) | 60 s | 408 | nginx's `client_body_timeout` |
//! | [`upgrade_idle_timeout`](GatewayProxy::upgrade_idle_timeout) | 1 h | the tunnel ends | who has no ping should not be cut |
//! | [`upgrade_lifetime`](GatewayProxy::upgrade_lifetime) | none | Close 1001, then the end | |
//! | [`idle_timeout`](GatewayProxy::idle_timeout) | 1.5 s | closed | below Gunicorn's 2 |
//! | [`max_connection_age`](GatewayProxy::max_connection_age) | 1 h | not used again | names and balancers change |
//! | [`max_connection_requests`](GatewayProxy::max_connection_requests) | 1000 | not used again | nginx's |
//! | [`max_connections`](GatewayProxy::max_connections) | 512 | the queue | rather set it to what the server works on at once |
//! | [`max_waiting`](GatewayProxy::max_waiting) | 1024 | 503 | two for each connection |
//! | [`max_idle`](GatewayProxy::max_idle) | 64 | closed | |
//! | [`max_response_head`](GatewayProxy::max_response_head) | 64 KiB | 502 | most applications send less than 1 |
//! | [`Spool::memory`](crate::body::spool::Spool::memory), [`limit`](crate::body::spool::Spool::limit) | 64 KiB, 100 MiB | a file, 413 | forms, uploads |
//! | [`Buffering::memory`], [`file`](Buffering::file) | 64 KiB, 1 GiB | a file, the upstream waits | pages, downloads |
//! | [`Retries::tries`], [`budget`](Retries::budget) | 3, 20 % | the last answer | as Envoy and linkerd |
//!
//! The numbers of connections are for each server. Fixed are 100 fields in a head of HTTP/1.1, 32
//! informational responses before an answer, 32 options of `Connection`, and 10 seconds for a name
//! that is [looked up](GatewayProxy::resolve).
//!
//! # What fails, and how
//!
//! | what | answer | [`ErrorKind`](crate::ErrorKind) |
//! |---|---|---|
//! | the path cannot be read in one way | 400 | `BadPath` |
//! | nor can something else of the head | 400 | `BadRequest` |
//! | the body of the request ends early; pauses too long; is too large | 400; 408; 413 | `RequestBodyIncomplete`; `RequestBodyTimeout`; `RequestBodyTooLarge` |
//! | `TRACE` | 405 | `MethodNotAllowed` |
//! | the head is more than uwsgi can carry | 431 | `RequestHeadTooLarge` |
//! | a temporary file cannot be written | 500 | `Io` |
//! | a transfer coding other than `chunked`; `CONNECT` | 501 | `UnknownTransferCoding`; `UnsupportedMethod` |
//! | its `Via` shows that it has come by before | 508 | `LoopDetected` |
//! | no connection came free in time, or too many wait | 503 | `UpstreamBusy` |
//! | there is no server, or each is drained (and no session is on it) | 503 | `UpstreamUnavailable` |
//! | refused, unreachable, no such name, a certificate that is not believed | 502 | `UpstreamConnect` |
//! | not connected in time | 504 | `UpstreamConnectTimeout` |
//! | closed or reset before the head of the answer was whole | 502 | `UpstreamReset` |
//! | not HTTP, a head too large, lengths that disagree, an unknown coding | 502 | `UpstreamProtocol` |
//! | no head in time, or the request taken no further | 504 | `UpstreamTimeout` |
//! | the body of the answer breaks off, breaks its framing, or pauses for too long | the client's connection is broken off | |
//!
//! A shorter answer never looks whole (but to an HTTP/1.0 client, which cannot tell).
//! [`ErrorAnswers`] draws these answers, and those of the upstream where told. Each is a `warn`
//! event of `tracing` with the upstream and the reason; the client's own faults are `debug`
//! events. No event holds a path or the value of a field.
//!
//! A connection that was refused is tried again, whatever the method. Beyond that only what is
//! idempotent (RFC 9110 §9.2.2), or was not sent at all: [`Retries`] has the table. A kept
//! connection that turns out to be closed never shows.
//!
//! # Events and metrics
//!
//! Each request for the upstream (after its path was read) is a span of
//! [`tracing`](https://docs.rs/tracing), of level `DEBUG` as those of tower-http's `TraceLayer` are;
//! its name is `gateway_proxy` and its target `tower_gateway::gateway_proxy`. What happens to the
//! request is told inside of it, so that a warning says whose it is. When the request is over (the
//! body of its answer, or its tunnel, has come to its end or was dropped), there is an event `a
//! request is over`: with the filter `tower_gateway::gateway_proxy=debug` that is a log of requests.
//! If nobody listens at that level (nor to metrics), no clock is read and nothing is allocated for it.
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
//! Servers that are ejected or down are `warn` events, and `info` when they are back. With the feature
//! `metrics` the [`metrics`](https://docs.rs/metrics) facade is told:
//!
//! | name | kind | labels | |
//! |---|---|---|---|
//! | `tower_gateway_proxy_requests_total` | counter | `outcome`, `status` | those that are over; `status` is `2xx`, …, or `none` |
//! | `tower_gateway_proxy_errors_total` | counter | `kind` | those answered with an error from here |
//! | `tower_gateway_proxy_request_duration_seconds` | histogram | | `total_ms` above |
//! | `tower_gateway_proxy_request_bytes_total` | counter | | as above |
//! | `tower_gateway_proxy_response_bytes_total` | counter | | as above |
//! | `tower_gateway_proxy_dropped_fields_total` | counter | | of requests, for [their names](GatewayProxy::drop_ambiguous_names) |
//! | `tower_gateway_proxy_tunnels` | gauge | | that are open |
//! | `tower_gateway_proxy_tries_total` | counter | `upstream` | each try for one, also where there was no connection; one of `reason` `stale` (below) and what makes it good are two |
//! | `tower_gateway_proxy_retries_total` | counter | `upstream`, `reason` | tries that were followed by another: `failed`, `status`, or `stale` (a kept connection was closed) |
//! | `tower_gateway_proxy_failures_total` | counter | `upstream`, `kind` | answers that did not come, or not to their end |
//! | `tower_gateway_proxy_first_byte_seconds` | histogram | `upstream` | of each try that was answered |
//! | `tower_gateway_proxy_wait_seconds` | histogram | `upstream` | of each that had to wait |
//! | `tower_gateway_proxy_connect_seconds` | histogram | `upstream` | of each connection |
//! | `tower_gateway_proxy_connections_opened_total` | counter | `upstream` | |
//! | `tower_gateway_proxy_connections_in_use` | gauge | `upstream` | one for each request that is not over: over HTTP/2 several share one |
//! | `tower_gateway_proxy_connections_idle` | gauge | `upstream` | kept for the next requests |
//! | `tower_gateway_proxy_requests_waiting` | gauge | `upstream` | for a connection |
//! | `tower_gateway_proxy_ejections_total` | counter | `upstream` | |
//! | `tower_gateway_proxy_health_changes_total` | counter | `upstream`, `to` | `up` or `down` |
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
//! - It passes no informational response on (103): the server in front has no way to say them.
//! - It keeps no answers, compresses none, and changes no body.
//! - It speaks no FastCGI, no SCGI, no HTTP/3, and no PROXY protocol.
//!
//! # Deployment
//!
//! - Without a [`PeerAddr`](crate::PeerAddr) among the request's extensions nobody knows who is
//!   asking, and the upstream is told so. `serve` and (feature `axum`) axum's
//!   `into_make_service_with_connect_info` put it there.
//! - Where TLS ends in this process, say [`forwarded_scheme`](GatewayProxy::forwarded_scheme).
//! - Behind another proxy, say [`trust`](GatewayProxy::trust), and no wider than needed. That proxy
//!   must set or remove every field that tells who asked.
//! - The application must believe this proxy and nobody else (Gunicorn: `forwarded_allow_ips`,
//!   which is the local host by default), and be reached by nobody else.
//! - Say [`max_connections`](GatewayProxy::max_connections): as many as the server has workers or
//!   threads. Each request that runs takes two file descriptors, one more for a body in a file.
//! - Several processes that are one gateway need the same [`via`](GatewayProxy::via) and
//!   [`Sticky::secret`]; health, queues and budgets are each one's own.
//! - When the process ends, `serve` lets requests finish and tells WebSockets to close (1001). With
//!   another server, [`Handle::drain_tunnels`] does the latter.
//! - It must run in a tokio runtime with I/O and time enabled.
//!
#![doc = include_str!("from_nginx.md")]

#[cfg(feature = "http2")]
mod activity;
mod answer;
mod background;
mod balance;
mod content;
mod exchange;
mod handle;
mod health;
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
    answer::layer::{AccelFields, Asked, ErrorAnswers, HeaderEdits, NamedFiles, Refused, Rewrites},
    balance::{Balance, HashKey, SameSite, Sticky},
    handle::{Handle, UpstreamErrors, UpstreamHealth, UpstreamStatus},
    health::{Ejection, HealthCheck},
    layer::{GatewayProxy, HostPolicy, Upstream},
    retry::Retries,
    service::{GatewayProxyService, ProxyFuture, ResponseFuture},
    upstream::InvalidUpstream,
};
pub use crate::{
    body::buffer::Buffering,
    semantics::{client::ForwardedHeaders, trust::InvalidNetwork},
};
