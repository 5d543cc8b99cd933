//! Workers that go, hang, or never had the request; clients that go.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use http_body_util::BodyExt;
use tower::ServiceExt;

use super::support::*;
use crate::{
    ErrorKind,
    body::spool::Spool,
    wsgi::{
        frame::{self, FREE, Kind, OVER},
        worker::Worker,
    },
};

/// An answer in several frames, and where each of them ends.
fn answer() -> (Vec<u8>, Vec<usize>) {
    let (mut said, mut ends) = (Vec::new(), Vec::new());
    for frame in [
        frame_of(Kind::Start, 0, 0, b"200 OK\nX\ny", b"one "),
        frame_of(Kind::Chunk, 0, 0, b"", b"two"),
        frame_of(Kind::End, OVER, 0, b"", b""),
        frame_of(Kind::End, FREE, 0, b"", b""),
    ] {
        said.extend(frame);
        ends.push(said.len());
    }
    (said, ends)
}

#[tokio::test]
async fn a_worker_may_go_at_every_byte() {
    let (said, ends) = answer();
    for cut in 0..said.len() {
        let bench = Bench::new();
        let mut peer = bench.worker(1);
        let asking = bench.spawn(get("/"));
        peer.request().await;
        peer.write(&said[..cut]).await;
        let worker = Arc::clone(&peer.worker);
        drop(peer);
        let response = soon(asking).await.unwrap();
        if cut < ends[0] {
            assert_eq!(response.status(), 502, "{cut}");
            assert_eq!(error(&response).kind(), ErrorKind::UpstreamReset, "{cut}");
        } else {
            assert_eq!(response.status(), 200, "{cut}");
            let body = soon(response.into_body().collect()).await;
            if cut < ends[2] {
                let error = body.unwrap_err().downcast::<crate::Error>().unwrap();
                assert_eq!(error.kind(), ErrorKind::UpstreamReset, "{cut}");
            } else {
                assert_eq!(body.unwrap().to_bytes(), "one two", "{cut}");
            }
        }
        soon(async {
            while worker.busy() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert!(worker.gone(true).is_some(), "{cut}");
        assert_eq!(bench.dispatch.load().idle, 0);
    }
}

#[tokio::test]
async fn what_a_worker_has_not_seen_is_for_another() {
    for resets in 0..5 {
        let bench = Bench::new();
        let mut peers: Vec<_> = (0..4).map(|id| bench.worker(id)).collect();
        let asking = bench.spawn(post("of some length"));
        let mut heard = 0;
        for _ in 0..resets {
            let which = soon(readable(&peers)).await;
            peers.swap_remove(which).reset().await;
            heard += 1;
            if heard == 3 {
                break;
            }
        }
        if resets < 3 {
            let which = soon(readable(&peers)).await;
            let peer = &mut peers[which];
            assert_eq!(peer.request().await.body, b"of some length");
            peer.answer("200 OK", b"").await;
            assert_eq!(soon(asking).await.unwrap().status(), 200);
        } else {
            let response = soon(asking).await.unwrap();
            assert_eq!(response.status(), 502);
            assert_eq!(error(&response).kind(), ErrorKind::UpstreamReset);
            assert_eq!(bench.dispatch.load().idle, 1);
        }
    }
}

/// Which of them is asked something.
async fn readable(peers: &[Peer]) -> usize {
    let waits = peers.iter().map(|peer| Box::pin(peer.stream.readable()));
    let (ready, which, _) = futures_util::future::select_all(waits).await;
    ready.unwrap();
    which
}

#[tokio::test]
async fn no_thread_of_a_worker_that_went_is_in_the_way_of_one_that_is_here() {
    let bench = Bench::new();
    let worker = |id| Arc::new(Worker::new(id, id, 1, 8, Arc::clone(&bench.wake)));
    // One that is busier, and one that has ended, all of whose threads were idle.
    let here = worker(1);
    let mut here: Vec<_> = (0..8).map(|_| bench.slot(&here)).collect();
    let busy: Vec<_> = (0..7).map(|_| bench.spawn(get("/busy"))).collect();
    bench.idle(1).await;
    let gone = worker(2);
    drop([(); 8].map(|()| bench.slot(&gone)));
    let asking = bench.spawn(get("/asks"));
    let last = &mut here[0];
    assert_eq!(last.request().await.environ["PATH_INFO"], "/asks");
    last.answer("200 OK", b"").await;
    assert_eq!(soon(asking).await.unwrap().status(), 200);
    busy.iter().for_each(|busy| busy.abort());
}

#[tokio::test]
async fn a_worker_that_went_while_it_was_idle_is_not_asked() {
    let bench = Bench::new();
    let mut here = bench.worker(2);
    let gone = bench.worker(1);
    let worker = Arc::clone(&gone.worker);
    drop(gone);
    let asking = bench.spawn(get("/"));
    here.request().await;
    here.answer("200 OK", b"").await;
    assert_eq!(soon(asking).await.unwrap().status(), 200);
    assert_eq!(
        bench.dispatch.load().idle,
        1 + usize::from(worker.requests() == 0)
    );
}

#[tokio::test]
async fn what_a_worker_has_seen_is_not_for_another() {
    let bench = Bench::new();
    let first = bench.worker(1);
    let second = bench.worker(2);
    let mut peers = vec![first, second];
    let asking = bench.spawn(post("of some length"));
    let which = soon(readable(&peers)).await;
    let mut asked = peers.remove(which);
    asked.request().await;
    drop(asked);
    assert_eq!(soon(asking).await.unwrap().status(), 502);
    assert_eq!(peers[0].worker.requests(), 0);
}

#[tokio::test]
async fn what_was_asked_for_more_was_seen() {
    let bench = Bench::with(|config| config.spool = Spool::new().memory(10));
    let mut peers = vec![bench.worker(1), bench.worker(2)];
    let asking = bench.spawn(post("more than that is in a file"));
    let which = soon(readable(&peers)).await;
    let mut asked = peers.remove(which);
    assert_eq!(asked.request().await.flags, frame::AWAY);
    asked.say(Kind::Read, 0, 100, b"", b"").await;
    // What it is sent then it does not read.
    asked.reset().await;
    assert_eq!(soon(asking).await.unwrap().status(), 502);
    assert_eq!(peers[0].worker.requests(), 0);
}

#[tokio::test]
async fn a_worker_that_says_nothing_takes_too_long() {
    let (said, ends) = answer();
    for cut in [0, 5, ends[0] - 1, ends[0], ends[1] - 3, ends[1]] {
        let bench = Bench::with(|config| config.timeout = Duration::from_millis(40));
        let mut peer = bench.worker(1);
        let asking = bench.spawn(get("/"));
        peer.request().await;
        peer.write(&said[..cut]).await;
        let response = soon(asking).await.unwrap();
        if cut < ends[0] {
            assert_eq!(response.status(), 504, "{cut}");
            assert_eq!(error(&response).kind(), ErrorKind::UpstreamTimeout);
        } else {
            let error = soon(response.into_body().collect()).await.unwrap_err();
            let error = error.downcast::<crate::Error>().unwrap();
            assert_eq!(error.kind(), ErrorKind::UpstreamTimeout, "{cut}");
        }
        peer.closed().await;
        assert_eq!(
            (peer.worker.busy(), peer.worker.take_timed_out()),
            (0, true)
        );
        soon(bench.wake.notified()).await;
    }
}

#[tokio::test]
async fn a_worker_that_does_not_read_takes_too_long() {
    let bench = Bench::with(|config| {
        config.timeout = Duration::from_millis(40);
        config.spool = Spool::new().memory(1 << 20);
    });
    let mut peer = bench.worker(1);
    // More than a socket holds.
    let response = bench.send(post(vec![1; 1 << 20])).await;
    assert_eq!(response.status(), 504);
    assert!(peer.worker.take_timed_out());
    let heard = tokio::io::AsyncReadExt::read_to_end(&mut peer.stream, &mut Vec::new()).await;
    assert!(heard.unwrap() < 1 << 20);
}

#[tokio::test]
async fn time_counts_anew_with_each_word_of_a_worker() {
    let bench = Bench::with(|config| config.timeout = Duration::from_millis(300));
    let mut peer = bench.worker(1);
    let asking = bench.spawn(get("/"));
    peer.request().await;
    peer.say(Kind::Start, 0, 0, b"200 OK", b"x").await;
    let mut body = soon(asking).await.unwrap().into_body();
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(700) {
        let piece = soon(body.frame()).await.unwrap().unwrap();
        assert_eq!(piece.into_data().unwrap(), "x");
        let pause = tokio::time::timeout(Duration::from_millis(20), body.frame()).await;
        assert!(pause.is_err());
        peer.say(Kind::Chunk, 0, 0, b"", b"x").await;
    }
    assert!(!peer.worker.take_timed_out());
}

#[tokio::test]
async fn a_client_may_go_at_every_step() {
    // How often its future is asked before it is dropped, with a worker that goes on a step each time.
    for polls in 0..12 {
        let bench = Bench::with(|config| config.is_streamed = true);
        let mut peer = bench.worker(1);
        let mut was_dropped = false;
        {
            let mut future = pin!(bench.container.clone().oneshot(post("seven b")));
            let mut answer = None;
            for step in 0..polls {
                let mut context = Context::from_waker(Waker::noop());
                if let Poll::Ready(ready) = future.as_mut().poll(&mut context) {
                    answer = Some(ready.unwrap());
                    break;
                }
                match step {
                    0 => drop(peer.request().await),
                    1 => peer.say(Kind::Read, 0, 3, b"", b"").await,
                    2 => {}
                    3 => peer.say(Kind::Start, 0, 0, b"200 OK", b"x").await,
                    _ => {}
                }
                // Whatever there is to be seen, the runtime has seen it.
                tokio::time::timeout(Duration::from_millis(2), std::future::pending::<()>())
                    .await
                    .unwrap_err();
            }
            if let Some(answer) = answer {
                // And its body.
                assert_eq!(answer.status(), 200);
            } else {
                was_dropped = true;
            }
        }
        assert_eq!(peer.worker.busy(), 0, "{polls}");
        assert!(!peer.worker.take_timed_out(), "{polls}");
        if polls == 0 {
            assert_eq!(bench.dispatch.load().idle, 1);
        } else {
            assert_eq!(bench.dispatch.load().idle, 0);
            // What it was sent before is read first.
            let mut rest = Vec::new();
            let read = tokio::io::AsyncReadExt::read_to_end(&mut peer.stream, &mut rest);
            if let Err(error) = soon(read).await {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
            }
        }
        let is_answered = polls > 4;
        assert_eq!(was_dropped, !is_answered, "{polls}");
    }
}

#[tokio::test]
async fn a_panic_of_a_body_takes_the_connection_with_it() {
    let bench = Bench::with(|config| config.is_streamed = true);
    let mut peer = bench.worker(1);
    let pieces = futures_util::stream::poll_fn(|_| -> Poll<Option<Result<_, crate::BoxError>>> {
        if true {
            panic!("a body of a test");
        }
        Poll::Ready(None::<Result<http_body::Frame<bytes::Bytes>, _>>)
    });
    let body = http_body_util::StreamBody::new(pieces);
    let request = http::Request::post("/")
        .header("host", "a")
        .body(body)
        .unwrap();
    let asking = bench.spawn(request);
    peer.request().await;
    peer.say(Kind::Read, 0, 3, b"", b"").await;
    assert!(soon(asking).await.unwrap_err().is_panic());
    peer.closed().await;
    assert_eq!(peer.worker.busy(), 0);
}
