//! Connections to one server are made here.

use std::io;
#[cfg(feature = "tls")]
use std::sync::Arc;

use super::{Address, Connection, stream::Stream};
#[cfg(feature = "tls")]
use super::{
    Place, Speech,
    tls::{Alpn, Connector},
};
#[cfg(feature = "http2")]
use super::{http2, http2::Http2};

/// Knows where a server is, and how to begin with it.
#[derive(Debug)]
pub(in crate::gateway_proxy) struct Dialer {
    address: Address,
    /// How many bytes the head of an answer may have.
    max_head: usize,
    #[cfg(feature = "tls")]
    connector: Option<Arc<Connector>>,
}

impl Dialer {
    pub(in crate::gateway_proxy) fn new(
        address: Address,
        max_head: usize,
        #[cfg(feature = "tls")] tls: &crate::gateway_proxy::Tls,
    ) -> Self {
        Self {
            max_head,
            #[cfg(feature = "tls")]
            connector: address
                .is_tls
                .then(|| Arc::new(Connector::new(tls.clone()))),
            address,
        }
    }

    pub(in crate::gateway_proxy) fn address(&self) -> &Address {
        &self.address
    }

    /// The same server, at another port.
    pub(in crate::gateway_proxy) fn with_port(&self, port: u16) -> Self {
        Self {
            address: self.address.with_port(port),
            max_head: self.max_head,
            #[cfg(feature = "tls")]
            connector: self.connector.clone(),
        }
    }

    /// A connection for one request at a time.
    pub(in crate::gateway_proxy) async fn connect(&self) -> io::Result<Box<Connection>> {
        let stream = self.stream().await?;
        let connection = Connection::new(stream, self.address.speech, self.max_head);
        Ok(Box::new(connection))
    }

    /// A connection for many requests at once.
    #[cfg(feature = "http2")]
    pub(in crate::gateway_proxy) async fn connect_shared(&self) -> io::Result<Http2> {
        let settings = http2::Settings {
            max_header_list: u32::try_from(self.max_head).unwrap_or(u32::MAX),
            ..http2::Settings::default()
        };
        Http2::handshake(self.stream().await?, &settings).await
    }

    async fn stream(&self) -> io::Result<Stream> {
        let stream = Stream::connect(&self.address).await?;
        #[cfg(feature = "tls")]
        if let (Some(connector), Place::Tcp { authority, .. }) =
            (&self.connector, &self.address.place)
        {
            let alpn = match self.address.speech {
                #[cfg(feature = "http2")]
                Speech::Http2 => Alpn::Http2,
                Speech::Http1 | Speech::Uwsgi => Alpn::Http1,
            };
            let inside = connector.connect(stream, authority.host(), alpn).await?;
            return Ok(Stream::Tls(Box::new(inside)));
        }
        Ok(stream)
    }
}
