//! StaticFiles, through its public API: as a service, as a layer, and on a socket.

mod accel;
mod accel_names;
#[cfg(target_os = "linux")]
mod adversary;
#[cfg(all(target_os = "linux", feature = "full"))]
mod blackbox;
#[cfg(target_os = "linux")]
mod cache_policy;
#[cfg(target_os = "linux")]
mod cached;
#[cfg(target_os = "linux")]
mod codings;
#[cfg(feature = "compression")]
mod compressed;
#[cfg(target_os = "linux")]
mod confinement;
mod directories;
#[cfg(target_os = "linux")]
mod downloads;
mod error_pages;
mod falling_through;
#[cfg(target_os = "linux")]
mod hostile;
mod inside;
mod kept;
mod layer;
#[cfg(target_os = "linux")]
mod listing;
#[cfg(target_os = "linux")]
mod listing_names;
mod manifests;
#[cfg(target_os = "linux")]
mod policy;
#[cfg(target_os = "linux")]
mod races;
mod redirects;
mod representation;
mod roots;
#[cfg(feature = "axum")]
mod routers;
mod seen;
mod sendfile;
mod sending;
mod source;
mod sources;
mod spa;
#[cfg(target_os = "linux")]
mod spellings;
#[cfg(unix)]
mod symlinks;
#[cfg(target_os = "linux")]
mod tags;
mod tree;
mod tries;
mod waiting;
