//! Workers are started, watched, and replaced.

mod boot;
