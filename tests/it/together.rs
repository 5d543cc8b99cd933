//! Layers that meet in a stack.

use std::convert::Infallible;

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_gateway::{
    Body, ConcurrencyLimit, GatewayProxy, PathDispatch, PathPolicy, SpoolRequests, StaticFiles,
    semantics::path::EncodedSlash,
};

use crate::support::{
    raw,
    server::{self, TestServer},
    upstream::Upstream,
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

/// All layers as the README puts them, before an upstream.
async fn whole(root: &tempfile::TempDir, upstream: &Upstream) -> TestServer {
    let no = service_fn(async |_: Request<Incoming>| {
        let response = Response::builder().status(403).body(Body::empty());
        Ok::<_, Infallible>(response.unwrap())
    });
    let app = ServiceBuilder::new()
        .layer(StaticFiles::new(root.path()).at("/static"))
        .layer(PathDispatch::new().mount_exact("/no", no).unwrap())
        .layer(SpoolRequests::default())
        .layer(ConcurrencyLimit::new(64))
        .service(GatewayProxy::to(&upstream.url()).unwrap());
    server::spawn(app).await
}

#[tokio::test]
async fn an_upgrade_passes_all_layers() {
    let upstream = Upstream::saying(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n",
    )
    .await;
    let server = whole(&tree(), &upstream).await;
    let answer = raw::exchange(
        server.addr,
        "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n",
    )
    .await;
    assert_eq!(answer.status, 101);
}

/// RFC 9112 §3.2.2: "A server MUST accept the absolute-form in requests even though most HTTP/1.1
/// clients will only send the absolute-form to a proxy." RFC 9112 §3.2.1: "If the target URI's
/// path component is empty, the client MUST send "/" as the path within the origin-form".
#[tokio::test]
async fn a_target_in_absolute_form_is_read_as_its_path() {
    let root = tree();
    let upstream = Upstream::echo().await;
    let server = whole(&root, &upstream).await;
    let ask = async |target: &str| {
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n");
        raw::exchange(server.addr, request).await
    };
    assert_eq!(ask("http://a.test/static/./public").await.text(), "for all");
    assert_eq!(ask("http://a.test//no").await.status, 403);
    for (target, line) in [
        ("http://a.test//x/../y?q=//", "GET /y?q=// HTTP/1.1"),
        ("http://a.test", "GET / HTTP/1.1"),
        ("http://a.test?q", "GET /?q HTTP/1.1"),
    ] {
        let text = ask(target).await.text();
        assert_eq!(text.lines().next(), Some(line), "{target}");
        assert!(text.contains("host: a.test\r\n"), "{text}");
    }
}
