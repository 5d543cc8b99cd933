//! Which application a path belongs to.
//!
//! ```
//! use std::convert::Infallible;
//! use http::{Request, Response};
//! use http_body_util::BodyExt;
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_gateway::{Body, MountPoint, PathDispatch};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! /// Tells what it is called and what it sees.
//! async fn tell(name: &str, request: Request<Body>) -> Result<Response<Body>, Infallible> {
//!     let mount = MountPoint::of(request.extensions()).map_or("", MountPoint::prefix);
//!     let told = format!("{name} at {mount:?} sees {}", request.uri());
//!     Ok(Response::new(Body::from(told)))
//! }
//!
//! let app = PathDispatch::new()
//!     .mount("/api", service_fn(|request| tell("api", request)))?
//!     .mount_exact("/health", service_fn(|request| tell("health", request)))?
//!     .layer(service_fn(|request| tell("site", request)));
//!
//! for (target, told) in [
//!     ("/api/users?page=2", r#"api at "/api" sees /users?page=2"#),
//!     ("//api/./users", r#"api at "/api" sees /users"#),
//!     ("/api", r#"api at "/api" sees /"#),
//!     ("/apix", r#"site at "" sees /apix"#),
//!     ("/health", r#"health at "" sees /health"#),
//!     ("/health/x", r#"site at "" sees /health/x"#),
//! ] {
//!     let request = Request::get(target).body(Body::empty())?;
//!     let response = app.clone().oneshot(request).await?;
//!     assert_eq!(response.into_body().collect().await?.to_bytes(), told);
//! }
//!
//! // Two mounts at one place are an error where they are written.
//! let error = PathDispatch::<Body>::new()
//!     .mount("/api", service_fn(|request| tell("one", request)))?
//!     .mount("/api/", service_fn(|request| tell("other", request)))
//!     .unwrap_err();
//! assert_eq!(error.to_string(), r#"cannot mount at "/api/": "/api" is mounted already"#);
//! # Ok::<(), tower_gateway::BoxError>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! # Which one
//!
//! An exact mount before a prefix; of several prefixes, the longest. Prefixes match whole
//! segments: `/api` is `/api`, `/api/` and `/api/x`, not `/apix`. Case matters. The order of
//! mounting does not, since no two can match alike: the same place twice is an error. What no
//! mount matches goes to the inner service.
//!
//! The path is read once, as [`semantics::path`](crate::semantics::path) does, before it is
//! matched: whatever spelling reaches a mount, every other spelling of the same path does too,
//! and a service inside sees the canonical one.
//!
//! # What a mounted service sees
//!
//! [`mount`](PathDispatch::mount) strips the prefix: the path begins with exactly one slash, the
//! query is as it was, and [`MountPoint`](crate::MountPoint) tells what was stripped (through
//! all nested mounts). [`mount_unstripped`](PathDispatch::mount_unstripped) and
//! [`mount_exact`](PathDispatch::mount_exact) leave the path whole.
//!
//! A mount that is not ready delays nobody else: a service is made ready inside its own
//! request's future. If it fails with an error of its own, the answer is 500, and the error is
//! in the response's extensions.
//!
//! # Differences from `axum::Router::nest_service`
//!
//! axum matches the bytes as they came, and a file server at `/static` decodes them afterwards,
//! so a service that guards `/static/private` does not guard `/static/%70rivate`. Here both
//! are one path.

mod cascade;
mod handle;
mod layer;
mod mounted;
mod pattern;
mod place;
mod seen;
mod service;
mod table;

pub use self::{
    cascade::{Cascade, CascadeFuture, CascadeService},
    handle::Handle,
    layer::PathDispatch,
    pattern::MountError,
    place::Place,
    service::{NotFound, PathDispatchService, ResponseFuture},
};
