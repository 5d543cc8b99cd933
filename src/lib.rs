//! What nginx and Gunicorn do in front of a web application, as [tower] layers in one process.
//!
//! ```text
//! browser ──▶ hyper / axum
//!               │
//!         StaticFiles           a file? answer it here, and never wake the application
//!               │
//!         PathDispatch          /api → Rust, /admin → Django, …
//!               │
//!         SpoolRequests         a slow upload waits here, and holds nothing scarce
//!               │
//!         ConcurrencyLimit      how much work is let in, and what the rest is told
//!               │
//!         ┌─────┴──────────────────────┐
//!   GatewayProxy                 WsgiContainer
//!   the rest goes to Gunicorn,   or to Python workers that this
//!   uWSGI, or any HTTP server    process starts, feeds, supervises
//! ```
//!
//! Each layer stands alone, and is useful alone, in any hyper or axum service. Together:
//!
//! ```
//! # #[cfg(all(feature = "static-files", feature = "path-dispatch", feature = "gateway-proxy", feature = "concurrency-limit"))]
//! # fn main() -> Result<(), tower_gateway::BoxError> {
//! use std::convert::Infallible;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::BodyExt;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_gateway::{
//!     Body, ConcurrencyLimit, GatewayProxy, PathDispatch, SpoolRequests, StaticFiles,
//! };
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let api = service_fn(async |_: Request<Body>| {
//!     Ok::<_, Infallible>(Response::new(Body::from("[]")))
//! });
//! let stack = ServiceBuilder::new()
//!     .layer(StaticFiles::new("src").at("/source"))
//!     .layer(PathDispatch::new().mount("/api", api)?)
//!     .layer(SpoolRequests::default())
//!     .layer(ConcurrencyLimit::new(64))
//!     // Nobody listens there.
//!     .service(GatewayProxy::to("http+unix:/run/no.sock")?);
//!
//! let ask = async |path: &str| {
//!     let request = Request::get(path).header("host", "localhost").body(Body::empty())?;
//!     let response = stack.clone().oneshot(request).await?;
//!     let status = response.status();
//!     let bytes = response.into_body().collect().await?.to_bytes();
//!     Ok::<_, tower_gateway::BoxError>((status, bytes))
//! };
//! let (status, file) = ask("/source/lib.rs").await?;
//! assert_eq!(status, StatusCode::OK);
//! assert!(file.starts_with(b"//! What nginx and Gunicorn do"));
//!
//! assert_eq!(ask("/api/questions").await?, (StatusCode::OK, "[]".into()));
//!
//! let (status, _) = ask("/questions").await?;
//! assert_eq!(status, StatusCode::BAD_GATEWAY);
//! # Ok::<(), tower_gateway::BoxError>(())
//! # })?;
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "static-files", feature = "path-dispatch", feature = "gateway-proxy", feature = "concurrency-limit")))]
//! # fn main() {}
//! ```
//!
//! # What every layer holds to
//!
//! * **A path means one thing.** It is read once ([`semantics::path`]); matching, stripping,
//!   opening a file and forwarding use that reading, and the inner service is handed the same.
//! * **Layers answer with responses, never with errors.** A layer keeps the error type of the
//!   service it wraps. Why it answered in the application's place is an [`Error`] in the
//!   response's extensions.
//! * **Readiness never crosses branches.** Every service is ready at once and makes what it wraps
//!   ready inside its own future. A saturated application never delays a static file.
//! * **A request is over when its body is over**, or the connection that it was upgraded to.
//! * **Every wait, queue and buffer has a limit**, which is an option with a stated default.
//!
//! Layers know nothing of each other. They meet in the request and the response: [`PeerAddr`] says
//! who is connected, [`MountPoint`] where a service is mounted, [`Hold`](body::Hold) what to keep
//! for an upgraded connection, [`Drain`](body::Drain) when to end it, and [`Error`] what went wrong.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `static-files` (default) | `StaticFiles` |
//! | `path-dispatch` (default) | `PathDispatch` |
//! | `gateway-proxy` (default) | `GatewayProxy`, `SpoolRequests`, and `body::spool` |
//! | `concurrency-limit` (default) | `ConcurrencyLimit` |
//! | `tls` | `https://` upstreams, and `gateway_proxy::Tls` |
//! | `http2` | `h2c://` upstreams; with `tls` also `h2://` |
//! | `compression` | `StaticFiles::compress`: files compressed once each, in the background |
//! | `embed` | `static_files::EmbeddedFiles`: files in the program, by rust-embed |
//! | `metrics` | what `StaticFiles`, `PathDispatch`, `GatewayProxy`, `ConcurrencyLimit` and `WsgiContainer` count, told to the `metrics` facade |
//! | `wsgi` | `WsgiContainer`: Python workers in place of an application server; Unix |
//! | `serve` | a small server for a stack |
//! | `axum` | reads axum's `ConnectInfo` and `OriginalUri` |
//! | `full` | everything |
//!
//! # Stability
//!
//! What is not promised: the wording of messages and of `tracing` events, the types behind
//! [`source`](std::error::Error::source), the exact bytes of an `ETag` (a change makes clients
//! fetch once more), and defaults of limits, which may become stricter in a minor version.
//! Services need a tokio runtime with its timer (and I/O, for what connects) enabled.
//!
//! [tower]: https://docs.rs/tower
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(all(doctest, feature = "full"))]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod body;
#[cfg(any(feature = "concurrency-limit", feature = "path-dispatch"))]
mod call;
#[cfg(feature = "concurrency-limit")]
pub mod concurrency_limit;
mod error;
#[cfg(feature = "gateway-proxy")]
pub mod gateway_proxy;
#[cfg(feature = "path-dispatch")]
pub mod path_dispatch;
pub mod semantics;
#[cfg(feature = "serve")]
pub mod serve;
#[cfg(feature = "gateway-proxy")]
pub mod spool_requests;
#[cfg(feature = "static-files")]
pub mod static_files;
#[cfg(all(feature = "wsgi", unix))]
pub mod wsgi;

#[cfg(feature = "concurrency-limit")]
pub use self::concurrency_limit::ConcurrencyLimit;
#[cfg(feature = "gateway-proxy")]
pub use self::gateway_proxy::GatewayProxy;
#[cfg(feature = "path-dispatch")]
pub use self::path_dispatch::PathDispatch;
#[cfg(feature = "gateway-proxy")]
pub use self::spool_requests::SpoolRequests;
#[cfg(feature = "static-files")]
pub use self::static_files::StaticFiles;
#[cfg(all(feature = "wsgi", unix))]
pub use self::wsgi::WsgiContainer;
pub use self::{
    body::Body,
    error::{BoxError, Error, ErrorKind, Fault},
    semantics::{
        mount::MountPoint,
        path::PathPolicy,
        peer::{ClientAddr, PeerAddr},
    },
};
