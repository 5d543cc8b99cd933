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
//! Regular files below the root: a directory ([`StaticFiles::new`]), or anything else that knows
//! names and bytes ([`Source`]: [`MemoryFiles`], files in the program with the feature `embed`, one
//! of your own). Several roots are looked into in order ([`StaticFiles::root`]).
//!
//! A FIFO, a socket, or a device is a miss and never waited for; so is a name that is too long, one
//! that may not be read, and one with a slash behind a file. Symbolic links are followed if what
//! they end at is in the root; [`Symlinks`] says otherwise. A segment that begins with a dot is
//! hidden, but for `.well-known`. Names need not be UTF-8 on Unix. What goes wrong besides (a
//! disk that fails, no descriptor left) is a 500 with an [`Error`](crate::Error) of kind
//! [`Io`](crate::ErrorKind::Io) in the response's extensions, and a `warn` event.
//!
//! The root is looked up anew when a second has passed, so a deploy that swaps a symbolic link is
//! followed. It need not exist when the service is made; while it does not, everything is a miss.
//!
//! Confinement: on Linux `openat2` with `RESOLVE_BENEATH` finds the file, so that no change of the
//! tree between a check and its use can lead out. Where the kernel lacks it (before 5.6, or under
//! a strict seccomp profile) and on other Unix systems, the path is resolved first and then walked
//! without following links, which is as strict and slower; each policy on links is kept in both
//! ways. On other systems a path is checked before it is opened, and who may write into the root
//! can win a race between the two.
//!
//! A directory with a slash behind it answers with its first index file, or with a list of what is
//! in it ([`StaticFiles::listing`]). Without the slash it redirects to the one with it, if there is
//! one of the two; the mount (this layer's, one of `PathDispatch`, one of axum's `nest_service` with
//! the feature `axum`) and the query are kept. Any other directory is a miss, so it takes no path
//! from the application inside.
//!
//! Other names can be tried for a path ([`StaticFiles::try_files`], [`StaticFiles::clean_urls`]), and
//! an answer of the service inside can lead to a file: one that it names
//! ([`StaticFiles::accel_redirect`]), the page of an application of one page
//! ([`StaticFiles::spa`]), the page of an error ([`StaticFiles::error_page`]).
//!
//! # What it says about a file
//!
//! * `Content-Type` by the extension. `; charset=utf-8` for `text/*`, JavaScript included; not for
//!   XML, which names its own encoding, nor for JSON, which has no other.
//!   `application/octet-stream` for what is unknown; and `X-Content-Type-Options: nosniff`.
//! * `ETag`, strong, from the size and the modification time in nanoseconds: replicas that keep
//!   times agree. Or from the content, or from a file beside the file: [`EntityTags`]. Of a time that
//!   says nothing (one before 1990, which tools give to all files: 0 or 1 by Nix and reproducible
//!   images, 1980 by zip, 1985 by npm; the future) the tag is made from the content, since a wrong
//!   304 is worse than none. A file that was changed less than 20 milliseconds ago (two seconds,
//!   where times are whole seconds) may change again in the same tick of its clock: its tag is weak
//!   and another one.
//! * `Last-Modified` in whole seconds, where the time says something.
//! * `Cache-Control` and other fields by rules ([`StaticFiles::cache_control`],
//!   [`StaticFiles::header`]), and `immutable` for names with a hash
//!   ([`StaticFiles::immutable_in`]). None by default.
//! * Conditional requests by RFC 9110 §13.2.2, and ranges with `If-Range` by §14: one, or several as
//!   `multipart/byteranges`. Ranges that overlap, or lie closer than the head of a part takes, are
//!   merged; more than 200, with 20 overlaps or 20 steps backwards, or more bytes than the whole
//!   are answered with the whole.
//! * `Content-Encoding`, by q-values, for files that lie compressed beside the file
//!   ([`StaticFiles::precompressed`]) or are compressed here, once each
//!   ([`StaticFiles::compress`](StaticFiles), feature `compression`). Each coding has a tag of its
//!   own, so that ranges and conditions mean the same bytes; `Vary` goes with every answer about
//!   such a file.
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
//! a chunk of 128 KiB is read at a time, and one ahead if the disk is waited for. What a client
//! does not take is queued by the server: hyper holds up to its `max_buf_size`, 408 KiB unless it is
//! told otherwise, and the rest of the chunk with which that is reached. A path outside of the prefix
//! ([`StaticFiles::at`]) costs nothing.
//! `HEAD`, 304, and 412 read nothing.
//!
//! With [`StaticFiles::cache`], bytes and heads of answers are kept in memory, and a miss is
//! remembered: an answer then asks the disk for nothing but, once a second and path, whether all is
//! as it was.
//!
//! A file that becomes shorter while it is sent ends the body with an error, which breaks the
//! connection off; of one that grows, the length that was announced is sent. To change a file,
//! write another and rename it.
//!
//! Dropping the response future or the body at any point closes the file, as soon as a read
//! that is under way in the pool is over.
//!
//! # Memory
//!
//! [`StaticFiles::cache`] keeps files, the heads of their answers, and which paths have no file.
//! What is kept is answered with one look into a table. When it is older than a second, the next
//! request compares it with the disk, on the spot if the kernel has the answer; else it has the
//! blocking pool do so, and the others are sent what is known until that is over. A disk that
//! fails, or never answers, leaves what is known in use: failures are `warn` events.
//!
//! Of many requests for a path of which nothing is known, one waits for the disk. The others wait
//! for that one, without a thread, and for ten seconds at most; then they are a 500. So a mount that
//! hangs takes one thread of the pool for each path, and not one for each request.
//!
//! # Events and metrics
//!
//! Each request below the mount is an event (`debug`) with `path` and `outcome`, and, if it was
//! answered here, `status` and `bytes`. With the feature `metrics` the
//! [`metrics`](https://docs.rs/metrics) facade is told the same:
//!
//! | name | kind | |
//! |---|---|---|
//! | `tower_gateway_static_requests_total` | counter | with the label `outcome` |
//! | `tower_gateway_static_bytes_total` | counter | of the bodies of answers, as `Content-Length` promises them |
//! | `tower_gateway_static_cache_entries` | gauge | what all caches of the process keep |
//! | `tower_gateway_static_cache_bytes` | gauge | the same, in the bytes that count for their budgets |
//!
//! An `outcome` is `memory` or `disk` (a file or a part of it, from the cache or not),
//! `not_modified` (304), `redirect` and `listing` of a directory, `refused` (412, 416; a path that
//! is not canonical), `passed` (no file, or another method: the service inside was asked), `missing`
//! (the same, and nobody was), `failed` (500). `instead` comes besides, if a file takes the place of
//! such an answer: the page of an error or of an application, or a file that the service inside
//! named.
//!
//! # Coming from `tower_http::services::ServeDir`
//!
//! | `ServeDir` | here |
//! |---|---|
//! | `ServeDir::new(path)` | [`StaticFiles::new`] |
//! | `ServeFile::new(file)` | a [`Source`] with one file, or `try_files(["file"])` |
//! | `.fallback(service)` | `.layer(service)`: what is inside has the misses |
//! | `.not_found_service(ServeFile::new("404.html"))` | [`error_page`](StaticFiles::error_page) |
//! | `.fallback(ServeFile::new("index.html"))` | [`spa`](StaticFiles::spa), which leaves a missing script a 404 |
//! | `.call_fallback_on_method_not_allowed(true)` | the default; [`fall_through`](StaticFiles::fall_through) says otherwise |
//! | `.append_index_html_on_directories(false)` | [`index(None::<&str>)`](StaticFiles::index) |
//! | `.html_as_default_extension(true)` | [`clean_urls`](StaticFiles::clean_urls) |
//! | `.precompressed_br()`, `_gzip()`, `_zstd()` | [`precompressed`](StaticFiles::precompressed); there is no deflate |
//! | `.with_buf_chunk_size(n)` | nothing: a file of up to 128 KiB leaves in one piece, a larger one in such |
//! | `.redirect_path_prefix(prefix)` | nothing: the mount is known |
//! | `.ignore_multi_range_requests(true)` | nothing: several ranges are answered, within limits |
//! | `ServeDir::with_backend(backend)` | [`from_source`](StaticFiles::from_source) |
//! | `SetResponseHeaderLayer` for `Cache-Control` | [`cache_control`](StaticFiles::cache_control) |
//! | `CompressionLayer` around it | [`compress`](StaticFiles) (feature `compression`), once per file |
//!
//! What is otherwise the same and differs: as a layer it is in front of the application; `ServeDir`
//! ends a stack. Symbolic links that lead out of the root and names that begin with a dot are
//! misses. A path is read before it is decoded, so that what guards a part of the tree guards
//! every spelling of it; an encoded slash is 400. `If-Range` counts, and a range in an unknown unit
//! is ignored. A precompressed file without its original, or older than it, does not count. The
//! redirect to a directory is 308, and happens only where there is something to show. Text has a
//! charset.

mod answer;
mod cache;
mod cache_control;
mod codings;
#[cfg(feature = "compression")]
mod compress;
mod digest;
mod fallbacks;
mod find;
mod hashed;
mod layer;
mod listing;
mod look_up;
mod manifest;
mod media_type;
mod navigation;
mod open;
mod policy;
mod representation;
mod rules;
mod seen;
mod service;
mod source;
mod target;
mod turns;
mod validators;

#[cfg(feature = "embed")]
pub use self::source::EmbeddedFiles;
pub use self::{
    cache_control::CacheControl,
    layer::StaticFiles,
    listing::{DirEntry, Listed, Listing},
    open::Symlinks,
    rules::{Files, InvalidPattern},
    service::{NotFound, ResponseFuture, StaticFilesService},
    source::{Found, MemoryFiles, Source, SourceFile, Wait},
    validators::EntityTags,
};
