//! What becomes of answers on their way back: through `serve`, over sockets.

#[cfg(target_os = "linux")]
mod buffering;
mod edits;
mod errors;
mod files;
mod rewrites;
mod streams;
