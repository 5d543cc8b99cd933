//! Request bodies are taken in before the inner service is called.
//!
//! What Gunicorn's documentation asks of the server in front of it: a client that sends its
//! upload byte by byte keeps this process waiting, which costs next to nothing, and not a worker.
//!
//! ```
//! use std::convert::Infallible;
//! use http::{Request, Response, StatusCode};
//! use http_body::Body as _;
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_gateway::{Body, SpoolRequests, body::spool::Spool};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let app = SpoolRequests::new(Spool::new().limit(10)).layer(service_fn(
//!     async |request: Request<Body>| {
//!         let length = request.body().size_hint().exact();
//!         Ok::<_, Infallible>(Response::new(Body::from(format!("{length:?} bytes are here"))))
//!     },
//! ));
//!
//! let small = app.clone().oneshot(Request::new(Full::from("hello"))).await?;
//! assert_eq!(small.status(), StatusCode::OK);
//!
//! let large = app.oneshot(Request::new(Full::from("hello, world"))).await?;
//! assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
//! # Ok::<(), Infallible>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to put it
//!
//! Outside of a `ConcurrencyLimit`. `GatewayProxy` spools by itself before it takes a connection
//! to its upstream; but a limit around it counts a request from its head on, so without this layer
//! as many slow uploads as the limit has permits keep everybody else out. What was spooled here
//! is not copied again there.
//!
//! A request without a body passes as it is. One that asks for an upgrade (WebSocket) has none,
//! as a rule; if it has, it is taken in: a tunnel begins after the body (RFC 9110 §7.8), and any
//! client can write the two fields of such a wish.
//!
//! # What it costs
//!
//! A request with a body: one allocation for the wait, and what [`Spool`](crate::body::spool)
//! says. How many bodies are taken in at once is for the server's number of connections to bound.

mod layer;
mod service;

pub use self::{
    layer::SpoolRequests,
    service::{ResponseFuture, SpoolRequestsService},
};
