//! A request and its answer that are under way at the same time.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep, timeout},
};
use tower_gateway::{Body, BoxError, Error, ErrorKind, GatewayProxy};

use super::{call, get, kind, post, text, to};
use crate::support::{
    raw::PATIENCE,
    scripted,
    upstream::{Conn, Upstream},
};

/// A body that has always one more byte, and never waits.
struct Endless;

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
    }
}

fn endless() -> Request<Endless> {
    post("/", "").map(|_| Endless)
}

#[tokio::test]
async fn an_upload_without_an_end_does_not_hide_the_answer() {
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        conn.head().await;
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhe")
            .await;
        conn.skip(10_000).await;
        conn.write("re").await;
        conn.skip(u64::MAX).await;
    })
    .await;
    let proxy = to(&upstream).stream_requests();
    let answer = async { text(call(&proxy, endless()).await).await };
    assert_eq!(timeout(PATIENCE, answer).await.unwrap(), "here");
    upstream.deserted().await;
}

#[tokio::test]
async fn an_upload_without_an_end_does_not_stop_the_clock() {
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        conn.head().await;
        conn.skip(u64::MAX).await;
    })
    .await;
    let proxy = to(&upstream)
        .stream_requests()
        .total_timeout(Duration::from_millis(50));
    let answer = timeout(PATIENCE, call(&proxy, endless())).await.unwrap();
    assert_eq!(kind(&answer), Some(ErrorKind::UpstreamTimeout));
    upstream.deserted().await;
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn the_time_for_an_answer_begins_when_the_request_is_sent() {
    // More than a socket holds, and less than two hold.
    const LENGTH: usize = 256 << 10;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let upstream = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        sleep(Duration::from_secs(50)).await;
        let mut received = Vec::new();
        let mut piece = vec![0; 64 << 10];
        while received.len() < LENGTH || !received.ends_with(b"end") {
            let length = stream.read(&mut piece).await.unwrap();
            received.extend_from_slice(&piece[..length]);
        }
        sleep(Duration::from_secs(50)).await;
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        stream.write_all(answer).await.unwrap();
    });
    let proxy = GatewayProxy::to(&format!("http+unix:{}", path.display())).unwrap();
    let proxy = proxy.stream_requests();
    let mut body = vec![b'x'; LENGTH];
    body.extend_from_slice(b"end");
    let start = Instant::now();
    let response = call(&proxy, post("/", body)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(text(response).await, "ok");
    assert_eq!(start.elapsed().as_secs(), 100);
    upstream.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_wait_for_the_rest_of_the_request() {
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        conn.head().await;
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
            .await;
        while !conn.buffered().ends_with(b"\r\n0\r\n\r\n") {
            conn.fill().await;
        }
        conn.write("taken").await;
    })
    .await;
    let proxy = to(&upstream).stream_requests();
    let (feed, body) = scripted::channel();
    let response = call(&proxy, post("/", "").map(|_| body)).await;
    let slow = async {
        for _ in 0..5 {
            sleep(Duration::from_secs(40)).await;
            feed.data("slow");
        }
        drop(feed);
    };
    let (answer, ()) = tokio::join!(text(response), slow);
    assert_eq!(answer, "taken");
}

#[cfg(feature = "http2")]
#[tokio::test(start_paused = true)]
async fn an_answer_over_http2_may_wait_for_the_rest_of_the_request() {
    use futures_util::stream::once;
    use http_body_util::StreamBody;

    let upstream = crate::support::server::spawn(tower::service_fn(
        |request: Request<hyper::body::Incoming>| async move {
            let rest = once(Box::pin(async move {
                request.into_body().collect().await?;
                Ok::<_, hyper::Error>(Frame::data(Bytes::from("taken")))
            }));
            Ok(http::Response::new(StreamBody::new(rest)))
        },
    ))
    .await;
    let proxy = GatewayProxy::to(&format!("h2c://{}", upstream.addr)).unwrap();
    let (feed, body) = scripted::channel();
    let response = call(&proxy, post("/", "").map(|_| body)).await;
    let slow = async {
        for _ in 0..5 {
            sleep(Duration::from_secs(40)).await;
            feed.data("slow");
        }
        drop(feed);
    };
    let (answer, ()) = tokio::join!(text(response), slow);
    assert_eq!(answer, "taken");
}

/// A body that nobody asked for is nobody's turn.
#[tokio::test(start_paused = true)]
async fn an_answer_does_not_wait_for_a_request_that_it_made_needless() {
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        conn.head().await;
        conn.write("HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nha")
            .await;
        conn.closed().await;
    })
    .await;
    let proxy = to(&upstream).stream_requests();
    let (_feed, body) = scripted::channel();
    let mut request = post("/", "").map(|_| body);
    let expectation = http::HeaderValue::from_static("100-continue");
    request.headers_mut().insert("expect", expectation);
    let response = call(&proxy, request).await;
    assert_eq!(response.status(), 401);
    let start = Instant::now();
    let error = response.into_body().collect().await.unwrap_err();
    let error = error.downcast::<Error>().unwrap();
    assert_eq!(error.kind(), ErrorKind::UpstreamTimeout);
    assert_eq!(start.elapsed().as_secs(), 60);
    upstream.deserted().await;
}

/// As without the interim answer.
#[tokio::test]
async fn an_early_answer_behind_an_interim_one_is_early() {
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        while conn.head().await.is_some() {
            conn.write("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n")
                .await;
            while !conn.buffered().ends_with(b"\r\n0\r\n\r\n") {
                if conn.fill().await.is_none() {
                    return;
                }
            }
            conn.take();
            conn.write("no").await;
        }
    })
    .await;
    let proxy = to(&upstream).stream_requests();
    let (feed, body) = scripted::channel();
    let response = call(&proxy, post("/", "").map(|_| body)).await;
    assert_eq!(response.status(), 401);
    feed.data("the rest");
    drop(feed);
    assert_eq!(text(response).await, "no");
    drop(call(&proxy, get("/")).await);
    assert_eq!(upstream.counts().accepted, 2);
}

/// Both directions are full: neither may wait for the other.
#[tokio::test]
async fn an_upstream_that_answers_as_it_reads_is_read_as_it_is_written_to() {
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        conn.head().await;
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 16777216\r\n\r\n")
            .await;
        for _ in 0..256 {
            conn.skip(64 << 10).await;
            conn.write(vec![b'y'; 64 << 10]).await;
        }
        conn.closed().await;
    })
    .await;
    let proxy = to(&upstream).stream_requests();
    let request = post("/", "").map(|_| Body::new(Full::from(vec![b'x'; 16 << 20])));
    let response = call(&proxy, request).await;
    let body = timeout(PATIENCE, response.into_body().collect()).await;
    assert_eq!(body.unwrap().unwrap().to_bytes().len(), 16 << 20);
}
