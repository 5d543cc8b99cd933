//! Every limit on time, with a clock that jumps when nothing else happens.

use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::Instant,
};
use tower_gateway::{Body, Error, ErrorKind, GatewayProxy, body::spool::Spool};

use super::{call, get, kind, post, text, to};
use crate::support::{
    scripted, server,
    upstream::{Conn, Upstream},
};

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come() {
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        conn.request().await;
        conn.closed().await;
    })
    .await;
    for (proxy, seconds) in [
        (to(&upstream), 60),
        (to(&upstream).response_timeout(Duration::from_secs(7)), 7),
    ] {
        let start = Instant::now();
        let response = call(&proxy, get("/")).await;
        assert_eq!(response.status(), 504);
        assert_eq!(kind(&response), Some(ErrorKind::UpstreamTimeout));
        assert_eq!(start.elapsed().as_secs(), seconds);
    }
    upstream.deserted().await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_comes_in_time() {
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        while conn.request().await.is_some() {
            tokio::time::sleep(Duration::from_secs(59)).await;
            conn.answer("late").await;
        }
    })
    .await;
    let proxy = to(&upstream);
    for _ in 0..3 {
        assert_eq!(text(call(&proxy, get("/")).await).await, "late");
    }
    assert_eq!(upstream.counts().accepted, 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_pauses_for_too_long() {
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        conn.request().await;
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
            .await;
        for piece in ["a", "b", "c"] {
            tokio::time::sleep(Duration::from_secs(59)).await;
            conn.write(piece).await;
        }
        conn.closed().await;
    })
    .await;
    let response = call(&to(&upstream), get("/")).await;
    let start = Instant::now();
    let mut body = response.into_body();
    for piece in ["a", "b", "c"] {
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), piece);
    }
    let error = body.frame().await.unwrap().unwrap_err();
    let error = error.downcast::<Error>().unwrap();
    assert_eq!(error.kind(), ErrorKind::UpstreamTimeout);
    assert_eq!(start.elapsed().as_secs(), 59 * 3 + 60);
    // The body is still held; the connection is not.
    upstream.deserted().await;
    drop(body);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_not_accepted() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let addr = listener.local_addr().unwrap();
    // The backlog of one takes two; what comes then is not answered.
    let _backlog = [
        TcpStream::connect(addr).await.unwrap(),
        TcpStream::connect(addr).await.unwrap(),
    ];
    let proxy = GatewayProxy::to(&format!("http://{addr}")).unwrap();
    let start = Instant::now();
    let response = call(&proxy, get("/")).await;
    assert_eq!(response.status(), 504);
    assert_eq!(kind(&response), Some(ErrorKind::UpstreamConnectTimeout));
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_request_body_that_pauses_for_too_long() {
    let upstream = Upstream::echo().await;
    for proxy in [to(&upstream), to(&upstream).stream_requests()] {
        let (feed, body) = scripted::channel();
        feed.data("some");
        let request = Request::post("/")
            .header("host", "a")
            .body(Body::new(body))
            .unwrap();
        let start = Instant::now();
        let response = call(&proxy, request).await;
        assert_eq!(response.status(), 408);
        assert_eq!(kind(&response), Some(ErrorKind::RequestBodyTimeout));
        assert_eq!(response.headers()["connection"], "close");
        assert_eq!(start.elapsed().as_secs(), 60);
        assert!(!feed.is_wanted());
    }
    upstream.deserted().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_pauses_is_told_and_let_go() {
    let upstream = Upstream::echo().await;
    let server = server::spawn(to(&upstream)).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let part = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nsome";
    stream.write_all(part).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert_eq!(upstream.counts().accepted, 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_request_body_is_not_the_upstreams_fault() {
    let upstream = Upstream::echo().await;
    for proxy in [to(&upstream), to(&upstream).stream_requests()] {
        let (feed, body) = scripted::channel();
        let request = Request::post("/")
            .header("host", "a")
            .body(Body::new(body))
            .unwrap();
        let slow = async {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(40)).await;
                feed.data("slow");
            }
            drop(feed);
        };
        let (response, ()) = tokio::join!(call(&proxy, request), slow);
        assert_eq!(response.status(), 200);
        text(response).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_takes_a_large_body_slowly_is_given_time() {
    // Takes a piece every 50 seconds: longer in all than the limit, and never quiet for it.
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        conn.head().await;
        for piece in 1..=8 {
            if piece <= 4 {
                tokio::time::sleep(Duration::from_secs(50)).await;
            }
            // While there is always something to do, the clock stands still.
            while conn.buffered().len() < piece * (4 << 20) {
                if conn.try_fill().is_none() {
                    tokio::task::yield_now().await;
                }
            }
        }
        conn.answer("taken").await;
    })
    .await;
    let start = Instant::now();
    let response = call(&to(&upstream), post("/", vec![b'x'; 32 << 20])).await;
    assert_eq!(response.status(), 200);
    assert_eq!(start.elapsed().as_secs(), 200);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_takes_no_more_of_a_body() {
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        conn.head().await;
        // Reads nothing, and holds the connection open.
        std::future::pending::<()>().await;
    })
    .await;
    for proxy in [to(&upstream), to(&upstream).stream_requests()] {
        let start = Instant::now();
        // More than the buffers of both sockets hold.
        let response = call(&proxy, post("/", vec![b'x'; 32 << 20])).await;
        assert_eq!(response.status(), 504);
        assert_eq!(kind(&response), Some(ErrorKind::UpstreamTimeout));
        // The clock may jump while the kernel still takes a piece; then the limit begins anew.
        assert!(start.elapsed().as_secs() >= 60);
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_may_be_for_ever() {
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        conn.request().await;
        tokio::time::sleep(Duration::from_secs(1_000_000)).await;
        conn.answer("at last").await;
    })
    .await;
    let proxy = to(&upstream)
        .connect_timeout(Duration::MAX)
        .response_timeout(Duration::MAX)
        .read_timeout(Duration::MAX)
        .pool_timeout(Duration::MAX)
        .idle_timeout(Duration::MAX)
        .spool(Spool::new().timeout(Duration::MAX));
    assert_eq!(text(call(&proxy, get("/")).await).await, "at last");
}
