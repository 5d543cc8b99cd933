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
//! let limit = ConcurrencyLimit::new(1).queue(0).retry_jitter(Duration::ZERO);
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
//! assert!(["1", "2"].contains(&second.headers()["retry-after"].to_str().unwrap()));
//! assert_eq!(second.extensions().get::<Error>().unwrap().kind(), ErrorKind::QueueFull);
//!
//! drop(first);
//! assert_eq!(app.oneshot(Request::default()).await?.status(), StatusCode::OK);
//! # Ok::<(), Infallible>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Options
//!
//! | option | default | what it says |
//! |---|---|---|
//! | [`new`](ConcurrencyLimit::new) | | how much is let in at once |
//! | [`queue`](ConcurrencyLimit::queue) | 256 | how many may wait; 0: none |
//! | [`queue_timeout`](ConcurrencyLimit::queue_timeout) | 5 s | and how long |
//! | [`newest_first_after`](ConcurrencyLimit::newest_first_after) | never | when the newest goes first |
//! | [`per_key`](ConcurrencyLimit::per_key) | none | how much one client, tenant, or mount may have |
//! | [`key_queue`](ConcurrencyLimit::key_queue) | a quarter of the queue | how many of one key may wait |
//! | [`class`](ConcurrencyLimit::class) | none | who is more urgent, and what is kept for whom |
//! | [`cost`](ConcurrencyLimit::cost) | 1 | how much a request takes |
//! | [`bypass`](ConcurrencyLimit::bypass) | nobody | who is let past |
//! | [`until`](ConcurrencyLimit::until) | the end of the body | for how long a request counts |
//! | [`adaptive`](ConcurrencyLimit::adaptive) | not | that the limit is found |
//! | [`retry_after`](ConcurrencyLimit::retry_after), [`retry_jitter`](ConcurrencyLimit::retry_jitter) | 1 s, 1 s | when those are to come again who are turned away |
//! | [`answer`](ConcurrencyLimit::answer) | a line of text | what they are told |
//! | [`dry_run`](ConcurrencyLimit::dry_run) | `false` | that they are counted only |
//! | [`name`](ConcurrencyLimit::name) | `default` | what it is called in the log and the metrics |
//!
//! # When a request is over
//!
//! That is [`LimitUntil`]. By default, a request counts until its response body has ended, was
//! dropped, or failed: a download that a slow client draws out counts for as long as it lasts. So does
//! a connection that was upgraded (WebSocket) by a service that keeps the request's
//! [`Hold`](crate::body::Hold), as `GatewayProxy` does; one that does not is over with the head of
//! its answer. A response whose body is over with its head is over at once. With
//! [`Head`](LimitUntil::Head), a request is over with the head of its answer: where it is the work
//! that is scarce, and not who takes it away. With [`Guard`](LimitUntil::Guard), the handler may keep
//! the request's `Hold` for what it does behind the answer.
//!
//! # Where to put it
//!
//! In front of what is scarce, and behind what is not: outside of `GatewayProxy` or
//! `WsgiContainer`, inside of `StaticFiles`, so that files are served while the application is
//! full, and inside of `SpoolRequests`, so that a slow upload holds nothing. One layer is one limit:
//! every service it makes, and every clone of those, draws from the same permits.
//!
//! # The queue
//!
//! Who finds no room waits, first come, first served; the queue has an end, and so has everybody's
//! patience. Nobody is overtaken by a smaller request: one that costs more than there is room for
//! waits in front, and is let in as soon as there is. One that costs more than it could ever have
//! takes all that it can have.
//!
//! Once there has been somebody in the queue for too long without a pause, first come, first served
//! means that everybody is served too late. [`newest_first_after`](ConcurrencyLimit::newest_first_after)
//! turns the order round until the queue is empty again.
//!
//! # Keys
//!
//! With [`per_key`](ConcurrencyLimit::per_key), a client has no more than its share of the limit
//! ([`LimitKey`] says who is who), and is told so with 429. Keys that wait take turns, so one with a
//! hundred requests in the queue delays another's only one by one. One key has a quarter of the queue at most;
//! and when a few fill all of it, a request of another takes the place of the newest of the one that
//! has most. Requests of nobody wait together, as one more key, and have no limit but that of all. The table has only keys in
//! it that have a request in here.
//!
//! # Classes
//!
//! A [`LimitClass`] has a priority and a reserve. The most urgent go first, and when the queue is
//! full, one that is less urgent leaves it for one that is more; classes of one priority take turns. What
//! is kept for a class stays free for it: of a limit of 64 with a reserve of 8, all others together
//! have 56. So all classes together never have more than the limit. If the limit is made smaller than what is kept,
//! each class keeps its part of it.
//!
//! Who is urgent may take all that is not kept: give what must not starve a reserve of its own.
//!
//! # A limit that is found
//!
//! How many requests an application works on at best, nobody knows, and it changes. With
//! [`adaptive`](ConcurrencyLimit::adaptive), an algorithm finds out from how long the answers take to
//! their heads; permits are held to the end of the body all the same, and a slow client is not held
//! against the application. See [`adaptive`] for which to take.
//!
//! # Answers
//!
//! Who is turned away gets 503, or 429 for his key, with `Retry-After`, in whole seconds and with its
//! share of chance, and `Cache-Control: no-store`. The [`Rejection`] and an [`Error`](crate::Error)
//! are in the response's extensions; [`answer`](ConcurrencyLimit::answer) makes another body of it.
//!
//! | reason | status | [`ErrorKind`](crate::ErrorKind) |
//! |---|---|---|
//! | [`QueueFull`](RejectReason::QueueFull), [`Displaced`](RejectReason::Displaced) | 503 | `QueueFull` |
//! | [`QueueTimeout`](RejectReason::QueueTimeout) | 503 | `QueueTimeout` |
//! | [`KeyQueueFull`](RejectReason::KeyQueueFull), [`KeyTimeout`](RejectReason::KeyTimeout) | 429 | `KeyLimit` |
//! | [`Draining`](RejectReason::Draining) | 503 | `Draining` |
//!
//! # While it is in use
//!
//! A [`LimitHandle`] changes the limit ([`resize`](LimitHandle::resize): what is in use beyond it is
//! left alone), says what is in use, waits, and was turned away ([`snapshot`](LimitHandle::snapshot)),
//! and lets nobody new in until all are out ([`drain`](LimitHandle::drain)). In a
//! [dry run](ConcurrencyLimit::dry_run), nobody is turned away and nobody waits, and it is counted what
//! would have become of them: those who are in beyond the limit stand for those who would wait.
//!
//! # What an operator sees
//!
//! An overload is one event at `warn` when it begins, and one at `info` when for a second nobody was
//! turned away; a drain and its end are one at `info`; each request that is turned away is one at `debug`. With the feature `metrics`, the `metrics`
//! facade is told, each with the name of the limit as the label `limit`:
//!
//! | name | |
//! |---|---|
//! | `tower_gateway_limit_limit` | gauge: how much is let in at once |
//! | `tower_gateway_limit_in_use` | gauge: how much of it is in use |
//! | `tower_gateway_limit_queued` | gauge: how many wait |
//! | `tower_gateway_limit_requests_total` | counter, by `outcome` (`admitted`, `waited`, `bypassed`, `left`, `rejected`; `would_queue`, `would_reject` in a dry run) and `reason` (that of a [`RejectReason`], or `none`) |
//! | `tower_gateway_limit_wait_seconds` | histogram: how long those waited who did |
//!
//! # Differences
//!
//! `tower::limit::ConcurrencyLimit` gives the permit back with the response's head, so streamed bodies
//! do not count. It takes the permit in `poll_ready`; hyper and axum call that inside each request's
//! own future, which makes the waiting requests a queue without a bound, and a clone that was made
//! ready and never called keeps a permit from the others. `load_shed` in front of it takes any wait
//! for an overload, and answers with an error. This one is always ready, queues in its own future,
//! bounds the queue, and answers.
//!
//! nginx's `limit_conn` counts by key as well, and does not count an empty one either; nobody waits there.
//! HAProxy's `maxconn` queues, and its `set-priority-class` is `priority` here; its queue has no end by default, no keys and no
//! reserve, and its 503 no `Retry-After`.

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
