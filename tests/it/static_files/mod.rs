//! StaticFiles, through its public API: as a service, as a layer, and on a socket.

#[cfg(target_os = "linux")]
mod cached;
#[cfg(target_os = "linux")]
mod confinement;
mod directories;
mod layer;
#[cfg(target_os = "linux")]
mod races;
mod representation;
#[cfg(feature = "axum")]
mod routers;
mod sending;
#[cfg(unix)]
mod symlinks;
mod tree;
