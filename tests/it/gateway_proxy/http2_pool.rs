//! How many HTTP/2 connections there are, and for how long.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::TcpListener,
    sync::{Barrier, Notify, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tower_gateway::{Body, ErrorKind, GatewayProxy};

use super::{call, get, kind, post, text};
use crate::support::{raw::PATIENCE, scripted};

/// An upstream whose connections are counted. The script is told the number of the connection.
struct Upstream {
    addr: SocketAddr,
    open: watch::Receiver<usize>,
    _tasks: JoinSet<()>,
}

impl Upstream {
    /// The first connection is broken off when `cut` says so.
    async fn spawn<F, Fut>(cut: Arc<Notify>, script: F) -> Self
    where
        F: Fn(usize, Request<Incoming>) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (counter, open) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                counter.send_modify(|open| *open += 1);
                let (script, cut, counter) = (script.clone(), Arc::clone(&cut), counter.clone());
                let service = hyper::service::service_fn(move |request| {
                    let answer = script(number, request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                connections.spawn(async move {
                    let server = http2::Builder::new(TokioExecutor::new());
                    let connection = server.serve_connection(TokioIo::new(stream), service);
                    tokio::select! {
                        _ = connection => {}
                        () = cut.notified(), if number == 0 => {}
                    }
                    counter.send_modify(|open| *open -= 1);
                });
            }
        });
        Self {
            addr,
            open,
            _tasks: tasks,
        }
    }

    async fn echo() -> Self {
        Self::spawn(Arc::default(), |_, request| async {
            Response::new(Body::new(request.into_body()))
        })
        .await
    }

    fn proxy(&self) -> GatewayProxy {
        GatewayProxy::to(&format!("h2c://{}", self.addr)).unwrap()
    }

    async fn until_open(&self, count: usize) {
        let mut open = self.open.clone();
        let reached = open.wait_for(|open| *open == count);
        let _open = timeout(PATIENCE, reached).await.unwrap().unwrap();
    }
}

fn connected(proxy: &GatewayProxy) -> u64 {
    proxy.handle().upstreams()[0].connected
}

#[tokio::test]
async fn requests_that_may_not_be_repeated_share_a_connection_as_well() {
    let all_here = Arc::new(Barrier::new(20));
    let upstream = Upstream::spawn(Arc::default(), move |_, request| {
        let all_here = Arc::clone(&all_here);
        async move {
            all_here.wait().await;
            Response::new(Body::new(request.into_body()))
        }
    })
    .await;
    let proxy = upstream.proxy();
    let calls = (0..20).map(|_| async { text(call(&proxy, post("/", "order")).await).await });
    for answer in join_all(calls).await {
        assert_eq!(answer, "order");
    }
    assert_eq!(connected(&proxy), 1);
}

#[tokio::test]
async fn a_connection_that_breaks_under_many_requests_is_replaced_by_one() {
    let arrived = Arc::new(AtomicUsize::new(0));
    let cut = Arc::new(Notify::new());
    let cutter = Arc::clone(&cut);
    let upstream = Upstream::spawn(cut, move |number, request| {
        let is_stuck = number == 0 && request.uri().path() == "/stuck";
        if is_stuck && arrived.fetch_add(1, Ordering::SeqCst) + 1 == 50 {
            cutter.notify_one();
        }
        async move {
            if is_stuck {
                std::future::pending::<()>().await;
            }
            Response::new(Body::from("ok"))
        }
    })
    .await;
    let proxy = upstream.proxy();
    text(call(&proxy, get("/")).await).await;
    let calls = (0..50).map(|_| async { text(call(&proxy, get("/stuck")).await).await });
    for answer in join_all(calls).await {
        assert_eq!(answer, "ok");
    }
    assert_eq!(connected(&proxy), 2);
}

#[tokio::test]
async fn a_new_connection_that_breaks_under_many_requests_fails_once() {
    let all_here = Arc::new(Barrier::new(20));
    let cut = Arc::new(Notify::new());
    let cutter = Arc::clone(&cut);
    let upstream = Upstream::spawn(cut, move |number, _| {
        let (all_here, cutter) = (Arc::clone(&all_here), Arc::clone(&cutter));
        async move {
            if number == 0 {
                if all_here.wait().await.is_leader() {
                    cutter.notify_one();
                }
                std::future::pending::<()>().await;
            }
            Response::new(Body::from("ok"))
        }
    })
    .await;
    let proxy = upstream.proxy();
    let calls = (0..20).map(|_| async { text(call(&proxy, get("/")).await).await });
    for answer in join_all(calls).await {
        assert_eq!(answer, "ok");
    }
    assert_eq!(connected(&proxy), 2);
    assert_eq!(proxy.handle().upstreams()[0].failures, 1);
}

#[tokio::test]
async fn a_connection_that_is_too_old_is_closed_behind_its_last_request() {
    let upstream = Upstream::echo().await;
    let proxy = upstream
        .proxy()
        .max_connection_age(Duration::from_millis(50));
    let (feed, body) = scripted::channel();
    let response = call(&proxy, post("/", "").map(|_| body)).await;
    let replaced = async {
        while connected(&proxy) == 1 {
            text(call(&proxy, get("/")).await).await;
        }
    };
    timeout(PATIENCE, replaced).await.unwrap();
    feed.data("still here");
    drop(feed);
    assert_eq!(text(response).await, "still here");
    // Nobody asks for another.
    upstream.until_open(0).await;
}

#[tokio::test]
async fn a_server_that_drains_keeps_no_connection() {
    let upstream = Upstream::echo().await;
    let proxy = upstream.proxy().idle_timeout(Duration::from_secs(3600));
    text(call(&proxy, get("/")).await).await;
    upstream.until_open(1).await;
    let url = format!("h2c://{}", upstream.addr);
    assert!(proxy.handle().drain(&url).unwrap());
    upstream.until_open(0).await;
}

/// Nobody has closed it behind anybody's back: it never was one.
#[tokio::test]
async fn a_new_connection_that_breaks_is_a_failure_of_the_server() {
    let upstream = crate::support::upstream::Upstream::spawn(|mut conn| async move {
        conn.fill().await;
    })
    .await;
    let proxy = GatewayProxy::to(&format!("h2c://{}", upstream.addr)).unwrap();
    let response = call(&proxy, post("/", "order")).await;
    assert_eq!(kind(&response), Some(ErrorKind::UpstreamReset));
    assert_eq!(proxy.handle().upstreams()[0].failures, 1);
}

#[tokio::test]
async fn one_connection_is_warm_enough() {
    let upstream = Upstream::echo().await;
    let proxy = upstream.proxy();
    let handle = proxy.handle();
    assert_eq!(handle.warm_up(3).await, 1);
    assert_eq!(handle.upstreams()[0].idle, 1);
    assert_eq!(handle.warm_up(3).await, 0);
    text(call(&proxy, get("/")).await).await;
    assert_eq!(connected(&proxy), 1);
}

/// What stands between may have forgotten it without a word.
#[tokio::test(start_paused = true)]
async fn a_connection_that_was_quiet_for_long_is_not_used_again() {
    let upstream = Upstream::spawn(Arc::default(), |number, request| async move {
        if number == 0 && request.uri().path() == "/late" {
            std::future::pending::<()>().await;
        }
        Response::new(Body::from("ok"))
    })
    .await;
    let proxy = upstream.proxy();
    for _ in 0..10 {
        assert_eq!(text(call(&proxy, get("/")).await).await, "ok");
        sleep(Duration::from_secs(15)).await;
    }
    assert_eq!(connected(&proxy), 1);
    sleep(Duration::from_secs(600)).await;
    assert_eq!(proxy.handle().upstreams()[0].idle, 0);
    upstream.until_open(0).await;
    assert_eq!(text(call(&proxy, get("/late")).await).await, "ok");
    assert_eq!(connected(&proxy), 2);
}

#[tokio::test]
async fn a_connection_that_the_upstream_has_closed_is_not_idle() {
    let cut = Arc::new(Notify::new());
    let upstream = Upstream::spawn(Arc::clone(&cut), |_, _| async {
        Response::new(Body::from("ok"))
    })
    .await;
    let proxy = upstream.proxy();
    text(call(&proxy, get("/")).await).await;
    assert_eq!(proxy.handle().upstreams()[0].idle, 1);
    cut.notify_one();
    let noticed = async {
        while proxy.handle().upstreams()[0].idle > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, noticed).await.unwrap();
}

/// RFC 9113 §6.5.2: "A value of 0 for SETTINGS_MAX_CONCURRENT_STREAMS SHOULD NOT be treated as
/// special by endpoints. [...] Servers SHOULD only set a zero value for short durations".
#[tokio::test(start_paused = true)]
async fn a_server_that_takes_no_request_for_now_is_not_connected_to_for_each() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("h2c://{}", listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&accepted);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            let service = hyper::service::service_fn(|_| async {
                Ok::<_, Infallible>(Response::new(Body::from("ok")))
            });
            connections.spawn(
                http2::Builder::new(TokioExecutor::new())
                    .max_concurrent_streams(0)
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    let proxy = GatewayProxy::to(&url).unwrap();
    let proxy = proxy.response_timeout(Duration::from_millis(100));
    for _ in 0..20 {
        assert_eq!(call(&proxy, get("/")).await.status(), 504);
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}
