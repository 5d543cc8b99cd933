//! Python applications: this process starts, feeds, and supervises the workers that run them.

// Until all rooms are there.
#![allow(dead_code, unused_imports, unreachable_pub)]

mod body;
mod builder {
    mod requests;

    pub(super) use self::requests::Requests;

    /// A stub.
    #[derive(Clone, Debug)]
    #[must_use]
    pub struct Builder {
        requests: Requests,
    }
}
mod call;
mod dispatch;
mod environ;
mod exchange;
mod frame;
mod request;
mod response;
mod seen;
mod service;
mod slot;
mod traceback;
mod upload;
mod worker;

pub use self::service::{ResponseFuture, WsgiContainer};
pub use crate::semantics::client::ForwardedHeaders;

#[cfg(test)]
mod tests;
