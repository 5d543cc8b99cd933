//! Requests that are more urgent than others, or have something kept for them.

use http::StatusCode;
use tower::{Layer, ServiceExt};
use tower_gateway::{
    ConcurrencyLimit,
    concurrency_limit::{LimitClass, RejectReason},
};

use super::{asks, comes, hello, reason, waits};

fn class(path: &'static str) -> LimitClass {
    LimitClass::new(path, move |parts| parts.uri.path() == path)
}

#[tokio::test]
async fn the_most_urgent_go_first_and_the_rest_is_in_the_middle() {
    let limit = ConcurrencyLimit::new(1)
        .class(class("/low").priority(-1))
        .class(class("/high").priority(1));
    let app = limit.layer(hello());
    let running = app.clone().oneshot(asks("/low")).await.unwrap();
    let low = waits(app.clone().oneshot(asks("/low")));
    let other = waits(app.clone().oneshot(asks("/")));
    let high = waits(app.clone().oneshot(asks("/high")));
    let seen = limit.handle().snapshot();
    let classes = seen.classes.iter();
    let classes: Vec<_> = classes
        .map(|class| (&*class.name, class.in_use, class.queued))
        .collect();
    assert_eq!(
        classes,
        [("/low", 1, 1), ("/high", 0, 1), ("default", 0, 1)]
    );
    drop(running);
    drop(comes(high));
    drop(comes(other));
    drop(comes(low));
}

#[tokio::test]
async fn the_first_class_that_takes_a_request_has_it() {
    let limit = ConcurrencyLimit::new(9)
        .class(class("/a"))
        .class(LimitClass::new("any", |_| true));
    let app = limit.layer(hello());
    let _a = app.clone().oneshot(asks("/a")).await.unwrap();
    let _b = app.clone().oneshot(asks("/b")).await.unwrap();
    let seen = limit.handle().snapshot();
    let in_use: Vec<_> = seen.classes.iter().map(|class| class.in_use).collect();
    assert_eq!(in_use, [1, 1, 0]);
}

#[tokio::test]
async fn what_is_kept_stays_free_and_all_is_never_more_than_the_limit() {
    let limit = ConcurrencyLimit::new(4)
        .queue(0)
        .class(class("/kept").reserve(2));
    let app = limit.layer(hello());
    let status = async |path| app.clone().oneshot(asks(path)).await.unwrap();
    let mut running = Vec::new();
    for (path, expected) in [
        ("/", StatusCode::OK),
        ("/", StatusCode::OK),
        ("/", StatusCode::SERVICE_UNAVAILABLE),
        ("/kept", StatusCode::OK),
        ("/kept", StatusCode::OK),
        // Beyond its share there is nothing left, and nothing is made.
        ("/kept", StatusCode::SERVICE_UNAVAILABLE),
    ] {
        let response = status(path).await;
        assert_eq!(response.status(), expected, "{path} {}", limit.in_use());
        assert!(limit.in_use() <= 4);
        running.push(response);
    }
    running.clear();
    // It may have what is kept for nobody as well.
    for expected in [200, 200, 200, 200, 503] {
        let response = status("/kept").await;
        assert_eq!(response.status().as_u16(), expected);
        running.push(response);
    }
    // And then the others have nothing.
    assert_eq!(status("/").await.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn of_a_limit_that_was_made_smaller_each_class_has_its_part() {
    let limit = ConcurrencyLimit::new(8)
        .queue(0)
        .class(class("/a").reserve(4))
        .class(class("/b").reserve(4));
    let app = limit.layer(hello());
    limit.handle().resize(4);
    let mut running = Vec::new();
    for (path, expected) in [
        ("/a", 200),
        ("/a", 200),
        ("/a", 503),
        ("/b", 200),
        ("/b", 200),
    ] {
        let response = app.clone().oneshot(asks(path)).await.unwrap();
        assert_eq!(response.status().as_u16(), expected, "{path}");
        running.push(response);
    }
}

#[tokio::test]
async fn the_more_urgent_has_the_place_of_the_less_urgent() {
    let limit = ConcurrencyLimit::new(1)
        .queue(2)
        .class(class("/high").priority(1));
    let app = limit.layer(hello());
    let running = app.clone().oneshot(asks("/")).await.unwrap();
    let first = waits(app.clone().oneshot(asks("/")));
    let second = waits(app.clone().oneshot(asks("/")));
    let high = waits(app.clone().oneshot(asks("/high")));
    // Who has waited least leaves.
    let displaced = comes(second);
    assert_eq!(displaced.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reason(&displaced), Some(RejectReason::Displaced));
    // A less urgent one finds it full.
    let full = app.clone().oneshot(asks("/")).await.unwrap();
    assert_eq!(reason(&full), Some(RejectReason::QueueFull));
    drop(running);
    drop(comes(high));
    drop(comes(first));
    assert_eq!(
        limit.handle().snapshot().rejected(RejectReason::Displaced),
        1
    );
}

#[test]
#[should_panic(expected = "reserve less")]
fn more_than_all_cannot_be_kept() {
    let limit = ConcurrencyLimit::new(4).class(class("/a").reserve(3));
    drop(limit.class(class("/b").reserve(2)));
}
