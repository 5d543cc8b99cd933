//! How long connections live, what they carry, and how many there are, with several upstreams.

use std::time::Duration;

use http::{Method, Request};
use http_body_util::BodyExt;
use tokio::time::Instant;
use tower::ServiceExt;
use tower_gateway::{ErrorKind, gateway_proxy::Balance};

use super::{ask, call, get, kind, post, text, to, to_these};
use crate::support::upstream::Upstream;

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_too_old_is_used_no_more() {
    let upstream = Upstream::named("a").await;
    let proxy = to(&upstream)
        .idle_timeout(Duration::MAX)
        .max_connection_age(Duration::from_secs(100));
    for second in 0..300 {
        ask(&proxy).await;
        assert_eq!(upstream.counts().accepted, 1 + second / 100, "{second}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // What got too old while it was used does not come back.
    let response = call(&proxy, get("/")).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    text(response).await;
    upstream.deserted().await;
}

#[tokio::test]
async fn a_connection_carries_so_many_requests() {
    let upstream = Upstream::named("a").await;
    let proxy = to(&upstream).max_connection_requests(3);
    for request in 0..10 {
        ask(&proxy).await;
        assert_eq!(upstream.counts().accepted, 1 + request / 3);
    }
    let proxy = to(&upstream).max_connection_requests(1);
    ask(&proxy).await;
    assert_eq!(proxy.handle().upstreams()[0].idle, 0);
}

#[tokio::test]
async fn a_kept_connection_may_be_used_for_every_request() {
    for (proxy_of, connections) in [(false, 11), (true, 1)] {
        let upstream = Upstream::named("a").await;
        let proxy = match proxy_of {
            false => to(&upstream),
            true => to(&upstream).reuse_for_every_request(),
        };
        ask(&proxy).await;
        for _ in 0..10 {
            assert_eq!(text(call(&proxy, post("/", "order")).await).await, "a");
        }
        assert_eq!(upstream.counts().accepted, connections);
    }
}

#[tokio::test]
async fn no_connection_is_kept_where_none_is_to_be() {
    let upstream = Upstream::named("a").await;
    let proxy = to(&upstream).max_idle(0);
    for request in 1..=5 {
        ask(&proxy).await;
        assert_eq!(upstream.counts().accepted, request);
        assert_eq!(proxy.handle().upstreams()[0].idle, 0);
    }
    upstream.deserted().await;
    assert_eq!(proxy.handle().warm_up(3).await, 0);
    upstream.deserted().await;
}

#[tokio::test(start_paused = true)]
async fn with_all_servers_full_one_waits_for_so_long() {
    let [a, b] = [Upstream::named("a").await, Upstream::named("b").await];
    for policy in [
        Balance::PeakEwma,
        Balance::RoundRobin,
        Balance::LeastConnections,
    ] {
        let proxy = to_these([&a, &b])
            .balance(policy)
            .max_connections(2)
            .pool_timeout(Duration::from_secs(3));
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(call(&proxy, get("/")).await);
        }
        let start = Instant::now();
        let response = call(&proxy, get("/")).await;
        assert_eq!(start.elapsed().as_secs(), 3);
        assert_eq!(response.status(), 503);
        assert_eq!(kind(&response), Some(ErrorKind::UpstreamBusy));
        // Nobody failed: it is this proxy that would send no more.
        let servers = proxy.handle().upstreams();
        assert!(servers.iter().all(|it| it.failures == 0 && it.waiting == 0));
        assert!(servers.iter().all(|it| it.in_use == 2 && it.in_flight == 2));

        let waits = tokio::spawn(proxy.clone().oneshot(get("/")));
        tokio::task::yield_now().await;
        let waiting: usize = proxy.handle().upstreams().iter().map(|it| it.waiting).sum();
        assert_eq!(waiting, 1);
        for response in held {
            text(response).await;
        }
        let response = waits.await.unwrap().unwrap();
        assert_eq!(response.status(), 200);
        assert!(start.elapsed() < Duration::from_secs(6));
        text(response).await;
    }
}

/// The limit is each server's own.
#[tokio::test]
async fn each_server_has_its_own_connections() {
    let [a, b] = [Upstream::named("a").await, Upstream::named("b").await];
    let proxy = to_these([&a, &b]).max_connections(3);
    let mut held = Vec::new();
    for _ in 0..6 {
        held.push(call(&proxy, get("/")).await);
    }
    assert_eq!((a.counts().open, b.counts().open), (3, 3));
    for response in held {
        assert_eq!(response.status(), 200);
        text(response).await;
    }
    drop(proxy);
    a.deserted().await;
    b.deserted().await;
}

#[cfg(feature = "http2")]
mod http2 {
    use std::{
        convert::Infallible,
        sync::{Arc, Mutex},
    };

    use http::Response;
    use hyper::body::Incoming;
    use tower::service_fn;
    use tower_gateway::{Body, GatewayProxy, PeerAddr};

    use super::*;
    use crate::support::server;

    /// RFC 9113 §9.1: "Clients SHOULD NOT open more than one HTTP/2 connection to a given host and
    /// port pair".
    #[tokio::test]
    async fn all_methods_share_a_connection() {
        let peers = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&peers);
        let upstream = server::spawn(service_fn(move |request: Request<Incoming>| {
            let peer = PeerAddr::of(request.extensions());
            seen.lock().unwrap().push(peer);
            async move { Ok::<_, Infallible>(Response::new(Body::new(request.into_body()))) }
        }))
        .await;
        let proxy = GatewayProxy::to(&format!("h2c://{}", upstream.addr)).unwrap();
        for method in [Method::GET, Method::POST, Method::PATCH, Method::PUT] {
            for _ in 0..5 {
                let mut request = post("/", "order");
                *request.method_mut() = method.clone();
                let response = call(&proxy, request).await;
                let body = response.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(body, "order");
            }
        }
        assert_eq!(proxy.handle().upstreams()[0].connected, 1);
        let peers = peers.lock().unwrap();
        assert_eq!(peers.len(), 20);
        assert!(peers.iter().all(|peer| *peer == peers[0]));
    }
}
