//! Who is late, and who is told so: a server is not to blame for its clients, nor for a queue.

use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use tokio::time::{Instant, advance};
use tower_gateway::{
    Body, Error, ErrorKind, GatewayProxy,
    gateway_proxy::{Balance, Buffering, Retries, UpstreamHealth},
};

use super::{call, get, kind, text, to};
use crate::support::{
    scripted,
    upstream::{Conn, Upstream},
};

const SECOND: Duration = Duration::from_secs(1);

/// A body of which nothing comes.
fn stalled() -> (scripted::Feed, Request<Body>) {
    let (feed, body) = scripted::channel();
    let request = Request::post("/").header("host", "a");
    (feed, request.body(Body::new(body)).unwrap())
}

/// Answers each request after a while.
async fn slow(pause: Duration) -> Upstream {
    Upstream::spawn(move |mut conn: Conn| async move {
        while conn.request().await.is_some() {
            tokio::time::sleep(pause).await;
            conn.answer("ok").await;
        }
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn while_a_request_pauses_between_two_tries_others_have_its_turn() {
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        while let Some(request) = conn.request().await {
            if request.starts_with("GET /reset") {
                return conn.reset();
            }
            conn.answer("ok").await;
        }
    })
    .await;
    let pause = 10 * SECOND;
    let proxy = to(&upstream)
        .max_connections(1)
        .pool_timeout(SECOND)
        .retries(Retries::new().backoff(pause, pause));
    let first = tokio::spawn({
        let proxy = proxy.clone();
        async move { call(&proxy, get("/reset")).await }
    });
    upstream.until(|counts| counts.requests == 1).await;
    let start = Instant::now();
    assert_eq!(text(call(&proxy, get("/")).await).await, "ok");
    assert!(start.elapsed() < SECOND, "{:?}", start.elapsed());
    assert!(!first.is_finished());
    first.abort();
}

/// It takes what it is given, and is never waited for.
#[tokio::test(start_paused = true)]
async fn beyond_the_total_time_a_client_that_is_slow_gets_no_more() {
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        conn.request().await;
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
            .await;
        while !conn.is_closed() {
            conn.write(vec![b'x'; 1 << 16]).await;
        }
    })
    .await;
    let proxy = to(&upstream).total_timeout(5 * SECOND);
    let mut body = call(&proxy.buffering(Buffering::off()), get("/"))
        .await
        .into_body();
    for _ in 0..3 {
        body.frame().await.unwrap().unwrap();
        advance(SECOND).await;
    }
    advance(2 * SECOND).await;
    let error = body.frame().await.unwrap().unwrap_err();
    let error = error.downcast::<Error>().unwrap();
    assert_eq!(error.kind(), ErrorKind::UpstreamTimeout);
    upstream.deserted().await;
}

#[tokio::test(start_paused = true)]
async fn time_that_was_lost_in_the_queue_is_not_the_fault_of_who_is_asked_then() {
    let slow = slow(SECOND).await;
    let proxy = to(&slow)
        .max_connections(1)
        .pool_timeout(10 * SECOND)
        .total_timeout(Duration::from_millis(2700))
        .retries(Retries::none());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let proxy = proxy.clone();
        tasks.spawn(async move { call(&proxy, get("/")).await.status().as_u16() });
    }
    let mut statuses = tasks.join_all().await;
    statuses.sort_unstable();
    // Two have been answered, one was asked too late, and the others have not had their turn.
    assert_eq!(statuses[..3], [200, 200, 503]);
    assert_eq!(statuses[11], 504);
    let status = proxy.handle().upstreams().remove(0);
    assert_eq!((status.failures, status.health), (0, UpstreamHealth::Up));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_had_all_the_time_there_was_is_to_blame() {
    let slow = slow(60 * SECOND).await;
    let proxy = to(&slow).total_timeout(SECOND).retries(Retries::none());
    let response = call(&proxy, get("/")).await;
    assert_eq!(kind(&response), Some(ErrorKind::UpstreamTimeout));
    assert_eq!(proxy.handle().upstreams()[0].failures, 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_send_its_body_in_time_is_told_so() {
    let reads = Upstream::spawn(|mut conn: Conn| async move {
        conn.head().await;
        conn.closed().await;
    })
    .await;
    let proxy = to(&reads).stream_requests().total_timeout(SECOND);
    let (_feed, request) = stalled();
    let response = call(&proxy, request).await;
    assert_eq!(response.status(), 408);
    assert_eq!(kind(&response), Some(ErrorKind::RequestBodyTimeout));
    assert_eq!(proxy.handle().upstreams()[0].failures, 0);
}

#[cfg(feature = "http2")]
#[tokio::test(start_paused = true)]
async fn also_over_http2() {
    use std::convert::Infallible;

    use http::Response;
    use hyper::body::Incoming;

    let reads =
        crate::support::server::spawn(tower::service_fn(|request: Request<Incoming>| async move {
            let _whole = request.into_body().collect().await;
            Ok::<_, Infallible>(Response::new(Body::empty()))
        }))
        .await;
    let proxy = GatewayProxy::to(&format!("h2c://{}", reads.addr)).unwrap();
    let proxy = proxy.total_timeout(SECOND);
    let (_feed, request) = stalled();
    let response = call(&proxy, request).await;
    assert_eq!(kind(&response), Some(ErrorKind::RequestBodyTimeout));
    assert_eq!(proxy.handle().upstreams()[0].failures, 0);

    let endless =
        crate::support::server::spawn(tower::service_fn(|_: Request<Incoming>| async move {
            let whole = bytes::Bytes::from(vec![b'x'; 8 << 20]);
            Ok::<_, Infallible>(Response::new(Body::from(whole)))
        }))
        .await;
    let proxy = GatewayProxy::to(&format!("h2c://{}", endless.addr)).unwrap();
    let proxy = proxy.total_timeout(SECOND).buffering(Buffering::off());
    let mut body = call(&proxy, get("/")).await.into_body();
    body.frame().await.unwrap().unwrap();
    advance(SECOND).await;
    let error = body.frame().await.unwrap().unwrap_err();
    let error = error.downcast::<Error>().unwrap();
    assert_eq!(error.kind(), ErrorKind::UpstreamTimeout);
}

/// How long that takes says how fast the client is.
#[tokio::test(start_paused = true)]
async fn a_slow_upload_makes_no_server_look_slow() {
    let echo = Upstream::echo().await;
    let proxy = to(&echo).balance(Balance::PeakEwma).stream_requests();
    let (feed, request) = stalled();
    let uploading = tokio::spawn({
        let proxy = proxy.clone();
        async move { call(&proxy, request).await }
    });
    echo.until(|counts| counts.accepted == 1).await;
    advance(30 * SECOND).await;
    feed.data("late");
    drop(feed);
    assert_eq!(uploading.await.unwrap().status(), 200);
    let latency = proxy.handle().upstreams()[0].latency;
    assert!(latency < SECOND, "{latency:?}");
}
