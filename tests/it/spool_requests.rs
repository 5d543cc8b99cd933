//! `SpoolRequests` over scripted bodies.

use std::{convert::Infallible, pin::pin, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_gateway::{Body, ConcurrencyLimit, Error, ErrorKind, SpoolRequests, body::spool::Spool};

use crate::support::scripted;

/// Answers with what came: length if known, coding, body, trailers.
fn echo() -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync {
    service_fn(async |request: Request<Body>| {
        let (head, body) = request.into_parts();
        let exact = body.size_hint().exact();
        let length = head.headers.get("content-length").cloned();
        let coded = head.headers.contains_key("transfer-encoding");
        let collected = body.collect().await.unwrap();
        let trailers = collected.trailers().map_or(0, HeaderMap::len);
        let bytes = collected.to_bytes();
        let told = format!("{exact:?} {length:?} {coded} {trailers} {}", bytes.len());
        Ok(Response::new(Body::from(told)))
    })
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn the_inner_service_is_called_when_the_body_is_whole() {
    let limit = ConcurrencyLimit::new(1);
    let app = SpoolRequests::default().layer(limit.layer(echo()));
    let (feed, body) = scripted::channel();
    let mut response = pin!(app.oneshot(Request::new(body)));
    feed.data("half ");
    assert!(response.as_mut().now_or_never().is_none());
    assert_eq!(limit.in_use(), 0, "a slow client holds no permit");
    feed.data("whole");
    drop(feed);
    assert_eq!(
        text(response.await.unwrap()).await,
        "Some(10) None false 0 10"
    );
}

#[tokio::test]
async fn a_chunked_body_gets_a_length() {
    let app = SpoolRequests::default().layer(echo());
    let (feed, body) = scripted::channel();
    feed.data("hello");
    drop(feed);
    let request = Request::post("/")
        .header("transfer-encoding", "chunked")
        .body(body)
        .unwrap();
    let told = text(app.oneshot(request).await.unwrap()).await;
    assert_eq!(told, r#"Some(5) Some("5") false 0 5"#);
}

#[tokio::test]
async fn a_large_body_goes_through_a_file_and_trailers_come_along() {
    let spool = Spool::new().memory(10).limit(1 << 20);
    // Twice: what is in a file already is taken as it is.
    let app = SpoolRequests::new(spool.clone()).layer(SpoolRequests::new(spool).layer(echo()));
    let request = Request::new(Full::new(Bytes::from(vec![7; 100_000])));
    let told = text(app.clone().oneshot(request).await.unwrap()).await;
    assert_eq!(told, "Some(100000) None false 0 100000");

    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("7"));
    let body =
        Full::new(Bytes::from(vec![7; 100])).with_trailers(std::future::ready(Some(Ok(trailers))));
    let told = text(app.oneshot(Request::new(body)).await.unwrap()).await;
    assert!(told.ends_with("1 100"), "{told}");
}

#[tokio::test]
async fn a_request_without_a_body_passes_at_once() {
    let app = SpoolRequests::default().layer(service_fn(async |request: Request<Body>| {
        let length = request.body().size_hint().exact();
        Ok::<_, Infallible>(Response::new(Body::from(format!("{length:?}"))))
    }));
    // A body that says it is over is not asked for its end.
    let (_feed, body) = scripted::channel();
    let response = app
        .oneshot(Request::new(body.with_length(0)))
        .now_or_never()
        .unwrap()
        .unwrap();
    assert_eq!(text(response).await, "Some(0)");
}

/// RFC 9110 §7.8: "a client cannot begin using an upgraded protocol on the connection until it
/// has completely sent the request message". So its body is as slow as any other.
#[tokio::test]
async fn to_ask_for_an_upgrade_is_no_way_around() {
    let limit = ConcurrencyLimit::new(1);
    let app = SpoolRequests::default().layer(limit.layer(echo()));
    let (feed, body) = scripted::channel();
    let request = Request::post("/")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .body(body)
        .unwrap();
    let mut response = pin!(app.oneshot(request));
    feed.data("half ");
    assert!(response.as_mut().now_or_never().is_none());
    assert_eq!(limit.in_use(), 0, "a slow client holds no permit");
    drop(feed);
    assert_eq!(
        text(response.await.unwrap()).await,
        "Some(5) None false 0 5"
    );
}

/// A body in `gzip, chunked` is not what the application would take it for, and once the field
/// that says so is gone, nobody inside can tell.
#[tokio::test]
async fn a_transfer_coding_that_is_not_understood_is_refused() {
    let app = SpoolRequests::default().layer(echo());
    for coding in ["gzip, chunked", "gzip", "identity"] {
        let (feed, body) = scripted::channel();
        let request = Request::post("/")
            .header("transfer-encoding", coding)
            .body(body)
            .unwrap();
        let response = app
            .clone()
            .oneshot(request)
            .now_or_never()
            .unwrap()
            .unwrap();
        assert_eq!(response.status(), StatusCode::NOT_IMPLEMENTED, "{coding}");
        let kind = response.extensions().get::<Error>().unwrap().kind();
        assert_eq!(kind, ErrorKind::UnknownTransferCoding);
        assert!(!feed.is_wanted());
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_answered_with_its_reason() {
    let spool = Spool::new().limit(10).timeout(Duration::from_secs(5));
    let app = SpoolRequests::new(spool).layer(echo());

    let request = Request::new(Full::new(Bytes::from(vec![7; 11])));
    let large = app.clone().oneshot(request).await.unwrap();
    assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(large.headers()["connection"], "close");
    let kind = large.extensions().get::<Error>().unwrap().kind();
    assert_eq!(kind, ErrorKind::RequestBodyTooLarge);

    let (_feed, body) = scripted::channel();
    let mut request = Request::new(body);
    *request.version_mut() = Version::HTTP_2;
    let late = app.clone().oneshot(request).await.unwrap();
    assert_eq!(late.status(), StatusCode::REQUEST_TIMEOUT);
    assert!(
        !late.headers().contains_key("connection"),
        "HTTP/2 knows no such field"
    );

    let (feed, body) = scripted::channel();
    feed.error("reset");
    let broken = app.oneshot(Request::new(body)).await.unwrap();
    assert_eq!(broken.status(), StatusCode::BAD_REQUEST);
    let kind = broken.extensions().get::<Error>().unwrap().kind();
    assert_eq!(kind, ErrorKind::RequestBodyIncomplete);
}

#[tokio::test]
async fn a_client_that_goes_takes_its_body_along() {
    let app = SpoolRequests::default().layer(echo());
    let (feed, body) = scripted::channel();
    let mut response = Box::pin(app.oneshot(Request::new(body)));
    feed.data("half");
    assert!(response.as_mut().now_or_never().is_none());
    assert!(feed.is_wanted());
    drop(response);
    assert!(!feed.is_wanted());
}

#[tokio::test]
async fn an_error_or_a_panic_of_the_inner_service_stays_what_it_is() {
    let app = SpoolRequests::default().layer(service_fn(async |request: Request<Body>| {
        assert_ne!(request.uri(), "/panic", "as told");
        Err::<Response<Body>, _>("mine")
    }));
    let request = || Full::new(Bytes::from_static(b"body"));
    assert_eq!(
        app.clone()
            .oneshot(Request::new(request()))
            .await
            .unwrap_err(),
        "mine"
    );
    let panic = Request::get("/panic").body(request()).unwrap();
    assert!(
        tokio::spawn(app.oneshot(panic))
            .await
            .unwrap_err()
            .is_panic()
    );
}
