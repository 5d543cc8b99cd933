//! One question to a server, whether it is well.

use std::future::poll_fn;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
#[cfg(feature = "http2")]
use http_body_util::BodyExt;

use super::{
    health::HealthCheck,
    request::Head,
    server::Server,
    upstream::{Call, Coding, Dialer, Outgoing, Patience, Speech},
};
use crate::{Body, BoxError};

/// Sends one probe, on a connection of its own, beside the pool and its limits: a server that is
/// busy is not down.
///
/// Without a time limit. Dropped, it closes the connection.
pub(super) async fn probe(
    server: &Server,
    check: &HealthCheck,
) -> Result<(StatusCode, Bytes), BoxError> {
    let own = server.pool().dialer();
    let other = check.probed_port().map(|port| own.with_port(port));
    let dialer = other.as_ref().unwrap_or(own);
    let mut head = Head::probe(check);
    #[cfg(feature = "http2")]
    if server.address().speech == Speech::Http2 {
        return probe_http2(server, dialer, &mut head, check.wanted_body()).await;
    }
    probe_http1(server, dialer, &mut head, check.wanted_body()).await
}

async fn probe_http1(
    server: &Server,
    dialer: &Dialer,
    head: &mut Head,
    wanted: usize,
) -> Result<(StatusCode, Bytes), BoxError> {
    let mut bytes = BytesMut::new();
    head.write(server, &mut bytes)?;
    let request = Outgoing {
        method: head.method.clone(),
        head: bytes,
        body: Body::empty(),
        coding: Coding::Length(0),
        is_held: false,
    };
    // The one who asks has a limit on all of it.
    let patience = Patience::endless();
    let mut call = Call::new(dialer.connect().await?, request, &patience);
    let answer = poll_fn(|cx| call.poll_head(cx)).await;
    let answer = answer.map_err(|failure| failure.error)?;
    // What is at another port may be another server.
    let is_at_port = dialer.address() == server.address();
    if is_at_port && server.address().speech == Speech::Uwsgi {
        server.known.learn_reading(answer.headers());
    }
    let mut body = BytesMut::new();
    while body.len() < wanted {
        match poll_fn(|cx| call.poll_body(cx)).await {
            None => break,
            Some(frame) => {
                if let Ok(data) = frame?.into_data() {
                    body.extend_from_slice(&data);
                }
            }
        }
    }
    Ok((answer.status(), body.freeze()))
}

#[cfg(feature = "http2")]
async fn probe_http2(
    server: &Server,
    dialer: &Dialer,
    head: &mut Head,
    wanted: usize,
) -> Result<(StatusCode, Bytes), BoxError> {
    let request = head.for_http2(server, Body::empty())?;
    let connection = dialer.connect_shared().await?;
    let sent = connection.send(request).await;
    let answer = sent.map_err(|failure| failure.into_error())?;
    let status = answer.status();
    let mut rest = answer.into_body();
    let mut body = BytesMut::new();
    while body.len() < wanted {
        match rest.frame().await {
            None => break,
            Some(frame) => {
                let frame = frame.map_err(|failure| failure.into_error())?;
                if let Ok(data) = frame.into_data() {
                    body.extend_from_slice(&data);
                }
            }
        }
    }
    Ok((status, body.freeze()))
}
