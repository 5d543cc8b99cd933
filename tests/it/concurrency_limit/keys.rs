//! A limit for each client, tenant, or mount, beside the one for all.

use std::{net::SocketAddr, time::Duration};

use http::{HeaderName, Request, StatusCode};
use tower::{Layer, ServiceExt, service_fn};
use tower_gateway::{
    Body, ConcurrencyLimit, ErrorKind, PathDispatch, PeerAddr,
    concurrency_limit::{LimitKey, RejectReason},
};

use super::{asks, comes, hello, kind, of, reason, waits};

fn tenant() -> LimitKey {
    LimitKey::header(HeaderName::from_static("tenant"))
}

fn from(peer: &str, forwarded: Option<&str>) -> Request<Body> {
    let mut request = asks("/");
    let peer: SocketAddr = peer.parse().unwrap();
    request.extensions_mut().insert(PeerAddr::Tcp(peer));
    if let Some(forwarded) = forwarded {
        let forwarded = forwarded.parse().unwrap();
        request.headers_mut().insert("x-forwarded-for", forwarded);
    }
    request
}

#[tokio::test]
async fn each_client_has_its_own() {
    let limit = ConcurrencyLimit::new(9)
        .key_queue(0)
        .per_key(1, LimitKey::client().trust("10.0.0.0/8").unwrap());
    let app = limit.layer(hello());
    let mut running = Vec::new();
    // Of a proxy that is trusted the client counts; of another it counts itself.
    for (peer, forwarded, status) in [
        ("192.0.2.1:1", None, 200),
        ("192.0.2.1:2", None, 429),
        ("192.0.2.1:3", Some("192.0.2.99"), 429),
        ("10.0.0.1:1", Some("192.0.2.1"), 429),
        ("10.0.0.1:2", Some("192.0.2.2"), 200),
        ("[2001:db8::1]:1", None, 200),
        ("[2001:db8::2]:1", None, 429),
        ("[2001:db8:0:1::2]:1", None, 200),
    ] {
        let response = app.clone().oneshot(from(peer, forwarded)).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{peer} {forwarded:?}");
        running.push(response);
    }
    assert_eq!(limit.handle().snapshot().keys, 4);
    // Nobody's are counted for all only.
    for _ in 0..2 {
        running.push(app.clone().oneshot(asks("/")).await.unwrap());
    }
    assert_eq!((limit.in_use(), limit.handle().snapshot().keys), (6, 4));
    running.clear();
    assert_eq!((limit.in_use(), limit.handle().snapshot().keys), (0, 0));
}

#[tokio::test]
async fn who_asks_too_much_for_his_key_is_told_so() {
    let limit = ConcurrencyLimit::new(9).key_queue(0).per_key(1, tenant());
    let app = limit.layer(hello());
    let _running = app.clone().oneshot(of("a", "/")).await.unwrap();
    let refused = app.clone().oneshot(of("a", "/")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(kind(&refused), Some(ErrorKind::KeyLimit));
    assert_eq!(reason(&refused), Some(RejectReason::KeyQueueFull));
    assert_eq!(refused.headers()["cache-control"], "no-store");
    assert!(refused.headers().contains_key("retry-after"));
    let other = app.oneshot(of("b", "/")).await.unwrap();
    assert_eq!(other.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_for_his_own_is_told_so() {
    let limit = ConcurrencyLimit::new(2).per_key(1, tenant());
    let app = limit.layer(hello());
    let _running = app.clone().oneshot(of("a", "/")).await.unwrap();
    let own = app.clone().oneshot(of("a", "/")).await.unwrap();
    assert_eq!(own.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(reason(&own), Some(RejectReason::KeyTimeout));
    let _other = app.clone().oneshot(of("b", "/")).await.unwrap();
    let all = app.oneshot(of("c", "/")).await.unwrap();
    assert_eq!(all.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reason(&all), Some(RejectReason::QueueTimeout));
}

#[tokio::test]
async fn a_quarter_of_the_queue_is_for_one_key_unless_told_otherwise() {
    for (limit, places) in [
        (ConcurrencyLimit::new(1), 64),
        (ConcurrencyLimit::new(1).queue(5), 2),
        (ConcurrencyLimit::new(1).queue(1), 1),
        (ConcurrencyLimit::new(1).key_queue(3), 3),
    ] {
        let limit = limit.per_key(1, tenant());
        let app = limit.layer(hello());
        let _running = app.clone().oneshot(of("a", "/")).await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..places {
            waiting.push(waits(app.clone().oneshot(of("a", "/"))));
        }
        let refused = app.oneshot(of("a", "/")).await.unwrap();
        assert_eq!(reason(&refused), Some(RejectReason::KeyQueueFull));
        assert_eq!(limit.queued(), places);
    }
}

/// One key has a hundred in the queue, another has one.
#[tokio::test]
async fn keys_take_turns_however_many_each_has() {
    let limit = ConcurrencyLimit::new(2)
        .key_queue(100)
        .per_key(100, tenant());
    let app = limit.layer(hello());
    let mut running = vec![
        app.clone().oneshot(of("a", "/")).await.unwrap(),
        app.clone().oneshot(of("a", "/")).await.unwrap(),
    ];
    let mut many = std::collections::VecDeque::new();
    for _ in 0..100 {
        many.push_back(waits(app.clone().oneshot(of("a", "/"))));
    }
    let few = waits(app.clone().oneshot(of("b", "/")));
    // One of the many was first; then it is the other's turn.
    running.pop();
    let _first = comes(many.pop_front().unwrap());
    running.pop();
    comes(few);
    assert_eq!(limit.queued(), 98);
}

#[tokio::test]
async fn those_of_other_keys_go_past_him_whose_key_has_no_room() {
    let limit = ConcurrencyLimit::new(2).per_key(1, tenant());
    let app = limit.layer(hello());
    let running = app.clone().oneshot(of("a", "/")).await.unwrap();
    let own = waits(app.clone().oneshot(of("a", "/")));
    let other = app.clone().oneshot(of("b", "/")).await.unwrap();
    // Nor does he take the room that is there, until his key has some.
    drop(other);
    assert_eq!((limit.in_use(), limit.queued()), (1, 1));
    drop(running);
    comes(own);
}

#[tokio::test]
async fn a_mount_or_what_a_function_says_may_be_the_key() {
    let limit = ConcurrencyLimit::new(9)
        .key_queue(0)
        .per_key(1, LimitKey::mount());
    let app = PathDispatch::new()
        .mount("/a", limit.layer(hello()))
        .unwrap()
        .mount("/b", limit.layer(hello()))
        .unwrap()
        .layer(service_fn(async |_: Request<Body>| {
            Ok::<_, std::convert::Infallible>(http::Response::new(Body::empty()))
        }));
    let _running = app.clone().oneshot(asks("/a/1")).await.unwrap();
    let status = async |path| app.clone().oneshot(asks(path)).await.unwrap().status();
    assert_eq!(status("/a/2").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(status("/b/2").await, StatusCode::OK);

    let by = LimitKey::by(|parts| parts.uri.query().map(str::to_owned));
    let limit = ConcurrencyLimit::new(9).key_queue(0).per_key(1, by);
    let app = limit.layer(hello());
    let _running = app.clone().oneshot(asks("/?x")).await.unwrap();
    let status = async |path| app.clone().oneshot(asks(path)).await.unwrap().status();
    assert_eq!(status("/other?x").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(status("/?y").await, StatusCode::OK);
    assert_eq!(status("/").await, StatusCode::OK);
}

#[test]
#[should_panic(expected = "give at least 1")]
fn none_of_each_key_is_refused_where_it_is_written() {
    drop(ConcurrencyLimit::new(1).per_key(0, tenant()));
}

#[tokio::test(start_paused = true)]
async fn under_overload_one_more_of_a_key_takes_the_place_of_its_oldest() {
    let limit = ConcurrencyLimit::new(1)
        .queue(9)
        .per_key(1, tenant())
        .key_queue(2)
        .newest_first_after(Duration::from_millis(100), Duration::from_secs(1));
    let app = limit.layer(hello());
    let running = app.clone().oneshot(of("a", "/")).await.unwrap();
    let other = waits(app.clone().oneshot(of("b", "/")));
    let oldest = waits(app.clone().oneshot(of("b", "/")));
    // Not yet.
    let full = app.clone().oneshot(of("b", "/")).await.unwrap();
    assert_eq!(reason(&full), Some(RejectReason::KeyQueueFull));
    tokio::time::advance(Duration::from_millis(100)).await;

    let newest = waits(app.clone().oneshot(of("b", "/")));
    assert_eq!(reason(&comes(other)), Some(RejectReason::Displaced));
    assert_eq!(limit.queued(), 2);
    drop(running);
    drop(comes(newest));
    comes(oldest);
}
