//! What tests of several modules share.

pub mod log;
pub mod raw;
pub mod scripted;
pub mod server;
