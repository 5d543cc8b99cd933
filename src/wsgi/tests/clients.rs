//! Long answers, slow clients, and clients that go.

use http::Request;
use http_body::Body as _;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::support::*;
use crate::{
    body::buffer::Buffering,
    wsgi::frame::{
        FREE,
        Kind::{Chunk, End, Start},
        OVER,
    },
};

#[tokio::test]
async fn a_large_answer_is_the_same_however_it_is_framed() {
    let body: Vec<u8> = (0..5_000_000).map(|at| (at / 253) as u8).collect();
    let bench = Bench::new();
    let mut peer = bench.worker(1);
    for size in [
        5_000_000,
        1 << 20,
        200_000,
        131_072,
        131_073,
        33_000,
        32_000,
    ] {
        let asking = bench.spawn(get("/"));
        peer.request().await;
        let body_to_write = body.clone();
        let length = format!("200 OK\nContent-Length\n{}", body.len());
        let writing = tokio::spawn(async move {
            let mut pieces = body_to_write.chunks(size);
            if size == body_to_write.len() {
                peer.answer("200 OK", &body_to_write).await;
            } else {
                let first = pieces.next().unwrap();
                peer.say(Start, 0, 0, length.as_bytes(), first).await;
                for piece in pieces {
                    peer.say(Chunk, 0, 0, b"", piece).await;
                }
                peer.say(End, OVER | FREE, 0, b"", b"").await;
            }
            peer
        });
        let response = soon(asking).await.unwrap();
        assert!(bytes(response).await == body, "{size}");
        peer = soon(writing).await.unwrap();
        bench.idle(1).await;
    }
    assert!(!peer.worker.take_timed_out());
}

#[tokio::test]
async fn a_slow_client_does_not_hold_a_worker() {
    let bench = Bench::new();
    let mut peer = bench.worker(1);
    let asking = bench.spawn(get("/"));
    peer.request().await;
    let body = vec![7; 4 << 20];
    let to_write = body.clone();
    let writing = tokio::spawn(async move {
        peer.answer("200 OK", &to_write).await;
        peer
    });
    let mut response = soon(asking).await.unwrap().into_body();
    let first = soon(response.frame())
        .await
        .unwrap()
        .unwrap()
        .into_data()
        .unwrap();
    // The client takes no more, and the worker is done with it.
    let mut peer = soon(writing).await.unwrap();
    bench.idle(1).await;
    let other = bench.spawn(get("/other"));
    peer.request().await;
    peer.answer("200 OK", b"").await;
    soon(other).await.unwrap();
    let rest = soon(response.collect()).await.unwrap().to_bytes();
    assert!([&first[..], &rest[..]].concat() == body);
}

#[tokio::test]
async fn a_client_that_goes_away_is_told_by_the_end_of_the_connection() {
    let bench = Bench::with(|config| config.buffering = Buffering::off());
    let mut peer = bench.worker(1);
    let asking = bench.spawn(get("/"));
    peer.request().await;
    peer.say(Start, 0, 0, b"200 OK", b"and so on").await;
    let response = soon(asking).await.unwrap();
    assert_eq!(peer.worker.busy(), 1);
    drop(response);
    peer.closed().await;
    assert_eq!(
        (peer.worker.busy(), peer.worker.take_timed_out()),
        (0, false)
    );
    assert_eq!(bench.dispatch.load().idle, 0);
}

#[tokio::test]
async fn a_client_that_has_all_there_is_may_go_without_ending_the_connection() {
    let bench = Bench::with(|config| config.buffering = Buffering::off());
    let mut peer = bench.worker(1);
    let asking = bench.spawn(get("/"));
    peer.request().await;
    peer.say(Start, 0, 0, b"200 OK\nContent-Length\n5", b"hello")
        .await;
    let mut body = soon(asking).await.unwrap().into_body();
    let piece = soon(body.frame()).await.unwrap().unwrap();
    assert_eq!(piece.into_data().unwrap(), "hello");
    assert!(body.is_end_stream());
    drop(body);
    peer.say(End, OVER | FREE, 0, b"", b"").await;
    bench.idle(1).await;
    assert!(!peer.worker.take_timed_out());
}

#[tokio::test]
async fn an_event_is_passed_on_when_it_comes() {
    let bench = Bench::new();
    let mut peer = bench.worker(1);
    let asking = bench.spawn(get("/"));
    peer.request().await;
    let head = b"200 OK\nContent-Type\ntext/event-stream";
    peer.say(Start, 0, 0, head, b"data: 1\n\n").await;
    let mut body = soon(asking).await.unwrap().into_body();
    for number in 1..4 {
        let event = soon(body.frame()).await.unwrap().unwrap();
        assert_eq!(event.into_data().unwrap(), format!("data: {number}\n\n"));
        let next = format!("data: {}\n\n", number + 1);
        peer.say(Chunk, 0, 0, b"", next.as_bytes()).await;
    }
}

#[tokio::test]
async fn a_request_keeps_its_container_until_it_is_answered() {
    let bench = Bench::new();
    let mut peer = bench.worker(1);
    let Bench {
        container, desk, ..
    } = bench;
    let (sender, body) = channel();
    let request = Request::post("/").header("host", "a").body(body).unwrap();
    let mut asking = Box::pin(container.oneshot(request));
    // Nobody has the container any more, and the upload goes on.
    assert!(futures_util::poll!(&mut asking).is_pending());
    assert!(!desk.is_to_end());
    drop(sender);
    let asking = tokio::spawn(asking);
    peer.request().await;
    let head = b"200 OK\nContent-Type\ntext/event-stream";
    peer.say(Start, 0, 0, head, b"data: 1\n\n").await;
    let response = soon(asking).await.unwrap().unwrap();
    // An answer that lasts does not keep it.
    assert!(desk.is_to_end());
    drop(response);
}
