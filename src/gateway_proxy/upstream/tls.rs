//! TLS under a connection to an upstream.

#[cfg(test)]
mod tests;

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use rustls::{ClientConfig, crypto::ring, sign::SingleCertAndKey};
use rustls_platform_verifier::Verifier;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OnceCell,
    task,
};
use tokio_rustls::{TlsConnector, client};

use crate::gateway_proxy::layer::tls::{InvalidTls, Roots, Tls, parse_name};

/// What is spoken inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway_proxy) enum Alpn {
    Http1,
    Http2,
}

/// Makes the connections of one upstream, which resume each other's sessions.
#[derive(Debug)]
pub(in crate::gateway_proxy) struct Connector {
    tls: Tls,
    /// Made with the first connection: the roots of the platform are many files.
    ready: OnceCell<Ready>,
}

struct Ready(TlsConnector);

impl Connector {
    pub(in crate::gateway_proxy) fn new(tls: Tls) -> Self {
        Self {
            tls,
            ready: OnceCell::new(),
        }
    }

    /// Shakes hands over `stream` with the one who is at `host` (of a URL: an IPv6 address has
    /// its brackets).
    ///
    /// Without a time limit. Dropped before its end, the stream is closed.
    ///
    /// # Errors
    ///
    /// What the stream says; [`io::ErrorKind::InvalidData`] with rustls's error, whose text names
    /// the reason, for a certificate or a handshake that is no good; another protocol.
    pub(in crate::gateway_proxy) async fn connect<S>(
        &self,
        stream: S,
        host: &str,
        alpn: Alpn,
    ) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = match &self.tls.server_name {
            Some(name) => name.clone(),
            None => parse_name(host).map_err(io::Error::other)?,
        };
        let Ready(connector) = self.ready.get_or_try_init(|| ready(&self.tls)).await?;
        let stream = connector
            .with_alpn(vec![alpn.id().to_vec()])
            .connect(name, stream)
            .await?;
        // Whoever chooses another one is refused by rustls. Who chooses none speaks HTTP/1.1, and
        // RFC 9113 §3.2 says: "HTTP/2 over TLS MUST use protocol negotiation in TLS".
        let chosen = stream.get_ref().1.alpn_protocol();
        if alpn == Alpn::Http2 && chosen.is_none() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it does not speak HTTP/2: it chose no protocol (ALPN) in the TLS handshake",
            ));
        }
        Ok(TlsStream(stream))
    }
}

async fn ready(tls: &Tls) -> io::Result<Ready> {
    let config = match tls.roots {
        Roots::Own(_) => config(tls),
        Roots::Platform => {
            let tls = tls.clone();
            task::spawn_blocking(move || config(&tls)).await?
        }
    };
    config
        .map(|config| Ready(TlsConnector::from(Arc::new(config))))
        .map_err(io::Error::other)
}

/// The provider is named: what the process has as its default is for others to say.
fn config(tls: &Tls) -> Result<ClientConfig, InvalidTls> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| InvalidTls::because("TLS cannot be set up", error))?;
    let builder = match &tls.roots {
        Roots::Own(roots) => builder.with_root_certificates(Arc::clone(roots)),
        Roots::Platform => {
            let verifier = Verifier::new(provider).map_err(|error| {
                InvalidTls::because("the roots of the platform cannot be used", error)
            })?;
            // rustls calls every verifier but its own dangerous.
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    Ok(match &tls.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(identity)))),
    })
}

impl Alpn {
    /// RFC 7301 §6, RFC 9113 §3.1.
    fn id(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }
}

impl std::fmt::Debug for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ready")
    }
}

/// A stream inside TLS.
///
/// What is written has to be flushed, or the last of it may stay here. An end without TLS's own
/// farewell is an error ([`io::ErrorKind::UnexpectedEof`]): what was read may have been cut.
#[derive(Debug)]
pub(in crate::gateway_proxy) struct TlsStream<S>(client::TlsStream<S>);

impl<S> TlsStream<S> {
    /// The stream below.
    pub(in crate::gateway_proxy) fn get_ref(&self) -> &S {
        self.0.get_ref().0
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    /// Whether an idle connection is still one: the peer has neither closed it nor said anything.
    ///
    /// Bytes that wait in the socket say nothing here: TLS 1.3 sends session tickets after the
    /// handshake. They are taken in. What else is found is lost, and the connection good for
    /// nothing.
    pub(in crate::gateway_proxy) fn is_silent(&mut self) -> bool {
        let mut byte = [0];
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(&mut self.0)
            .poll_read(&mut cx, &mut ReadBuf::new(&mut byte))
            .is_pending()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
