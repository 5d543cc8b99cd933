//! The task that reads and writes a connection, and sees whether anybody is there.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use h2::{Ping, PingPong, client::Connection};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    select,
    sync::oneshot,
    time::{Instant, Sleep, sleep, timeout},
};

use super::Settings;

/// How long a connection that nobody needs any more may take to say GOAWAY.
const FAREWELL: Duration = Duration::from_secs(1);

/// What is known of the other side.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// Whether a byte came since somebody asked.
    heard: AtomicBool,
    is_unresponsive: AtomicBool,
    is_over: AtomicBool,
    was_forgotten: AtomicBool,
}

impl Pulse {
    pub(super) fn is_unresponsive(&self) -> bool {
        self.is_unresponsive.load(Ordering::Acquire)
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Whether there was a whole interval with neither a request nor a byte. What stands between
    /// (NAT, a firewall, a balancer) may have forgotten the connection without a word.
    pub(super) fn was_forgotten(&self) -> bool {
        self.was_forgotten.load(Ordering::Relaxed)
    }

    fn was_heard(&self) -> bool {
        self.heard.swap(false, Ordering::Relaxed)
    }
}

/// However the driver ends, nobody takes the connection for a living one afterwards.
struct Over(Arc<Pulse>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Release);
    }
}

/// Drives a connection until it ends, or nobody needs it.
pub(super) async fn drive<S>(
    mut connection: Connection<Heard<S>, Bytes>,
    mut keep_alive: Option<KeepAlive>,
    pulse: Arc<Pulse>,
    last_handle: oneshot::Receiver<Infallible>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let over = Over(Arc::clone(&pulse));
    let ended = poll_fn(|cx| {
        if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
            return Poll::Ready(Some(ended));
        }
        match &mut keep_alive {
            Some(keep_alive) => keep_alive.poll(cx).map(|()| None),
            None => Poll::Pending,
        }
    });
    let ended = select! {
        biased;
        ended = ended => ended,
        // Nobody can begin a request any more, and h2 says GOAWAY once it looks.
        _ = last_handle => match timeout(FAREWELL, &mut connection).await {
            Ok(ended) => Some(ended),
            Err(_late) => Some(Ok(())),
        },
    };
    // First, so that streams that hear of the end find it there.
    drop(over);
    match ended {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::debug!(%error, "an HTTP/2 connection to an upstream ended"),
        None => {
            pulse.is_unresponsive.store(true, Ordering::Release);
            tracing::warn!("an upstream does not answer PINGs; its HTTP/2 connection is closed");
        }
    }
    drop(connection);
}

/// Asks the other side from time to time whether it is there: a machine that lost its power says
/// no farewell.
///
/// Only while requests are open. An idle connection costs nobody anything, and some servers close
/// those that ping without need.
pub(super) struct KeepAlive {
    pings: PingPong,
    timer: Pin<Box<Sleep>>,
    /// Whether a PING is on its way.
    is_asking: bool,
    interval: Duration,
    timeout: Duration,
    pulse: Arc<Pulse>,
    streams: Arc<AtomicUsize>,
}

impl KeepAlive {
    pub(super) fn new(
        pings: PingPong,
        settings: &Settings,
        pulse: &Arc<Pulse>,
        streams: &Arc<AtomicUsize>,
    ) -> Self {
        Self {
            pings,
            timer: Box::pin(sleep(settings.ping_interval)),
            is_asking: false,
            interval: settings.ping_interval,
            timeout: settings.ping_timeout,
            pulse: Arc::clone(pulse),
            streams: Arc::clone(streams),
        }
    }

    /// Ready when nobody is there.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.is_asking && self.pings.poll_pong(cx).is_ready() {
                self.is_asking = false;
                self.wait(self.interval);
            }
            ready!(self.timer.as_mut().poll(cx));
            // An answer that fills the line may come before the PONG; it is as good a sign.
            let was_heard = self.pulse.was_heard();
            if self.is_asking {
                if !was_heard {
                    return Poll::Ready(());
                }
                self.wait(self.timeout);
            } else if was_heard {
                self.wait(self.interval);
            } else if self.streams.load(Ordering::Relaxed) == 0 {
                self.pulse.was_forgotten.store(true, Ordering::Relaxed);
                self.wait(self.interval);
            } else {
                // It fails on a connection that is over, which says so itself.
                self.is_asking = self.pings.send_ping(Ping::opaque()).is_ok();
                self.wait(self.timeout);
            }
        }
    }

    fn wait(&mut self, duration: Duration) {
        let now = Instant::now();
        // `Duration::MAX` is never.
        let never = Duration::from_secs(30 * 365 * 24 * 60 * 60);
        self.timer.as_mut().reset(now + duration.min(never));
    }
}

/// A stream that tells when a byte comes.
#[derive(Debug)]
pub(super) struct Heard<S> {
    io: S,
    pulse: Arc<Pulse>,
}

impl<S> Heard<S> {
    pub(super) fn new(io: S, pulse: Arc<Pulse>) -> Self {
        Self { io, pulse }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.pulse.heard.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
