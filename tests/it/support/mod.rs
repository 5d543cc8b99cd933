//! What tests of several modules share.

pub mod raw;
pub mod scripted;
pub mod server;
pub mod steps;
pub mod upstream;
