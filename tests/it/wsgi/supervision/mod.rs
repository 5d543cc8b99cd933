//! Workers are started, watched, and replaced.

mod boot;
mod crashes;
mod ends;
mod load;
mod orphans;
mod preload;
mod recycling;
mod reloading;
mod scaling;
mod stuck;
mod watching;
