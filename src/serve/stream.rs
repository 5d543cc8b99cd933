//! A connection's socket, which tells when bytes move.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
};

use super::watch::Watch;

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
    _slot: OwnedSemaphorePermit,
}

impl<T> Stream<T> {
    pub(super) fn new(io: T, watch: Arc<Watch>, slot: OwnedSemaphorePermit) -> Self {
        Self {
            io,
            ahead: BytesMut::new(),
            is_asked: false,
            watch,
            _slot: slot,
        }
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
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        self.is_asked = read.is_pending();
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
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.told(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
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
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
