//! What a limit once did wrong.

use std::{pin::pin, time::Duration};

use futures_util::FutureExt;
use http::{HeaderName, StatusCode};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};
use tower_gateway::{
    ConcurrencyLimit,
    concurrency_limit::{LimitClass, LimitKey, RejectReason},
};

use super::{asks, hello, of, reason};

/// The permit goes from hand to hand, and the last hand never closes.
#[tokio::test]
async fn a_drain_hears_of_a_turn_that_nobody_took() {
    let limit = ConcurrencyLimit::new(1);
    let app = limit.layer(hello());
    let running = app.clone().oneshot(asks("/")).await.unwrap();
    let mut waiting = Box::pin(app.clone().oneshot(asks("/")));
    assert!(waiting.as_mut().now_or_never().is_none());
    let mut drained = Box::pin(limit.handle().drain());
    assert!(drained.as_mut().now_or_never().is_none());
    drop(running);
    assert!(drained.as_mut().now_or_never().is_none());
    let drained = tokio::spawn(drained);
    while limit.queued() > 0 {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    // Its turn has come, and it goes away.
    drop(waiting);
    assert_eq!(limit.in_use(), 0);
    tokio::time::timeout(Duration::from_secs(5), drained)
        .await
        .expect("nobody is in")
        .unwrap();
}

#[tokio::test]
async fn a_drain_that_is_called_off_is_over() {
    let limit = ConcurrencyLimit::new(1);
    let app = limit.layer(hello());
    let handle = limit.handle();
    let running = app.clone().oneshot(asks("/")).await.unwrap();
    let drained = tokio::spawn(handle.drain());
    tokio::task::yield_now().await;
    handle.resume();
    tokio::time::timeout(Duration::from_secs(5), drained)
        .await
        .expect("nobody waits for it any more")
        .unwrap();
    drop(running);
}

/// One asks for more than is left beside what is kept for others, who never pause.
#[tokio::test]
async fn a_costly_request_goes_in_beside_what_is_kept_for_others() {
    let limit = ConcurrencyLimit::new(10)
        .class(LimitClass::new("kept", |parts| parts.uri.path() == "/kept").reserve(8))
        .cost(|parts| match parts.uri.path() {
            "/huge" => 100,
            "/large" => 5,
            _ => 1,
        });
    let app = limit.layer(hello());
    let mut kept = Vec::new();
    for _ in 0..8 {
        kept.push(app.clone().oneshot(asks("/kept")).await.unwrap());
    }
    for path in ["/huge", "/large"] {
        let response = app.clone().oneshot(asks(path)).now_or_never();
        assert_eq!(response.expect(path).unwrap().status(), StatusCode::OK);
    }
    assert_eq!(limit.in_use(), 8);
    // What takes more than there is takes what there is.
    kept.clear();
    let huge = app.clone().oneshot(asks("/huge")).await.unwrap();
    assert_eq!(limit.in_use(), 2);
    let others = async || app.clone().oneshot(asks("/")).now_or_never();
    assert!(others().await.is_none());
    drop(huge);
    assert!(others().await.is_some());
}

/// A class's costly request waits for all that is kept for the class, and cheap ones of other keys
/// take that away piece by piece.
#[tokio::test]
async fn a_costly_request_is_not_overtaken_by_its_own_class() {
    let limit = ConcurrencyLimit::new(4)
        .class(LimitClass::new("kept", |_| true).reserve(4))
        .per_key(4, LimitKey::header(HeaderName::from_static("tenant")))
        .cost(|parts| if parts.uri.path() == "/large" { 4 } else { 1 });
    let app = limit.layer(hello());
    let running = app.clone().oneshot(of("a", "/")).await.unwrap();
    let mut large = Box::pin(app.clone().oneshot(of("b", "/large")));
    assert!(large.as_mut().now_or_never().is_none());
    let mut cheap = Box::pin(app.clone().oneshot(of("c", "/")));
    assert!(cheap.as_mut().now_or_never().is_none(), "it came later");
    drop(running);
    let large = large.now_or_never().expect("all is free").unwrap();
    drop(large);
    cheap.await.unwrap();
}

/// The same for what one key may have.
#[tokio::test]
async fn a_costly_request_is_not_overtaken_by_its_own_key_in_another_class() {
    let limit = ConcurrencyLimit::new(10)
        .class(LimitClass::new("urgent", |parts| parts.uri.path() == "/urgent").priority(1))
        .per_key(2, LimitKey::header(HeaderName::from_static("tenant")))
        .cost(|parts| if parts.uri.path() == "/urgent" { 2 } else { 1 });
    let app = limit.layer(hello());
    let running = app.clone().oneshot(of("a", "/")).await.unwrap();
    let mut urgent = Box::pin(app.clone().oneshot(of("a", "/urgent")));
    assert!(urgent.as_mut().now_or_never().is_none());
    let mut cheap = Box::pin(app.clone().oneshot(of("a", "/")));
    assert!(cheap.as_mut().now_or_never().is_none(), "it came later");
    drop(running);
    let urgent = urgent.now_or_never().expect("all of the key's").unwrap();
    drop(urgent);
    cheap.await.unwrap();
}

/// A class without a priority is not more urgent than the rest.
#[tokio::test]
async fn classes_of_one_priority_take_turns() {
    let limit = ConcurrencyLimit::new(1)
        .queue(3)
        .class(LimitClass::new("api", |parts| parts.uri.path() == "/api"));
    let app = limit.layer(hello());
    let running = app.clone().oneshot(asks("/")).await.unwrap();
    let mut page = Box::pin(app.clone().oneshot(asks("/")));
    assert!(page.as_mut().now_or_never().is_none());
    let mut first = Box::pin(app.clone().oneshot(asks("/api")));
    assert!(first.as_mut().now_or_never().is_none());
    let mut second = Box::pin(app.clone().oneshot(asks("/api")));
    assert!(second.as_mut().now_or_never().is_none());
    // Nobody is displaced by his equal.
    let refused = app.clone().oneshot(asks("/api")).await.unwrap();
    assert_eq!(reason(&refused), Some(RejectReason::QueueFull));
    drop(running);
    let running = first.now_or_never().expect("its turn").unwrap();
    drop(running);
    let running = page.now_or_never().expect("its turn").unwrap();
    drop(running);
    second.await.unwrap();
}

/// A few clients fill the queue, each with as many as it may.
#[tokio::test]
async fn a_full_queue_of_few_has_a_place_for_one_more() {
    let limit = ConcurrencyLimit::new(1)
        .queue(8)
        .key_queue(4)
        .per_key(1, LimitKey::header(HeaderName::from_static("tenant")));
    let app = limit.layer(hello());
    let running = app.clone().oneshot(of("z", "/")).await.unwrap();
    let mut waiting = Vec::new();
    for key in ["a", "b"] {
        for _ in 0..4 {
            let mut one = Box::pin(app.clone().oneshot(of(key, "/")));
            assert!(one.as_mut().now_or_never().is_none());
            waiting.push(one);
        }
    }
    let mut newcomer = Box::pin(app.clone().oneshot(of("c", "/")));
    assert!(newcomer.as_mut().now_or_never().is_none(), "it has a place");
    assert_eq!(limit.queued(), 8);
    let displaced: Vec<_> = waiting
        .iter_mut()
        .filter_map(|one| one.as_mut().now_or_never())
        .collect();
    assert_eq!(displaced.len(), 1);
    let displaced = displaced[0].as_ref().unwrap();
    assert_eq!(reason(displaced), Some(RejectReason::Displaced));
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_nearly_full_does_not_flood_the_log() {
    let (log, _guard) = crate::support::log::capture();
    let limit = ConcurrencyLimit::new(1).queue(0);
    let app = limit.layer(hello());
    for _ in 0..100 {
        let running = app.clone().oneshot(asks("/")).await.unwrap();
        app.clone().oneshot(asks("/")).await.unwrap();
        drop(running);
    }
    assert_eq!(log.count("WARN"), 1, "{}", log.text());
    assert_eq!(log.count("INFO"), 0, "{}", log.text());
    tokio::time::advance(Duration::from_secs(2)).await;
    app.oneshot(asks("/")).await.unwrap();
    assert_eq!(log.count("INFO"), 1, "{}", log.text());
}

/// One client that asks for too much is no overload.
#[tokio::test]
async fn too_much_of_one_key_is_no_warning() {
    let (log, _guard) = crate::support::log::capture();
    let limit = ConcurrencyLimit::new(9)
        .key_queue(0)
        .per_key(1, LimitKey::header(HeaderName::from_static("tenant")));
    let app = limit.layer(hello());
    let _running = app.clone().oneshot(of("a", "/")).await.unwrap();
    let refused = app.clone().oneshot(of("a", "/")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(log.count("WARN"), 0, "{}", log.text());
}

/// Those who are to leave while nobody may be turned away.
#[tokio::test(start_paused = true)]
async fn a_dry_run_that_begins_turns_nobody_away_who_waits() {
    let limit = ConcurrencyLimit::new(1).queue_timeout(Duration::from_secs(1));
    let app = limit.layer(hello());
    let _running = app.clone().oneshot(asks("/")).await.unwrap();
    let mut waiting = pin!(app.clone().oneshot(asks("/")));
    assert!(waiting.as_mut().now_or_never().is_none());
    limit.handle().set_dry_run(true);
    let response = waiting.await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(limit.handle().snapshot().would_reject, 1);
    assert_eq!(limit.in_use(), 2);
}

#[tokio::test]
async fn a_dry_run_counts_what_would_not_even_wait() {
    let limit = ConcurrencyLimit::new(1).queue(1).dry_run(true);
    let app = limit.layer(hello());
    let mut running = Vec::new();
    for _ in 0..4 {
        running.push(app.clone().oneshot(asks("/")).await.unwrap());
    }
    let seen = limit.handle().snapshot();
    assert_eq!((seen.would_queue, seen.would_reject), (1, 2));
    assert_eq!(
        (seen.in_use, seen.admitted, seen.rejected_total()),
        (4, 4, 0)
    );
    running.clear();
    assert_eq!(limit.in_use(), 0);
}

/// A shorter patience is never a longer one.
#[tokio::test(start_paused = true)]
async fn under_overload_nobody_waits_longer_than_else() {
    let limit = ConcurrencyLimit::new(1)
        .queue_timeout(Duration::from_secs(1))
        .newest_first_after(Duration::ZERO, Duration::from_secs(60));
    let app = limit.layer(hello());
    let _running = app.clone().oneshot(asks("/")).await.unwrap();
    let start = Instant::now();
    app.oneshot(asks("/")).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 1);
}

/// What one class uses is known, even if there is but one.
#[tokio::test]
async fn the_only_class_is_all() {
    let limit = ConcurrencyLimit::new(2);
    let app = limit.layer(hello());
    let _running = app.oneshot(asks("/")).await.unwrap();
    let class = &limit.handle().snapshot().classes[0];
    assert_eq!(
        (&*class.name, class.in_use, class.queued),
        ("default", 1, 0)
    );
}
