//! HTTP/1.1 as it is on the wire, RFC 9112: pure, from bytes to messages and back.

pub(super) mod chunked;
pub(super) mod framing;
pub(super) mod head;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::{error, fmt};

pub(in crate::gateway_proxy) use self::head::write_request;

/// Why an answer cannot be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadAnswer(pub(super) &'static str);

impl fmt::Display for BadAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl error::Error for BadAnswer {}
