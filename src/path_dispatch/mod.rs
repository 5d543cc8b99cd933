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
//! Of all mounts that match a request, in this order:
//!
//! 1. that of its host ([`Place::host`]): an exact name before a wildcard, a long wildcard before a
//!    short one, all of them before the mounts of every host;
//! 2. an exact path before a prefix;
//! 3. of several prefixes, the longest. They match whole segments: `/api` is `/api`, `/api/` and
//!    `/api/x`, not `/apix`;
//! 4. at one path, the mount for its method ([`Place::method`]) before the one for all. `HEAD` goes
//!    to that of `GET`, if there is none of its own.
//!
//! There are no ties: the order of mounting does not matter, and two mounts that are for the same
//! requests are an error that names both. What no mount matches goes to the inner service. If there
//! are mounts that match but for the method, and none that matches, the answer is 405, and its
//! `Allow` names their methods ([`pass_other_methods`](PathDispatch::pass_other_methods) leaves
//! those requests to the inner service).
//!
//! The path is read once, as [`semantics::path`](crate::semantics::path) does, before it is
//! matched: whatever spelling reaches a mount, every other spelling of the same path does too,
//! and a service inside sees the canonical one. Case matters in paths, and not in hosts.
//!
//! | elsewhere | here |
//! |---|---|
//! | nginx: `server_name example.org *.example.org` | [`Place::host`], once for each name |
//! | nginx: `server { … }`, whose misses are its own | [`Place::prefix("/")`](Place::prefix)`.host(…)`, and there a `PathDispatch` [as a service](PathDispatch::into_service) |
//! | nginx: `location = /x`, `location /x/` | [`mount_exact`](PathDispatch::mount_exact), [`mount`](PathDispatch::mount); `/x` itself is below `/x`, and [`Place::redirect_to_slash`] is nginx's redirect |
//! | nginx: `try_files`; Rack: `Cascade` | [`Cascade`] |
//! | axum: `nest_service`, `Router::new()` | [`mount`](PathDispatch::mount), [`into_service`](PathDispatch::into_service) |
//! | Go: `"GET example.org/x"`, `"/x/"` | [`Place::exact("/x")`](Place::exact)`.host("example.org").method(Method::GET)`, [`mount_unstripped`](PathDispatch::mount_unstripped) |
//! | Go: `http.StripPrefix` | [`mount`](PathDispatch::mount) |
//!
//! There are no patterns (`/users/{id}`): those are the routes of an application.
//!
//! # What a mounted service sees
//!
//! [`mount`](PathDispatch::mount) strips the prefix: the path begins with exactly one slash, the
//! query is as it was, and [`MountPoint`](crate::MountPoint) tells what was stripped (through
//! all nested mounts). `GatewayProxy` makes of it `SCRIPT_NAME`, or `X-Forwarded-Prefix`;
//! `StaticFiles` keeps it in its redirects; for a service that does not know of it there is
//! [`Place::rewrite_redirects`]. [`mount_unstripped`](PathDispatch::mount_unstripped) and
//! [`mount_exact`](PathDispatch::mount_exact) leave the path whole.
//!
//! A mount that is not ready delays nobody else: a service is made ready inside its own
//! request's future. If it fails with an error of its own, the answer is 500, and the error is
//! in the response's extensions. A panic goes on to whoever runs the request, unless
//! [`catch_panics`](PathDispatch::catch_panics) makes it a 500.
//!
//! # Changing it
//!
//! The mounts of a [`Handle`] are replaced while requests run. Each request goes by one table, as a
//! whole.
//!
//! # What is told
//!
//! What is refused is a `tracing` event at debug, a service that fails at warn, one whose panic is
//! caught at error, and a new table at info. With the feature `metrics`:
//!
//! | counter | labels |
//! |---|---|
//! | `tower_gateway_dispatch_requests_total` | `outcome`: `mounted`, `inside`, `redirected`, `refused`, `method_not_allowed`; of the first, `mount`, as [`Place`] is written |
//! | `tower_gateway_dispatch_failures_total` | `reason`: `error`, `panic` |
//!
//! # Cost
//!
//! A look-up grows with the length of the path, hardly with the number of mounts. A request that no
//! mount matches costs no allocation. A mounted one costs one, for its future: a table that can be
//! changed holds services whose types are erased, and what they return has no size. A prefix that
//! is stripped costs a copy of what is left of the path, and the mount point's place among the
//! request's extensions.
//!
//! # Differences from `axum::Router::nest_service`
//!
//! axum matches the bytes as they came, and a file server at `/static` decodes them afterwards,
//! so a service that guards `/static/private` does not guard `/static/%70rivate`, and four more
//! spellings. Here all of them are one path. `/api/` is below `/api` in both; axum does not redirect
//! to a slash, and does not tell a file server its mount, whose redirects lead elsewhere then.

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
