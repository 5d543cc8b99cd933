//! Who is connected, and how: TCP and Unix, HTTP/1.1 and HTTP/2, upgrades.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixListener, UnixStream},
    time::timeout,
};
use tower::service_fn;
use tower_gateway::{
    Body, PeerAddr,
    body::Drain,
    serve::{Listener, RequestBody, serve},
};

use super::{ask, bind, closed, run, says, script};
use crate::support::raw::{exchange, read_answer};

async fn who(request: Request<RequestBody>) -> Result<Response<Body>, Infallible> {
    let peer = PeerAddr::of(request.extensions());
    Ok(Response::new(Body::from(format!("{peer:?}"))))
}

async fn echo(request: Request<RequestBody>) -> Result<Response<Body>, Infallible> {
    assert_eq!(request.version(), Version::HTTP_2);
    Ok(Response::new(Body::new(request.into_body())))
}

#[tokio::test]
async fn the_peer_of_a_tcp_connection_is_in_the_request() {
    let (listener, addr) = bind().await;
    let _server = run(serve(listener, service_fn(who)));

    let mut client = TcpStream::connect(addr).await.unwrap();
    let expected = format!("{:?}", Some(PeerAddr::Tcp(client.local_addr().unwrap())));
    assert_eq!(ask(&mut client).await.text(), expected);
    assert_eq!(ask(&mut client).await.text(), expected);
}

#[tokio::test]
async fn the_process_behind_a_unix_connection_is_in_the_request() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let _server = run(serve(UnixListener::bind(&path).unwrap(), service_fn(who)));

    let mut client = UnixStream::connect(&path).await.unwrap();
    let answer = ask(&mut client).await.text();
    // Both ends are this process.
    let pid = std::process::id();
    let uid = client.peer_cred().unwrap().uid();
    assert_eq!(
        answer,
        format!("Some(Unix(UnixPeer {{ pid: Some({pid}), uid: Some({uid}) }}))")
    );
}

#[tokio::test]
async fn a_peer_that_is_not_known_is_absent() {
    let (clients, listener) = script();
    let _server = run(serve(listener, service_fn(who)));
    assert_eq!(ask(&mut clients.connect()).await.text(), "None");
}

#[tokio::test]
async fn an_accepted_tcp_connection_does_not_wait_for_acknowledgements() {
    let (mut listener, addr) = bind().await;
    let _client = TcpStream::connect(addr).await.unwrap();
    let (stream, _) = Listener::accept(&mut listener).await.unwrap();
    assert!(stream.nodelay().unwrap());
}

#[tokio::test]
async fn http2_with_prior_knowledge() {
    let (listener, addr) = bind().await;
    let _server = run(serve(listener, service_fn(echo)));

    let stream = TokioIo::new(TcpStream::connect(addr).await.unwrap());
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    for length in [0, 1, 1 << 20] {
        let body = Full::new(Bytes::from(vec![b'x'; length]));
        let response = client.send_request(Request::new(body)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body.len(), length);
    }
}

#[tokio::test]
async fn the_preface_may_come_in_pieces() {
    let (clients, listener) = script();
    let _server = run(serve(listener, says("hello")));

    let mut client = clients.connect();
    for piece in [&b"PRI * HT"[..], b"TP/2.0\r\n\r\nSM\r\n", b"\r\n"] {
        client.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    // An empty SETTINGS frame, and the server's own in return (RFC 9113 §6.5).
    client
        .write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0])
        .await
        .unwrap();
    let mut frame = [0; 9];
    client.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[3], 4);
}

#[tokio::test]
async fn what_only_begins_like_the_preface_is_http1() {
    let (listener, addr) = bind().await;
    let service = service_fn(|request: Request<RequestBody>| async move {
        let text = format!("{} {:?}", request.method(), request.version());
        Ok::<_, Infallible>(Response::new(Body::from(text)))
    });
    let _server = run(serve(listener, service));

    for (request, text) in [
        ("PRI /x HTTP/1.1\r\nHost: localhost\r\n\r\n", "PRI HTTP/1.1"),
        (
            "PROPFIND / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "PROPFIND HTTP/1.1",
        ),
        ("P / HTTP/1.0\r\n\r\n", "P HTTP/1.0"),
    ] {
        assert_eq!(exchange(addr, request).await.text(), text, "{request}");
    }
}

#[tokio::test]
async fn requests_in_one_packet_are_answered_in_order() {
    let (listener, addr) = bind().await;
    let service = service_fn(|request: Request<RequestBody>| async move {
        Ok::<_, Infallible>(Response::new(Body::from(request.uri().path().to_owned())))
    });
    let _server = run(serve(listener, service));

    let mut client = TcpStream::connect(addr).await.unwrap();
    client
        .write_all(
            b"GET /one HTTP/1.1\r\nHost: localhost\r\n\r\n\
              GET /two HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        )
        .await
        .unwrap();
    let answers = String::from_utf8(closed(&mut client).await).unwrap();
    let (one, two) = (answers.find("/one").unwrap(), answers.find("/two").unwrap());
    assert!(one < two);
}

#[tokio::test]
async fn what_is_not_http_is_400() {
    let (listener, addr) = bind().await;
    let _server = run(serve(listener, says("hello")));
    for request in [
        "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "hello\r\n\r\n",
    ] {
        assert_eq!(exchange(addr, request).await.status, 400, "{request:?}");
    }
}

/// A tunnel that returns what it gets.
async fn tunnel(mut request: Request<RequestBody>) -> Result<Response<Body>, Infallible> {
    if !request.headers().contains_key(header::UPGRADE) {
        return Ok(Response::new(Body::from("hello")));
    }
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgraded.await.unwrap());
        let mut word = [0; 4];
        while stream.read_exact(&mut word).await.is_ok() {
            stream.write_all(&word).await.unwrap();
        }
    });
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "echo");
    Ok(response.body(Body::empty()).unwrap())
}

const UPGRADE: &[u8] =
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn an_upgraded_connection_outlives_the_timeouts_and_is_cut_when_the_server_has_to_stop() {
    let (clients, listener) = script();
    let short = Duration::from_millis(50);
    let server = serve(listener, service_fn(tunnel))
        .header_timeout(short)
        .keep_alive_timeout(short)
        .drain_timeout(Duration::from_secs(9));
    let mut server = run(server);

    let mut client = clients.connect();
    client.write_all(UPGRADE).await.unwrap();
    assert_eq!(read_answer(&mut client, false).await.status, 101);
    let mut silent = clients.connect();
    closed(&mut silent).await;
    let ping = async |client: &mut tokio::io::DuplexStream| {
        let mut word = [0; 4];
        client.write_all(b"ping").await.unwrap();
        client.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"ping");
    };
    ping(&mut client).await;

    // It is waited for, like a request that runs.
    let stop = tokio::time::Instant::now();
    server.stop();
    clients.unwanted().await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    ping(&mut client).await;
    server.ended().await;
    assert_eq!(stop.elapsed().as_secs(), 9);
    assert_eq!(closed(&mut client).await, b"");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_dropped_cuts_upgraded_connections_off() {
    let (clients, listener) = script();
    let server = run(serve(listener, service_fn(tunnel)));
    let mut client = clients.connect();
    client.write_all(UPGRADE).await.unwrap();
    assert_eq!(read_answer(&mut client, false).await.status, 101);
    drop(server);
    assert_eq!(closed(&mut client).await, b"");
}

/// A tunnel that says goodbye when the server stops.
async fn polite(mut request: Request<RequestBody>) -> Result<Response<Body>, Infallible> {
    let upgraded = hyper::upgrade::on(&mut request);
    let mut drain = request.extensions_mut().remove::<Drain>().unwrap();
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgraded.await.unwrap());
        let left = drain.begun().await;
        stream
            .write_all(format!("bye {}", left.as_secs()).as_bytes())
            .await
            .unwrap();
    });
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "echo");
    Ok(response.body(Body::empty()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn who_carries_an_upgraded_connection_is_told_that_the_server_stops() {
    let (clients, listener) = script();
    let server = serve(listener, service_fn(polite)).drain_timeout(Duration::from_secs(9));
    let mut server = run(server);
    let mut client = clients.connect();
    client.write_all(UPGRADE).await.unwrap();
    assert_eq!(read_answer(&mut client, false).await.status, 101);
    let stop = tokio::time::Instant::now();
    server.stop();
    assert_eq!(closed(&mut client).await, b"bye 9");
    server.ended().await;
    assert!(stop.elapsed().as_secs() < 1);
}

#[tokio::test]
async fn an_upgraded_connection_keeps_its_place_among_the_connections() {
    let (clients, listener) = script();
    let _server = run(serve(listener, service_fn(tunnel)).max_connections(1));

    let mut upgraded = clients.connect();
    upgraded.write_all(UPGRADE).await.unwrap();
    assert_eq!(read_answer(&mut upgraded, false).await.status, 101);
    let mut next = clients.connect();
    next.write_all(super::GET).await.unwrap();
    // While the tunnel works, the next one is not let in.
    for _ in 0..10 {
        upgraded.write_all(b"ping").await.unwrap();
        upgraded.read_exact(&mut [0; 4]).await.unwrap();
    }
    let waited = timeout(Duration::from_millis(50), next.read_u8()).await;
    waited.expect_err("it was let in");
    drop(upgraded);
    assert_eq!(read_answer(&mut next, false).await.text(), "hello");
}

#[tokio::test]
async fn axums_router_is_a_service() {
    let (listener, addr) = bind().await;
    let router = axum::Router::new().route("/", axum::routing::get(async || "hello"));
    let server = tokio::spawn(serve(listener, router).into_future());
    assert_eq!(
        ask(&mut TcpStream::connect(addr).await.unwrap())
            .await
            .text(),
        "hello"
    );
    server.abort();
}
