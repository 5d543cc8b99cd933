//! Services that are tried in their order.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_gateway::{
    Body, BoxError, Error, MountPoint, PathDispatch, StaticFiles, path_dispatch::Cascade,
};

use super::tell;

/// Who was asked for what, in order.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// A service that answers with this status, and says that it was asked and for how much.
    fn service(
        &self,
        name: &'static str,
        status: u16,
    ) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static {
        let asked = self.clone();
        service_fn(move |request: Request<Body>| {
            let asked = asked.clone();
            async move {
                let mark = request
                    .extensions()
                    .get::<&str>()
                    .copied()
                    .unwrap_or_default();
                let field = request
                    .headers()
                    .get("x")
                    .map_or("", |x| x.to_str().unwrap())
                    .to_owned();
                let uri = request.uri().clone();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let told = format!("{name} {uri} {mark}{field}{}", body.len());
                asked.0.lock().unwrap().push(told);
                Ok(Response::builder()
                    .status(status)
                    .body(Body::from(name))
                    .unwrap())
            }
        })
    }
}

fn request(method: &str, body: &'static str) -> Request<Body> {
    let request = Request::builder()
        .method(method)
        .uri("//p/./q?r")
        .header("x", "X");
    request.extension("mark").body(Body::from(body)).unwrap()
}

async fn answer<S>(app: &S, request: Request<Body>) -> (u16, String)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_404_falls_to_the_next_and_every_other_answer_stands() {
    for status in [200, 204, 304, 401, 403, 405, 410, 500] {
        let asked = Asked::default();
        let app = Cascade::new()
            .attempt(asked.service("one", 404))
            .attempt(asked.service("two", status))
            .attempt(asked.service("three", 200))
            .layer(asked.service("last", 200));
        assert_eq!(answer(&app, request("GET", "")).await.0, status);
        assert_eq!(asked.take(), ["one /p/q?r markX0", "two /p/q?r markX0"]);
    }
    let asked = Asked::default();
    let app = Cascade::new()
        .attempt(asked.service("one", 404))
        .attempt(asked.service("two", 404))
        .layer(asked.service("last", 404));
    for method in ["GET", "HEAD"] {
        assert_eq!(
            answer(&app, request(method, "")).await,
            (404, "last".to_owned())
        );
        assert_eq!(
            asked.take(),
            [
                "one /p/q?r markX0",
                "two /p/q?r markX0",
                "last /p/q?r markX0"
            ]
        );
    }
}

#[tokio::test]
async fn a_body_is_given_to_the_last_alone_and_so_is_what_is_not_safe() {
    let asked = Asked::default();
    let app = Cascade::new()
        .attempt(asked.service("one", 200))
        .layer(asked.service("last", 200));
    for (method, body) in [
        ("POST", "abc"),
        ("GET", "abc"),
        ("POST", ""),
        ("DELETE", ""),
        ("OPTIONS", ""),
    ] {
        assert_eq!(answer(&app, request(method, body)).await.1, "last");
        let expected = format!("last /p/q?r markX{}", body.len());
        assert_eq!(asked.take(), [expected], "{method}");
    }
    assert_eq!(
        answer(
            &Cascade::new().layer(asked.service("last", 200)),
            request("GET", "")
        )
        .await
        .1,
        "last"
    );
}

#[tokio::test]
async fn an_error_of_an_attempt_is_a_500_and_one_of_the_last_is_its_own() {
    let failing =
        || service_fn(async |_: Request<Body>| Err::<Response<Body>, BoxError>("mine".into()));
    let app = Cascade::new().attempt(failing()).layer(tell("inner"));
    let response = app.oneshot(request("GET", "")).await.unwrap();
    assert_eq!(response.status(), 500);
    assert!(response.extensions().get::<Error>().is_some());
    let app = Cascade::new().layer(failing());
    assert_eq!(
        app.oneshot(request("GET", ""))
            .await
            .unwrap_err()
            .to_string(),
        "mine"
    );
}

#[tokio::test]
async fn a_path_is_read_once_for_all() {
    let asked = Asked::default();
    let app = Cascade::new()
        .attempt(asked.service("one", 404))
        .layer(asked.service("last", 200));
    let bad = Request::get("/a%2fb").body(Body::empty()).unwrap();
    assert_eq!(answer(&app, bad).await.0, 400);
    assert_eq!(asked.take(), [""; 0]);
}

/// Two folders, and a mounted application that sees its mount as if it stood there alone.
#[tokio::test]
async fn files_first_at_a_mount() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("one")).unwrap();
    std::fs::create_dir_all(root.path().join("two")).unwrap();
    std::fs::write(root.path().join("one/a"), "one's a").unwrap();
    std::fs::write(root.path().join("two/a"), "two's a").unwrap();
    std::fs::write(root.path().join("two/b"), "two's b").unwrap();
    let site = Cascade::new()
        .attempt(StaticFiles::new(root.path().join("one")))
        .attempt(StaticFiles::new(root.path().join("two")))
        .attempt(axum::Router::new().route("/r", axum::routing::get(async || "routed")))
        .layer(tell("app"));
    let app = PathDispatch::new()
        .mount("/site", site)
        .unwrap()
        .into_service();
    for (target, told) in [
        ("/site/a", "one's a"),
        ("/site/b", "two's b"),
        ("/site/r", "routed"),
        ("/site/c", "app /site /c"),
    ] {
        let request = Request::get(target).body(Body::empty()).unwrap();
        assert_eq!(answer(&app, request).await, (200, told.to_owned()));
    }
    let request = Request::post("/site/a").body(Body::empty()).unwrap();
    assert_eq!(answer(&app, request).await.1, "app /site /a");
}

/// An attempt that is not ready is waited for, and dropped with the request.
#[tokio::test]
async fn a_dropped_future_drops_the_attempt() {
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let waiting = service_fn(move |_: Request<Body>| {
        let held = Arc::clone(&held);
        async move {
            std::future::pending::<()>().await;
            drop(held);
            Ok::<_, Infallible>(Response::new(Body::empty()))
        }
    });
    let app = Cascade::new().attempt(waiting).layer(tell("inner"));
    let idle = Arc::strong_count(&alive);
    {
        let mut future = std::pin::pin!(app.clone().oneshot(request("GET", "")));
        assert!(future.as_mut().now_or_never().is_none());
        assert!(Arc::strong_count(&alive) > idle);
    }
    assert_eq!(Arc::strong_count(&alive), idle);
}

/// What one attempt writes into its request, the next one does not find.
#[tokio::test]
async fn attempts_do_not_see_each_other_s_mounts() {
    let inner = PathDispatch::new()
        .mount(
            "/p",
            service_fn(async |request: Request<Body>| {
                assert_eq!(MountPoint::of(request.extensions()).unwrap().prefix(), "/p");
                let none = Response::builder().status(404).body(Body::empty());
                Ok::<_, Infallible>(none.unwrap())
            }),
        )
        .unwrap()
        .into_service();
    let app = Cascade::new().attempt(inner).layer(tell("last"));
    assert_eq!(answer(&app, request("GET", "")).await.1, "last - /p/q?r");
}
