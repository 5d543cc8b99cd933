//! The stream under a connection, and what can be asked of it from beside.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::Upstream;

/// A stream that its owner reads and writes, and that others look at.
///
/// hyper keeps the stream for itself while the connection lives; the pool wants to ask the
/// kernel whether it still does. The lock is never contended: all of it happens in one task.
#[derive(Clone, Debug)]
pub(in crate::gateway_proxy) struct Socket(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    stream: Stream,
    /// Whether a byte came since [`Socket::expect_answer`].
    heard: bool,
    /// Whether a byte was written after that.
    answered_early: bool,
    /// Whether the peer reads no more.
    deaf: bool,
    /// Whether the stream is no longer HTTP.
    tunnel: bool,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Socket {
    pub(super) async fn connect(upstream: &Upstream) -> io::Result<Self> {
        let stream = match upstream {
            Upstream::Tcp { authority, port } => {
                let host = authority.host();
                let bare = host
                    .strip_prefix('[')
                    .and_then(|host| host.strip_suffix(']'));
                let stream = TcpStream::connect((bare.unwrap_or(host), *port)).await?;
                // A head and a body are two writes; Nagle would hold the second back.
                stream.set_nodelay(true)?;
                Stream::Tcp(stream)
            }
            #[cfg(unix)]
            Upstream::Unix { path } => Stream::Unix(UnixStream::connect(path).await?),
            #[cfg(not(unix))]
            Upstream::Unix { .. } => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(Self(Arc::new(Mutex::new(State {
            stream,
            heard: false,
            answered_early: false,
            deaf: false,
            tunnel: false,
        }))))
    }

    /// From here on, what comes is the answer to a request.
    pub(super) fn expect_answer(&self) {
        let mut state = self.state();
        state.heard = false;
        state.answered_early = false;
    }

    /// Whether a byte of the answer came.
    pub(super) fn was_heard(&self) -> bool {
        self.state().heard
    }

    /// Whether the answer began before the request was written to its end.
    pub(super) fn was_answered_early(&self) -> bool {
        self.state().answered_early
    }

    /// From here on there is no answer to wait for: a write that fails has failed.
    pub(super) fn become_tunnel(&self) {
        self.state().tunnel = true;
    }

    /// Whether the peer has neither closed the connection nor said anything unasked. The kernel
    /// is asked, not the runtime, which may not have looked since.
    pub(super) fn is_silent(&self) -> bool {
        let state = self.state();
        !state.deaf && state.stream.is_silent()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    #[cfg(unix)]
    fn is_silent(&self) -> bool {
        use std::os::fd::AsFd;

        use rustix::net::{RecvFlags, recv};

        let fd = match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        };
        let peeked = recv(fd, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        matches!(peeked, Err(rustix::io::Errno::AGAIN))
    }

    #[cfg(not(unix))]
    fn is_silent(&self) -> bool {
        let Self::Tcp(stream) = self;
        matches!(stream.try_read(&mut [0; 1]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let mut state = self.state();
        let read = match &mut state.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            #[cfg(unix)]
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        state.heard |= buffer.filled().len() > before;
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(bytes.len(), |stream| match stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            #[cfg(unix)]
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        })
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = pieces.iter().map(|piece| piece.len()).sum();
        self.write(length, |stream| match stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            #[cfg(unix)]
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Sockets have no buffer of their own.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(unix)]
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl Socket {
    /// An upstream may answer and close before it has read the whole request (413, 401). Then
    /// writing fails while the answer waits to be read, and hyper would report the first. So a
    /// write that nobody reads is done, and what is read decides: an answer, or the end.
    fn write(
        &self,
        length: usize,
        write: impl FnOnce(&mut Stream) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        if state.deaf && !state.tunnel {
            return Poll::Ready(Ok(length));
        }
        state.answered_early |= state.heard;
        match ready!(write(&mut state.stream)) {
            Err(error)
                if !state.tunnel
                    && matches!(
                        error.kind(),
                        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                    ) =>
            {
                state.deaf = true;
                Poll::Ready(Ok(length))
            }
            written => Poll::Ready(written),
        }
    }
}
