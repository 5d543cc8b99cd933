//! Requests whose bodies come as they are asked for.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;

use super::support::*;
use crate::{
    ErrorKind,
    body::spool::Spool,
    wsgi::frame::{self, Kind},
};

#[tokio::test]
async fn a_streamed_body_comes_as_it_is_asked_for() {
    let bench = Bench::with(|config| config.is_streamed = true);
    let mut worker = bench.worker(1);
    let (sender, body) = channel();
    let request = Request::post("/").header("host", "a").body(body).unwrap();
    let asking = bench.spawn(request);
    // It is there before a byte of its body is.
    let heard = worker.request().await;
    assert_eq!(heard.flags, frame::AWAY);
    assert!(!heard.environ.contains_key("CONTENT_LENGTH"));
    sender.send(Ok(Bytes::from("one two"))).await.unwrap();
    assert_eq!(worker.read(4).await, b"one ");
    assert_eq!(worker.read(100).await, b"two");
    // The answer may begin before the body is over, and the rest of it be asked for in between.
    worker
        .say(Kind::Start, 0, 0, PLAIN.as_bytes(), b"echo: ")
        .await;
    let mut response = soon(asking).await.unwrap().into_body();
    assert_eq!(
        soon(response.frame())
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap(),
        "echo: "
    );
    let reading = tokio::spawn(async move { response.collect().await.unwrap().to_bytes() });
    worker.say(Kind::Read, 0, 100, b"", b"").await;
    sender.send(Ok(Bytes::from("three"))).await.unwrap();
    let (_, _, piece) = worker.frame().await.unwrap();
    assert_eq!(piece, b"three");
    worker.say(Kind::Chunk, 0, 0, b"", &piece).await;
    drop(sender);
    assert_eq!(worker.read(100).await, b"");
    worker
        .say(Kind::End, frame::OVER | frame::FREE, 0, b"", b"")
        .await;
    assert_eq!(soon(reading).await.unwrap(), "three");
    bench.idle(1).await;
}

#[tokio::test]
async fn a_streamed_body_has_its_length_if_that_is_known() {
    let bench = Bench::with(|config| config.is_streamed = true);
    let mut worker = bench.worker(1);
    let asking = bench.spawn(post("seven b"));
    assert_eq!(worker.request().await.environ["CONTENT_LENGTH"], "7");
    assert_eq!(worker.read(100).await, b"seven b");
    worker.answer(PLAIN, b"").await;
    soon(asking).await.unwrap();
}

#[tokio::test]
async fn a_streamed_body_that_fails_ends_the_connection() {
    for (is_spooled, status, kind) in [
        (false, 400, ErrorKind::RequestBodyIncomplete),
        (true, 400, ErrorKind::RequestBodyIncomplete),
    ] {
        let bench = Bench::with(|config| config.is_streamed = !is_spooled);
        let mut worker = bench.worker(1);
        let (sender, body) = channel();
        let request = Request::post("/").header("host", "a").body(body).unwrap();
        let asking = bench.spawn(request);
        sender.send(Ok(Bytes::from("begun"))).await.unwrap();
        if !is_spooled {
            worker.request().await;
            assert_eq!(worker.read(100).await, b"begun");
            worker.say(Kind::Read, 0, 100, b"", b"").await;
        }
        sender
            .send(Err("the client went away".into()))
            .await
            .unwrap();
        let response = soon(asking).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), error(&response).kind()),
            (status, kind)
        );
        if is_spooled {
            assert_eq!(worker.worker.requests(), 0);
        } else {
            worker.closed().await;
        }
        // That is the client's doing, and nothing is wrong with the worker.
        assert!(!worker.worker.take_timed_out());
    }
}

#[tokio::test]
async fn a_client_that_pauses_for_too_long_is_told_so_and_is_no_fault_of_the_worker() {
    let bench = Bench::with(|config| {
        config.is_streamed = true;
        config.timeout = Duration::from_millis(20);
        config.spool = Spool::new().timeout(Duration::from_millis(100));
    });
    let mut worker = bench.worker(1);
    let (sender, body) = channel();
    let request = Request::post("/").header("host", "a").body(body).unwrap();
    let asking = bench.spawn(request);
    worker.request().await;
    worker.say(Kind::Read, 0, 100, b"", b"").await;
    let response = soon(asking).await.unwrap();
    assert_eq!(response.status(), 408);
    assert_eq!(response.headers()["connection"], "close");
    worker.closed().await;
    assert!(!worker.worker.take_timed_out());
    drop(sender);
}

#[tokio::test]
async fn what_is_said_while_the_client_is_waited_for_is_nonsense() {
    for with_descriptor in [false, true] {
        let bench = Bench::with(|config| config.is_streamed = true);
        let mut worker = bench.worker(1);
        let (_sender, body) = channel();
        let request = Request::post("/").header("host", "a").body(body).unwrap();
        let asking = bench.spawn(request);
        worker.request().await;
        // Behind the question, and more than a frame's header.
        let mut said = frame_of(Kind::Read, 0, 100, b"", b"");
        said.extend(frame_of(Kind::Chunk, 0, 0, b"", &[7; 40]));
        if with_descriptor {
            worker
                .send_with(&said, std::fs::File::open("/dev/null").unwrap())
                .await;
        } else {
            worker.write(&said).await;
        }
        let response = soon(asking).await.unwrap();
        assert_eq!(error(&response).kind(), ErrorKind::UpstreamProtocol);
        worker.closed().await;
    }
}
