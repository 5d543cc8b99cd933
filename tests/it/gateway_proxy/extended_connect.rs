//! WebSocket over HTTP/2 (RFC 8441), to an upstream that speaks HTTP/1.1.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Method, Request, Response, Version};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn::http2::SendRequest, ext::Protocol, upgrade::Upgraded};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{Message, handshake::server, protocol::Role},
};
use tower_gateway::GatewayProxy;
use tower_gateway::gateway_proxy::Retries;

use super::{lines, to};
use crate::support::{
    raw::PATIENCE,
    upstream::{Conn, Upstream},
};

struct Front {
    addr: SocketAddr,
    _tasks: JoinSet<()>,
}

/// A server that allows extended CONNECT, in front of the proxy.
async fn front(proxy: GatewayProxy) -> Front {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(proxy.clone());
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .enable_connect_protocol()
                .serve_connection(TokioIo::new(stream), service);
            connections.spawn(async move {
                connection.await.ok();
            });
        }
    });
    Front {
        addr,
        _tasks: tasks,
    }
}

/// A client that knows by now what the server allows.
async fn client(front: &Front) -> SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(front.addr).await.unwrap();
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = Request::get(format!("http://{}/plain", front.addr));
    let answer = client.send_request(request.body(Empty::new()).unwrap());
    answer.await.unwrap();
    client
}

async fn connect(
    client: &mut SendRequest<Empty<Bytes>>,
    protocol: Option<&'static str>,
) -> Response<Incoming> {
    let mut request = Request::new(Empty::new());
    *request.method_mut() = Method::CONNECT;
    let uri = match protocol {
        Some(_) => "http://example.org/chat?room=1",
        None => "example.org:80",
    };
    *request.uri_mut() = uri.parse().unwrap();
    if let Some(protocol) = protocol {
        let protocol = Protocol::from_static(protocol);
        request.extensions_mut().insert(protocol);
    }
    for (name, value) in [
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "chat"),
        ("origin", "http://example.org"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let answer = timeout(PATIENCE, client.send_request(request)).await;
    answer.expect("no answer comes").unwrap()
}

async fn socket(response: Response<Incoming>) -> WebSocketStream<TokioIo<Upgraded>> {
    let upgraded = hyper::upgrade::on(response).await.unwrap();
    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await
}

#[tokio::test]
async fn a_websocket_over_http2_reaches_an_upstream_of_http1() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let upstream = tokio::spawn(async move {
        // The plain request, which tells the client what the server allows.
        drop(listener.accept().await.unwrap());
        let (stream, _) = listener.accept().await.unwrap();
        #[allow(clippy::result_large_err)]
        let chosen = |request: &server::Request, mut response: server::Response| {
            assert_eq!(request.uri(), "/chat?room=1");
            assert_eq!(request.headers()["host"], "example.org");
            assert_eq!(request.headers()["origin"], "http://example.org");
            let protocol = request.headers()["sec-websocket-protocol"].clone();
            response
                .headers_mut()
                .insert("sec-websocket-protocol", protocol);
            Ok(response)
        };
        let mut socket = accept_hdr_async(stream, chosen).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() || message.is_binary() {
                socket.send(message).await.unwrap();
            }
        }
    });
    let proxy = GatewayProxy::to(&url).unwrap().retries(Retries::none());
    let front = front(proxy).await;
    let mut client = client(&front).await;
    let response = connect(&mut client, Some("websocket")).await;
    assert_eq!(response.status(), 200);
    for name in ["connection", "upgrade", "sec-websocket-accept"] {
        assert!(!response.headers().contains_key(name), "{name}");
    }
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    let mut socket = socket(response).await;
    for message in [Message::text("hello"), Message::binary(vec![7; 1 << 20])] {
        socket.send(message.clone()).await.unwrap();
        let echoed = timeout(PATIENCE, socket.next()).await.unwrap();
        assert_eq!(echoed.unwrap().unwrap(), message);
    }
    socket.close(None).await.unwrap();
    timeout(PATIENCE, upstream).await.unwrap().unwrap();
}

/// Answers the plain request, then every other with this.
async fn declining(answer: &'static str) -> Upstream {
    Upstream::spawn(move |mut conn: Conn| async move {
        while let Some(head) = conn.head().await {
            if head.starts_with("GET /plain ") {
                conn.answer("").await;
                continue;
            }
            assert!(head.starts_with("GET /chat?room=1 HTTP/1.1\r\n"), "{head}");
            assert_eq!(lines(&head, "connection"), ["upgrade"]);
            assert_eq!(lines(&head, "upgrade"), ["websocket"]);
            assert_eq!(lines(&head, "sec-websocket-version"), ["13"]);
            assert_eq!(lines(&head, "sec-websocket-key")[0].len(), 24);
            conn.write(answer).await;
            conn.closed().await;
        }
    })
    .await
}

#[tokio::test]
async fn a_handshake_that_is_refused_passes_as_it_is() {
    let upstream =
        declining("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nX-Why: origin\r\n\r\nno").await;
    let front = front(to(&upstream)).await;
    let mut client = client(&front).await;
    let response = connect(&mut client, Some("websocket")).await;
    assert_eq!(response.status(), 403);
    assert_eq!(response.headers()["x-why"], "origin");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "no");
}

#[tokio::test]
async fn what_is_no_websocket_is_never_told_to_be_one() {
    for answer in [
        // A page where a switch was asked for: a 200 to a CONNECT would be the tunnel.
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n",
    ] {
        let upstream = declining(answer).await;
        let front = front(to(&upstream)).await;
        let mut client = client(&front).await;
        let response = connect(&mut client, Some("websocket")).await;
        assert_eq!(response.status(), 502, "{answer}");
        // The one of the plain request is kept.
        upstream.until(|counts| counts.open <= 1).await;
    }
}

#[tokio::test]
async fn other_connects_are_not_for_a_gateway() {
    let upstream = Upstream::echo().await;
    let front = front(to(&upstream)).await;
    let mut client = client(&front).await;
    for protocol in [None, Some("connect-udp")] {
        let response = connect(&mut client, protocol).await;
        assert_eq!(response.status(), 501, "{protocol:?}");
    }
    assert_eq!(upstream.counts().requests, 1);
}

/// hyper gives both, a layer outside may have taken the connection.
#[tokio::test]
async fn without_a_connection_to_take_over_it_is_refused() {
    let upstream = Upstream::echo().await;
    let request = Request::connect("http://example.org/chat")
        .version(Version::HTTP_2)
        .extension(Protocol::from_static("websocket"))
        .body(Empty::new())
        .unwrap();
    let response = super::call(&to(&upstream), request).await;
    assert_eq!(response.status(), 501);
    assert_eq!(upstream.counts().accepted, 0);
}
