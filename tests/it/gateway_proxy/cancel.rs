//! A request that ends before its time: dropped at every point, panicked, or drained. Nothing is
//! left of it: no connection, no permit, no place in a queue, no task.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::{
    io::AsyncWriteExt,
    runtime::Handle,
    sync::watch,
    task::{JoinSet, yield_now},
    time::timeout,
};
use tower::{Layer, ServiceExt, service_fn};
use tower_gateway::{
    Body, BoxError, GatewayProxy,
    gateway_proxy::{Buffering, UpstreamStatus},
};

use super::{call, get, post, text, to};
use crate::support::{
    raw::{PATIENCE, read_answer},
    scripted,
    steps::Steps,
    upstream::{Conn, Upstream},
};

/// More polls than anything here needs.
const MANY: usize = 200;

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

fn status(proxy: &GatewayProxy) -> UpstreamStatus {
    proxy.handle().upstreams().remove(0)
}

/// Nobody uses, has or waits for a connection.
fn assert_free(proxy: &GatewayProxy, when: &str) {
    for status in proxy.handle().upstreams() {
        let counts = (status.in_use, status.in_flight, status.waiting);
        assert_eq!(counts, (0, 0, 0), "{when}");
    }
}

async fn until_tasks(count: usize, when: &str) {
    let reached = async {
        while tasks() > count {
            yield_now().await;
        }
    };
    let reached = timeout(PATIENCE, reached).await;
    reached.unwrap_or_else(|_| panic!("{} tasks instead of {count} {when}", tasks()));
}

/// An upstream that says what it has to say in small steps, each of which can be seen.
async fn slow() -> Upstream {
    Upstream::spawn(|mut conn: Conn| async move {
        while conn.request().await.is_some() {
            for piece in [
                "HTTP/1.1 102 Processing\r\n\r\n",
                "HTTP/1.1 200 ",
                "OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                "3\r\none",
                "\r\n3\r\n",
                "two\r\n",
                "0\r\nx-sum: 1\r\n",
                "\r\n",
            ] {
                conn.write(piece).await;
                yield_now().await;
                yield_now().await;
            }
        }
    })
    .await
}

fn put(body: &'static str) -> Request<Body> {
    let mut request = post("/", body).map(Body::new);
    *request.method_mut() = http::Method::PUT;
    request
}

fn streamed() -> Request<Body> {
    let (feed, body) = scripted::channel();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "1".parse().unwrap());
    feed.data("one");
    feed.data("two");
    post("/", "").map(|_| Body::new(body.with_trailers(async { Some(Ok(trailers)) })))
}

/// Polls a future `n` times and drops it, for each `n` until it is over; then all has to be free.
async fn dropped_at_every_poll<F: Future>(
    proxy: &GatewayProxy,
    upstreams: &[&Upstream],
    future: impl Fn() -> F,
) {
    // What there is once for all: reapers, pools.
    future().await;
    for upstream in upstreams {
        upstream.deserted().await;
    }
    assert_free(proxy, "before");
    let before = tasks();
    for polls in 0..MANY {
        let when = format!("after {polls} polls");
        let mut steps = Steps::new(future());
        let mut is_over = false;
        for _ in 0..polls {
            is_over = steps.step().await.is_some();
            if is_over {
                break;
            }
        }
        drop(steps);
        assert_free(proxy, &when);
        for upstream in upstreams {
            upstream.deserted().await;
        }
        until_tasks(before, &when).await;
        if is_over {
            return;
        }
    }
    panic!("it takes more than {MANY} polls");
}

#[tokio::test]
async fn a_request_that_is_dropped_at_any_await_leaves_nothing() {
    let upstream = slow().await;
    for streams in [false, true] {
        for buffering in [Buffering::new(), Buffering::off()] {
            let proxy = to(&upstream).max_idle(0).buffering(buffering);
            let proxy = match streams {
                true => proxy.stream_requests(),
                false => proxy,
            };
            let upstreams = [&upstream];
            let exchange = |request: fn() -> Request<Body>| {
                let proxy = proxy.clone();
                move || {
                    let proxy = proxy.clone();
                    async move {
                        let response = call(&proxy, request()).await;
                        response.into_body().collect().await.unwrap()
                    }
                }
            };
            dropped_at_every_poll(&proxy, &upstreams, exchange(|| get("/"))).await;
            dropped_at_every_poll(&proxy, &upstreams, exchange(|| put("body"))).await;
            dropped_at_every_poll(&proxy, &upstreams, exchange(streamed)).await;
        }
    }
}

#[tokio::test]
async fn a_request_that_is_tried_again_and_dropped_leaves_nothing() {
    let broken = Upstream::spawn(|mut conn: Conn| async move {
        conn.request().await;
        conn.write("HTTP/1.1 200").await;
    })
    .await;
    let upstream = slow().await;
    let proxy = GatewayProxy::to_all([broken.url(), upstream.url()]).unwrap();
    let ejection = tower_gateway::gateway_proxy::Ejection::off();
    let proxy = proxy.max_idle(0).ejection(ejection);
    dropped_at_every_poll(&proxy, &[&broken, &upstream], || async {
        text(call(&proxy, put("body")).await).await
    })
    .await;
}

#[tokio::test]
async fn a_request_that_is_dropped_while_it_waits_leaves_its_place() {
    let upstream = slow().await;
    let proxy = to(&upstream).max_connections(1).max_waiting(1).max_idle(0);
    for round in 0..3 {
        let first = call(&proxy, get("/")).await;
        for polls in 0..4 {
            let mut waiting = Steps::new(call(&proxy, get("/")));
            for _ in 0..polls {
                assert!(waiting.step().await.is_none());
            }
            let expected = usize::from(polls > 0);
            assert_eq!(status(&proxy).waiting, expected, "round {round}");
            drop(waiting);
            assert_eq!(status(&proxy).waiting, 0, "round {round}");
            assert_eq!(status(&proxy).in_flight, 1, "round {round}");
        }
        text(first).await;
        assert_free(&proxy, "after all");
    }
    upstream.deserted().await;
}

#[tokio::test]
async fn a_body_that_is_dropped_after_any_frame_leaves_nothing() {
    let upstream = slow().await;
    for buffering in [Buffering::new(), Buffering::off()] {
        let proxy = to(&upstream).max_idle(0).buffering(buffering);
        for frames in 0.. {
            let when = format!("after {frames} frames");
            let mut body = call(&proxy, put("body")).await.into_body();
            let mut is_over = false;
            for _ in 0..frames {
                is_over = body.frame().await.is_none();
            }
            drop(body);
            assert_free(&proxy, &when);
            upstream.deserted().await;
            if is_over {
                break;
            }
        }
    }
}

#[cfg(feature = "http2")]
#[tokio::test]
async fn a_request_over_http2_that_is_dropped_at_any_await_leaves_its_connection() {
    let upstream = crate::support::server::spawn(service_fn(
        |request: Request<hyper::body::Incoming>| async move {
            Ok(http::Response::new(Body::new(request.into_body())))
        },
    ))
    .await;
    let proxy = GatewayProxy::to(&format!("h2c://{}", upstream.addr)).unwrap();
    let proxy = proxy.idle_timeout(Duration::MAX);
    let exchange = || async {
        let response = call(&proxy, streamed()).await;
        response.into_body().collect().await.unwrap()
    };
    exchange().await;
    assert_free(&proxy, "before");
    let (before, connected) = (tasks(), status(&proxy).connected);
    for polls in 0.. {
        let when = format!("after {polls} polls");
        let mut steps = Steps::new(exchange());
        let mut is_over = false;
        for _ in 0..polls {
            is_over = steps.step().await.is_some();
            if is_over {
                break;
            }
        }
        drop(steps);
        assert_free(&proxy, &when);
        until_tasks(before, &when).await;
        if is_over {
            break;
        }
    }
    assert_eq!(status(&proxy).connected, connected);
}

/// Gives some frames, and panics.
struct Panics {
    frames: usize,
}

impl http_body::Body for Panics {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        assert!(self.frames > 0, "on purpose");
        self.frames -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"data")))))
    }
}

#[tokio::test]
async fn a_request_body_that_panics_leaves_nothing() {
    let upstream = slow().await;
    for proxy in [to(&upstream), to(&upstream).stream_requests()] {
        for frames in 0..3 {
            let request = post("/", "").map(|_| Panics { frames });
            let client = proxy.clone();
            let panicked = tokio::spawn(async move { call(&client, request).await }).await;
            assert!(panicked.unwrap_err().is_panic());
            assert_free(&proxy, "after a panic");
            upstream.deserted().await;
        }
        assert_eq!(text(call(&proxy, get("/")).await).await, "onetwo");
    }
}

#[tokio::test]
async fn a_request_body_that_panics_during_the_answer_leaves_nothing() {
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        conn.head().await;
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
            .await;
        conn.closed().await;
    })
    .await;
    let proxy = to(&upstream).stream_requests();
    let (go, mut gone) = watch::channel(false);
    let body = http_body_util::StreamBody::new(futures_util::stream::once(Box::pin(async move {
        gone.wait_for(|gone| *gone).await?;
        panic!("on purpose");
        #[allow(unreachable_code)]
        Ok::<Frame<Bytes>, BoxError>(Frame::data(Bytes::new()))
    })));
    let response = call(&proxy, post("/", "").map(|_| body)).await;
    let reading = tokio::spawn(response.into_body().collect());
    go.send(true).unwrap();
    assert!(reading.await.unwrap_err().is_panic());
    assert_free(&proxy, "after a panic");
    upstream.deserted().await;
}

#[tokio::test]
async fn an_inner_service_that_panics_holds_nothing_of_the_proxy() {
    let upstream = slow().await;
    let proxy = to(&upstream).at("/up").max_idle(0);
    let inner = service_fn(|_: Request<Body>| async {
        panic!("on purpose");
        #[allow(unreachable_code)]
        Ok::<_, std::convert::Infallible>(http::Response::new(Body::empty()))
    });
    let service = proxy.layer(inner);
    let panicked = tokio::spawn(service.clone().oneshot(get("/own"))).await;
    assert!(panicked.unwrap_err().is_panic());
    let response = service.oneshot(get("/up")).await.unwrap();
    assert_eq!(text(response).await, "onetwo");
    assert_free(&proxy, "after all");
    upstream.deserted().await;
}

/// One is in the body of its answer, one waits for its head, one for a connection.
#[tokio::test]
async fn a_server_that_shuts_down_finishes_what_is_in_flight() {
    let (go, gone) = watch::channel(false);
    let upstream = Upstream::spawn(move |mut conn: Conn| {
        let mut gone = gone.clone();
        async move {
            while let Some(request) = conn.request().await {
                if request.starts_with("GET /body ") {
                    conn.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
                        .await;
                    gone.wait_for(|gone| *gone).await.unwrap();
                    conn.write("more").await;
                } else {
                    gone.wait_for(|gone| *gone).await.unwrap();
                    conn.answer("halfmore").await;
                }
            }
        }
    })
    .await;
    let proxy = to(&upstream).max_connections(2);
    let (shut, down) = watch::channel(false);
    let mut servers = JoinSet::new();
    let mut clients = Vec::new();
    for path in ["/body", "/head", "/waits"] {
        let (mut near, far) = tokio::io::duplex(1024);
        let service = hyper_util::service::TowerToHyperService::new(proxy.clone());
        let mut down = down.clone();
        servers.spawn(async move {
            let server = hyper::server::conn::http1::Builder::new();
            let connection = server.serve_connection(hyper_util::rt::TokioIo::new(far), service);
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                served = connection.as_mut() => served,
                () = async { drop(down.wait_for(|down| *down).await) } => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        });
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        near.write_all(request.as_bytes()).await.unwrap();
        clients.push(near);
        let in_flight = clients.len();
        let arrived = async {
            while status(&proxy).in_flight < in_flight {
                yield_now().await;
            }
        };
        timeout(PATIENCE, arrived).await.unwrap();
    }
    upstream.until(|counts| counts.requests == 2).await;
    assert_eq!(status(&proxy).waiting, 1);
    shut.send(true).unwrap();
    yield_now().await;
    go.send(true).unwrap();
    for client in &mut clients {
        let answer = read_answer(client, false).await;
        assert_eq!(
            (answer.text().as_str(), answer.complete),
            ("halfmore", true)
        );
    }
    while let Some(served) = servers.join_next().await {
        served.unwrap().unwrap();
    }
    assert_free(&proxy, "after all");
    drop(proxy);
    upstream.deserted().await;
}
