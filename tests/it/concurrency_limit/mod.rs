//! `ConcurrencyLimit` over scripted services and bodies.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ::tower::{Layer, Service, ServiceExt, service_fn};
use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::{sync::Notify, task::JoinSet, time::Instant};
use tower_gateway::{
    Body, BoxError, ConcurrencyLimit, Error, ErrorKind, Fault,
    body::Hold,
    concurrency_limit::{RejectReason, Rejection, ResponseBody},
};

use crate::support::scripted::{self, Scripted};

mod adaptive;
mod churn;
mod classes;
mod found;
mod handle;
mod hardened;
mod keys;
mod options;
#[cfg(feature = "static-files")]
mod overload;
#[cfg(feature = "metrics")]
mod seen;
mod tower;

/// A request whose response is the body in its extensions.
fn streaming(body: Scripted) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    request
        .extensions_mut()
        .insert(Arc::new(std::sync::Mutex::new(Some(body))));
    request
}

fn streams()
-> impl Service<Request<Body>, Response = Response<Scripted>, Error = BoxError, Future: Send>
+ Clone
+ Send {
    service_fn(async |request: Request<Body>| {
        let body = request
            .extensions()
            .get::<Arc<std::sync::Mutex<Option<Scripted>>>>();
        let body = body.ok_or("no body")?.lock().unwrap().take();
        Ok::<_, BoxError>(Response::new(body.ok_or("no body")?))
    })
}

fn hello()
-> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
+ Clone
+ Send {
    service_fn(async |_| Ok(Response::new(Body::from("hello"))))
}

fn kind<B>(response: &Response<B>) -> Option<ErrorKind> {
    response.extensions().get::<Error>().map(Error::kind)
}

/// A request for this path.
fn asks(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

/// A request of this tenant, for this path.
fn of(tenant: &str, path: &str) -> Request<Body> {
    let request = Request::get(path).header("tenant", tenant);
    request.body(Body::empty()).unwrap()
}

fn reason<B>(response: &Response<B>) -> Option<RejectReason> {
    let rejection = response.extensions().get::<Rejection>();
    rejection.map(|rejection| rejection.reason)
}

type Answer = Response<ResponseBody<Body>>;

/// A request that has begun to wait.
fn waits<F: Future<Output = Result<Answer, Infallible>>>(request: F) -> Pin<Box<F>> {
    let mut request = Box::pin(request);
    assert!(request.as_mut().now_or_never().is_none(), "it is to wait");
    request
}

/// The answer to one whose turn has come.
fn comes<F: Future<Output = Result<Answer, Infallible>>>(request: Pin<Box<F>>) -> Answer {
    request.now_or_never().expect("its turn").unwrap()
}

// === when a request is over ===

#[tokio::test]
async fn a_streaming_body_counts_until_it_ends() {
    let limit = ConcurrencyLimit::new(1).queue(0);
    let app = limit.layer(streams());
    let (feed, body) = scripted::channel();

    let mut response = app.clone().oneshot(streaming(body)).await.unwrap();
    assert_eq!(limit.in_use(), 1);
    feed.data("a");
    response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(limit.in_use(), 1);

    drop(feed);
    assert!(response.body_mut().frame().await.is_none());
    assert_eq!(limit.in_use(), 0);
}

#[tokio::test]
async fn a_body_of_known_length_is_over_with_its_last_frame() {
    let limit = ConcurrencyLimit::new(1);
    let app = limit.layer(streams());
    let (feed, body) = scripted::channel();

    let mut response = app.oneshot(streaming(body.with_length(2))).await.unwrap();
    feed.data("a");
    response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(limit.in_use(), 1);
    feed.data("b");
    response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(limit.in_use(), 0, "the server need not poll again");
    assert!(response.body().is_end_stream());
}

#[tokio::test]
async fn a_response_without_a_body_is_over_with_its_head() {
    let limit = ConcurrencyLimit::new(1);
    let app = limit.layer(service_fn(async |_: Request<Body>| {
        Ok::<_, Infallible>(Response::new(Body::empty()))
    }));
    let response = app.oneshot(Request::default()).await.unwrap();
    assert_eq!(limit.in_use(), 0);
    drop(response);
}

#[tokio::test]
async fn a_body_that_fails_or_is_dropped_is_over() {
    let limit = ConcurrencyLimit::new(1);
    let app = limit.layer(streams());

    let (feed, body) = scripted::channel();
    let mut response = app.clone().oneshot(streaming(body)).await.unwrap();
    feed.error("broken");
    assert!(response.body_mut().frame().await.unwrap().is_err());
    assert_eq!(limit.in_use(), 0);

    let (_feed, body) = scripted::channel();
    let response = app.oneshot(streaming(body)).await.unwrap();
    assert_eq!(limit.in_use(), 1);
    drop(response);
    assert_eq!(limit.in_use(), 0);
}

#[tokio::test]
async fn an_error_of_the_inner_service_is_kept_and_gives_the_permit_back() {
    let limit = ConcurrencyLimit::new(1);
    let app = limit.layer(streams());
    let error = app.oneshot(Request::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "no body");
    assert_eq!(limit.in_use(), 0);
}

#[tokio::test]
async fn a_panic_gives_the_permit_back() {
    let limit = ConcurrencyLimit::new(1);
    let app = limit.layer(service_fn(async |request: Request<Body>| {
        assert!(request.method() != http::Method::PUT, "as told");
        Ok::<_, Infallible>(Response::new(Body::empty()))
    }));
    let put = Request::put("/").body(Body::empty()).unwrap();
    let task = tokio::spawn(app.clone().oneshot(put));
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(limit.in_use(), 0);
    app.oneshot(Request::default()).await.unwrap();
}

#[tokio::test]
async fn a_request_that_is_dropped_while_it_runs_gives_the_permit_back() {
    let limit = ConcurrencyLimit::new(1);
    let app = limit.layer(service_fn(async |_: Request<Body>| {
        std::future::pending::<Result<Response<Body>, Infallible>>().await
    }));
    {
        let mut response = pin!(app.oneshot(Request::default()));
        assert!(response.as_mut().now_or_never().is_none());
        assert_eq!(limit.in_use(), 1);
    }
    assert_eq!(limit.in_use(), 0);
}

#[tokio::test]
async fn an_upgraded_connection_counts_until_its_holder_lets_go() {
    let limit = ConcurrencyLimit::new(1);
    let (sender, mut holds) = tokio::sync::mpsc::unbounded_channel();
    let app = limit.layer(service_fn(move |mut request: Request<Body>| {
        sender
            .send(request.extensions_mut().remove::<Hold>())
            .unwrap();
        let response = Response::builder().status(101).body(Body::empty()).unwrap();
        std::future::ready(Ok::<_, Infallible>(response))
    }));
    let request = Request::get("/")
        .header("upgrade", "websocket")
        .body(Body::empty())
        .unwrap();
    drop(app.clone().oneshot(request).await.unwrap());
    let hold = holds
        .recv()
        .await
        .unwrap()
        .expect("a hold for a request that may be upgraded");
    assert_eq!(limit.in_use(), 1);
    drop(hold);
    assert_eq!(limit.in_use(), 0);

    // Another request has none, and pays nothing for it.
    app.clone().oneshot(Request::default()).await.unwrap();
    assert!(holds.recv().await.unwrap().is_none());
    // Nor has one in a version without upgrades.
    for version in [http::Version::HTTP_10, http::Version::HTTP_2] {
        let request = Request::get("/").header("upgrade", "websocket");
        let request = request.version(version).body(Body::empty()).unwrap();
        app.clone().oneshot(request).await.unwrap();
        assert!(holds.recv().await.unwrap().is_none(), "{version:?}");
    }
}

#[tokio::test]
async fn nested_limits_are_both_held_by_an_upgraded_connection() {
    let (outer, inner) = (ConcurrencyLimit::new(1), ConcurrencyLimit::new(1));
    let (sender, mut holds) = tokio::sync::mpsc::unbounded_channel();
    let app = outer.layer(inner.layer(service_fn(move |mut request: Request<Body>| {
        sender
            .send(request.extensions_mut().remove::<Hold>())
            .unwrap();
        std::future::ready(Ok::<_, Infallible>(Response::new(Body::empty())))
    })));
    let connect = Request::connect("example.com:443")
        .body(Body::empty())
        .unwrap();
    drop(app.oneshot(connect).await.unwrap());
    let hold = holds.recv().await.unwrap();
    assert_eq!((outer.in_use(), inner.in_use()), (1, 1));
    drop(hold);
    assert_eq!((outer.in_use(), inner.in_use()), (0, 0));
}

// === the queue ===

#[tokio::test]
async fn who_finds_the_queue_full_is_told_so() {
    let limit = ConcurrencyLimit::new(1)
        .queue(1)
        .retry_after(Duration::from_millis(2500))
        .retry_jitter(Duration::ZERO);
    let app = limit.layer(hello());
    let running = app.clone().oneshot(Request::default()).await.unwrap();
    let mut waiting = pin!(app.clone().oneshot(Request::default()));
    assert!(waiting.as_mut().now_or_never().is_none());
    assert_eq!((limit.in_use(), limit.queued()), (1, 1));

    let refused = app.clone().oneshot(Request::default()).await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "3");
    assert_eq!(refused.headers()["cache-control"], "no-store");
    let error = refused.extensions().get::<Error>().unwrap().clone();
    assert_eq!(
        (error.kind(), error.fault()),
        (ErrorKind::QueueFull, Fault::Gateway)
    );
    assert!(error.is_retryable());
    assert_eq!(refused.body().size_hint().exact(), Some(19));
    assert_eq!(
        refused.into_body().collect().await.unwrap().to_bytes(),
        "Service Unavailable"
    );

    drop(running);
    assert_eq!(waiting.await.unwrap().status(), StatusCode::OK);
    assert_eq!((limit.in_use(), limit.queued()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_told_so() {
    let limit = ConcurrencyLimit::new(1).queue_timeout(Duration::from_secs(3));
    let app = limit.layer(hello());
    let running = app.clone().oneshot(Request::default()).await.unwrap();

    let start = Instant::now();
    let refused = app.clone().oneshot(Request::default()).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 3);
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(kind(&refused), Some(ErrorKind::QueueTimeout));
    assert_eq!((limit.in_use(), limit.queued()), (1, 0));
    drop(running);
    assert_eq!(limit.in_use(), 0);
}

#[tokio::test]
async fn those_who_wait_come_in_first_come_first_served() {
    let limit = ConcurrencyLimit::new(1);
    let app = limit.layer(hello());
    let running = app.clone().oneshot(Request::default()).await.unwrap();
    let mut first = Box::pin(app.clone().oneshot(Request::default()));
    let mut second = Box::pin(app.clone().oneshot(Request::default()));
    assert!(first.as_mut().now_or_never().is_none());
    assert!(second.as_mut().now_or_never().is_none());

    drop(running);
    // A newcomer finds no permit, though nobody has taken the free one yet.
    let mut newcomer = Box::pin(app.clone().oneshot(Request::default()));
    assert!(newcomer.as_mut().now_or_never().is_none());
    assert!(second.as_mut().now_or_never().is_none());
    let first = first.as_mut().now_or_never().expect("its turn").unwrap();
    assert!(second.as_mut().now_or_never().is_none());
    drop(first);
    assert!(newcomer.as_mut().now_or_never().is_none());
    drop(second.as_mut().now_or_never().expect("its turn"));
    newcomer.await.unwrap();
}

#[tokio::test]
async fn a_waiter_that_leaves_gives_its_turn_on() {
    let limit = ConcurrencyLimit::new(1);
    let app = limit.layer(hello());
    let running = app.clone().oneshot(Request::default()).await.unwrap();
    let mut leaver = Box::pin(app.clone().oneshot(Request::default()));
    let mut stayer = Box::pin(app.clone().oneshot(Request::default()));
    assert!(leaver.as_mut().now_or_never().is_none());
    assert!(stayer.as_mut().now_or_never().is_none());

    // The turn has come to the leaver, which is dropped without having been polled again.
    drop(running);
    drop(leaver);
    stayer.now_or_never().expect("its turn").unwrap();
    assert_eq!((limit.in_use(), limit.queued()), (0, 0));
}

#[tokio::test]
async fn a_turn_that_came_is_taken_though_the_deadline_has_passed() {
    tokio::time::pause();
    let limit = ConcurrencyLimit::new(1).queue_timeout(Duration::from_secs(1));
    let app = limit.layer(hello());
    let running = app.clone().oneshot(Request::default()).await.unwrap();
    let mut waiting = Box::pin(app.oneshot(Request::default()));
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(running);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(waiting.await.unwrap().status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_limit_drains() {
    let limit = ConcurrencyLimit::new(2).queue(8);
    let app = limit.layer(service_fn(async |_: Request<Body>| {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok::<_, Infallible>(Response::new(Body::from("done")))
    }));
    let mut tasks = JoinSet::new();
    for _ in 0..10 {
        let response = app.clone().oneshot(Request::default());
        tasks.spawn(async move {
            response
                .await
                .unwrap()
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
        });
    }
    while let Some(body) = tasks.join_next().await {
        assert_eq!(body.unwrap(), "done");
    }
    assert_eq!((limit.in_use(), limit.queued()), (0, 0));
}

// === sharing ===

#[tokio::test]
async fn one_layer_is_one_limit() {
    let limit = ConcurrencyLimit::new(1).queue(0);
    let (one, other) = (limit.layer(hello()), limit.clone().layer(hello()));
    let _running = one.oneshot(Request::default()).await.unwrap();
    assert_eq!(
        kind(&other.oneshot(Request::default()).await.unwrap()),
        Some(ErrorKind::QueueFull)
    );
}

/// With `tower::limit` an idle clone that was made ready keeps a permit from the others.
#[tokio::test]
async fn a_clone_that_was_made_ready_and_never_called_starves_nobody() {
    let limit = ConcurrencyLimit::new(1).queue(0);
    let app = limit.layer(hello());
    let mut idle = app.clone();
    ServiceExt::<Request<Body>>::ready(&mut idle).await.unwrap();
    let response = app.oneshot(Request::default()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_inner_service_is_made_ready_in_the_response_future() {
    let (inner, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let mut app = ConcurrencyLimit::new(1).layer(inner);
    handle.allow(0);
    // Ready, though the inner service is not.
    app.ready().await.unwrap();
    let mut response = pin!(app.call(Request::default()));
    assert!(response.as_mut().now_or_never().is_none());
    handle.allow(1);
    let (answer, ()) = tokio::join!(response, async {
        let (_, reply) = handle.next_request().await.unwrap();
        reply.send_response(Response::new(Body::empty()));
    });
    answer.unwrap();
}

#[tokio::test(start_paused = true)]
async fn by_default_256_wait_for_5_seconds() {
    let limit = ConcurrencyLimit::new(1);
    let app = limit.layer(hello());
    let _running = app.clone().oneshot(Request::default()).await.unwrap();
    let start = Instant::now();
    let mut waiting = JoinSet::new();
    for _ in 0..256 {
        waiting.spawn(app.clone().oneshot(Request::default()));
    }
    while limit.queued() < 256 {
        tokio::task::yield_now().await;
    }
    let refused = app.oneshot(Request::default()).await.unwrap();
    assert_eq!(kind(&refused), Some(ErrorKind::QueueFull));
    while let Some(response) = waiting.join_next().await {
        assert_eq!(
            kind(&response.unwrap().unwrap()),
            Some(ErrorKind::QueueTimeout)
        );
    }
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn an_overload_is_one_warning_and_its_end_one_event() {
    let (log, _guard) = crate::support::log::capture();
    let limit = ConcurrencyLimit::new(1).queue(0);
    let app = limit.layer(hello());
    tokio::time::pause();
    for overload in 1..=2 {
        let running = app.clone().oneshot(Request::default()).await.unwrap();
        for _ in 0..3 {
            app.clone().oneshot(Request::default()).await.unwrap();
        }
        drop(running);
        // Nobody has been turned away for a while.
        tokio::time::advance(Duration::from_secs(1)).await;
        for _ in 0..3 {
            app.clone().oneshot(Request::default()).await.unwrap();
        }
        assert_eq!(log.count("WARN"), overload, "{}", log.text());
        assert_eq!(log.count("INFO"), overload, "{}", log.text());
    }
}

#[test]
#[should_panic(expected = "give at least 1")]
fn a_limit_of_zero_is_refused_where_it_is_written() {
    drop(ConcurrencyLimit::new(0));
}

#[tokio::test]
async fn a_long_delay_is_told_as_it_is() {
    let limit = ConcurrencyLimit::new(1).queue(0).retry_after(Duration::MAX);
    let app = limit.layer(hello());
    let _running = app.clone().oneshot(Request::default()).await.unwrap();
    let refused = app.oneshot(Request::default()).await.unwrap();
    assert_eq!(refused.headers()["retry-after"], u64::MAX.to_string());
}

#[tokio::test]
async fn trailers_and_sizes_pass() {
    let app = ConcurrencyLimit::new(1).layer(service_fn(async |_: Request<Body>| {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-sum", http::HeaderValue::from_static("7"));
        let body = http_body_util::Full::new(bytes::Bytes::from_static(b"hello"))
            .with_trailers(std::future::ready(Some(Ok(trailers))));
        Ok::<_, Infallible>(Response::new(body))
    }));
    let response = app.oneshot(Request::default()).await.unwrap();
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-sum"], "7");
    assert_eq!(collected.to_bytes(), "hello");

    let app = ConcurrencyLimit::new(1).layer(hello());
    let response = app.oneshot(Request::default()).await.unwrap();
    assert_eq!(response.body().size_hint().exact(), Some(5));
}

#[tokio::test]
async fn never_more_than_the_limit_are_inside() {
    let inside = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new(Notify::new());
    let app = ConcurrencyLimit::new(3).queue(100).layer({
        let (inside, gate) = (Arc::clone(&inside), Arc::clone(&gate));
        service_fn(move |_: Request<Body>| {
            let (inside, gate) = (Arc::clone(&inside), Arc::clone(&gate));
            async move {
                assert!(inside.fetch_add(1, Ordering::SeqCst) < 3);
                gate.notified().await;
                inside.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, Infallible>(Response::new(Body::empty()))
            }
        })
    });
    let mut tasks = JoinSet::new();
    for _ in 0..100 {
        tasks.spawn(app.clone().oneshot(Request::default()));
    }
    let mut done = 0;
    while done < 100 {
        gate.notify_one();
        tokio::task::yield_now().await;
        while let Some(response) = tasks.try_join_next() {
            assert_eq!(response.unwrap().unwrap().status(), StatusCode::OK);
            done += 1;
        }
    }
}
