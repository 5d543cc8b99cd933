//! Streams of HTTP/2 that become tunnels: RFC 9113 §8.5, RFC 8441. Connections in memory, time
//! that is paused.

use std::{
    convert::Infallible,
    future::{Future, pending},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::{client::conn::http2, ext::Protocol, upgrade::Upgraded};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tower::service_fn;
use tower_gateway::{
    Body,
    serve::{RequestBody, serve},
};

use super::{run, script};

type Client = http2::SendRequest<Empty<Bytes>>;

/// Lets (paused) time pass.
async fn pass(time: Duration) {
    timeout(time, pending::<()>()).await.ok();
}

/// A tunnel that returns what it gets, opened by who asks for `websocket`.
async fn tunnel(mut request: Request<RequestBody>) -> Result<Response<Body>, Infallible> {
    let protocol = request.extensions().get::<Protocol>();
    if protocol.map(Protocol::as_str) != Some("websocket") {
        let refused = Response::builder().status(StatusCode::NOT_IMPLEMENTED);
        return Ok(refused.body(Body::empty()).unwrap());
    }
    assert_eq!(request.method(), Method::CONNECT);
    assert_eq!(request.uri(), "https://localhost/chat?room=1");
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgraded.await.unwrap());
        let mut word = [0; 4];
        while stream.read_exact(&mut word).await.is_ok() {
            stream.write_all(&word).await.unwrap();
        }
    });
    Ok(Response::new(Body::empty()))
}

async fn connected(stream: DuplexStream) -> (Client, JoinHandle<hyper::Result<()>>) {
    let (client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    (client, tokio::spawn(connection))
}

fn connect(protocol: Option<&'static str>) -> Request<Empty<Bytes>> {
    let mut request = Request::connect("https://localhost/chat?room=1")
        .body(Empty::new())
        .unwrap();
    if let Some(protocol) = protocol {
        let protocol = Protocol::from_static(protocol);
        request.extensions_mut().insert(protocol);
    }
    request
}

async fn opened(client: &mut Client) -> TokioIo<Upgraded> {
    let response = client.send_request(connect(Some("websocket"))).await;
    let response = response.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    TokioIo::new(hyper::upgrade::on(response).await.unwrap())
}

async fn echoes(tunnel: &mut TokioIo<Upgraded>) {
    let mut word = [0; 4];
    tunnel.write_all(b"ping").await.unwrap();
    tunnel.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"ping");
}

#[tokio::test(start_paused = true)]
async fn a_websocket_is_opened_over_http2() {
    let (clients, listener) = script();
    let _server = run(serve(listener, service_fn(tunnel)));
    let (mut client, _connection) = connected(clients.connect()).await;

    let mut tunnels = Vec::new();
    for _ in 0..3 {
        tunnels.push(opened(&mut client).await);
    }
    for tunnel in &mut tunnels {
        echoes(tunnel).await;
    }
    for protocol in [None, Some("other")] {
        let response = client.send_request(connect(protocol)).await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_IMPLEMENTED);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_a_tunnel_is_not_idle_and_one_without_is() {
    let (clients, listener) = script();
    let _server = run(serve(listener, service_fn(tunnel)));
    let (mut client, connection) = connected(clients.connect()).await;
    let mut tunnel = opened(&mut client).await;

    pass(Duration::from_secs(3600)).await;
    echoes(&mut tunnel).await;

    let start = Instant::now();
    drop(tunnel);
    ends(connection).await;
    assert_eq!(start.elapsed().as_secs() / 10, 7);
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_that_is_refused_leaves_the_connection_idle() {
    let (clients, listener) = script();
    let _server = run(serve(listener, service_fn(tunnel)));
    let (mut client, connection) = connected(clients.connect()).await;
    let response = client.send_request(connect(None)).await.unwrap();
    drop(response);
    let start = Instant::now();
    ends(connection).await;
    assert_eq!(start.elapsed().as_secs(), 75);
}

async fn ends<T>(connection: impl Future<Output = T>) {
    let ended = timeout(Duration::from_secs(3600), connection).await;
    ended.expect("the connection stays open");
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_has_the_time_of_a_drain() {
    let (clients, listener) = script();
    let server = serve(listener, service_fn(tunnel)).drain_timeout(Duration::from_secs(10));
    let mut server = run(server);
    let (mut client, _connection) = connected(clients.connect()).await;
    let mut tunnel = opened(&mut client).await;

    let start = Instant::now();
    server.stop();
    pass(Duration::from_secs(5)).await;
    echoes(&mut tunnel).await;
    server.ended().await;
    assert_eq!(start.elapsed().as_secs(), 10);
    tunnel.read_u8().await.unwrap_err();
}
