//! How much work is let in at once, and what the rest is told.
//!
//! At most so many requests are with the inner service; a bounded number waits in line, for a
//! bounded time; whoever finds the line full or waits too long gets 503 with `Retry-After`.
//!
//! ```
//! use std::{convert::Infallible, time::Duration};
//! use http::{Request, Response, StatusCode};
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_gateway::{Body, ConcurrencyLimit, Error, ErrorKind};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # runtime.block_on(async {
//! let limit = ConcurrencyLimit::new(1).queue(0);
//! let app = limit.layer(service_fn(async |_: Request<Body>| {
//!     Ok::<_, Infallible>(Response::new(Body::from("hello")))
//! }));
//!
//! let first = app.clone().oneshot(Request::default()).await?;
//! assert_eq!(first.status(), StatusCode::OK);
//!
//! // The first response is not read to its end, so its request is not over.
//! let second = app.clone().oneshot(Request::default()).await?;
//! assert_eq!(second.status(), StatusCode::SERVICE_UNAVAILABLE);
//! assert_eq!(second.headers()["retry-after"], "1");
//! assert_eq!(second.extensions().get::<Error>().unwrap().kind(), ErrorKind::QueueFull);
//!
//! drop(first);
//! assert_eq!(app.oneshot(Request::default()).await?.status(), StatusCode::OK);
//! # Ok::<(), Infallible>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # When a request is over
//!
//! A request counts until its response body has ended, was dropped, or failed: a download that a
//! slow client draws out counts for as long as it lasts. So does a connection that was upgraded
//! (WebSocket) by a service that keeps the request's [`Hold`](crate::body::Hold), as
//! `GatewayProxy` does. A response whose body is over with its head is over at once.
//!
//! # Where to put it
//!
//! In front of what is scarce, and behind what is not: outside of `GatewayProxy` or
//! `WsgiContainer`, inside of `StaticFiles`, so that files are served while the application is
//! full. One layer is one limit: every service it makes, and every clone of those, draws from
//! the same permits.
//!
//! # Differences from `tower::limit::ConcurrencyLimit`
//!
//! tower's gives the permit back with the response's head, so streamed bodies do not count. It
//! takes the permit in `poll_ready`; hyper and axum call that inside each request's own future,
//! which makes the waiting requests a queue without a bound, and a clone that was made ready and
//! never called keeps a permit from the others. This one is always ready, queues in its own
//! future, bounds the queue, and answers.

pub mod adaptive;
mod body;
mod class;
mod gate;
mod handle;
mod key;
mod layer;
mod limit;
mod line;
#[cfg(test)]
#[path = "model/tests.rs"]
mod model;
mod rejection;
mod seen;
mod service;
mod sync;

pub use self::{
    body::ResponseBody,
    class::LimitClass,
    handle::{ClassSnapshot, LimitHandle, LimitSnapshot},
    key::LimitKey,
    layer::{ConcurrencyLimit, LimitUntil},
    rejection::{RejectReason, Rejection},
    service::{ConcurrencyLimitService, ResponseFuture},
};
pub use crate::semantics::trust::InvalidNetwork;
