//! HTTP semantics, pure: no async, no I/O, no tower.
//!
//! What RFC 3986, RFC 9110, RFC 7239, and RFC 3875 decide, as functions from header values to decisions.
//! The layers of this crate call them; they are public for those who write a layer of their own.

#[cfg(any(feature = "gateway-proxy", feature = "wsgi"))]
pub(crate) mod accel;
#[cfg(any(feature = "gateway-proxy", feature = "wsgi"))]
pub mod cgi;
#[cfg(any(feature = "gateway-proxy", feature = "wsgi"))]
pub(crate) mod client;
#[cfg(feature = "static-files")]
pub mod conditional;
#[cfg(any(
    feature = "concurrency-limit",
    feature = "gateway-proxy",
    feature = "wsgi"
))]
pub mod forwarded;
#[cfg(any(
    feature = "concurrency-limit",
    feature = "gateway-proxy",
    feature = "wsgi"
))]
pub mod hop;
#[cfg(any(
    feature = "concurrency-limit",
    feature = "gateway-proxy",
    feature = "path-dispatch",
    feature = "serve",
    feature = "wsgi"
))]
pub mod host;
#[cfg(any(feature = "gateway-proxy", feature = "wsgi"))]
pub mod max_forwards;
pub mod mount;
#[cfg(feature = "static-files")]
pub mod negotiate;
pub mod path;
pub mod peer;
#[cfg(feature = "static-files")]
pub mod range;
#[cfg(feature = "gateway-proxy")]
pub mod retry_after;
pub mod rewrite;
#[cfg(any(feature = "gateway-proxy", feature = "static-files", feature = "wsgi"))]
pub mod send_file;
#[cfg(any(
    feature = "concurrency-limit",
    feature = "gateway-proxy",
    feature = "wsgi"
))]
pub mod trust;
pub mod via;
