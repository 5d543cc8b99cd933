//! What goes on between two sides after a switch of protocols, and when it is over.

use std::{
    fmt,
    future::{self, poll_fn},
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    select,
    time::{Instant, sleep_until},
};

use super::{half::Half, websocket::Side};
use crate::body::Drain;

/// How long the two sides of a WebSocket have to close it, once it has lived for as long as it may.
const FAREWELL: Duration = Duration::from_secs(5);

/// What a tunnel is held to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How long it may be quiet in both directions.
    pub(super) idle: Duration,
    /// How long it may live at all.
    pub(super) lifetime: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Tunnel<C, U> {
    client: C,
    upstream: U,
    up: Half,
    down: Half,
    is_websocket: bool,
    /// When it is cut off, and why.
    cut: Option<(Instant, Ended)>,
    last_moved: Instant,
}

/// How a tunnel ended.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) ended: Ended,
    /// Bytes that the client sent.
    pub(super) up: u64,
    /// Bytes that the client was sent.
    pub(super) down: u64,
    pub(super) lasted: Duration,
}

/// Why a tunnel ended.
#[derive(Debug)]
pub(in crate::gateway_proxy) enum Ended {
    /// Both sides have closed.
    Closed,
    /// A side broke off.
    Broken(io::Error),
    /// It was quiet for too long.
    Idle,
    /// It has lived for as long as it may.
    Aged,
    /// Both sides have closed when they were told that this server goes away.
    Drained,
    /// The time for draining was up.
    Cut,
}

impl<C, U> Tunnel<C, U>
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    /// `early`: what the upstream has sent already.
    pub(super) fn new(client: C, upstream: U, early: Bytes, is_websocket: bool) -> Self {
        Self {
            client,
            upstream,
            up: Half::new(Side::Upstream, Bytes::new(), is_websocket),
            down: Half::new(Side::Client, early, is_websocket),
            is_websocket,
            cut: None,
            last_moved: Instant::now(),
        }
    }

    /// Carries bytes until it is over. `proxy` and `server` say when it has to be.
    pub(super) async fn run(
        mut self,
        limits: Limits,
        mut proxy: Drain,
        mut server: Option<Drain>,
    ) -> Report {
        let start = Instant::now();
        let mut aged_at = limits.lifetime.and_then(|life| start.checked_add(life));
        let ended = loop {
            let idle_at = self.last_moved.checked_add(limits.idle);
            let cut_at = self.cut.as_ref().map(|(at, _)| *at);
            select! {
                biased;
                ended = poll_fn(|cx| self.poll(cx)) => break ended,
                within = proxy.begun() => self.leave(within, Ended::Cut),
                within = begun(&mut server) => self.leave(within, Ended::Cut),
                () = until(cut_at) => break self.cut.take().map_or(Ended::Cut, |(_, why)| why),
                () = until(aged_at) => {
                    aged_at = None;
                    let farewell = if self.is_websocket { FAREWELL } else { Duration::ZERO };
                    self.leave(farewell, Ended::Aged);
                }
                () = until(idle_at) => {
                    if self.last_moved.elapsed() >= limits.idle {
                        break Ended::Idle;
                    }
                }
            }
        };
        self.shut();
        Report {
            ended,
            up: self.up.carried(),
            down: self.down.carried(),
            lasted: start.elapsed(),
        }
    }

    /// Of a WebSocket both sides are told. What other protocols take for a goodbye nobody knows, so
    /// they go on until the time is up.
    fn leave(&mut self, within: Duration, why: Ended) {
        if let Some(at) = Instant::now().checked_add(within)
            && self.cut.as_ref().is_none_or(|(before, _)| at < *before)
        {
            self.cut = Some((at, why));
        }
        self.up.leave();
        self.down.leave();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let up = self.up.poll(cx, &mut self.client, &mut self.upstream);
        let down = self.down.poll(cx, &mut self.upstream, &mut self.client);
        if self.up.has_moved() | self.down.has_moved() {
            self.last_moved = Instant::now();
        }
        match (up, down) {
            (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) => {
                Poll::Ready(Ended::Broken(error))
            }
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(match self.cut {
                Some(_) => Ended::Drained,
                None => Ended::Closed,
            }),
            _ => Poll::Pending,
        }
    }

    /// An orderly end for both sides, where that does not have to be waited for.
    fn shut(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let _ = Pin::new(&mut self.client).poll_shutdown(&mut cx);
        let _ = Pin::new(&mut self.upstream).poll_shutdown(&mut cx);
    }
}

async fn begun(drain: &mut Option<Drain>) -> Duration {
    match drain {
        Some(drain) => drain.begun().await,
        None => future::pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => future::pending().await,
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("both sides have closed it"),
            Self::Broken(error) => write!(f, "a side broke off: {error}"),
            Self::Idle => f.write_str("it was quiet for too long"),
            Self::Aged => f.write_str("it has lived for as long as it may"),
            Self::Drained => f.write_str("both sides were told to go, and have gone"),
            Self::Cut => f.write_str("the time for draining was up"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
