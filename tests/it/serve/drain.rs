//! Stopping: what runs may finish, within a deadline.

use std::{
    convert::Infallible,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, oneshot},
    time::Instant,
};
use tower::{Service, service_fn};
use tower_gateway::{
    Body,
    serve::{RequestBody, serve},
};

use super::{GET, ask, bind, closed, run, says, script};
use crate::support::{
    raw::read_answer,
    scripted::{self, Feed},
};

/// A service that answers one request, with a body that is fed from the test.
fn fed() -> (
    Feed,
    impl Service<Request<RequestBody>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send,
) {
    let (feed, body) = scripted::channel();
    let body = Arc::new(Mutex::new(Some(body)));
    let service = service_fn(move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async move { Ok(Response::new(Body::new(body))) }
    });
    (feed, service)
}

#[tokio::test]
async fn idle_connections_are_closed_at_once_and_new_ones_refused() {
    let (listener, addr) = bind().await;
    let mut server = run(serve(listener, says("hello")));

    let mut idle = TcpStream::connect(addr).await.unwrap();
    ask(&mut idle).await;
    let mut unused = TcpStream::connect(addr).await.unwrap();
    // Accepted in order, so the one before is in as well.
    ask(&mut TcpStream::connect(addr).await.unwrap()).await;

    server.stop();
    server.ended().await;
    assert_eq!(closed(&mut idle).await, b"");
    assert_eq!(closed(&mut unused).await, b"");
    TcpStream::connect(addr).await.unwrap_err();
}

/// Closing a listener resets what waits in the kernel's queue.
#[tokio::test]
async fn who_has_connected_before_the_stop_is_answered() {
    let (listener, addr) = bind().await;
    let mut server = run(serve(listener, says("hello")));

    // The server has not run since these connected: none is accepted yet.
    let mut early: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = std::net::TcpStream::connect(addr).unwrap();
            std::io::Write::write_all(&mut stream, GET).unwrap();
            stream.set_nonblocking(true).unwrap();
            TcpStream::from_std(stream).unwrap()
        })
        .collect();
    server.stop();
    for stream in &mut early {
        assert_eq!(read_answer(stream, false).await.text(), "hello");
    }
    server.ended().await;
}

#[tokio::test]
async fn a_running_download_is_finished() {
    let (listener, addr) = bind().await;
    let (feed, service) = fed();
    let mut server = run(serve(listener, service));

    let mut client = TcpStream::connect(addr).await.unwrap();
    client.write_all(GET).await.unwrap();
    feed.data("one");
    let mut start = [0; 12];
    client.read_exact(&mut start).await.unwrap();
    server.stop();
    while TcpStream::connect(addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!server.task.is_finished());
    feed.data("two");
    drop(feed);
    let rest = closed(&mut client).await;
    assert!(rest.ends_with(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"));
    server.ended().await;
}

/// What is in hyper's buffer when the server stops is sent as well.
#[tokio::test(start_paused = true)]
async fn a_slow_client_gets_what_it_has_not_taken_yet() {
    let (clients, listener) = script();
    let large = service_fn(|_| async {
        Ok::<_, Infallible>(Response::new(Body::from(vec![b'x'; 300 << 10])))
    });
    let mut server = run(serve(listener, large));

    let mut client = clients.connect();
    client.write_all(GET).await.unwrap();
    let mut start = [0; 100];
    client.read_exact(&mut start).await.unwrap();
    server.stop();
    clients.unwanted().await;
    let rest = closed(&mut client).await;
    assert!(start.len() + rest.len() > 300 << 10, "{}", rest.len());
    server.ended().await;
}

#[tokio::test]
async fn a_running_request_is_answered_with_connection_close() {
    let (listener, addr) = bind().await;
    let (started, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let service = {
        let (started, go_on) = (Arc::clone(&started), Arc::clone(&go_on));
        service_fn(move |_| {
            let (started, go_on) = (Arc::clone(&started), Arc::clone(&go_on));
            async move {
                started.notify_one();
                go_on.notified().await;
                Ok::<_, Infallible>(Response::new(Body::from("done")))
            }
        })
    };
    let mut server = run(serve(listener, service));

    let mut client = TcpStream::connect(addr).await.unwrap();
    client.write_all(GET).await.unwrap();
    started.notified().await;
    server.stop();
    while TcpStream::connect(addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
    go_on.notify_one();
    let answer = read_answer(&mut client, false).await;
    assert_eq!(answer.text(), "done");
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(closed(&mut client).await, b"");
    server.ended().await;
}

#[tokio::test(start_paused = true)]
async fn what_does_not_finish_in_time_is_aborted() {
    let (clients, listener) = script();
    let (feed, service) = fed();
    let mut server = run(serve(listener, service).drain_timeout(Duration::from_secs(7)));

    let mut client = clients.connect();
    client.write_all(GET).await.unwrap();
    feed.data("one");
    let mut start = [0; 12];
    client.read_exact(&mut start).await.unwrap();

    let start = Instant::now();
    server.stop();
    server.ended().await;
    assert_eq!(start.elapsed().as_secs(), 7);
    // Nothing of it is left when the server's future is ready.
    assert!(!feed.is_wanted());
    let rest = closed(&mut client).await;
    assert!(rest.ends_with(b"3\r\none\r\n"));
}

#[tokio::test]
async fn http2_is_sent_goaway_and_its_streams_are_finished() {
    let (clients, listener) = script();
    let (feed, service) = fed();
    let mut server = run(serve(listener, service));

    let (mut client, connection) = http2::handshake::<_, _, Empty<Bytes>>(
        TokioExecutor::new(),
        TokioIo::new(clients.connect()),
    )
    .await
    .unwrap();
    let connection = tokio::spawn(connection);
    let response = client
        .send_request(Request::new(Empty::new()))
        .await
        .unwrap();
    server.stop();
    clients.unwanted().await;
    feed.data("one");
    drop(feed);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "one");
    // Ended by GOAWAY, not broken off.
    connection.await.unwrap().unwrap();
    server.ended().await;
    assert!(client.is_closed());
}

#[tokio::test(start_paused = true)]
async fn http2_streams_that_do_not_finish_are_aborted() {
    let (clients, listener) = script();
    let (feed, service) = fed();
    let mut server = run(serve(listener, service));

    let (mut client, connection) = http2::handshake::<_, _, Empty<Bytes>>(
        TokioExecutor::new(),
        TokioIo::new(clients.connect()),
    )
    .await
    .unwrap();
    tokio::spawn(connection);
    let response = client
        .send_request(Request::new(Empty::new()))
        .await
        .unwrap();
    let start = Instant::now();
    server.stop();
    // The default is later than `ended` waits for.
    (&mut server.task).await.unwrap().unwrap();
    assert_eq!(start.elapsed().as_secs(), 30);
    feed.unwanted().await;
    response.into_body().collect().await.unwrap_err();
}

#[tokio::test]
async fn dropping_the_server_aborts_its_connections() {
    for http2 in [false, true] {
        let (clients, listener) = script();
        let (feed, service) = fed();
        let server = run(serve(listener, service));
        let mut stream = clients.connect();
        if http2 {
            let (mut client, connection) =
                http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), TokioIo::new(stream))
                    .await
                    .unwrap();
            tokio::spawn(connection);
            client
                .send_request(Request::new(Empty::new()))
                .await
                .unwrap();
        } else {
            stream.write_all(GET).await.unwrap();
            feed.data("one");
            stream.read_u8().await.unwrap();
        }
        drop(server);
        feed.unwanted().await;
        clients.unwanted().await;
    }
}

#[tokio::test]
async fn a_running_handler_is_dropped_with_the_server() {
    let (clients, listener) = script();
    let (started, is_started) = oneshot::channel();
    let (held, is_dropped) = oneshot::channel::<()>();
    let once = Arc::new(Mutex::new(Some((started, held))));
    let service = service_fn(move |_| {
        let (started, held) = once.lock().unwrap().take().unwrap();
        async move {
            let _held = held;
            started.send(()).unwrap();
            pending::<Result<Response<Body>, Infallible>>().await
        }
    });
    let server = run(serve(listener, service));
    let mut client = clients.connect();
    client.write_all(GET).await.unwrap();
    is_started.await.unwrap();
    drop(server);
    is_dropped.await.unwrap_err();
}
