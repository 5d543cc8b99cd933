//! StaticFiles, through its public API: as a service, as a layer, and on a socket.

#[cfg(target_os = "linux")]
mod cache_policy;
#[cfg(target_os = "linux")]
mod cached;
#[cfg(target_os = "linux")]
mod confinement;
mod directories;
#[cfg(target_os = "linux")]
mod downloads;
mod kept;
mod layer;
mod representation;
#[cfg(feature = "axum")]
mod routers;
mod seen;
mod sending;
mod source;
mod sources;
mod tree;
