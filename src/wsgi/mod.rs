//! Python applications: this process starts, feeds, and supervises the workers that run them.

// Until all rooms are there.
#![allow(dead_code, unused_imports)]

mod call;
mod dispatch;
mod environ;
mod frame;
mod response;
mod slot;
mod upload;
mod worker;
