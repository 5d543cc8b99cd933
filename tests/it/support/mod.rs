//! What tests of several modules share.

pub mod alone;
pub mod awaited;
#[cfg(feature = "serve")]
pub mod front;
pub mod counted;
pub mod log;
pub mod process;
pub mod python;
pub mod raw;
pub mod scripted;
pub mod server;
pub mod session;
pub mod steps;
pub mod tls;
pub mod upstream;
