//! What nginx and Gunicorn do in front of a web application, as tower layers.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod body;
#[cfg(feature = "concurrency-limit")]
pub mod concurrency_limit;
mod error;
#[cfg(feature = "gateway-proxy")]
pub mod gateway_proxy;
#[cfg(feature = "path-dispatch")]
pub mod path_dispatch;
pub mod semantics;
#[cfg(feature = "serve")]
pub mod serve;
#[cfg(feature = "gateway-proxy")]
pub mod spool_requests;
#[cfg(feature = "static-files")]
pub mod static_files;

#[cfg(feature = "concurrency-limit")]
pub use self::concurrency_limit::ConcurrencyLimit;
#[cfg(feature = "gateway-proxy")]
pub use self::gateway_proxy::GatewayProxy;
#[cfg(feature = "path-dispatch")]
pub use self::path_dispatch::PathDispatch;
#[cfg(feature = "gateway-proxy")]
pub use self::spool_requests::SpoolRequests;
#[cfg(feature = "static-files")]
pub use self::static_files::StaticFiles;
pub use self::{
    body::Body,
    error::{BoxError, Error, ErrorKind, Fault},
    semantics::{mount::MountPoint, path::PathPolicy, peer::PeerAddr},
};
