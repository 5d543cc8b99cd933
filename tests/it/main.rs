//! One integration binary: a module for each layer, and one for what they are together.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod body;
#[cfg(feature = "concurrency-limit")]
mod concurrency_limit;
#[cfg(feature = "full")]
mod examples;
#[cfg(feature = "gateway-proxy")]
mod gateway_proxy;
#[cfg(feature = "full")]
mod interop;
#[cfg(feature = "path-dispatch")]
mod path_dispatch;
mod paths;
#[cfg(feature = "gateway-proxy")]
mod rfc7239;
mod rfc9110;
#[cfg(feature = "serve")]
mod serve;
#[cfg(feature = "gateway-proxy")]
mod spool_requests;
#[cfg(feature = "static-files")]
mod static_files;
#[allow(dead_code)]
mod support;
mod tidy;
#[cfg(feature = "full")]
mod together;
#[cfg(all(feature = "wsgi", unix))]
mod wsgi;
