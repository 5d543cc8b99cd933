//! Every wait for a client has an end. Connections in memory, time that is paused.

use std::{future::pending, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::{Instant, timeout},
};
use tower::service_fn;
use tower_gateway::{
    Body,
    serve::{RequestBody, serve},
};

use super::{GET, ask, bind, closed, run, says, script};
use crate::support::{raw::read_answer, scripted};

const SECOND: Duration = Duration::from_secs(1);

/// Lets (paused) time pass.
async fn pass(time: Duration) {
    timeout(time, pending::<()>()).await.ok();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_nothing_is_closed_after_30_seconds() {
    let (clients, listener) = script();
    let _server = run(serve(listener, says("hello")));

    let start = Instant::now();
    let sent = closed_late(&mut clients.connect()).await;
    assert_eq!(sent, b"");
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_trickles_its_head_is_closed_all_the_same() {
    for head in [GET, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let (clients, listener) = script();
        let _server = run(serve(listener, says("hello")).header_timeout(10 * SECOND));

        let start = Instant::now();
        let mut client = clients.connect();
        let mut sent = 0;
        for byte in head {
            if client.write_all(&[*byte]).await.is_err() {
                break;
            }
            sent += 1;
            pass(SECOND).await;
        }
        assert!((10..=11).contains(&sent), "{sent}");
        assert_eq!(closed_late(&mut client).await, b"");
        assert!(start.elapsed() < 12 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_75_seconds() {
    let (clients, listener) = script();
    let _server = run(serve(listener, says("hello")));

    let mut client = clients.connect();
    for _ in 0..3 {
        assert_eq!(ask(&mut client).await.text(), "hello");
        // Longer than the head of a request may take.
        pass(70 * SECOND).await;
    }
    assert_eq!(ask(&mut client).await.text(), "hello");
    let start = Instant::now();
    assert_eq!(closed_late(&mut client).await, b"");
    assert_eq!(start.elapsed().as_secs(), 75);
}

#[tokio::test(start_paused = true)]
async fn the_second_head_has_the_time_of_a_head_from_its_first_byte() {
    let (clients, listener) = script();
    let server = serve(listener, says("hello"))
        .header_timeout(10 * SECOND)
        .keep_alive_timeout(100 * SECOND);
    let _server = run(server);

    let mut client = clients.connect();
    assert_eq!(ask(&mut client).await.text(), "hello");
    pass(50 * SECOND).await;
    client.write_all(b"GET / HT").await.unwrap();
    let start = Instant::now();
    assert_eq!(closed_late(&mut client).await, b"");
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_service_may_take_its_time() {
    let (clients, listener) = script();
    let slow = service_fn(|_| async {
        pass(3600 * SECOND).await;
        Ok::<_, std::convert::Infallible>(Response::new(Body::from("at last")))
    });
    let _server = run(serve(listener, slow));

    let mut client = clients.connect();
    client.write_all(GET).await.unwrap();
    let mut start = [0; 12];
    client.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
}

#[tokio::test(start_paused = true)]
async fn a_body_may_take_its_time() {
    let (clients, listener) = script();
    let (feed, body) = scripted::channel();
    let body = std::sync::Arc::new(std::sync::Mutex::new(Some(body)));
    let service = service_fn(move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async move { Ok::<_, std::convert::Infallible>(Response::new(Body::new(body))) }
    });
    let _server = run(serve(listener, service));

    let mut client = clients.connect();
    client.write_all(GET).await.unwrap();
    pass(1000 * SECOND).await;
    feed.data("one");
    pass(1000 * SECOND).await;
    feed.data("two");
    drop(feed);
    assert_eq!(read_answer(&mut client, false).await.text(), "onetwo");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_closed_after_60_seconds() {
    let (clients, listener) = script();
    let large = service_fn(|_| async {
        Ok::<_, std::convert::Infallible>(Response::new(Body::from(vec![b'x'; 100 << 10])))
    });
    let _server = run(serve(listener, large));

    let mut client = clients.connect();
    client.write_all(GET).await.unwrap();
    pass(SECOND).await;
    let start = Instant::now();
    // The connection's other half is dropped: nothing more can be written.
    while client.write_all(b"\r\n").await.is_ok() {
        pass(SECOND).await;
    }
    assert!(
        (58..=60).contains(&start.elapsed().as_secs()),
        "{:?}",
        start.elapsed()
    );
    assert!(closed_late(&mut client).await.len() < 8 << 10);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_a_little_now_and_then_gets_all() {
    let (clients, listener) = script();
    let large = service_fn(|_| async {
        Ok::<_, std::convert::Infallible>(Response::new(Body::from(vec![b'x'; 100 << 10])))
    });
    let _server = run(serve(listener, large).keep_alive_timeout(61 * SECOND));

    let mut client = clients.connect();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut got = 0;
    let mut piece = [0; 4 << 10];
    loop {
        pass(55 * SECOND).await;
        match client.read(&mut piece).await.unwrap() {
            0 => break,
            length => got += length,
        }
    }
    assert!(got > 100 << 10, "{got}");
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_goes_on_after_its_answer_is_not_idle() {
    let (clients, listener) = script();
    let (uploaded, mut uploads) = mpsc::unbounded_channel();
    let service = service_fn(move |request: Request<RequestBody>| {
        let uploaded = uploaded.clone();
        tokio::spawn(async move {
            let body = request.into_body().collect().await;
            uploaded.send(body.map(|body| body.to_bytes())).ok();
        });
        async { Ok::<_, std::convert::Infallible>(Response::new(Body::from("go on"))) }
    });
    let _server = run(serve(listener, service));

    let mut client = clients.connect();
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\none")
        .await
        .unwrap();
    assert_eq!(read_answer(&mut client, false).await.text(), "go on");
    pass(1000 * SECOND).await;
    client.write_all(b"two").await.unwrap();
    assert_eq!(uploads.recv().await.unwrap().unwrap(), "onetwo");
}

/// Whoever keeps a body that was read keeps nothing else.
#[tokio::test(start_paused = true)]
async fn a_body_that_was_read_leaves_the_connection_idle() {
    let (kept, _keeping) = mpsc::unbounded_channel();
    let service = service_fn(move |request: Request<RequestBody>| {
        let kept = kept.clone();
        async move {
            let mut body = request.into_body();
            while body.frame().await.is_some() {}
            kept.send(body).unwrap();
            Ok::<_, std::convert::Infallible>(Response::new(Body::from("hello")))
        }
    });
    let (clients, listener) = script();
    let _server = run(serve(listener, service));
    let mut client = clients.connect();
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
        .await
        .unwrap();
    assert_eq!(read_answer(&mut client, false).await.text(), "hello");
    let start = Instant::now();
    assert_eq!(closed_late(&mut client).await, b"");
    assert_eq!(start.elapsed().as_secs(), 75);
}

#[tokio::test(start_paused = true)]
async fn an_idle_http2_connection_is_told_to_go() {
    let (clients, listener) = script();
    let _server = run(serve(listener, says("hello")));

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
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "hello");

    let start = Instant::now();
    // Ended by GOAWAY, not broken off.
    connection.await.unwrap().unwrap();
    let idle = start.elapsed().as_secs();
    // The end of an HTTP/2 request may be seen as late as the shorter of the two timeouts.
    assert!((75..=105).contains(&idle), "{idle}");
}

#[tokio::test(start_paused = true)]
async fn an_http2_connection_without_a_request_is_closed_after_30_seconds() {
    let (clients, listener) = script();
    let _server = run(serve(listener, says("hello")));

    let start = Instant::now();
    let (_client, connection) = http2::handshake::<_, _, Empty<Bytes>>(
        TokioExecutor::new(),
        TokioIo::new(clients.connect()),
    )
    .await
    .unwrap();
    connection.await.ok();
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn an_http2_peer_that_vanished_is_found_by_a_ping() {
    let (clients, listener) = script();
    let (feed, body) = scripted::channel();
    let body = std::sync::Arc::new(std::sync::Mutex::new(Some(body)));
    let service = service_fn(move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async move { Ok::<_, std::convert::Infallible>(Response::new(Body::new(body))) }
    });
    let _server = run(serve(listener, service).http2_ping(10 * SECOND, 5 * SECOND));

    let mut client = clients.connect();
    client
        .write_all(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
              \0\0\0\x04\0\0\0\0\0\
              \0\0\x06\x01\x05\0\0\0\x01\x82\x84\x86\x41\x01a",
        )
        .await
        .unwrap();
    // From now on the client says nothing, not even to a PING.
    let start = Instant::now();
    feed.unwanted().await;
    assert_eq!(start.elapsed().as_secs(), 15);
}

/// HTTP/2 by hand: the preface, SETTINGS, and `GET /` on stream 1.
fn http2_get(settings: &[u8]) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend([0, 0, settings.len() as u8, 4, 0, 0, 0, 0, 0]);
    bytes.extend(settings);
    bytes.extend(b"\0\0\x06\x01\x05\0\0\0\x01\x82\x84\x86\x41\x01a");
    bytes
}

/// Answers every PING, until the connection ends; what else comes is of no interest.
async fn answer_pings(client: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin)) {
    let mut head = [0; 9];
    while client.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        client.read_exact(&mut payload).await.unwrap();
        if head[3] == 6 && head[4] == 0 {
            head[4] = 1;
            client.write_all(&[&head[..], &payload].concat()).await.ok();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_http2_client_that_opens_no_window_is_late_as_well() {
    const NO_WINDOW: &[u8] = &[0, 4, 0, 0, 0, 0];
    let (clients, listener) = script();
    let (feeds, mut fed) = mpsc::unbounded_channel();
    let service = service_fn(move |_| {
        let (feed, body) = scripted::channel();
        feeds.send(feed).unwrap();
        async { Ok::<_, std::convert::Infallible>(Response::new(Body::new(body))) }
    });
    let _server = run(serve(listener, service));

    let mut client = clients.connect();
    client.write_all(&http2_get(NO_WINDOW)).await.unwrap();
    let client = tokio::spawn(async move { answer_pings(&mut client).await });
    let feed = fed.recv().await.unwrap();
    // A body may take its time.
    pass(1000 * SECOND).await;
    assert!(feed.is_wanted());
    let start = Instant::now();
    feed.data("nobody takes it");
    feed.unwanted().await;
    assert_eq!(start.elapsed().as_secs(), 60);
    assert!(!client.is_finished(), "the connection goes on");
}

/// 400 bytes a second, of frames that take longer than the timeout.
#[tokio::test(start_paused = true)]
async fn an_http2_client_that_is_slow_but_not_late_gets_all() {
    const FRAME: usize = 40_000;
    let (clients, listener) = script();
    let service = service_fn(|_| async {
        let frames = (0..5).map(|_| {
            let frame = http_body::Frame::data(Bytes::from(vec![b'x'; FRAME]));
            Ok::<_, std::convert::Infallible>(frame)
        });
        let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
        Ok::<_, std::convert::Infallible>(Response::new(Body::new(body)))
    });
    let server = serve(listener, service)
        .http2_ping(None, SECOND)
        // What is left when the body is over has to be taken within this.
        .keep_alive_timeout(1000 * SECOND);
    let _server = run(server);

    let mut client = clients.connect();
    const WINDOW: u32 = 8000;
    let window = WINDOW.to_be_bytes();
    let settings = [&[0, 4][..], &window].concat();
    client.write_all(&http2_get(&settings)).await.unwrap();
    let (mut taken, mut open) = (0, WINDOW);
    let mut head = [0; 9];
    while taken < 5 * FRAME {
        client.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        client.read_exact(&mut payload).await.unwrap();
        match head[3] {
            0 => {
                taken += payload.len();
                open -= length;
                if open == 0 {
                    pass(20 * SECOND).await;
                    for stream in [0, 1] {
                        let update = [&[0, 0, 4, 8, 0, 0, 0, 0, stream][..], &window].concat();
                        client.write_all(&update).await.unwrap();
                    }
                    open = WINDOW;
                }
            }
            3 | 7 => panic!("late, at {taken}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_timeout_beyond_all_time_is_none() {
    let (listener, addr) = bind().await;
    let server = serve(listener, says("hello"))
        .header_timeout(Duration::MAX)
        .keep_alive_timeout(Duration::MAX)
        .send_timeout(Duration::MAX);
    let _server = run(server);
    let mut client = TcpStream::connect(addr).await.unwrap();
    assert_eq!(ask(&mut client).await.text(), "hello");
    assert_eq!(ask(&mut client).await.text(), "hello");
}

#[tokio::test]
async fn it_holds_over_tcp_too() {
    let (listener, addr) = bind().await;
    let timeout = Duration::from_millis(100);
    let server = serve(listener, says("hello"))
        .header_timeout(timeout)
        .keep_alive_timeout(timeout);
    let _server = run(server);

    let mut silent = TcpStream::connect(addr).await.unwrap();
    let mut idle = TcpStream::connect(addr).await.unwrap();
    let mut partial = TcpStream::connect(addr).await.unwrap();
    partial.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
    assert_eq!(ask(&mut idle).await.text(), "hello");
    assert_eq!(closed(&mut silent).await, b"");
    assert_eq!(closed(&mut partial).await, b"");
    assert_eq!(closed(&mut idle).await, b"");
}

/// [`closed`] gives up after 20 seconds, which pass quickly when they are paused.
async fn closed_late(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    let mut rest = Vec::new();
    let end = timeout(10_000 * SECOND, stream.read_to_end(&mut rest)).await;
    end.expect("the connection stays open").ok();
    rest
}
