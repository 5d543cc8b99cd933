//! The other options, each with what it does.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};
use tower_gateway::{
    Body, ConcurrencyLimit, Error, ErrorKind,
    body::Hold,
    concurrency_limit::{LimitUntil, RejectReason, Rejection},
};

use super::{asks, comes, hello, kind, reason, streaming, streams, waits};
use crate::support::scripted;

#[tokio::test]
async fn a_request_takes_what_it_costs() {
    let limit = ConcurrencyLimit::new(5).queue(0).cost(|parts| {
        let path = parts.uri.path().trim_start_matches('/');
        path.parse().unwrap_or(usize::MAX)
    });
    let app = limit.layer(hello());
    for (path, takes) in [("/0", 1), ("/1", 1), ("/5", 5), ("/6", 5), ("/all", 5)] {
        let running = app.clone().oneshot(asks(path)).await.unwrap();
        assert_eq!(
            (running.status(), limit.in_use()),
            (StatusCode::OK, takes),
            "{path}"
        );
    }
    let _three = app.clone().oneshot(asks("/3")).await.unwrap();
    let refused = app.clone().oneshot(asks("/3")).await.unwrap();
    assert_eq!(kind(&refused), Some(ErrorKind::QueueFull));
    let _two = app.clone().oneshot(asks("/2")).await.unwrap();
    assert_eq!(limit.in_use(), 5);
}

/// The queue is in order: nobody overtakes one for whom there is not room enough yet.
#[tokio::test]
async fn who_costs_much_is_not_overtaken() {
    let limit = ConcurrencyLimit::new(2).cost(|parts| parts.uri.path().len());
    let app = limit.layer(hello());
    let running = app.clone().oneshot(asks("/")).await.unwrap();
    let large = waits(app.clone().oneshot(asks("/2")));
    let small = waits(app.clone().oneshot(asks("/")));
    drop(running);
    let large = comes(large);
    assert_eq!(limit.in_use(), 2);
    drop(large);
    comes(small);
}

/// The first leaves, and the one behind him needs less room than he did.
#[tokio::test]
async fn who_leaves_lets_those_behind_him_in() {
    let limit = ConcurrencyLimit::new(2).cost(|parts| parts.uri.path().len());
    let app = limit.layer(hello());
    let _running = app.clone().oneshot(asks("/")).await.unwrap();
    let large = waits(app.clone().oneshot(asks("/2")));
    let small = waits(app.clone().oneshot(asks("/")));
    drop(large);
    comes(small);
    assert_eq!(limit.handle().snapshot().left, 1);
}

#[tokio::test]
async fn health_checks_and_preflights_are_let_past() {
    let limit = ConcurrencyLimit::new(1).queue(0).bypass(|parts| {
        parts.uri.path() == "/healthz"
            || parts.method == Method::OPTIONS
                && parts.headers.contains_key("access-control-request-method")
    });
    let app = limit.layer(hello());
    let _running = app.clone().oneshot(asks("/")).await.unwrap();
    let mut preflight = asks("/");
    *preflight.method_mut() = Method::OPTIONS;
    let put = "PUT".parse().unwrap();
    preflight
        .headers_mut()
        .insert("access-control-request-method", put);
    let mut running = Vec::new();
    for request in [asks("/healthz"), preflight] {
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!((response.status(), limit.in_use()), (StatusCode::OK, 1));
        running.push(response);
    }
    let refused = app.clone().oneshot(asks("/")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    // Nor does a drain stop them.
    drop(limit.handle().drain());
    let response = app.oneshot(asks("/healthz")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(limit.handle().snapshot().bypassed, 3);
}

#[tokio::test]
async fn the_answer_may_be_another() {
    let limit = ConcurrencyLimit::new(1).queue(0).answer(|rejection| {
        let mut response = Response::new(Bytes::from(rejection.reason.name()));
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        response
            .headers_mut()
            .insert("retry-after", "77".parse().unwrap());
        response
    });
    let app = limit.layer(hello());
    let _running = app.clone().oneshot(asks("/")).await.unwrap();
    let refused = app.oneshot(asks("/")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::IM_A_TEAPOT);
    assert_eq!(refused.headers()["retry-after"], "77");
    assert_eq!(refused.headers()["cache-control"], "no-store");
    assert_eq!(kind(&refused), Some(ErrorKind::QueueFull));
    let rejection = refused.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.reason, RejectReason::QueueFull);
    let body = refused.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "queue_full");
}

#[tokio::test]
async fn who_is_turned_away_together_does_not_come_again_together() {
    let told = async |limit: ConcurrencyLimit| {
        let app = limit.queue(0).layer(hello());
        let _running = app.clone().oneshot(asks("/")).await.unwrap();
        let mut told = HashSet::new();
        for _ in 0..200 {
            let refused = app.clone().oneshot(asks("/")).await.unwrap();
            let header = refused.headers()["retry-after"].to_str().unwrap();
            let rejection = refused.extensions().get::<Rejection>().unwrap();
            assert_eq!(header, rejection.retry_after.as_secs().to_string());
            told.insert(rejection.retry_after.as_secs());
        }
        told
    };
    let limit = || ConcurrencyLimit::new(1);
    assert_eq!(told(limit()).await, HashSet::from([1, 2]));
    let jitter = limit().retry_after(Duration::from_millis(2500));
    let jitter = jitter.retry_jitter(Duration::from_secs(2));
    assert_eq!(told(jitter).await, HashSet::from([3, 4, 5]));
    let exactly = limit().retry_jitter(Duration::ZERO);
    assert_eq!(told(exactly).await, HashSet::from([1]));
}

#[tokio::test]
async fn until_the_head_a_body_does_not_count() {
    let limit = ConcurrencyLimit::new(1).queue(0).until(LimitUntil::Head);
    let app = limit.layer(streams());
    let (_feed, body) = scripted::channel();
    let response = app.clone().oneshot(streaming(body)).await.unwrap();
    assert_eq!(limit.in_use(), 0);
    // And a future that is done, but not dropped, holds nothing either.
    let (_feed, body) = scripted::channel();
    let mut done = Box::pin(app.oneshot(streaming(body)));
    let other = done.as_mut().now_or_never().unwrap().unwrap();
    assert_eq!(
        (response.status(), other.status()),
        (StatusCode::OK, StatusCode::OK)
    );
    assert_eq!(limit.in_use(), 0);
}

#[tokio::test]
async fn until_a_guard_is_dropped_the_request_counts() {
    let limit = ConcurrencyLimit::new(1).queue(0).until(LimitUntil::Guard);
    let (sender, mut holds) = tokio::sync::mpsc::unbounded_channel();
    let app = limit.layer(service_fn(move |request: Request<Body>| {
        sender
            .send(request.extensions().get::<Hold>().cloned())
            .unwrap();
        std::future::ready(Ok::<_, std::convert::Infallible>(Response::new(
            Body::empty(),
        )))
    }));
    drop(app.oneshot(asks("/")).await.unwrap());
    let hold = holds.recv().await.unwrap().expect("a hold for each");
    let other = hold.clone();
    drop(hold);
    assert_eq!(limit.in_use(), 1);
    drop(other);
    assert_eq!(limit.in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn under_overload_the_newest_goes_first_and_nobody_waits_long() {
    let limit = ConcurrencyLimit::new(1)
        .queue(2)
        .newest_first_after(Duration::from_millis(100), Duration::from_millis(20));
    let app = limit.layer(hello());
    let running = app.clone().oneshot(asks("/")).await.unwrap();
    let oldest = waits(app.clone().oneshot(asks("/")));
    let second = waits(app.clone().oneshot(asks("/")));
    // Not yet: it is full, and in order.
    let full = app.clone().oneshot(asks("/")).await.unwrap();
    assert_eq!(reason(&full), Some(RejectReason::QueueFull));
    tokio::time::advance(Duration::from_millis(100)).await;

    // Who has waited longest leaves his place.
    let newest = waits(app.clone().oneshot(asks("/")));
    assert_eq!(reason(&comes(oldest)), Some(RejectReason::Displaced));
    drop(running);
    let running = comes(newest);
    // And who comes now waits a moment only.
    let start = Instant::now();
    let late = app.clone().oneshot(asks("/")).await.unwrap();
    assert_eq!(reason(&late), Some(RejectReason::QueueTimeout));
    assert!(start.elapsed() < Duration::from_millis(30));
    drop(running);
    drop(comes(second));

    // A moment in which nobody waits, and all is as before.
    let running = app.clone().oneshot(asks("/")).await.unwrap();
    let first = waits(app.clone().oneshot(asks("/")));
    let second = waits(app.clone().oneshot(asks("/")));
    drop(running);
    let first = comes(first);
    drop(first);
    comes(second);
}

#[tokio::test(start_paused = true)]
async fn a_queue_of_one_place_can_be_overloaded_too() {
    let limit = ConcurrencyLimit::new(1)
        .queue(1)
        .newest_first_after(Duration::from_millis(100), Duration::from_secs(1));
    let app = limit.layer(hello());
    let _running = app.clone().oneshot(asks("/")).await.unwrap();
    let mut waiting = waits(app.clone().oneshot(asks("/")));
    tokio::time::advance(Duration::from_millis(100)).await;
    for _ in 0..3 {
        let newest = waits(app.clone().oneshot(asks("/")));
        let displaced = comes(std::mem::replace(&mut waiting, newest));
        assert_eq!(reason(&displaced), Some(RejectReason::Displaced));
    }
}

#[tokio::test]
async fn the_name_is_in_the_log() {
    let (log, _guard) = crate::support::log::capture();
    let app = ConcurrencyLimit::new(1)
        .queue(0)
        .name("checkout")
        .layer(hello());
    let _running = app.clone().oneshot(asks("/")).await.unwrap();
    app.oneshot(asks("/")).await.unwrap();
    assert_eq!(log.count("limit=\"checkout\""), 2, "{}", log.text());
}

#[tokio::test]
async fn every_reason_has_a_name_and_an_error() {
    use RejectReason::*;
    for (reason, name, kind, status) in [
        (QueueFull, "queue_full", ErrorKind::QueueFull, 503),
        (QueueTimeout, "queue_timeout", ErrorKind::QueueTimeout, 503),
        (Displaced, "displaced", ErrorKind::QueueFull, 503),
        (KeyQueueFull, "key_queue_full", ErrorKind::KeyLimit, 429),
        (KeyTimeout, "key_timeout", ErrorKind::KeyLimit, 429),
        (Draining, "draining", ErrorKind::Draining, 503),
    ] {
        assert_eq!((reason.name(), reason.kind()), (name, kind));
        assert_eq!(Error::new(reason.kind()).status().as_u16(), status);
    }
}

/// What a limit holds while it is used is given back: 500 tenants, each of whom waits.
#[test]
fn memory_is_back_at_the_start() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let limit = Arc::new(ConcurrencyLimit::new(10).queue(1000).per_key(
        2,
        tower_gateway::concurrency_limit::LimitKey::by(|parts| Some(parts.uri.path().to_owned())),
    ));
    let app = limit.layer(hello());
    let crowd = || {
        let _in = runtime.enter();
        let mut waiting = Vec::new();
        for tenant in 0..500 {
            let mut one = Box::pin(app.clone().oneshot(asks(&format!("/{tenant}"))));
            assert!(
                one.as_mut()
                    .now_or_never()
                    .is_none_or(|it| it.unwrap().status() == 200)
            );
            waiting.push(one);
        }
        drop(waiting);
        assert_eq!(
            (
                limit.in_use(),
                limit.queued(),
                limit.handle().snapshot().keys
            ),
            (0, 0, 0)
        );
    };
    crowd();
    let once = allocation_counter::measure(crowd);
    assert!(once.bytes_current <= 0, "{once:?}");
    assert!(
        app.oneshot(asks("/"))
            .now_or_never()
            .unwrap()
            .unwrap()
            .body()
            .size_hint()
            .exact()
            == Some(5)
    );
}
