//! A client that is answered while it still sends.

use std::{convert::Infallible, time::Duration};

use http::{Request, Response, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    net::TcpStream,
    time::{Instant, sleep},
};
use tower::service_fn;
use tower_gateway::{
    Body,
    serve::{RequestBody, serve},
};

use super::{bind, closed, run, says, script};
use crate::support::raw::read_answer;

const UPLOAD: &[u8] = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\n";

/// Reads nothing, and says so.
async fn refuse(_: Request<RequestBody>) -> Result<Response<Body>, Infallible> {
    let mut response = Response::new(Body::from("too large"));
    *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
    Ok(response)
}

/// RFC 9112 §9.6: "If the server receives additional data from the client on a fully closed
/// connection [...] the server's TCP stack will send a reset packet to the client; unfortunately,
/// the reset packet might erase the client's unacknowledged input buffers before they can be read
/// and interpreted by the client's HTTP parser."
#[tokio::test]
async fn an_early_answer_is_not_lost() {
    let (listener, addr) = bind().await;
    let _server = run(serve(listener, service_fn(refuse)));
    for _ in 0..20 {
        let mut client = TcpStream::connect(addr).await.unwrap();
        client.write_all(UPLOAD).await.unwrap();
        // A client that reads only when it has sent everything.
        client.write_all(&vec![b'x'; 10_000_000]).await.unwrap();
        let answer = read_answer(&mut client, false).await;
        assert_eq!(answer.status, 413);
        assert_eq!(answer.text(), "too large");
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn nor_is_the_answer_to_a_head_that_is_too_large() {
    let (listener, addr) = bind().await;
    let _server = run(serve(listener, says("hello")).max_header_size(4 << 10));
    for _ in 0..20 {
        let mut client = TcpStream::connect(addr).await.unwrap();
        let head = format!(
            "GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
            "x".repeat(8_000_000)
        );
        client.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(read_answer(&mut client, false).await.status, 431);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }
}

/// Connects, asks, and reads the answer and the end after it; the client's half stays open.
async fn answered_early(client: &mut DuplexStream) {
    client.write_all(UPLOAD).await.unwrap();
    let answer = closed(client).await;
    assert!(answer.starts_with(b"HTTP/1.1 413 "));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_stopped_sending_is_waited_for_a_moment() {
    let (clients, listener) = script();
    let _server = run(serve(listener, service_fn(refuse)).max_connections(1));
    let mut client = clients.connect();
    answered_early(&mut client).await;
    let start = Instant::now();
    client.write_all(&[b'x'; 9000]).await.unwrap();
    // The next one is let in when this one is over.
    answered_early(&mut clients.connect()).await;
    assert_eq!(start.elapsed().as_secs(), 5);
    assert!(client.write_all(b"x").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_stops_is_not_listened_to_for_ever() {
    for (timeout, seconds) in [(None, 30), (Some(Duration::from_secs(12)), 12)] {
        let (clients, listener) = script();
        let mut server = serve(listener, service_fn(refuse));
        if let Some(timeout) = timeout {
            server = server.linger_timeout(timeout);
        }
        let _server = run(server);
        let mut client = clients.connect();
        answered_early(&mut client).await;
        let start = Instant::now();
        while client.write_all(b"x").await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
        assert!((seconds..seconds + 2).contains(&start.elapsed().as_secs()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_too_much_is_not_listened_to() {
    let (clients, listener) = script();
    let _server = run(serve(listener, service_fn(refuse)));
    let mut client = clients.connect();
    answered_early(&mut client).await;
    let piece = [b'x'; 4096];
    let mut sent = 0;
    while client.write_all(&piece).await.is_ok() {
        sent += piece.len();
    }
    assert!((64 << 20..65 << 20).contains(&sent), "{sent}");
}

/// RFC 9112 §9.6: "A server that sends a "close" connection option MUST initiate closure of the
/// connection after it sends the final response containing the "close" connection option. The
/// server MUST NOT process any further requests received on that connection." They are there all
/// the same.
#[tokio::test]
async fn nor_is_the_answer_to_a_last_request_that_others_follow() {
    let (listener, addr) = bind().await;
    let _server = run(serve(listener, says("hello")));
    let last = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let sent = [
        last,
        &"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200_000),
    ]
    .concat();
    for _ in 0..5 {
        let mut client = TcpStream::connect(addr).await.unwrap();
        client.write_all(sent.as_bytes()).await.unwrap();
        assert_eq!(read_answer(&mut client, false).await.text(), "hello");
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }
}

/// Those that were looked ahead at while the last one ran.
#[tokio::test(start_paused = true)]
async fn requests_behind_a_slow_last_one_are_thrown_away() {
    let (clients, listener) = script();
    let slow = service_fn(|_: Request<RequestBody>| async {
        sleep(Duration::from_secs(1)).await;
        Ok::<_, Infallible>(Response::new(Body::from("hello")))
    });
    let _server = run(serve(listener, slow));
    let mut client = clients.connect();
    let last = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let sent = [
        last,
        &"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(8000),
    ]
    .concat();
    client.write_all(sent.as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    assert!(closed(&mut client).await.ends_with(b"\r\n\r\nhello"));
}

#[tokio::test(start_paused = true)]
async fn there_is_no_lingering_without_need() {
    // Whoever has sent all of its request, and been told that the connection closes.
    let (clients, listener) = script();
    let _server = run(serve(listener, says("hello")).max_connections(1));
    let start = Instant::now();
    for request in [
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    ] {
        let mut client = clients.connect();
        client.write_all(request.as_bytes()).await.unwrap();
        assert!(closed(&mut client).await.ends_with(b"\r\n\r\nhello"));
        while client.write_all(b"x").await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
    // Or where nobody wants it.
    let (clients, listener) = script();
    let server = serve(listener, service_fn(refuse)).linger_timeout(Duration::ZERO);
    let _server = run(server);
    let mut client = clients.connect();
    answered_early(&mut client).await;
    while client.write_all(b"x").await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_draining_server_does_not_wait_for_idle_clients_to_close() {
    let (clients, listener) = script();
    let mut server = run(serve(listener, says("hello")));
    let mut idle = clients.connect();
    assert_eq!(super::ask(&mut idle).await.text(), "hello");
    let start = Instant::now();
    server.stop();
    server.ended().await;
    assert!(start.elapsed() < Duration::from_secs(1));
}
