//! A connection's socket, which tells when bytes move.

use std::{
    convert::Infallible,
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, oneshot},
    time::{Instant, Sleep, sleep_until},
};

use super::watch::{Watch, after};

/// RFC 9113 §3.4: "the connection preface starts with the following sequence of 24 octets".
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How much is read while hyper does not ask for it.
const AHEAD: usize = 8 << 10;

/// Whoever carries the connection in the end (hyper, or the one that upgraded it) holds its slot.
pub(super) struct Stream<T> {
    io: T,
    /// What was read to find out the version, or to find the end of the connection, and is still to
    /// be given to hyper.
    ahead: BytesMut,
    /// hyper has asked for more, and is told when there is more.
    is_asked: bool,
    watch: Arc<Watch>,
    lingering: Lingering,
    /// Open for as long as the connection's task goes on. Dropped, it tells the task.
    life: oneshot::Sender<Infallible>,
    _slot: OwnedSemaphorePermit,
}

/// Whether the stream is still there, for the connection's task. Dropped, it cuts the stream off
/// from whoever carries it after an upgrade.
#[derive(Debug)]
pub(super) struct Life(oneshot::Receiver<Infallible>);

impl Life {
    /// Waits until the stream is dropped.
    pub(super) async fn over(self) {
        self.0.await.ok();
    }
}

/// How long a client that still sends may pause before it is taken to have finished: as nginx's
/// `lingering_timeout`.
const LINGER_QUIET: Duration = Duration::from_secs(5);

/// How much of what a client still sends is thrown away. Whoever sends more has not looked for an
/// answer, and is not worth the bandwidth.
const LINGER_BYTES: u64 = 64 << 20;

/// The last part of a connection.
///
/// RFC 9112 §9.6: "To avoid the TCP reset problem, servers typically close a connection in stages.
/// First, the server performs a half-close by closing only the write side of the read/write
/// connection. The server then continues to read from the connection until it receives a
/// corresponding close by the client".
enum Lingering {
    NotYet,
    Reading {
        quiet: Pin<Box<Sleep>>,
        end: Instant,
        left: u64,
    },
    Done,
}

impl<T> Stream<T> {
    pub(super) fn new(io: T, watch: Arc<Watch>, slot: OwnedSemaphorePermit) -> (Self, Life) {
        let (life, task) = oneshot::channel();
        let stream = Self {
            io,
            ahead: BytesMut::new(),
            is_asked: false,
            watch,
            lingering: Lingering::NotYet,
            life,
            _slot: slot,
        };
        (stream, Life(task))
    }

    /// Whether the server has stopped, and this was carried on after an upgrade.
    fn is_cut(&self) -> bool {
        self.watch.has_switched() && self.life.is_closed()
    }

    fn told<R>(&self, written: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        match &written {
            Poll::Ready(_) => self.watch.was_written(),
            Poll::Pending => self.watch.cannot_write(),
        }
        written
    }
}

impl<T: AsyncRead + Unpin> Stream<T> {
    /// Reads as many bytes as it takes to know.
    ///
    /// RFC 9113 §3.3: "A client that knows that a server supports HTTP/2 can establish a TCP
    /// connection and send the connection preface (Section 3.4)".
    pub(super) async fn speaks_http2(&mut self) -> io::Result<bool> {
        let mut read = [0; PREFACE.len()];
        let mut length = 0;
        let speaks_http2 = loop {
            let more = self.io.read(&mut read[length..]).await?;
            length += more;
            if more == 0 || !PREFACE.starts_with(&read[..length]) {
                break false;
            }
            if length == PREFACE.len() {
                break true;
            }
        };
        self.ahead = BytesMut::from(&read[..length]);
        Ok(speaks_http2)
    }

    /// Looks whether the client has gone while its request runs.
    ///
    /// hyper looks itself as long as it has nothing unread; with a second request in its buffer, or
    /// a body that nobody asks for, it would see the end when the first is answered.
    fn look_ahead(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.is_asked && self.ahead.len() < AHEAD && self.watch.is_http1_busy() {
            let mut piece = [0; 1 << 10];
            let most = piece.len().min(AHEAD - self.ahead.len());
            let mut buffer = ReadBuf::new(&mut piece[..most]);
            match Pin::new(&mut self.io).poll_read(cx, &mut buffer) {
                Poll::Pending => break,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Poll::Ready(Ok(())) => self.ahead.extend_from_slice(buffer.filled()),
            }
        }
        Ok(())
    }
}

impl<T: AsyncRead + Unpin> Stream<T> {
    /// Whether the client has sent more than hyper has asked for: requests behind the last one.
    fn has_more(&mut self, cx: &mut Context<'_>) -> bool {
        let mut waste = [0];
        let mut waste = ReadBuf::new(&mut waste);
        !self.ahead.is_empty()
            || Pin::new(&mut self.io).poll_read(cx, &mut waste).is_ready()
                && !waste.filled().is_empty()
    }

    /// Throws away what comes until the client closes, or has had its time.
    ///
    /// If it were closed with something unread the system would say so with a reset, and the client
    /// would lose the end of its answer, which says why nobody read.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        const READS_A_TURN: usize = 32;
        let Lingering::Reading { quiet, end, left } = &mut self.lingering else {
            return Poll::Ready(());
        };
        let mut was_read = false;
        for _ in 0..READS_A_TURN {
            let mut waste = [MaybeUninit::uninit(); 8 << 10];
            let mut waste = ReadBuf::uninit(&mut waste);
            match Pin::new(&mut self.io).poll_read(cx, &mut waste) {
                Poll::Ready(Ok(())) if !waste.filled().is_empty() => {
                    was_read = true;
                    *left = left.saturating_sub(waste.filled().len() as u64);
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    if was_read {
                        quiet.as_mut().reset(quiet_until(*end));
                    }
                    return quiet.as_mut().poll(cx);
                }
            }
            if *left == 0 || Instant::now() >= *end {
                return Poll::Ready(());
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Stream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let length = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead[..length]);
            self.ahead.advance(length);
            self.is_asked = false;
            self.watch.was_read();
            return Poll::Ready(Ok(()));
        }
        if self.is_cut() {
            return Poll::Ready(Err(cut()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        self.is_asked = read.is_pending();
        if read.is_pending() && self.watch.has_switched() {
            return self.life.poll_closed(cx).map(|()| Err(cut()));
        }
        if buffer.filled().len() > before {
            self.watch.was_read();
        }
        read
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_cut() {
            return Poll::Ready(Err(cut()));
        }
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.told(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_cut() {
            return Poll::Ready(Err(cut()));
        }
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.told(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes at the end of each of its turns.
        self.look_ahead(cx)?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.lingering, Lingering::NotYet) {
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
            if self.watch.is_http1() && self.has_more(cx) {
                self.watch.leaves_unread();
            }
            self.lingering = match self.watch.linger() {
                None => Lingering::Done,
                Some(limit) => {
                    let end = after(Instant::now(), limit);
                    Lingering::Reading {
                        quiet: Box::pin(sleep_until(quiet_until(end))),
                        end,
                        left: LINGER_BYTES,
                    }
                }
            };
        }
        ready!(self.poll_linger(cx));
        self.lingering = Lingering::Done;
        Poll::Ready(Ok(()))
    }
}

fn quiet_until(end: Instant) -> Instant {
    after(Instant::now(), LINGER_QUIET).min(end)
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the server has stopped")
}
