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
//! A request without a body passes as it is: a WebSocket handshake is one. Inside, a body has a
//! `Content-Length` in place of a `Transfer-Encoding`, and its trailers.
//!
//! # What it refuses
//!
//! 413 for a body that is, or says that it is, larger than [`Spool::limit`]; 408 for one that
//! pauses longer than [`Spool::timeout`]; 400 for one that breaks off; 501 for a transfer coding
//! other than `chunked`; 500 when the temporary file fails. Why, is an [`Error`](crate::Error) in
//! the response's extensions.
//!
//! [`Spool::limit`]: crate::body::spool::Spool::limit
//! [`Spool::timeout`]: crate::body::spool::Spool::timeout
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
