//! Connections, streams, and heads have limits.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::{Semaphore, mpsc},
    time::timeout,
};
use tower::service_fn;
use tower_gateway::{Body, serve::serve};

use super::{GET, ask, bind, closed, run, says, script};
use crate::support::{
    log,
    raw::{exchange, read_answer},
};

#[tokio::test]
async fn a_connection_above_the_limit_waits_for_one_to_end() {
    let (log, _guard) = log::capture();
    let (listener, addr) = bind().await;
    let _server = run(serve(listener, says("hello")).max_connections(2));

    let mut first = TcpStream::connect(addr).await.unwrap();
    let mut second = TcpStream::connect(addr).await.unwrap();
    assert_eq!(ask(&mut first).await.text(), "hello");
    assert_eq!(ask(&mut second).await.text(), "hello");

    // The kernel completes the connection, and keeps the request.
    let mut third = TcpStream::connect(addr).await.unwrap();
    third.write_all(GET).await.unwrap();
    let waited = timeout(Duration::from_millis(100), read_answer(&mut third, false)).await;
    waited.expect_err("it was let in");
    drop(first);
    assert_eq!(read_answer(&mut third, false).await.text(), "hello");
    assert_eq!(ask(&mut second).await.text(), "hello");

    assert_eq!(log.count("as many connections as allowed are open"), 1);
}

#[tokio::test]
async fn a_server_at_its_limit_warns_once() {
    let (log, _guard) = log::capture();
    let (clients, listener) = script();
    let _server = run(serve(listener, says("hello")).max_connections(20));

    let mut open = Vec::new();
    for _ in 0..20 {
        let mut client = clients.connect();
        ask(&mut client).await;
        open.push(client);
    }
    // Each that ends lets one in.
    for client in &mut open {
        let mut next = clients.connect();
        next.write_all(GET).await.unwrap();
        *client = next;
        read_answer(client, false).await;
    }
    assert_eq!(log.count("as many connections as allowed are open"), 1);
}

#[test]
#[should_panic(expected = "serves nobody")]
fn a_limit_of_zero_is_refused() {
    let (_, listener) = script();
    let _ = serve(listener, says("hello")).max_connections(0);
}

#[tokio::test]
async fn a_head_above_the_limit_is_431() {
    let (listener, addr) = bind().await;
    let _server = run(serve(listener, says("hello")).max_header_size(1000));

    for (padding, status) in [(900, 200), (1000, 431), (500_000, 431)] {
        let padding = "x".repeat(padding);
        let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {padding}\r\n\r\n");
        let answer = exchange(addr, request).await;
        assert_eq!(answer.status, status, "{}", padding.len());
    }
}

#[tokio::test]
async fn the_default_takes_a_head_of_30_kib() {
    let (listener, addr) = bind().await;
    let _server = run(serve(listener, says("hello")));

    for (padding, status) in [(30 << 10, 200), (33 << 10, 431)] {
        let padding = "x".repeat(padding);
        let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {padding}\r\n\r\n");
        assert_eq!(exchange(addr, request).await.status, status);
    }
}

#[tokio::test]
async fn http2_streams_above_the_limit_wait() {
    let (clients, listener) = script();
    let (started, mut starts) = mpsc::unbounded_channel();
    let go_on = Arc::new(Semaphore::new(0));
    let service = {
        let go_on = Arc::clone(&go_on);
        service_fn(move |_| {
            started.send(()).unwrap();
            let go_on = Arc::clone(&go_on);
            async move {
                go_on.acquire().await.unwrap().forget();
                Ok::<_, Infallible>(Response::new(Body::empty()))
            }
        })
    };
    let _server = run(serve(listener, service).max_http2_streams(1));

    let (mut client, connection) = http2::handshake::<_, _, Empty<Bytes>>(
        TokioExecutor::new(),
        TokioIo::new(clients.connect()),
    )
    .await
    .unwrap();
    tokio::spawn(connection);
    // The limit is known once the settings are.
    go_on.add_permits(1);
    let response = client
        .send_request(Request::new(Empty::new()))
        .await
        .unwrap();
    response.into_body().collect().await.unwrap();
    starts.recv().await.unwrap();

    let both = tokio::spawn(futures_util::future::join(
        client.send_request(Request::new(Empty::new())),
        client.send_request(Request::new(Empty::new())),
    ));
    starts.recv().await.unwrap();
    timeout(Duration::from_millis(50), starts.recv())
        .await
        .expect_err("the second runs beside the first");
    go_on.add_permits(2);
    let (one, two) = both.await.unwrap();
    assert_eq!(
        (one.unwrap().status(), two.unwrap().status()),
        (http::StatusCode::OK, http::StatusCode::OK)
    );
}

#[tokio::test]
async fn a_server_at_its_limit_can_be_stopped() {
    let (clients, listener) = script();
    let mut server = run(serve(listener, says("hello")).max_connections(1));

    let mut client = clients.connect();
    ask(&mut client).await;
    let _waiting = clients.connect();
    server.stop();
    server.ended().await;
    assert_eq!(closed(&mut client).await, b"");
}
