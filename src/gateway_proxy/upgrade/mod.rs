//! Connections that are no longer HTTP: WebSocket, and whatever both ends agree on.
//!
//! Whether `Sec-WebSocket-Accept` answers the key is the client's to check (RFC 6455 §4.1), and is
//! left to it: a proxy that did it again would find nothing else, and pay a SHA-1 for it. Only over
//! HTTP/2, where no client checks, it is done here ([`extended`]).
//!
//! - `websocket`, `half`, `tunnel`: what goes on in between, one direction and both.
//! - `tunnels`: all of a proxy, and how they are told to end.
//! - `extended`, `handshake`: a WebSocket that is asked for over HTTP/2.

mod extended;
mod half;
mod handshake;
mod tunnel;
mod tunnels;
mod websocket;

use http::{HeaderValue, header, response};
use hyper_util::rt::TokioIo;
use tracing::Instrument;

use self::tunnel::{Limits, Report, Tunnel};
pub(super) use self::{
    extended::{Extended, is_extended},
    tunnel::Ended,
    tunnels::Tunnels,
};
use super::{layer::Shared, pool::Turn, request::Upgrade, seen::Seen, tries::Work, upstream::Call};
use crate::{Error, ErrorKind, body::Drain, semantics::hop};

/// A switch that both ends have agreed on.
#[derive(Debug)]
pub(super) struct Switch {
    wish: Upgrade,
    protocol: HeaderValue,
}

impl Switch {
    /// Judges an answer 101 with this protocol.
    ///
    /// RFC 9110 §15.2.2: "The server MUST generate an Upgrade header field in the response that
    /// indicates which protocol(s) will be in effect after this response." Bytes are carried only
    /// when it is one that the client asked for: any other reading of the stream lets one client
    /// speak for another.
    pub(super) fn agreed(
        wish: Option<Upgrade>,
        protocol: Option<HeaderValue>,
        call: &Call,
    ) -> Result<Self, Error> {
        let wish = wish.ok_or_else(|| broken("it switched protocols and nobody had asked"))?;
        let protocol =
            protocol.ok_or_else(|| broken("it switched to a protocol it did not name"))?;
        if !is_one_of(&protocol, &wish.protocols) {
            return Err(broken(
                "it switched to a protocol that nobody had asked for",
            ));
        }
        // RFC 9110 §7.8: "A client cannot begin using an upgraded protocol on the connection until
        // it has completely sent the request message (i.e., the client can't change the protocol
        // it is sending in the middle of a message)."
        if !call.is_written() {
            return Err(broken("it switched protocols before it had the request"));
        }
        Ok(Self { wish, protocol })
    }

    /// Makes the head of the answer the one that tells the client.
    pub(super) fn tell(&self, parts: &mut response::Parts) -> Result<(), Error> {
        // Bodies of a 101 there are none.
        parts.headers.remove(header::CONTENT_LENGTH);
        if let Some(extended) = &self.wish.extended {
            return extended.accept(parts);
        }
        let upgrade = HeaderValue::from_static("upgrade");
        parts.headers.insert(header::CONNECTION, upgrade);
        let protocol = self.protocol.clone();
        parts.headers.insert(header::UPGRADE, protocol);
        Ok(())
    }

    /// Carries what follows, until either end has had enough.
    pub(super) fn carry(self, call: Call, held: (Turn, Work), shared: &Shared, seen: Seen) {
        let config = &shared.config;
        let limits = Limits {
            idle: config.upgrade_idle_timeout,
            lifetime: config.upgrade_lifetime,
        };
        let span = seen.span();
        let tunnel = carry(self, call, held, limits, shared.tunnels.open(), seen);
        tokio::spawn(tunnel.instrument(span));
    }
}

fn broken(reason: &'static str) -> Error {
    Error::new(ErrorKind::UpstreamProtocol).with_source(reason)
}

fn is_one_of(protocol: &HeaderValue, wished: &HeaderValue) -> bool {
    let mut chosen = hop::tokens(protocol);
    match (chosen.next(), chosen.next()) {
        (Some(chosen), None) => {
            hop::tokens(wished).any(|wished| wished.eq_ignore_ascii_case(chosen))
        }
        _ => false,
    }
}

async fn carry(
    switch: Switch,
    call: Call,
    (turn, work): (Turn, Work),
    limits: Limits,
    proxy: Drain,
    seen: Seen,
) {
    let is_websocket = switch.protocol.as_bytes();
    let is_websocket = is_websocket.eq_ignore_ascii_case(b"websocket");
    let Upgrade {
        client,
        hold,
        drain: server,
        ..
    } = switch.wish;
    let asked = work.server();
    let (upstream, early) = call.into_stream();
    match client.await {
        Ok(client) => {
            let tunnel = Tunnel::new(TokioIo::new(client), upstream, early, is_websocket);
            let Report {
                ended,
                up,
                down,
                lasted,
            } = tunnel.run(limits, proxy, server).await;
            tracing::debug!(upstream = %asked.address(), up, down, ?lasted, why = %ended, "a tunnel ended");
            seen.tunneled(&ended, up, down);
        }
        Err(error) => tracing::debug!(%error, "the client did not take the upgrade"),
    }
    drop((turn, work, hold));
}
