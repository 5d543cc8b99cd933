//! Who waits for a worker, and how long.

use std::{sync::Arc, time::Duration};

use super::support::*;
use crate::{
    ErrorKind,
    wsgi::{frame::Kind, worker::Worker},
};

#[tokio::test]
async fn who_came_first_is_asked_first() {
    let bench = Bench::new();
    let mut peer = bench.worker(1);
    let mut asking = Vec::new();
    for number in 0..10 {
        asking.push(bench.spawn(get(&format!("/{number}"))));
        bench.waiting(number).await;
    }
    for (number, asking) in asking.into_iter().enumerate() {
        let heard = peer.request().await;
        assert_eq!(heard.environ["PATH_INFO"], format!("/{number}"));
        peer.answer("204 No Content", b"").await;
        assert_eq!(soon(asking).await.unwrap().status(), 204);
    }
    assert_eq!(peer.worker.requests(), 10);
    // Whoever starts workers was told that somebody waits.
    soon(bench.wake.notified()).await;
}

#[tokio::test]
async fn no_more_wait_than_may_and_none_longer_than_may() {
    let bench = Bench::with(|config| {
        config.queue = 2;
        config.queue_timeout = Duration::from_millis(100);
    });
    let waiting = [bench.spawn(get("/1")), bench.spawn(get("/2"))];
    bench.waiting(2).await;
    let response = bench.get("/3").await;
    assert_eq!(
        (response.status().as_u16(), error(&response).kind()),
        (503, ErrorKind::QueueFull)
    );
    assert_eq!(response.headers()["retry-after"], "1");
    for waiting in waiting {
        let response = soon(waiting).await.unwrap();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(error(&response).kind(), ErrorKind::QueueTimeout);
    }
    assert_eq!(bench.dispatch.load().waiting, 0);

    let bench = Bench::with(|config| config.queue = 0);
    assert_eq!(error(&bench.get("/").await).kind(), ErrorKind::QueueFull);
}

#[tokio::test]
async fn who_waits_is_told_when_nobody_will_come() {
    let bench = Bench::new();
    let waiting = bench.spawn(get("/1"));
    bench.waiting(1).await;
    bench.dispatch.close(ErrorKind::UpstreamUnavailable);
    let response = soon(waiting).await.unwrap();
    assert_eq!(error(&response).kind(), ErrorKind::UpstreamUnavailable);
    let mut peer = bench.worker(1);
    assert_eq!(
        error(&bench.get("/").await).kind(),
        ErrorKind::UpstreamUnavailable
    );
    bench.dispatch.close(ErrorKind::Draining);
    assert_eq!(error(&bench.get("/").await).kind(), ErrorKind::Draining);

    bench.dispatch.open();
    let asking = bench.spawn(get("/"));
    peer.request().await;
    peer.answer("204 No Content", b"").await;
    assert_eq!(soon(asking).await.unwrap().status(), 204);
}

#[tokio::test]
async fn a_worker_that_retires_is_told_when_it_is_idle() {
    let bench = Bench::new();
    let worker = Arc::new(Worker::new(1, 1, 1, 2, Arc::clone(&bench.wake)));
    let (mut first, mut second) = (bench.slot(&worker), bench.slot(&worker));
    let asking = bench.spawn(get("/"));
    // The one that was added last.
    second.request().await;
    bench.dispatch.retire(1);
    let (header, ..) = first.frame().await.unwrap();
    assert_eq!(header.kind, Kind::Stop);
    first.closed().await;
    second.answer("200 OK", b"done").await;
    assert_eq!(bytes(soon(asking).await.unwrap()).await, "done");
    let (header, ..) = second.frame().await.unwrap();
    assert_eq!(header.kind, Kind::Stop);
    // What dials again is told so, too.
    let (header, ..) = bench.slot(&worker).frame().await.unwrap();
    assert_eq!(header.kind, Kind::Stop);
    let waiting = bench.spawn(get("/"));
    bench.waiting(1).await;
    bench.dispatch.remove(1);
    let mut new = bench.worker(2);
    new.request().await;
    new.answer("204 No Content", b"").await;
    assert_eq!(soon(waiting).await.unwrap().status(), 204);
}

#[tokio::test]
async fn who_leaves_the_queue_hands_on_what_he_was_given() {
    let bench = Bench::new();
    let dispatch = Arc::clone(&bench.dispatch);
    let mut leaving = Box::pin(dispatch.take(|| None));
    assert!(futures_util::poll!(leaving.as_mut()).is_pending());
    let next = bench.spawn(get("/next"));
    bench.waiting(2).await;
    let mut peer = bench.worker(1);
    // It has the slot, and does not look.
    assert_eq!(bench.dispatch.load().waiting, 1);
    drop(leaving);
    assert_eq!(peer.request().await.environ["PATH_INFO"], "/next");
    peer.answer("204 No Content", b"").await;
    assert_eq!(soon(next).await.unwrap().status(), 204);
    assert_eq!((peer.worker.requests(), peer.worker.busy()), (1, 0));
}

#[tokio::test]
async fn requests_go_to_the_worker_with_the_fewest_busy_threads() {
    let bench = Bench::new();
    let workers: Vec<_> = (0..2)
        .map(|id| Arc::new(Worker::new(id, id, 1, 2, Arc::clone(&bench.wake))))
        .collect();
    let peers: Vec<_> = workers
        .iter()
        .flat_map(|worker| [bench.slot(worker), bench.slot(worker)])
        .collect();
    let mut asking = Vec::new();
    for busy in [(0, 1), (1, 1), (1, 2), (2, 2)] {
        asking.push(bench.spawn(get("/")));
        bench.idle(peers.len() - busy.0 - busy.1).await;
        let mut now = [workers[0].busy(), workers[1].busy()];
        now.sort_unstable();
        assert_eq!(now.map(|busy| busy as usize), [busy.0, busy.1]);
    }
    let load = bench.dispatch.load();
    assert_eq!((load.idle, load.busy, load.waiting), (0, 4, 0));
    for asking in asking {
        asking.abort();
    }
}
