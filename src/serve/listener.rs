//! Where connections come from.

use std::io;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

use crate::PeerAddr;

/// A source of connections: tokio's `TcpListener` and `UnixListener`, or one of your own.
///
/// Dropping it closes it: the server does so as soon as it drains.
pub trait Listener: Send + 'static {
    /// A connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next connection, and says who is at its other end, if that is known.
    ///
    /// Connections are accepted one after the other, so whatever a client could delay (a TLS
    /// handshake) is to be done by the first read of [`Io`](Self::Io), where the
    /// [header timeout](crate::serve::Server::header_timeout) holds, and not here.
    ///
    /// # Errors
    ///
    /// None ends the server. One that concerns a single connection (aborted, reset) is followed by
    /// another call at once, any other (no file descriptor left) by one after a pause of 10 ms,
    /// which doubles up to 1 s for as long as the errors last.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when the server drains, and at no other time. A connection that it
    /// holds then is lost.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Io, Option<PeerAddr>)>> + Send;
}

impl Listener for TcpListener {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, Option<PeerAddr>)> {
        let (stream, address) = Self::accept(self).await?;
        // Nagle's algorithm holds a small packet back until the one before it is acknowledged,
        // and the client's kernel delays that by up to 40 ms.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%address, %error, "could not set TCP_NODELAY");
        }
        Ok((stream, Some(PeerAddr::Tcp(address))))
    }
}

#[cfg(unix)]
impl Listener for tokio::net::UnixListener {
    type Io = tokio::net::UnixStream;

    async fn accept(&mut self) -> io::Result<(Self::Io, Option<PeerAddr>)> {
        use crate::semantics::peer::UnixPeer;

        let (stream, _) = Self::accept(self).await?;
        let peer = match stream.peer_cred() {
            Ok(process) => UnixPeer::new(process.pid(), Some(process.uid())),
            Err(error) => {
                tracing::debug!(%error, "could not read the credentials of a peer");
                UnixPeer::default()
            }
        };
        Ok((stream, Some(PeerAddr::Unix(peer))))
    }
}
