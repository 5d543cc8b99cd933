//! Beside tower's own layers: what each of them does, and what this one does in its place.
//!
//! tower's behaviour is asserted too, so that the comparison is true for as long as it is made.

use std::{convert::Infallible, task::Poll, time::Duration};

use futures_util::{FutureExt, poll};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::time::timeout;
use tower::{
    Layer, Service, ServiceExt,
    buffer::Buffer,
    limit::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer},
    load_shed::{LoadShedLayer, error::Overloaded},
    service_fn,
    steer::Steer,
};
use tower_gateway::{Body, ConcurrencyLimit, PathDispatch};

use super::{asks, hello, streaming, streams};
use crate::support::scripted;

/// Twenty clients that read slowly, and a limit of two: how many are served at once.
async fn live_bodies<S, B>(app: S, settle: impl Fn() -> usize) -> usize
where
    S: Service<Request<Body>, Response = Response<B>, Future: Send + 'static>
        + Clone
        + Send
        + 'static,
    S::Error: std::fmt::Debug + Send,
    B: http_body::Body + Send + 'static,
{
    let (mut feeds, mut requests) = (Vec::new(), tokio::task::JoinSet::new());
    for _ in 0..20 {
        let (feed, body) = scripted::channel();
        feeds.push(feed);
        requests.spawn(app.clone().oneshot(streaming(body)));
    }
    let mut live = Vec::new();
    while live.len() + settle() < 20 {
        live.push(requests.join_next().await.unwrap().unwrap().unwrap());
    }
    live.len()
}

#[tokio::test]
async fn bodies_count() {
    // tower's permit is given back with the head.
    let theirs = ConcurrencyLimitLayer::new(2).layer(streams());
    assert_eq!(live_bodies(theirs, || 0).await, 20);

    let limit = ConcurrencyLimit::new(2);
    assert_eq!(
        live_bodies(limit.layer(streams()), || limit.queued()).await,
        2
    );
}

/// As hyper and axum do it: each request has its own clone, and is made ready in its own future.
#[tokio::test]
async fn the_queue_has_an_end() {
    let never = || {
        service_fn(async |_: Request<Body>| {
            std::future::pending::<Result<Response<Body>, Infallible>>().await
        })
    };
    // Of a thousand, one is in, and all others wait, for as long as they like.
    let theirs = GlobalConcurrencyLimitLayer::new(1).layer(never());
    let mut waiting: Vec<_> = (0..1000)
        .map(|_| Box::pin(theirs.clone().oneshot(asks("/"))))
        .collect();
    for one in &mut waiting {
        assert!(poll!(one).is_pending());
    }

    let limit = ConcurrencyLimit::new(1).queue(10);
    let ours = limit.layer(never());
    let mut waiting: Vec<_> = (0..1000)
        .map(|_| Box::pin(ours.clone().oneshot(asks("/"))))
        .collect();
    let mut refused = 0;
    for one in &mut waiting {
        match poll!(one) {
            Poll::Pending => {}
            Poll::Ready(response) => {
                assert_eq!(response.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
                refused += 1;
            }
        }
    }
    assert_eq!((limit.in_use(), limit.queued(), refused), (1, 10, 989));
}

#[tokio::test(start_paused = true)]
async fn an_idle_clone_keeps_nothing() {
    let patience = Duration::from_secs(60);
    let theirs = ConcurrencyLimitLayer::new(1).layer(hello());
    let mut idle = theirs.clone();
    idle.ready().await.unwrap();
    let response = timeout(patience, theirs.oneshot(asks("/"))).await;
    assert!(response.is_err(), "nobody runs, and nobody comes in");

    let ours = ConcurrencyLimit::new(1).layer(hello());
    let mut idle = ours.clone();
    ServiceExt::<Request<Body>>::ready(&mut idle).await.unwrap();
    let response = timeout(patience, ours.oneshot(asks("/"))).await;
    assert_eq!(response.unwrap().unwrap().status(), StatusCode::OK);
}

/// Three connections, each with a clone of its own that is kept: one runs, one is turned away, and
/// when the first is done, the third is turned away although nothing runs.
#[tokio::test]
async fn who_was_turned_away_takes_nothing_with_him() {
    let busy = || {
        service_fn(async |request: Request<Body>| {
            if request.uri().path() == "/slow" {
                tokio::task::yield_now().await;
            }
            Ok::<_, Infallible>(Response::new(Body::empty()))
        })
    };
    let theirs = LoadShedLayer::new().layer(ConcurrencyLimitLayer::new(1).layer(busy()));
    let (mut a, mut b, mut c) = (theirs.clone(), theirs.clone(), theirs);
    let mut running = Box::pin(a.ready().await.unwrap().call(asks("/slow")));
    assert!(poll!(&mut running).is_pending());
    let shed = b.ready().await.unwrap().call(asks("/")).await;
    assert!(shed.unwrap_err().is::<Overloaded>());
    running.await.unwrap();
    let shed = c.ready().await.unwrap().call(asks("/")).await;
    assert!(shed.unwrap_err().is::<Overloaded>(), "an idle clone has it");
    drop(b);
    c.ready().await.unwrap().call(asks("/")).await.unwrap();

    let ours = ConcurrencyLimit::new(1).queue(0).layer(busy());
    let (mut a, mut b, mut c) = (ours.clone(), ours.clone(), ours);
    let mut running = Box::pin(a.ready().await.unwrap().call(asks("/slow")));
    assert!(poll!(&mut running).is_pending());
    let refused = b.ready().await.unwrap().call(asks("/")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(running.await.unwrap());
    let response = c.ready().await.unwrap().call(asks("/")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    drop(b);
}

/// tokio lets a task do 128 things before it has to let others run; to `load_shed`, that is an
/// overload.
#[tokio::test]
async fn a_busy_task_is_no_overload() {
    let theirs = Buffer::new(hello(), 100_000);
    let theirs = LoadShedLayer::new().layer(theirs);
    let shed = tokio::spawn(async move {
        let mut theirs = theirs;
        let mut shed = 0;
        let mut kept = Vec::new();
        for _ in 0..1000 {
            let response = theirs
                .ready()
                .now_or_never()
                .unwrap()
                .unwrap()
                .call(asks("/"));
            match response.now_or_never() {
                Some(Err(error)) if error.is::<Overloaded>() => shed += 1,
                other => kept.push(other),
            }
        }
        shed
    });
    assert!(
        shed.await.unwrap() > 800,
        "of a place for a hundred thousand"
    );

    let limit = ConcurrencyLimit::new(1000);
    let ours = limit.layer(hello());
    let served = tokio::spawn(async move {
        let all = (0..1000).map(|_| ours.clone().oneshot(asks("/")));
        let all: Vec<_> = all
            .map(|one| one.now_or_never().unwrap().unwrap())
            .collect();
        all.iter()
            .filter(|response| response.status() == StatusCode::OK)
            .count()
    });
    assert_eq!(served.await.unwrap(), 1000);
}

/// One branch is full; the other one is not asked for that.
#[tokio::test(start_paused = true)]
async fn a_full_branch_holds_up_no_other() {
    let full = || {
        service_fn(async |request: Request<Body>| {
            if request.uri().path().starts_with("/slow") {
                std::future::pending::<()>().await;
            }
            Ok::<_, Infallible>(Response::new(Body::from("fast")))
        })
    };
    let patience = Duration::from_secs(60);
    let slow = ConcurrencyLimitLayer::new(1).layer(full());
    let fast = ConcurrencyLimitLayer::new(1).layer(full());
    let mut theirs = Steer::new(
        vec![slow.clone(), fast],
        |request: &Request<Body>, _: &[_]| usize::from(request.uri().path() != "/slow"),
    );
    let mut running = Box::pin(slow.oneshot(asks("/slow")));
    assert!(poll!(&mut running).is_pending());
    let ready = timeout(patience, theirs.ready()).await;
    assert!(ready.is_err(), "the fast branch waits for the slow one");

    let limit = || ConcurrencyLimit::new(1).layer(full());
    let ours = PathDispatch::new()
        .mount_unstripped("/slow", limit())
        .unwrap();
    let ours = ours
        .mount_unstripped("/fast", limit())
        .unwrap()
        .layer(hello());
    let mut running = Box::pin(ours.clone().oneshot(asks("/slow")));
    assert!(poll!(&mut running).is_pending());
    let response = timeout(patience, ours.oneshot(asks("/fast")))
        .await
        .unwrap()
        .unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "fast");
}
