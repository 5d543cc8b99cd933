//! Files from a directory, in front of a service or at the end of a stack.
//!
//! As a layer, [`StaticFiles`] answers `GET` and `HEAD` for the files there are, and hands
//! everything else (a miss, another method, another path) to the service inside: the request as
//! it came, but for its path in canonical form. As a service it answers the rest itself: 404 for
//! a miss, 204 with `Allow` for `OPTIONS`, 405 with `Allow` for the other methods.
//!
//! ```
//! use http::{Request, header};
//! use http_body_util::BodyExt;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_gateway::{Body, StaticFiles};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let directory = tempfile::tempdir()?;
//! std::fs::write(directory.path().join("style.css"), "body { color: teal }")?;
//!
//! let app = ServiceBuilder::new()
//!     .layer(StaticFiles::new(directory.path()).at("/static"))
//!     .service(service_fn(async |_: Request<Body>| {
//!         Ok::<_, std::convert::Infallible>(http::Response::new(Body::from("the application")))
//!     }));
//!
//! let request = Request::get("/static/style.css").body(Body::empty())?;
//! let response = app.clone().oneshot(request).await?;
//! assert_eq!(response.headers()[header::CONTENT_TYPE], "text/css; charset=utf-8");
//! assert_eq!(response.headers()[header::CONTENT_LENGTH], "20");
//! assert!(response.headers().contains_key(header::ETAG));
//!
//! let request = Request::get("/static/no-such-file").body(Body::empty())?;
//! let response = app.oneshot(request).await?;
//! let body = response.into_body().collect().await?.to_bytes();
//! assert_eq!(body, "the application");
//! # Ok::<(), tower_gateway::BoxError>(())
//! # })?;
//! # Ok::<(), tower_gateway::BoxError>(())
//! ```
//!
//! # What is served
//!
//! Regular files below the root. A FIFO, a socket, or a device is a miss and never waited for;
//! so is a name that is too long, one that may not be read, and one with a slash behind a file.
//! Symbolic links are followed if what they end at is in the root; [`Symlinks`] has other policies. A
//! segment that begins with a dot is hidden, but for `.well-known`. Names need not be UTF-8 on Unix. What goes wrong besides (a
//! disk that fails, no descriptor left) is a 500 with an [`Error`](crate::Error) of kind
//! [`Io`](crate::ErrorKind::Io) in the response's extensions, and a `warn` event.
//!
//! The root is looked up anew when a second has passed, so a deploy that swaps a symbolic link is
//! followed. It need not exist when the service is made; while it does not, everything is a miss.
//!
//! Confinement: on Linux `openat2` with `RESOLVE_BENEATH` finds the file, so that no change of the
//! tree between a check and its use can lead out. Where the kernel lacks it (before 5.6, or under
//! a strict seccomp profile) and on other Unix systems, the path is resolved first and then walked
//! without following links, which is as strict and slower. Each policy on links is kept in both ways. On other systems a path is checked
//! before it is opened, and who may write into the root can win a race between the two.
//!
//! A directory with a slash behind it answers with its first index file. Without the slash it
//! redirects to the one with it, if there is an index file; the mount (this layer's, one of
//! `PathDispatch`, one of axum's `nest_service` with the feature `axum`) and the query are kept.
//! A directory without an index file is a miss, so it takes no path from the application inside.
//!
//! # What it says about a file
//!
//! * `Content-Type` by the extension. `; charset=utf-8` for `text/*`, JavaScript included; not for
//!   XML, which names its own encoding, nor for JSON, which has no other.
//!   `application/octet-stream` for what is unknown.
//! * `ETag`, strong, from the size and the modification time in nanoseconds: replicas that keep
//!   times agree. `Last-Modified` in whole seconds, unless that is in the future. Neither for a
//!   file of the first two seconds of 1970 or before: such times (Nix, reproducible images) say
//!   nothing, and a wrong 304 is worse than none.
//! * Conditional requests by RFC 9110 §13.2.2, and single ranges with `If-Range` by §14. Of a
//!   request for several ranges the whole file is the answer.
//!
//! # Cost
//!
//! On Linux, what the kernel has in its caches is answered on the spot: it is opened with
//! `RESOLVE_CACHED` and read with `RWF_NOWAIT`, which fail where they would wait for a disk. That
//! takes two to three microseconds, a miss less than one. Only what fails so, and everything on
//! other systems, takes one trip to tokio's blocking pool, which opens, stats, and reads the
//! beginning. (On a network file system opening may ask its server either way.)
//!
//! A file of up to 128 KiB is read whole, and leaves in one piece with the head; of a larger one
//! two chunks of 128 KiB are in memory at a time. A path outside of the prefix
//! ([`StaticFiles::at`]) costs nothing.
//! `HEAD`, 304, and 412 read nothing.
//!
//! A file that becomes shorter while it is sent ends the body with an error, which breaks the
//! connection off; of one that grows, the length that was announced is sent. To change a file,
//! write another and rename it.
//!
//! Dropping the response future or the body at any point closes the file, as soon as a read
//! that is under way in the pool is over.
//!
//! # What it does not do
//!
//! No compression, no listing, no `Cache-Control`. Nothing is kept in memory between requests.
//! tower-http's `CompressionLayer` and `SetResponseHeaderLayer` go around it.
//!
//! # Differences from `tower_http::services::ServeDir`
//!
//! As a layer it is in front of the application, and a miss or another method goes there; `ServeDir`
//! ends a stack, or has a fallback. Symbolic links that lead out of the root and names that begin with a dot
//! are misses. A path is read before it is decoded, so that what guards a part of the tree guards
//! every spelling of it; an encoded slash is 400. `If-Range` counts, a range in an unknown unit is
//! ignored, several ranges get the whole file. The redirect to a directory is 308, keeps the mount,
//! and happens only where there is an index file. Text has a charset. There are no precompressed
//! variants, and no file backend but the disk.

mod answer;
mod layer;
#[allow(dead_code)]
mod listing;
mod media_type;
#[allow(dead_code)]
mod open;
mod service;

pub use self::{
    layer::StaticFiles,
    listing::{DirEntry, Listed, Listing},
    open::{Identity, Symlinks},
    service::{NotFound, ResponseFuture, StaticFilesService},
};
