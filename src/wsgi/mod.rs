//! Python applications: this process starts, feeds, and supervises the workers that run them.

// Until all rooms are there.
#![allow(dead_code, unused_imports)]

mod builder;
mod dispatch;
mod environ;
mod error;
mod frame;
mod handle;
mod process;
mod response;
mod slot;
mod supervisor;
mod worker;

pub use self::{
    builder::Builder,
    error::{SpawnError, SpawnErrorKind},
    handle::{Handle, State, Status, WorkerState, WorkerStatus},
};
#[derive(Debug)]
pub struct WsgiContainer;
