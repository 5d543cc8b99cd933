//! Workers are started, watched, and replaced.

mod boot;
mod cleared;
mod crashes;
#[cfg(target_os = "linux")]
mod descriptors;
mod ends;
mod load;
mod orphans;
mod preload;
mod recycling;
mod reloading;
mod scaling;
#[cfg(feature = "metrics")]
mod seen;
mod stuck;
mod watching;
