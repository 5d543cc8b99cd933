//! Services of every kind side by side, on a socket.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::Service as _};
use tower::service_fn;
use tower_gateway::{GatewayProxy, PathDispatch, StaticFiles, path_dispatch::Cascade};
use tower_http::services::ServeDir;

use crate::support::{raw, server, upstream::Upstream};

#[tokio::test]
async fn what_is_a_service_can_be_mounted() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("a.txt"), "a file").unwrap();
    let upstream = Upstream::named("upstream").await;
    // hyper's own trait has no readiness.
    let hyper = hyper::service::service_fn(async |request: Request<Incoming>| {
        let body = request.into_body().collect().await?.to_bytes();
        Ok::<_, hyper::Error>(Response::new(Full::new(body)))
    });
    let site = Cascade::new().attempt(StaticFiles::new(root.path()));
    let app = PathDispatch::new()
        .mount(
            "/axum",
            axum::Router::new().route("/x", axum::routing::get(async || "routed")),
        )
        .unwrap()
        .mount("/files", StaticFiles::new(root.path()))
        .unwrap()
        .mount("/their-files", ServeDir::new(root.path()))
        .unwrap()
        .mount("/proxy", GatewayProxy::to(&upstream.url()).unwrap())
        .unwrap()
        .mount("/hyper", service_fn(move |request| hyper.call(request)))
        .unwrap()
        .mount(
            "/site",
            tower::Layer::layer(
                &site,
                service_fn(async |request: Request<Incoming>| {
                    let told = format!("the rest, {}", request.uri());
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(told))))
                }),
            ),
        )
        .unwrap()
        .into_service();
    let server = server::spawn(app).await;
    for (head, body, text) in [
        ("GET /axum/x", "", "routed"),
        ("GET /files/a.txt", "", "a file"),
        ("GET /their-files/a.txt", "", "a file"),
        ("GET /proxy/x", "", "upstream"),
        ("POST /hyper", "abc", "abc"),
        ("GET /site/a.txt", "", "a file"),
        ("GET /site/b?c", "", "the rest, /b?c"),
        ("GET /none", "", "Not Found"),
    ] {
        let length = body.len();
        let request = format!(
            "{head} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        assert_eq!(
            raw::exchange(server.addr, request).await.text(),
            text,
            "{head}"
        );
    }
}
