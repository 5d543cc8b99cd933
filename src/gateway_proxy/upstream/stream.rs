//! The stream of bytes to an upstream.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
#[cfg(unix)]
use std::{path::Path, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
#[cfg(unix)]
use tokio::{net::UnixStream, time::sleep};

#[cfg(feature = "tls")]
use super::tls::TlsStream;
use super::{Address, Place};

#[derive(Debug)]
pub(in crate::gateway_proxy) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    /// Either of them, inside TLS.
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<Stream>>),
}

impl Stream {
    pub(super) async fn connect(address: &Address) -> io::Result<Self> {
        match &address.place {
            Place::Tcp {
                at: Some(address), ..
            } => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
            Place::Tcp {
                authority, port, ..
            } => {
                let host = authority.host();
                let bare = host
                    .strip_prefix('[')
                    .and_then(|host| host.strip_suffix(']'));
                let stream = TcpStream::connect((bare.unwrap_or(host), *port)).await?;
                // A head and a body are two writes; Nagle would hold the second back.
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
            #[cfg(unix)]
            Place::Unix { path } => Ok(Self::Unix(connect_unix(path).await?)),
            #[cfg(not(unix))]
            Place::Unix { .. } => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Whether the peer has neither closed the connection nor said anything unasked. On Unix the
    /// kernel is asked, not the runtime, which may not have looked since.
    ///
    /// Inside TLS, what the runtime knows of is read first. A session ticket that it does not know
    /// of yet costs the connection.
    pub(super) fn is_silent(&mut self) -> bool {
        #[cfg(feature = "tls")]
        if let Self::Tls(stream) = self
            && !stream.is_silent()
        {
            return false;
        }
        self.is_silent_below()
    }

    /// Whether an error of a write may hide that a part of it got out: TLS writes several times.
    pub(super) fn may_fail_in_part(&self) -> bool {
        #[cfg(feature = "tls")]
        return matches!(self, Self::Tls(_));
        #[cfg(not(feature = "tls"))]
        false
    }

    #[cfg(unix)]
    fn is_silent_below(&self) -> bool {
        use std::os::fd::AsFd;

        use rustix::net::{RecvFlags, recv};

        let fd = match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => return stream.get_ref().is_silent_below(),
        };
        let peeked = recv(fd, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        matches!(peeked, Err(rustix::io::Errno::AGAIN))
    }

    #[cfg(not(unix))]
    fn is_silent_below(&self) -> bool {
        let stream = match self {
            Self::Tcp(stream) => stream,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => return stream.get_ref().is_silent_below(),
        };
        matches!(stream.try_read(&mut [0; 1]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// A TCP connection waits until there is room in the backlog, and so does this one; the limit on
/// connecting is the caller's.
///
/// connect(2) of Linux: for nonblocking UNIX domain sockets, EAGAIN says that "the connection
/// cannot be completed immediately". Nothing tells when it can.
#[cfg(unix)]
async fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    const LONGEST: Duration = Duration::from_millis(50);
    let mut pause = Duration::from_millis(1);
    loop {
        match UnixStream::connect(path).await {
            Err(full) if full.kind() == io::ErrorKind::WouldBlock => sleep(pause).await,
            connected => return connected,
        }
        pause = (pause * 2).min(LONGEST);
    }
}

/// Calls the same function of whichever stream it is.
macro_rules! each {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Tcp(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            #[cfg(unix)]
            Stream::Unix(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => {
                let $stream = Pin::new(&mut **stream);
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => stream.poll_write_vectored(cx, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_shutdown(cx))
    }
}
