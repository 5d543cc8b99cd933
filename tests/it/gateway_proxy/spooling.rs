//! `body::spool` on its own, and in front of a proxy.

use std::io;

use bytes::Bytes;
use futures_util::FutureExt;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use tokio::io::AsyncWriteExt;
use tower_gateway::{
    Body, BoxError, Error, ErrorKind, GatewayProxy,
    body::spool::{Spool, Spooled},
};

use super::{call, get, kind, lines, post, text, to};
use crate::support::{raw, scripted, server, upstream::Upstream};

fn frames(
    frames: Vec<Frame<Bytes>>,
) -> StreamBody<impl futures_util::Stream<Item = io::Result<Frame<Bytes>>>> {
    StreamBody::new(futures_util::stream::iter(frames.into_iter().map(Ok)))
}

fn pieces(count: usize, length: usize) -> Vec<Frame<Bytes>> {
    (0..count)
        .map(|number| Frame::data(Bytes::from(vec![number as u8; length])))
        .collect()
}

async fn content(spooled: &Spooled) -> Vec<u8> {
    let body = spooled.body();
    assert_eq!(
        http_body::Body::size_hint(&body).exact(),
        Some(spooled.len())
    );
    body.collect().await.unwrap().to_bytes().to_vec()
}

#[tokio::test]
async fn a_small_body_stays_in_memory_and_a_large_one_goes_to_a_file() {
    for (count, length) in [
        (0, 0),
        (1, 5),
        (3, 100),
        (1, 1024),
        (2, 512),
        (2, 513),
        (40, 1000),
        (3, 100_000),
    ] {
        let body = pieces(count, length);
        let expected: Vec<u8> = body
            .iter()
            .flat_map(|frame| frame.data_ref().unwrap().to_vec())
            .collect();
        let spool = Spool::new().memory(1024);
        let spooled = spool.collect(frames(body)).await.unwrap();
        assert_eq!(spooled.len(), expected.len() as u64);
        assert_eq!(spooled.is_empty(), expected.is_empty());
        assert_eq!(
            spooled.is_in_file(),
            expected.len() > 1024,
            "{count} × {length}"
        );
        // The same every time, also at the same time.
        let (first, second) = tokio::join!(content(&spooled), content(&spooled));
        assert!(first == expected && second == expected);
    }
}

#[tokio::test]
async fn one_frame_of_known_length_is_not_copied() {
    let bytes = Bytes::from("hello".repeat(100));
    let spooled = Spool::new()
        .collect(Full::new(bytes.clone()))
        .await
        .unwrap();
    let mut body = spooled.body();
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.data_ref().unwrap().as_ptr(), bytes.as_ptr());
}

#[tokio::test]
async fn trailers_are_kept() {
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-sum", "42".parse().unwrap());
    let mut body = pieces(2, 3);
    body.push(Frame::trailers(trailers.clone()));
    let spooled = Spool::new().collect(frames(body)).await.unwrap();
    assert_eq!(spooled.trailers(), Some(&trailers));
    assert_eq!(spooled.len(), 6);
}

#[tokio::test]
async fn the_limit_is_exact() {
    let spool = Spool::new().limit(1000);
    assert!(spool.collect(frames(pieces(10, 100))).await.is_ok());
    let error = spool.collect(frames(pieces(11, 91))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RequestBodyTooLarge);
    assert_eq!(error.status(), 413);
}

#[tokio::test]
async fn what_announces_too_much_is_not_read() {
    let (feed, body) = scripted::channel();
    let error = Spool::new()
        .limit(10)
        .collect(body.with_length(11))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RequestBodyTooLarge);
    assert!(!feed.is_wanted());
}

#[tokio::test]
async fn a_limit_of_another_layer_is_told_apart_from_a_broken_body() {
    let limited = Limited::new(frames(pieces(10, 100)), 500);
    let error = Spool::new().collect(limited).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RequestBodyTooLarge);

    let (feed, body) = scripted::channel();
    feed.data("half");
    feed.error("gone");
    let error = Spool::new().collect(body).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RequestBodyIncomplete);
    assert_eq!(error.status(), 400);
    assert!(std::error::Error::source(&error).is_some());

    // An error of this crate stays what it is.
    let failing = StreamBody::new(futures_util::stream::iter([Err::<Frame<Bytes>, BoxError>(
        Error::new(ErrorKind::RequestBodyTimeout).into(),
    )]));
    let error = Spool::new().collect(failing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RequestBodyTimeout);
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_to() {
    let spool = Spool::new().memory(10).directory("/nowhere/at/all");
    assert!(spool.collect(frames(pieces(1, 10))).await.is_ok());
    let error = spool.collect(frames(pieces(1, 11))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(error.status(), 500);
}

#[tokio::test]
async fn the_file_has_no_name_and_ends_with_its_last_reader() {
    let directory = tempfile::tempdir().unwrap();
    let names = || std::fs::read_dir(directory.path()).unwrap().count();
    let spool = Spool::new().memory(0).directory(directory.path());
    let spooled = spool.collect(frames(pieces(3, 100_000))).await.unwrap();
    assert!(spooled.is_in_file());
    assert_eq!(names(), 0);
    assert_eq!(open_files(directory.path()), 1);
    let mut body = spooled.body();
    body.frame().await.unwrap().unwrap();
    drop(spooled);
    assert_eq!(open_files(directory.path()), 1);
    body.collect().await.unwrap();
    assert_eq!(open_files(directory.path()), 0);
}

#[tokio::test]
async fn a_dropped_collection_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::new().memory(0).directory(directory.path());
    let (feed, body) = scripted::channel();
    let collecting = tokio::spawn(async move { spool.collect(body).await });
    feed.data("some of it");
    while open_files(directory.path()) == 0 {
        tokio::task::yield_now().await;
    }
    collecting.abort();
    feed.unwanted().await;
    // What is being written at this moment is closed by the pool when it is written.
    while open_files(directory.path()) != 0 {
        tokio::task::yield_now().await;
    }
}

/// How many descriptors of this process are files in this directory, with a name or without.
fn open_files(directory: &std::path::Path) -> usize {
    if !cfg!(target_os = "linux") {
        return 0;
    }
    std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok())
        .filter(|target| target.starts_with(directory))
        .count()
}

#[tokio::test]
async fn a_slow_client_takes_no_connection_until_its_body_is_whole() {
    let upstream = Upstream::echo().await;
    let proxy = to(&upstream).max_connections(1);
    let server = server::spawn(proxy).await;
    let mut slow = Vec::new();
    for number in 0..50 {
        let mut stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
        // A wish to speak something else is no way past this.
        let wish = match number % 2 {
            0 => "",
            _ => "Connection: upgrade\r\nUpgrade: foo\r\n",
        };
        let part = format!("POST /slow HTTP/1.1\r\nHost: a\r\n{wish}Content-Length: 4\r\n\r\nab");
        stream.write_all(part.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    // The one connection is free for those who are ready.
    for _ in 0..10 {
        assert_eq!(raw::get(server.addr, "/").await.status, 200);
    }
    assert_eq!(upstream.counts().requests, 10);
    for stream in &mut slow {
        stream.write_all(b"cd").await.unwrap();
        let answer = raw::read_answer(stream, false).await;
        assert_eq!(answer.status, 200);
        assert!(answer.text().ends_with("\r\n\r\nabcd"));
    }
}

#[tokio::test]
async fn streamed_a_request_reaches_the_upstream_before_it_is_whole() {
    let upstream = Upstream::echo().await;
    let (feed, body) = scripted::channel();
    let request = Request::post("/")
        .header("host", "a")
        .body(Body::new(body))
        .unwrap();
    let proxy = to(&upstream).stream_requests();
    let answer = tokio::spawn(async move { text(call(&proxy, request).await).await });
    feed.data("begin");
    upstream.until(|counts| counts.requests == 1).await;
    feed.data("end");
    drop(feed);
    let seen = answer.await.unwrap();
    assert!(seen.contains("begin") && seen.contains("end"), "{seen}");
}

#[tokio::test]
async fn bodies_that_are_too_large_are_refused_in_both_ways() {
    let upstream = Upstream::echo().await;
    let spool = Spool::new().limit(10);
    for proxy in [
        to(&upstream).spool(spool.clone()),
        to(&upstream).spool(spool.clone()).stream_requests(),
    ] {
        // Announced.
        let response = call(&proxy, post("/", "0123456789x")).await;
        assert_eq!(response.status(), 413);
        assert_eq!(kind(&response), Some(ErrorKind::RequestBodyTooLarge));
        assert_eq!(response.headers()["connection"], "close");
        // Not announced.
        let request = get("/").map(|_| frames(pieces(3, 4)));
        let response = call(&proxy, request).await;
        assert_eq!(response.status(), 413);
        let response = call(&proxy, post("/", "0123456789")).await;
        assert_eq!(response.status(), 200);
        text(response).await;
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_reaches_no_upstream_when_spooled() {
    let upstream = Upstream::echo().await;
    for (proxy, reached) in [(to(&upstream), 0), (to(&upstream).stream_requests(), 1)] {
        let (feed, body) = scripted::channel();
        let request = Request::post("/")
            .header("host", "a")
            .body(Body::new(body))
            .unwrap();
        let calling = tokio::spawn(async move { call(&proxy, request).await });
        feed.data("half");
        upstream.until(|counts| counts.requests >= reached).await;
        feed.error("gone");
        let response = calling.await.unwrap();
        assert_eq!(response.status(), 400);
        assert_eq!(kind(&response), Some(ErrorKind::RequestBodyIncomplete));
    }
    upstream.deserted().await;
}

#[tokio::test]
async fn a_large_upload_arrives_whole() {
    let upstream = Upstream::spawn(|mut conn| async move {
        while let Some(request) = conn.request().await {
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            let whole = body.len() == 20 << 20 && body.bytes().all(|byte| byte == b'x');
            let length = lines(&format!("{head}\r\n\r\n"), "content-length").concat();
            conn.answer(&format!("{whole} {length}")).await;
        }
    })
    .await;
    let length = 20 << 20;
    let body = || pieces_of(b'x', length);
    let spooled = call(&to(&upstream), get("/").map(|_| frames(body()))).await;
    assert_eq!(text(spooled).await, format!("true {length}"));
}

fn pieces_of(byte: u8, length: usize) -> Vec<Frame<Bytes>> {
    let piece = Bytes::from(vec![byte; 64 << 10]);
    (0..length / piece.len())
        .map(|_| Frame::data(piece.clone()))
        .collect()
}

/// What a body is, the client says; who waits for it, it has no say in.
#[tokio::test]
async fn a_client_that_says_grpc_holds_no_server_that_cannot_speak_it() {
    let upstream = Upstream::echo().await;
    for scheme in ["http", "uwsgi"] {
        let proxy = GatewayProxy::to(&format!("{scheme}://{}", upstream.addr)).unwrap();
        let proxy = proxy.max_connections(1);
        let (feed, body) = scripted::channel();
        feed.data("x");
        let request = Request::post("/")
            .header("host", "a")
            .header("content-type", "application/grpc")
            .body(body.with_length(100_000_000))
            .unwrap();
        let slow = call(&proxy, request);
        tokio::pin!(slow);
        assert!((&mut slow).now_or_never().is_none());
        assert_eq!(proxy.handle().upstreams()[0].in_use, 0, "{scheme}");
        if scheme == "http" {
            assert_eq!(call(&proxy, get("/")).await.status(), 200);
        }
    }
}
