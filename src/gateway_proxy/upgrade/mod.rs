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

/// Accepts an answer 101, and carries what follows until either end has had enough.
///
/// RFC 9110 §15.2.2: "The server MUST generate an Upgrade header field in the response that
/// indicates which protocol(s) will be in effect after this response." Bytes are carried only
/// when it is one that the client asked for: any other reading of the stream lets one client
/// speak for another.
pub(super) fn accept(
    wish: Option<Upgrade>,
    protocol: Option<HeaderValue>,
    parts: &mut response::Parts,
    held: (Turn, Work),
    call: Call,
    shared: &Shared,
    seen: &mut Seen,
) -> Result<(), Error> {
    let unasked =
        |reason: &'static str| Error::new(ErrorKind::UpstreamProtocol).with_source(reason);
    let wish = wish.ok_or_else(|| unasked("it switched protocols and nobody had asked"))?;
    let protocol = protocol.ok_or_else(|| unasked("it switched to a protocol it did not name"))?;
    if !is_one_of(&protocol, &wish.protocols) {
        return Err(unasked(
            "it switched to a protocol that nobody had asked for",
        ));
    }
    let is_websocket = protocol.as_bytes().eq_ignore_ascii_case(b"websocket");
    // Bodies of a 101 there are none.
    parts.headers.remove(header::CONTENT_LENGTH);
    if let Some(extended) = &wish.extended {
        extended.accept(parts)?;
    } else {
        let upgrade = HeaderValue::from_static("upgrade");
        parts.headers.insert(header::CONNECTION, upgrade);
        parts.headers.insert(header::UPGRADE, protocol);
    }
    let config = &shared.config;
    let limits = Limits {
        idle: config.upgrade_idle_timeout,
        lifetime: config.upgrade_lifetime,
    };
    seen.tunnel(parts.status);
    let seen = seen.take();
    let span = seen.span();
    let tunnel = carry(
        wish,
        held,
        call,
        limits,
        shared.tunnels.open(),
        is_websocket,
        seen,
    );
    tokio::spawn(tunnel.instrument(span));
    Ok(())
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
    wish: Upgrade,
    (turn, work): (Turn, Work),
    call: Call,
    limits: Limits,
    proxy: Drain,
    is_websocket: bool,
    seen: Seen,
) {
    let Upgrade {
        client,
        hold,
        drain: server,
        ..
    } = wish;
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
