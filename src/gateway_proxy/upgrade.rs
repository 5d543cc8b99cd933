//! Connections that are no longer HTTP: WebSocket, and whatever both ends agree on.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional};

use super::{
    activity::{Activity, Patience},
    pool::Lease,
    request::Upgrade,
};
use crate::{Error, ErrorKind, semantics::hop};

/// Accepts an answer 101, and carries what follows until either end has had enough.
///
/// RFC 9110 §15.2.2: "The server MUST generate an Upgrade header field in the response that
/// indicates which protocol(s) will be in effect after this response." Bytes are carried only
/// when it is one that the client asked for: any other reading of the stream lets one client
/// speak for another.
pub(super) fn accept(
    wish: Option<Upgrade>,
    protocol: Option<HeaderValue>,
    headers: &mut HeaderMap,
    lease: Lease,
    idle_timeout: Duration,
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
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, protocol);
    // Bodies of a 101 there are none.
    headers.remove(header::CONTENT_LENGTH);
    tokio::spawn(carry(wish, lease, idle_timeout));
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

async fn carry(wish: Upgrade, lease: Lease, idle_timeout: Duration) {
    let Upgrade { client, hold, .. } = wish;
    let (connection, permit) = lease.into_parts();
    let (upstream, early) = connection.into_stream();
    match client.await {
        Ok(client) => {
            let ended = tunnel(TokioIo::new(client), upstream, &early, idle_timeout).await;
            tracing::debug!(?ended, "an upgraded connection ended");
        }
        Err(error) => tracing::debug!(%error, "the client did not take the upgrade"),
    }
    drop((permit, hold));
}

/// Why an upgraded connection ended.
#[derive(Debug)]
enum Ended {
    /// Both sides have closed.
    Closed {
        _up: u64,
        _down: u64,
    },
    Broken {
        _error: io::Error,
    },
    Idle,
}

async fn tunnel(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    upstream: impl AsyncRead + AsyncWrite + Unpin,
    early: &[u8],
    idle_timeout: Duration,
) -> Ended {
    let activity = Activity::new();
    let mut patience = Patience::new(idle_timeout, Some(activity.clone()));
    let mut upstream = Observed {
        inner: upstream,
        activity,
    };
    let mut both = pin!(async {
        client.write_all(early).await?;
        client.flush().await?;
        // A side that closes its half is told on to the other, which may still speak.
        copy_bidirectional(&mut client, &mut upstream).await
    });
    poll_fn(|cx| match both.as_mut().poll(cx) {
        Poll::Ready(Ok((up, down))) => Poll::Ready(Ended::Closed {
            _up: up,
            _down: down,
        }),
        Poll::Ready(Err(error)) => Poll::Ready(Ended::Broken { _error: error }),
        Poll::Pending => patience.poll(cx).map(|()| Ended::Idle),
    })
    .await
}

/// A stream that tells when a byte goes either way. What the client says is heard when it is
/// written here.
struct Observed<S> {
    inner: S,
    activity: Activity,
}

impl<S: AsyncRead + Unpin> AsyncRead for Observed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        self.activity.heard();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Observed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes))?;
        self.activity.heard();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
