//! A mounted service that panics.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::FutureExt;
use http::{Request, Response};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_gateway::{Body, Error, ErrorKind, PathDispatch};

use super::tell;
use crate::support::log;

fn get(target: &str) -> Request<Body> {
    Request::get(target).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn it_is_answered_with_500_if_asked() {
    let app = PathDispatch::new()
        .catch_panics(true)
        .mount(
            "/a",
            service_fn(async |request: Request<Body>| {
                tokio::task::yield_now().await;
                assert_ne!(request.uri(), "/panic", "as told");
                Ok::<_, Infallible>(Response::new(Body::from("fine")))
            }),
        )
        .unwrap()
        .layer(tell("inner"));
    let (log, _guard) = log::capture();
    let response = app.clone().oneshot(get("/a/panic")).await.unwrap();
    assert_eq!(response.status(), 500);
    let error = response.extensions().get::<Error>().unwrap();
    assert_eq!(error.kind(), ErrorKind::Service);
    let source = std::error::Error::source(error).unwrap().to_string();
    assert!(source.contains("as told"), "{source}");
    assert_eq!(log.count("a mounted service panicked"), 1);
    let response = app.oneshot(get("/a/x")).await.unwrap();
    assert_eq!(response.status(), 200);
}

/// A service that panics where it is asked whether it is ready.
#[derive(Clone)]
struct Unready;

impl Service<Request<Body>> for Unready {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        std::panic::panic_any(7_u8)
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        std::future::ready(Ok(Response::default()))
    }
}

#[tokio::test]
async fn so_is_one_that_panics_before_its_future_or_says_nothing() {
    let call = service_fn(
        |_: Request<Body>| -> std::future::Ready<Result<Response<Body>, Infallible>> {
            panic!("in the call")
        },
    );
    let app = PathDispatch::new()
        .catch_panics(true)
        .mount("/call", call)
        .unwrap()
        .mount("/unready", Unready)
        .unwrap()
        .layer(tell("inner"));
    for target in ["/call", "/unready"] {
        let response = app.clone().oneshot(get(target)).await.unwrap();
        assert_eq!(response.status(), 500, "{target}");
    }
}

#[tokio::test]
async fn what_it_held_is_let_go_with_the_answer() {
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let app = PathDispatch::new()
        .catch_panics(true)
        .mount(
            "/a",
            service_fn(move |_: Request<Body>| {
                let held = Arc::clone(&held);
                std::future::poll_fn(move |_| -> Poll<Result<Response<Body>, Infallible>> {
                    panic!("{} hold it", Arc::strong_count(&held))
                })
            }),
        )
        .unwrap()
        .layer(tell("inner"));
    let idle = Arc::strong_count(&alive);
    let mut future = std::pin::pin!(app.clone().call(get("/a")));
    let response = future.as_mut().now_or_never().unwrap().unwrap();
    assert_eq!(response.status(), 500);
    // Whether or not the future is dropped.
    assert_eq!(Arc::strong_count(&alive), idle);
}

/// A future that panics, and once more when it is dropped.
struct Twice;

impl Future for Twice {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        panic!("first")
    }
}

impl Drop for Twice {
    fn drop(&mut self) {
        panic!("second");
    }
}

#[tokio::test]
async fn a_second_panic_is_part_of_the_first() {
    let app = PathDispatch::new()
        .catch_panics(true)
        .mount("/a", service_fn(|_: Request<Body>| Twice))
        .unwrap()
        .layer(tell("inner"));
    let response = app.oneshot(get("/a")).await.unwrap();
    assert_eq!(response.status(), 500);
    let error = response.extensions().get::<Error>().unwrap();
    let source = std::error::Error::source(error).unwrap().to_string();
    assert!(source.contains("first"), "{source}");
}
