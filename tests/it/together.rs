//! Layers that meet in a stack.

use std::convert::Infallible;

use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_gateway::{
    Body, ConcurrencyLimit, PathDispatch, PathPolicy, StaticFiles, semantics::path::EncodedSlash,
};

const SECRET: &str = "for nobody";

/// A file below a folder that is guarded.
fn tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("private")).unwrap();
    std::fs::write(root.path().join("private/x"), SECRET).unwrap();
    std::fs::write(root.path().join("public"), "for all").unwrap();
    root
}

fn status(
    status: u16,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync {
    service_fn(move |_: Request<Body>| {
        let response = Response::builder().status(status).body(Body::empty());
        std::future::ready(Ok(response.unwrap()))
    })
}

async fn ask<S>(app: &S, target: &str) -> (u16, String)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    let request = Request::get(target).body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let location = response.headers().get("location").cloned();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = location.map_or_else(|| body.to_vec(), |location| location.as_bytes().to_vec());
    (status, String::from_utf8(text).unwrap())
}

/// axum 0.8 with tower-http's file server, mounted in this way, gives the file for five of these.
#[tokio::test]
async fn no_spelling_gets_past_a_guard_to_the_file_server_beside_it() {
    let root = tree();
    for slash in [
        EncodedSlash::Reject,
        EncodedSlash::Keep,
        EncodedSlash::Decode,
    ] {
        let policy = PathPolicy::new().encoded_slash(slash);
        let guarded = PathDispatch::new()
            .paths(policy)
            .mount("/static/private", status(403))
            .unwrap()
            .mount("/static", StaticFiles::new(root.path()).paths(policy))
            .unwrap()
            .layer(status(404));
        // The same with the files in a layer of their own, inside the guard.
        let layered = ServiceBuilder::new()
            .layer(
                PathDispatch::new()
                    .paths(policy)
                    .mount("/static/private", status(403))
                    .unwrap(),
            )
            .layer(StaticFiles::new(root.path()).at("/static").paths(policy))
            .service(status(404));
        for app in [
            tower::util::BoxCloneSyncService::new(guarded),
            tower::util::BoxCloneSyncService::new(layered),
        ] {
            assert_eq!(
                ask(&app, "/static/public").await,
                (200, "for all".to_owned())
            );
            assert_eq!(ask(&app, "/static/private/x").await.0, 403);
            for spelling in [
                "//private/x",
                "/./private/x",
                "/%70rivate/x",
                "/private%2Fx",
                "/x/..%2fprivate/x",
                "/x/../private/x",
                "/x/%2e%2e/private/x",
                "/private/./x",
                "/private//x",
                "/public/../private/x",
                "/%2e/private/x",
                "/private%2f%2e%2e%2fprivate%2Fx",
                "/..%2fstatic%2fprivate%2fx",
                "/%2e%2e/static/private/x",
                "/.%2F/private/x",
                "/private%5cx",
                "/private/x%00",
            ] {
                let (status, text) = ask(&app, &format!("/static{spelling}")).await;
                assert!([400, 403, 404].contains(&status), "{spelling}: {status}");
                assert_ne!(text, SECRET, "{spelling}");
            }
        }
    }
}

#[tokio::test]
async fn a_redirect_of_a_mounted_file_server_keeps_the_mount() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("docs")).unwrap();
    std::fs::write(root.path().join("docs/index.html"), "docs").unwrap();
    std::fs::write(root.path().join("index.html"), "home").unwrap();
    let inner = PathDispatch::new()
        .mount("/v1", StaticFiles::new(root.path()))
        .unwrap()
        .layer(status(404));
    let app = PathDispatch::new()
        .mount("/site", inner)
        .unwrap()
        .layer(status(404));
    for (target, answer) in [
        ("/site/v1/docs?q=1", (308, "/site/v1/docs/?q=1")),
        ("/site/v1/docs/", (200, "docs")),
        ("/site/v1?q", (308, "/site/v1/?q")),
        ("/site/v1/", (200, "home")),
        ("/site//v1/./docs", (308, "/site/v1/docs/")),
    ] {
        let (status, text) = ask(&app, target).await;
        assert_eq!((status, text.as_str()), answer, "{target}");
    }
}

#[tokio::test]
async fn a_full_application_delays_no_file() {
    let root = tree();
    let limit = ConcurrencyLimit::new(1).queue(0);
    let app = ServiceBuilder::new()
        .layer(StaticFiles::new(root.path()).at("/static"))
        .layer(limit.clone())
        .service(service_fn(async |_: Request<Body>| {
            std::future::pending::<Result<Response<Body>, Infallible>>().await
        }));
    let running = tokio::spawn(app.clone().oneshot(Request::default()));
    while limit.in_use() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(ask(&app, "/").await.0, 503);
    assert_eq!(
        ask(&app, "/static/public").await,
        (200, "for all".to_owned())
    );
    running.abort();
}
