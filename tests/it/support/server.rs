//! A service on a socket, for as long as a test holds it.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, task::JoinSet};
use tower::{Service, ServiceBuilder};
use tower_gateway::{BoxError, PeerAddr};

/// Everything on it is aborted when this is dropped.
pub struct TestServer {
    pub addr: SocketAddr,
    _connections: JoinSet<()>,
}

/// hyper in front of a service, HTTP/1.1 and HTTP/2, with upgrades and `PeerAddr`.
pub async fn spawn<S, B>(service: S) -> TestServer
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut connections = JoinSet::new();
    connections.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let service = ServiceBuilder::new()
                .map_request(move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(PeerAddr::Tcp(peer));
                    request
                })
                .service(service.clone());
            connections.spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let service = TowerToHyperService::new(service);
                let connection =
                    server.serve_connection_with_upgrades(TokioIo::new(stream), service);
                // A connection that a test breaks off is not this helper's error.
                connection.await.ok();
            });
        }
    });
    TestServer {
        addr,
        _connections: connections,
    }
}
