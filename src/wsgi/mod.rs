//! Python applications: this process starts, feeds, and supervises the workers that run them.

mod body;
mod builder;
mod call;
mod dispatch;
mod environ;
mod error;
mod exchange;
mod frame;
mod handle;
mod process;
mod request;
mod response;
mod seen;
mod service;
mod slot;
mod supervisor;
mod traceback;
mod upload;
mod worker;

pub use self::{
    builder::Builder,
    error::{SpawnError, SpawnErrorKind},
    handle::{Handle, State, Status, WorkerState, WorkerStatus},
    service::{ResponseFuture, WsgiContainer},
};
pub use crate::semantics::client::ForwardedHeaders;

#[cfg(test)]
mod tests;
