//! A WebSocket that is asked for over HTTP/2 and had over HTTP/1.1: RFC 8441.

use http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, header, response};

use super::{broken, handshake};
use crate::Error;

/// An extended CONNECT that is passed on as a GET with `Upgrade`.
///
/// RFC 8441 §5: implementations "do not do the processing of the Sec-WebSocket-Key and
/// Sec-WebSocket-Accept header fields of RFC6455 as that functionality has been superseded by the
/// :protocol pseudo-header field". So nobody else checks the upstream's answer, and it is done here.
#[derive(Debug)]
pub(in crate::gateway_proxy) struct Extended {
    /// What the key has to be answered with.
    accept: String,
}

impl Extended {
    /// Turns a request that [`is_extended`] into one that an HTTP/1.1 upstream understands, and
    /// returns the protocol that it asks for.
    ///
    /// To be called when the fields of the client's connection are stripped.
    pub(in crate::gateway_proxy) fn turn(
        method: &mut Method,
        headers: &mut HeaderMap,
    ) -> Option<(Self, HeaderValue)> {
        let key = handshake::key();
        let accept = handshake::accept(&key);
        *method = Method::GET;
        // Base64 is made of visible characters.
        let key = HeaderValue::try_from(key).ok()?;
        let protocol = HeaderValue::from_static("websocket");
        headers.insert(header::SEC_WEBSOCKET_KEY, key);
        headers.remove(header::SEC_WEBSOCKET_ACCEPT);
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocol.clone());
        Some((Self { accept }, protocol))
    }

    /// Makes the 101 of the upstream a 200.
    ///
    /// RFC 8441 §5: a server that takes the connection answers 200 where RFC 6455 has 101; what else
    /// the upstream has chosen (`Sec-WebSocket-Protocol`, `Sec-WebSocket-Extensions`) is said the
    /// same way in both.
    pub(super) fn accept(&self, parts: &mut response::Parts) -> Result<(), Error> {
        let mut accepts = parts.headers.get_all(header::SEC_WEBSOCKET_ACCEPT).iter();
        let is_right = accepts
            .next()
            .is_some_and(|accept| accept.as_bytes() == self.accept.as_bytes());
        if !is_right || accepts.next().is_some() {
            return Err(broken("it switched to WebSocket with a wrong Accept"));
        }
        parts.status = StatusCode::OK;
        for name in [
            header::SEC_WEBSOCKET_ACCEPT,
            header::UPGRADE,
            header::CONNECTION,
        ] {
            parts.headers.remove(name);
        }
        Ok(())
    }

    /// What to do with an answer that is not 101: it passes, unless to the client it would mean
    /// that the tunnel is there.
    pub(in crate::gateway_proxy) fn declined(&self, parts: &response::Parts) -> Result<(), Error> {
        if parts.status.is_success() {
            return Err(broken(
                "it answered the wish for a WebSocket with no switch",
            ));
        }
        Ok(())
    }
}

/// Whether this is an extended CONNECT for a protocol that is known here. Others are answered as a
/// plain one is, with 501: RFC 9220 §3 has it so.
pub(in crate::gateway_proxy) fn is_extended(method: &Method, extensions: &Extensions) -> bool {
    *method == Method::CONNECT
        && protocol(extensions).is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"))
}

/// The `:protocol` of a request, as hyper tells it.
#[cfg(any(feature = "http2", feature = "serve"))]
fn protocol(extensions: &Extensions) -> Option<&str> {
    Some(extensions.get::<hyper::ext::Protocol>()?.as_str())
}

/// Without HTTP/2 there is none.
#[cfg(not(any(feature = "http2", feature = "serve")))]
fn protocol(_: &Extensions) -> Option<&str> {
    None
}
#[cfg(all(test, any(feature = "http2", feature = "serve")))]
#[allow(clippy::unwrap_used)]
mod tests;
