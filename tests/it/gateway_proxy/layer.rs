use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_gateway::{
    Body, ErrorKind, GatewayProxy, PathPolicy,
    semantics::path::{EncodedSlash, Spelling},
};

use super::{call, get, kind, text, to};
use crate::support::upstream::Upstream;

async fn inner(request: Request<Body>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from(format!(
        "inner {}",
        request.uri().path()
    ))))
}

#[tokio::test]
async fn as_a_layer_it_takes_its_paths_and_leaves_the_rest() {
    let upstream = Upstream::echo().await;
    let service = ServiceBuilder::new()
        .layer(to(&upstream).at("/api").at("/admin"))
        .service(service_fn(inner));
    for (path, is_ours) in [
        ("/api", true),
        ("/api/x?y=1", true),
        ("/admin/", true),
        ("/apix", false),
        ("/", false),
        ("/x/api", false),
    ] {
        let answer = text(service.clone().oneshot(get(path)).await.unwrap()).await;
        if is_ours {
            // Sent on as it was read, with the prefix and the query.
            assert!(
                answer.starts_with(&format!("GET {path} HTTP/1.1\r\n")),
                "{answer}"
            );
        } else {
            assert_eq!(answer, format!("inner {path}"));
        }
    }
}

#[tokio::test]
async fn as_a_layer_without_paths_it_takes_everything() {
    let upstream = Upstream::echo().await;
    let service = to(&upstream).layer(service_fn(inner));
    let answer = text(service.oneshot(get("/")).await.unwrap()).await;
    assert!(answer.starts_with("GET / HTTP/1.1\r\n"));
}

#[tokio::test]
async fn as_the_end_of_a_stack_it_has_nothing_at_other_paths() {
    let upstream = Upstream::echo().await;
    let proxy = to(&upstream).at("/api");
    assert_eq!(call(&proxy, get("/x")).await.status(), 404);
    assert_eq!(call(&proxy, get("/api/x")).await.status(), 200);
}

#[tokio::test]
async fn what_is_matched_is_what_is_sent() {
    let upstream = Upstream::echo().await;
    let proxy = to(&upstream).at("/api");
    for spelling in ["//api//x", "/./api/x", "/%61pi/x", "/y/../api/x"] {
        let answer = text(call(&proxy, get(spelling)).await).await;
        assert!(answer.starts_with("GET /api/x HTTP/1.1\r\n"), "{answer}");
    }
    // Not `/api`, however it is spelled, so not the upstream's.
    assert_eq!(call(&proxy, get("/api/../x")).await.status(), 404);
    assert_eq!(upstream.counts().requests, 4);
}

#[tokio::test]
async fn paths_without_one_reading_are_refused() {
    let upstream = Upstream::echo().await;
    let proxy = to(&upstream);
    for path in ["/a%2Fb", "/a%", "/a%00", "/a%5Cb"] {
        let response = call(&proxy, get(path)).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(kind(&response), Some(ErrorKind::BadPath));
    }
    let keeps = to(&upstream).paths(PathPolicy::new().encoded_slash(EncodedSlash::Keep));
    assert_eq!(call(&keeps, get("/a%2Fb")).await.status(), 200);
    let redirects = to(&upstream).paths(PathPolicy::new().spelling(Spelling::Redirect));
    let response = call(&redirects, get("//a?b")).await;
    assert_eq!(response.status(), 308);
    assert_eq!(response.headers()["location"], "/a?b");
}

#[tokio::test]
async fn an_inner_error_stays_an_error() {
    let upstream = Upstream::echo().await;
    let fails = service_fn(|_: Request<Body>| async { Err::<Response<Body>, _>("broken") });
    let service = to(&upstream).at("/api").layer(fails);
    assert_eq!(service.oneshot(get("/x")).await.unwrap_err(), "broken");
}

#[tokio::test]
async fn it_is_ready_at_once_and_drives_the_inner_service_itself() {
    let upstream = Upstream::echo().await;
    // Ready only for one at a time; a clone that took the readiness would panic here.
    let limited = ServiceBuilder::new()
        .concurrency_limit(1)
        .service(service_fn(inner));
    let mut service = to(&upstream).at("/api").layer(limited);
    let first = service.ready().await.unwrap().call(get("/1"));
    let second = service.ready().await.unwrap().call(get("/2"));
    let (second, first) = tokio::join!(second, first);
    assert_eq!(text(first.unwrap()).await, "inner /1");
    assert_eq!(text(second.unwrap()).await, "inner /2");
}

#[tokio::test]
async fn services_and_futures_can_cross_threads() {
    fn assert_send<T: Send>(_: &T) {}
    fn assert_sync<T: Sync>(_: &T) {}
    let proxy = GatewayProxy::to("http://127.0.0.1:1").unwrap();
    assert_send(&proxy);
    assert_sync(&proxy);
    let future = proxy.clone().call(get("/"));
    assert_send(&future);
    let service = proxy.layer(service_fn(inner));
    assert_sync(&service);
}
