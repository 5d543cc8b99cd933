//! Requests that a worker is sent before their turn.

use http::Method;
use http_body_util::BodyExt;

use super::support::{Bench, PLAIN, bytes, frame_of, get, soon};
use crate::wsgi::frame::{self, Kind};

fn bench(depth: usize) -> Bench {
    Bench::with(|config| config.prefetch = depth)
}

/// The whole answer with this body.
fn answer(body: &str) -> Vec<u8> {
    let flags = frame::FREE | frame::OVER;
    frame_of(Kind::One, flags, 0, PLAIN.as_bytes(), body.as_bytes())
}

#[tokio::test]
async fn a_worker_has_the_next_request_before_its_answer_to_the_last() {
    let bench = bench(1);
    let mut peer = bench.worker(1);
    let first = bench.spawn(get("/1"));
    assert_eq!(peer.request().await.environ["PATH_INFO"], "/1");
    let second = bench.spawn(get("/2"));
    let third = bench.spawn(get("/3"));
    bench.waiting(2).await;
    // Who has the slot looks when it hears of the worker.
    peer.answer("200 OK", b"one").await;
    assert_eq!(soon(first).await.unwrap().status(), 200);
    // The second was handed the slot, and has sent the third behind its own.
    assert_eq!(peer.request().await.environ["PATH_INFO"], "/2");
    assert_eq!(peer.request().await.environ["PATH_INFO"], "/3");
    peer.answer("201 Created", b"two").await;
    assert_eq!(soon(second).await.unwrap().status(), 201);
    peer.answer("202 Accepted", b"three").await;
    assert_eq!(soon(third).await.unwrap().status(), 202);
    bench.idle(1).await;
    assert_eq!((peer.worker.requests(), peer.worker.busy()), (3, 0));
}

#[tokio::test]
async fn answers_that_come_at_once_are_each_for_their_own() {
    let bench = bench(8);
    let mut peer = bench.worker(1);
    let first = bench.spawn(get("/0"));
    peer.request().await;
    let waiting: Vec<_> = (1..9).map(|n| bench.spawn(get(&format!("/{n}")))).collect();
    bench.waiting(8).await;
    peer.answer("200 OK", b"0").await;
    soon(first).await.unwrap();
    let mut paths = Vec::new();
    for _ in 1..9 {
        paths.push(peer.request().await.environ["PATH_INFO"].clone());
    }
    // All answers are in the connection before one of them is looked at.
    let answers: Vec<_> = paths.iter().map(|path| answer(path)).collect();
    peer.write(&answers.concat()).await;
    for (n, waiting) in (1..9).zip(waiting) {
        let response = soon(waiting).await.unwrap();
        assert_eq!(bytes(response).await, format!("/{n}"));
    }
    bench.idle(1).await;
}

#[tokio::test]
async fn only_what_does_no_harm_is_sent_ahead() {
    let bench = bench(4);
    let mut peer = bench.worker(1);
    let first = bench.spawn(get("/1"));
    peer.request().await;
    // One that may have an effect, and behind it one that is not to overtake it.
    let mut unsafe_one = get("/2");
    *unsafe_one.method_mut() = Method::POST;
    let second = bench.spawn(unsafe_one);
    bench.waiting(1).await;
    let third = bench.spawn(get("/3"));
    bench.waiting(2).await;
    peer.answer("200 OK", b"").await;
    soon(first).await.unwrap();
    assert_eq!(peer.request().await.environ["PATH_INFO"], "/2");
    // The third is behind the second now, which has no body to be asked for.
    assert_eq!(peer.request().await.environ["PATH_INFO"], "/3");
    peer.answer("200 OK", b"").await;
    soon(second).await.unwrap();
    peer.answer("200 OK", b"").await;
    soon(third).await.unwrap();
}

#[tokio::test]
async fn what_a_worker_does_not_come_to_goes_to_another() {
    let bench = bench(2);
    let mut peer = bench.worker(1);
    let first = bench.spawn(get("/1"));
    peer.request().await;
    let waiting: Vec<_> = (2..5).map(|n| bench.spawn(get(&format!("/{n}")))).collect();
    bench.waiting(3).await;
    peer.answer("200 OK", b"").await;
    soon(first).await.unwrap();
    for n in 2..5 {
        assert_eq!(peer.request().await.environ["PATH_INFO"], format!("/{n}"));
    }
    // It dies in the midst of the second request: that one is lost, the others are not.
    drop(peer);
    let mut other = bench.worker(2);
    let mut waiting = waiting.into_iter();
    assert_eq!(soon(waiting.next().unwrap()).await.unwrap().status(), 502);
    for n in 3..5 {
        assert_eq!(other.request().await.environ["PATH_INFO"], format!("/{n}"));
        other.answer("200 OK", b"").await;
        let response = soon(waiting.next().unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    bench.idle(1).await;
}

#[tokio::test]
async fn one_who_leaves_has_the_connection_closed_when_it_is_his_turn() {
    let bench = bench(1);
    let mut peer = bench.worker(1);
    let first = bench.spawn(get("/1"));
    peer.request().await;
    let second = bench.spawn(get("/2"));
    let third = bench.spawn(get("/3"));
    bench.waiting(2).await;
    peer.answer("200 OK", b"").await;
    soon(first).await.unwrap();
    peer.request().await;
    peer.request().await;
    third.abort();
    bench.waiting(0).await;
    peer.answer("200 OK", b"").await;
    assert_eq!(soon(second).await.unwrap().status(), 200);
    // What the worker says of the third would be nobody's.
    peer.closed().await;
    assert_eq!(peer.worker.busy(), 0);
}

#[tokio::test]
async fn what_was_sent_to_a_worker_that_retires_is_answered_by_it() {
    let bench = bench(1);
    let mut peer = bench.worker(1);
    let first = bench.spawn(get("/1"));
    peer.request().await;
    let second = bench.spawn(get("/2"));
    let third = bench.spawn(get("/3"));
    bench.waiting(2).await;
    peer.answer("200 OK", b"").await;
    soon(first).await.unwrap();
    peer.request().await;
    peer.request().await;
    bench.dispatch.retire(1);
    peer.answer("200 OK", b"").await;
    soon(second).await.unwrap();
    peer.answer("200 OK", b"").await;
    assert_eq!(soon(third).await.unwrap().status(), 200);
    let (header, ..) = soon(peer.frame()).await.unwrap();
    assert_eq!(header.kind, Kind::Stop);
}

#[tokio::test]
async fn nothing_is_sent_behind_an_answer_that_has_begun() {
    let bench = bench(1);
    let mut peer = bench.worker(1);
    let first = bench.spawn(get("/1"));
    peer.request().await;
    peer.say(Kind::Start, 0, 0, PLAIN.as_bytes(), b"a").await;
    let mut body = soon(first).await.unwrap().into_body();
    let second = bench.spawn(get("/2"));
    bench.waiting(1).await;
    // Whoever reads the answer goes by the line, and leaves it alone.
    peer.say(Kind::Chunk, 0, 0, b"", b"b").await;
    let mut read = Vec::new();
    while read.len() < 2 {
        let frame = soon(body.frame()).await.unwrap().unwrap();
        read.extend_from_slice(&frame.into_data().unwrap());
    }
    let mut other = bench.worker(2);
    assert_eq!(other.request().await.environ["PATH_INFO"], "/2");
    other.answer("200 OK", b"").await;
    assert_eq!(soon(second).await.unwrap().status(), 200);
}
