//! What tests of several modules share.

pub mod alone;
pub mod awaited;
pub mod counted;
#[cfg(feature = "serve")]
pub mod front;
pub mod log;
pub mod process;
pub mod python;
pub mod raw;
pub mod scripted;
pub mod server;
pub mod session;
pub mod steps;
pub mod stories;
pub mod tls;
pub mod upstream;
pub mod wire;
