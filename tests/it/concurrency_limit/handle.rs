//! What is done with a limit while it is in use.

use std::time::Duration;

use futures_util::FutureExt;
use http::StatusCode;
use tower::{Layer, ServiceExt};
use tower_gateway::{
    ConcurrencyLimit, ErrorKind,
    concurrency_limit::{LimitClass, RejectReason},
};

use super::{asks, comes, hello, kind, reason, waits};

#[tokio::test]
async fn a_smaller_limit_stalls_nobody() {
    let limit = ConcurrencyLimit::new(4);
    let app = limit.layer(hello());
    let mut running = Vec::new();
    for _ in 0..4 {
        running.push(app.clone().oneshot(asks("/")).await.unwrap());
    }
    limit.handle().resize(2);
    assert_eq!((limit.handle().snapshot().limit, limit.in_use()), (2, 4));
    let waiting = waits(app.clone().oneshot(asks("/")));
    running.truncate(2);
    assert_eq!((limit.in_use(), limit.queued()), (2, 1));
    running.pop();
    let _waiting = comes(waiting);
    assert_eq!(limit.in_use(), 2);
}

#[tokio::test]
async fn a_larger_limit_lets_those_in_who_wait() {
    let limit = ConcurrencyLimit::new(1);
    let app = limit.layer(hello());
    let _running = app.clone().oneshot(asks("/")).await.unwrap();
    let first = waits(app.clone().oneshot(asks("/")));
    let second = waits(app.clone().oneshot(asks("/")));
    let third = waits(app.clone().oneshot(asks("/")));
    limit.handle().resize(3);
    let (_first, _second) = (comes(first), comes(second));
    assert_eq!((limit.in_use(), limit.queued()), (3, 1));
    // None at all is one.
    limit.handle().resize(0);
    assert_eq!(limit.handle().snapshot().limit, 1);
    limit.handle().resize(usize::MAX);
    comes(third);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_says_what_there_is() {
    let limit = ConcurrencyLimit::new(2)
        .queue(1)
        .class(LimitClass::new("urgent", |parts| parts.uri.path() == "/urgent").priority(1));
    let app = limit.layer(hello());
    let handle = limit.handle();
    let _one = app.clone().oneshot(asks("/")).await.unwrap();
    let _other = app.clone().oneshot(asks("/urgent")).await.unwrap();
    let waiting = waits(app.clone().oneshot(asks("/")));
    tokio::time::advance(Duration::from_secs(2)).await;
    app.clone().oneshot(asks("/")).await.unwrap();

    let seen = handle.snapshot();
    assert_eq!(
        (seen.limit, seen.in_use, seen.queued, seen.keys),
        (2, 2, 1, 0)
    );
    assert_eq!(seen.oldest_wait, Some(Duration::from_secs(2)));
    assert_eq!((seen.admitted, seen.bypassed, seen.left), (2, 0, 0));
    assert_eq!(seen.rejected(RejectReason::QueueFull), 1);
    assert_eq!(seen.rejected(RejectReason::Draining), 0);
    assert_eq!(seen.rejected_total(), 1);
    assert!(!seen.is_draining && !seen.is_dry_run);
    let class = &seen.classes[0];
    assert_eq!((&*class.name, class.in_use, class.queued), ("urgent", 1, 0));

    drop(waiting);
    let seen = handle.snapshot();
    assert_eq!((seen.queued, seen.oldest_wait, seen.left), (0, None, 1));
}

#[tokio::test]
async fn a_drain_lets_those_finish_who_are_here_and_nobody_in() {
    let (log, _guard) = crate::support::log::capture();
    let limit = ConcurrencyLimit::new(1);
    let app = limit.layer(hello());
    let handle = limit.handle();
    let running = app.clone().oneshot(asks("/")).await.unwrap();
    let waiting = waits(app.clone().oneshot(asks("/")));
    let mut drained = Box::pin(handle.drain());
    assert!(drained.as_mut().now_or_never().is_none());

    let refused = app.clone().oneshot(asks("/")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(kind(&refused), Some(ErrorKind::Draining));
    assert_eq!(reason(&refused), Some(RejectReason::Draining));
    assert!(handle.snapshot().is_draining);

    drop(running);
    let last = comes(waiting);
    assert!(drained.as_mut().now_or_never().is_none());
    drop(last);
    drained.await;
    // There is nobody, so it is over at once.
    handle.drain().await;

    handle.resume();
    let response = app.oneshot(asks("/")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    // Each of them once, though it was drained twice; and it is no overload.
    assert_eq!(
        (log.count("INFO"), log.count("WARN")),
        (2, 0),
        "{}",
        log.text()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_drain_is_never_missed_and_never_early() {
    for _ in 0..200 {
        let limit = ConcurrencyLimit::new(2).queue(4);
        let app = limit.layer(hello());
        let handle = limit.handle();
        let requests: Vec<_> = (0..6)
            .map(|_| app.clone().oneshot(asks("/")))
            .map(|request| tokio::spawn(async move { drop(request.await.unwrap()) }))
            .collect();
        let drained = tokio::spawn(async move {
            handle.drain().await;
            handle.snapshot()
        });
        for request in requests {
            request.await.unwrap();
        }
        let drained = tokio::time::timeout(Duration::from_secs(20), drained);
        let seen = drained.await.expect("all are out").unwrap();
        assert_eq!((seen.in_use, seen.queued), (0, 0));
    }
}

#[tokio::test]
async fn a_dry_run_counts_and_lets_all_in() {
    let limit = ConcurrencyLimit::new(1).queue(0).dry_run(true);
    let app = limit.layer(hello());
    let handle = limit.handle();
    let running = app.clone().oneshot(asks("/")).await.unwrap();
    let beyond = app.clone().oneshot(asks("/")).await.unwrap();
    assert_eq!(beyond.status(), StatusCode::OK);
    let seen = handle.snapshot();
    assert_eq!(
        (seen.in_use, seen.would_reject, seen.rejected_total()),
        (2, 1, 0)
    );
    assert!(seen.is_dry_run);

    handle.set_dry_run(false);
    let refused = app.clone().oneshot(asks("/")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop((running, beyond));
    assert_eq!(limit.in_use(), 0);
    assert_eq!(
        app.oneshot(asks("/")).await.unwrap().status(),
        StatusCode::OK
    );
}
