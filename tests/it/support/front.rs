//! This crate's server around a stack, and clients of it.

use std::net::SocketAddr;

use http::{Request, Response};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use tower::Service;
use tower_gateway::{
    Body, BoxError,
    serve::{RequestBody, serve},
};

use super::raw::PATIENCE;

/// A server, for as long as a test holds it.
pub struct Front {
    pub addr: SocketAddr,
    server: JoinHandle<()>,
}

impl Front {
    pub async fn start<S, B>(service: S) -> Self
    where
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = tokio::spawn(async { serve(listener, service).await.unwrap() });
        Self { addr, server }
    }

    pub async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// A client of HTTP/2 that lets no more than this come ahead of what it reads.
    pub async fn http2(&self, window: u32) -> SendRequest<Body> {
        let stream = TokioIo::new(self.connect().await);
        let (client, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(window)
            .handshake(stream)
            .await
            .unwrap();
        tokio::spawn(connection);
        client
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The head of an answer, in lower case; what follows it stays in the stream.
pub async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let reading = async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a whole head"));
        }
    };
    timeout(PATIENCE, reading).await.expect("a head in time");
    String::from_utf8(head).unwrap().to_ascii_lowercase()
}
