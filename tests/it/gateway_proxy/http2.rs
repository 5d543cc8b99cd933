//! Upstreams that speak HTTP/2: `h2c://` with prior knowledge, `h2://` inside TLS.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use tokio::sync::{Barrier, mpsc};
use tower::service_fn;
use tower_gateway::{
    Body, BoxError, ErrorKind, GatewayProxy,
    gateway_proxy::{Balance, Ejection, Tls, UpstreamHealth},
};

use super::{call, get, kind, post, text};
use crate::support::{
    server,
    tls::{Issuer, TlsUpstream},
};

async fn echo(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    assert_eq!(request.version(), Version::HTTP_2);
    Ok(Response::new(Body::new(request.into_body())))
}

pub type Frames = mpsc::Sender<Result<Frame<Bytes>, BoxError>>;

/// A body that is sent by hand.
pub fn channel() -> (Frames, Body) {
    let (sender, mut receiver) = mpsc::channel(1);
    let frames = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    (sender, Body::new(StreamBody::new(frames)))
}

pub fn data(text: &'static str) -> Result<Frame<Bytes>, BoxError> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

#[tokio::test]
async fn a_hundred_requests_share_one_connection() {
    let all_here = Arc::new(Barrier::new(100));
    let upstream = server::spawn(service_fn(move |request: Request<Incoming>| {
        let all_here = Arc::clone(&all_here);
        async move {
            assert_eq!(request.version(), Version::HTTP_2);
            // Nobody is answered before everybody has asked.
            all_here.wait().await;
            let peer = tower_gateway::PeerAddr::of(request.extensions());
            Ok(Response::new(Body::from(format!("{peer:?}"))))
        }
    }))
    .await;
    let proxy = GatewayProxy::to(&format!("h2c://{}", upstream.addr)).unwrap();
    let answers = (0..100).map(|_| async { text(call(&proxy, get("/")).await).await });
    let peers = join_all(answers).await;
    assert!(peers.iter().all(|peer| *peer == peers[0]), "{peers:?}");
}

#[tokio::test]
async fn the_client_is_answered_in_its_own_version() {
    let upstream = server::spawn(service_fn(echo)).await;
    let proxy = GatewayProxy::to(&format!("h2c://{}", upstream.addr)).unwrap();
    let response = call(&proxy, post("/", "hello")).await;
    assert_eq!(response.version(), Version::HTTP_11);
    assert_eq!(response.headers()["content-length"], "5");
    assert_eq!(text(response).await, "hello");
}

#[tokio::test]
async fn h2_is_http2_inside_tls_and_needs_an_upstream_that_chooses_it() {
    let issuer = Issuer::new();
    for (alpn, status) in [
        (&["h2", "http/1.1"][..], StatusCode::OK),
        (&["http/1.1"], StatusCode::BAD_GATEWAY),
        (&[], StatusCode::BAD_GATEWAY),
    ] {
        let acceptor = issuer.acceptor(&["localhost"], alpn);
        let upstream = TlsUpstream::serve(acceptor, service_fn(echo)).await;
        let url = format!("h2://localhost:{}", upstream.addr.port());
        let tls = Tls::new().roots_pem(issuer.pem().as_bytes()).unwrap();
        let proxy = GatewayProxy::to(&url).unwrap().tls(tls);
        let response = call(&proxy, post("/", "hello")).await;
        assert_eq!(response.status(), status, "{alpn:?}");
        if status != StatusCode::OK {
            assert_eq!(kind(&response), Some(ErrorKind::UpstreamConnect));
        }
    }
}

#[tokio::test]
async fn an_upstream_that_speaks_http1_is_502() {
    let upstream = crate::support::upstream::Upstream::echo().await;
    let proxy = GatewayProxy::to(&format!("h2c://{}", upstream.addr)).unwrap();
    let response = call(&proxy, get("/")).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn a_server_that_breaks_every_answer_off_is_ejected() {
    let breaks = service_fn(|_: Request<Incoming>| async {
        let (frames, body) = channel();
        tokio::spawn(async move {
            frames.send(data("half")).await.ok();
            frames.send(Err("out of luck".into())).await.ok();
        });
        Ok(Response::new(body))
    });
    let breaks = server::spawn(breaks).await;
    let good = server::spawn(service_fn(echo)).await;
    let urls = [&breaks, &good].map(|it| format!("h2c://{}", it.addr));
    let proxy = GatewayProxy::to_all(&urls)
        .unwrap()
        .balance(Balance::RoundRobin)
        .ejection(Ejection::new().consecutive(2));
    let handle = proxy.handle();
    for _ in 0..4 {
        let response = call(&proxy, get("/")).await;
        response.into_body().collect().await.ok();
    }
    let first = &handle.upstreams()[0];
    assert!(
        matches!(first.health, UpstreamHealth::Ejected(_)),
        "{first}"
    );
    assert_eq!(first.failures, 2);
}

#[tokio::test]
async fn trailers_pass_both_ways_without_being_announced() {
    let upstream = server::spawn(service_fn(echo)).await;
    let proxy = GatewayProxy::to(&format!("h2c://{}", upstream.addr)).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "1".parse().unwrap());
    let sent = trailers.clone();
    let body = Full::new(Bytes::from("hello")).with_trailers(async { Some(Ok(sent)) });
    let request = post("/", "").map(|_| body);
    let response = call(&proxy, request).await;
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers(), Some(&trailers));
}

/// As over HTTP/1.1. That one of them is there does not break the request, either.
#[tokio::test]
async fn trailers_that_frame_route_or_identify_pass_neither_way() {
    fn all(names: &[&'static str]) -> HeaderMap {
        let named = names
            .iter()
            .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("1")));
        named.collect()
    }
    let upstream = server::spawn(service_fn(|request: Request<Incoming>| async move {
        let body = request.into_body().collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        let names: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
        // Nobody takes an answer's trailers for CGI variables, and gRPC allows such names.
        let said = all(&[
            "x-sum",
            "my_key-bin",
            "set-cookie",
            "content-length",
            "x-forwarded-for",
        ]);
        let body = Full::new(Bytes::from(names.join(" ")));
        Ok(Response::new(
            body.with_trailers(async { Some(Ok::<_, Infallible>(said)) }),
        ))
    }))
    .await;
    let proxy = GatewayProxy::to(&format!("h2c://{}", upstream.addr)).unwrap();
    const BAD: [&str; 4] = [
        "x-forwarded-for",
        "authorization",
        "keep-alive",
        "script_name",
    ];
    let some = [&["x-sum"], &BAD[..]].concat();
    for (names, passed) in [(&some[..], "x-sum"), (&BAD, "")] {
        let sent = all(names);
        let body = Full::new(Bytes::from("hello")).with_trailers(async { Some(Ok(sent)) });
        let response = call(&proxy, post("/", "").map(|_| body)).await;
        assert_eq!(response.status(), StatusCode::OK);
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.trailers(), Some(&all(&["x-sum", "my_key-bin"])));
        assert_eq!(body.to_bytes(), passed);
    }
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_own_stream_and_no_other() {
    struct Open(Arc<AtomicUsize>, mpsc::UnboundedSender<()>);
    impl Drop for Open {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
            self.1.send(()).ok();
        }
    }
    let open = Arc::new(AtomicUsize::new(0));
    let (closing, mut closed) = mpsc::unbounded_channel();
    let counter = Arc::clone(&open);
    let upstream = server::spawn(service_fn(move |request: Request<Incoming>| {
        counter.fetch_add(1, Ordering::SeqCst);
        let guard = Open(Arc::clone(&counter), closing.clone());
        async move {
            let body = request.into_body().map_frame(move |frame| {
                let _open = &guard;
                frame
            });
            Ok::<_, Infallible>(Response::new(Body::new(body)))
        }
    }))
    .await;
    let proxy = GatewayProxy::to(&format!("h2c://{}", upstream.addr)).unwrap();
    let proxy = proxy.stream_requests();
    let (sender, body) = channel();
    let kept = call(&proxy, post("/", "").map(|_| body)).await;
    let (_other, body) = channel();
    let dropped = call(&proxy, post("/", "").map(|_| body)).await;
    assert_eq!(open.load(Ordering::SeqCst), 2);

    drop(dropped);
    closed.recv().await.unwrap();
    assert_eq!(open.load(Ordering::SeqCst), 1);
    sender.send(data("hello")).await.unwrap();
    drop(sender);
    assert_eq!(text(kept).await, "hello");
}

#[cfg(unix)]
#[tokio::test]
async fn over_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let serving = tokio::spawn(
        tower_gateway::serve::serve(
            listener,
            service_fn(
                |request: Request<tower_gateway::serve::RequestBody>| async move {
                    assert_eq!(request.version(), Version::HTTP_2);
                    Ok::<_, Infallible>(Response::new(Body::new(request.into_body())))
                },
            ),
        )
        .into_future(),
    );
    let proxy = GatewayProxy::to(&format!("h2c+unix:{}", path.display())).unwrap();
    assert_eq!(text(call(&proxy, post("/", "hello")).await).await, "hello");
    serving.abort();
}

#[tokio::test]
async fn those_whose_connection_broke_share_the_next_one() {
    use hyper::{server::conn::http2, service::service_fn};
    use hyper_util::rt::{TokioExecutor, TokioIo};

    const REQUESTS: usize = 50;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("h2c://{}", listener.local_addr().unwrap());
    let all_here = Arc::new(Barrier::new(REQUESTS + 1));
    let upstream = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            let arriving = Arc::clone(&all_here);
            let was_asked = AtomicBool::new(false);
            let service = service_fn(move |_| {
                let arriving = Arc::clone(&arriving);
                let is_first = !was_asked.swap(true, Ordering::Relaxed);
                async move {
                    if number == 0 && !is_first {
                        arriving.wait().await;
                        std::future::pending::<()>().await;
                    }
                    Ok::<_, Infallible>(Response::new(Body::from("ok")))
                }
            });
            let serving = http2::Builder::new(TokioExecutor::new());
            let serving = connections.spawn(async move {
                serving
                    .serve_connection(TokioIo::new(stream), service)
                    .await
                    .ok();
            });
            if number == 0 {
                all_here.wait().await;
                serving.abort();
            }
        }
    });
    let proxy = GatewayProxy::to(&url).unwrap();
    // One that has answered before, so that its end says nothing of the server.
    assert_eq!(text(call(&proxy, get("/")).await).await, "ok");
    let answers = (0..REQUESTS).map(|_| async { text(call(&proxy, get("/")).await).await });
    let answers = join_all(answers).await;
    assert!(answers.iter().all(|answer| answer == "ok"), "{answers:?}");
    assert_eq!(proxy.handle().upstreams()[0].connected, 2);
    upstream.abort();
}
