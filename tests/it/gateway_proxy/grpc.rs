//! gRPC calls through the whole stack: an HTTP/2 client, `serve`, the proxy, an h2c upstream.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use tokio::{
    io::AsyncWriteExt,
    sync::{Barrier, mpsc, watch},
    time::timeout,
};
use tower::service_fn;
use tower_gateway::{Body, BoxError, GatewayProxy, gateway_proxy::Handle};

use super::http2::{Frames, channel, data};
use crate::support::{
    alone::settled,
    front::Front,
    raw::{PATIENCE, read_answer},
    server::{self, TestServer},
};

/// An application, what stands before it, and a client.
struct Stack {
    client: SendRequest<Body>,
    handle: Handle,
    front: Front,
    _upstream: TestServer,
}

impl Stack {
    async fn new<F, Fut>(application: F) -> Self
    where
        F: Fn(Request<Incoming>) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::with(application, |proxy| proxy).await
    }

    async fn with<F, Fut>(
        application: F,
        options: impl FnOnce(GatewayProxy) -> GatewayProxy,
    ) -> Self
    where
        F: Fn(Request<Incoming>) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Response<Body>> + Send + 'static,
    {
        let upstream = server::spawn(service_fn(move |request: Request<Incoming>| {
            assert_eq!(request.version(), Version::HTTP_2);
            let answering = application(request);
            async { Ok::<_, Infallible>(answering.await) }
        }))
        .await;
        let proxy = GatewayProxy::to(&format!("h2c://{}", upstream.addr)).unwrap();
        let proxy = options(proxy);
        let handle = proxy.handle();
        let front = Front::start(proxy).await;
        Self {
            client: front.http2(1 << 20).await,
            handle,
            front,
            _upstream: upstream,
        }
    }

    async fn call(&mut self, body: Body) -> Response<Incoming> {
        let call = self.client.send_request(request(body));
        timeout(PATIENCE, call).await.expect("an answer").unwrap()
    }

    /// Waits until no call is with the upstream.
    async fn is_idle(&self) {
        let told = settled(|| {
            let upstream = self.handle.upstreams().remove(0);
            (upstream.in_use + upstream.in_flight > 0).then(|| format!("{upstream:?}"))
        });
        told.await.unwrap();
    }
}

fn request(body: Body) -> Request<Body> {
    Request::post("http://localhost/package.Service/Method")
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
        .header("grpc-timeout", "5S")
        .body(body)
        .unwrap()
}

fn answer(body: Body) -> Response<Body> {
    let response = Response::builder().header("content-type", "application/grpc+proto");
    response.body(body).unwrap()
}

fn status(code: &'static str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(code));
    trailers
}

fn ending(
    body: impl http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
) -> Body {
    Body::new(body.with_trailers(async { Some(Ok(status("0"))) }))
}

/// Reads a body of messages to its end: the messages in one, and the status.
async fn read(answer: Response<Incoming>) -> (Bytes, String) {
    let body = timeout(PATIENCE, answer.into_body().collect()).await;
    let body = body.expect("the end of the answer").unwrap();
    let trailers = body.trailers().expect("trailers");
    let status = trailers["grpc-status"].to_str().unwrap().to_owned();
    (body.to_bytes(), status)
}

#[tokio::test]
async fn a_unary_call_is_told_of_what_it_was_sent() {
    let mut stack = Stack::new(|request: Request<Incoming>| async {
        for (name, value) in [
            ("te", "trailers"),
            ("content-type", "application/grpc+proto"),
            ("grpc-timeout", "5S"),
        ] {
            assert_eq!(request.headers()[name], value);
        }
        assert_eq!(request.uri().path(), "/package.Service/Method");
        answer(ending(request.into_body()))
    })
    .await;
    for message in ["", "a message"] {
        let answer = stack.call(Body::from(message)).await;
        assert_eq!(answer.headers()["content-type"], "application/grpc+proto");
        assert_eq!(read(answer).await, (Bytes::from(message), "0".to_owned()));
    }
    stack.is_idle().await;
}

#[tokio::test]
async fn each_message_of_a_stream_is_there_before_the_next_is_sent() {
    let (sender, seen) = watch::channel(0);
    let mut stack = Stack::new(move |_| {
        let mut seen = seen.clone();
        async move {
            let (sender, body) = channel();
            tokio::spawn(async move {
                for number in 1..=20 {
                    sender.send(data("message")).await.unwrap();
                    seen.wait_for(|seen| *seen >= number).await.unwrap();
                }
                sender.send(Ok(Frame::trailers(status("0")))).await.unwrap();
            });
            answer(body)
        }
    })
    .await;
    let mut body = stack.call(Body::from("go on")).await.into_body();
    for number in 1..=20 {
        let frame = timeout(PATIENCE, body.frame()).await.expect("a message");
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "message");
        sender.send_replace(number);
    }
    let end = body.frame().await.unwrap().unwrap();
    assert_eq!(end.into_trailers().unwrap()["grpc-status"], "0");
    stack.is_idle().await;
}

#[tokio::test]
async fn a_client_streams_and_nothing_is_collected_on_the_way() {
    let (seen, mut messages) = mpsc::unbounded_channel();
    let mut stack = Stack::new(move |request: Request<Incoming>| {
        let seen = seen.clone();
        async move {
            let mut body = request.into_body();
            let mut count = 0;
            while let Some(frame) = body.frame().await {
                let Ok(data) = frame.unwrap().into_data() else {
                    continue;
                };
                if !data.is_empty() {
                    count += 1;
                    seen.send(data).unwrap();
                }
            }
            answer(ending(Body::from(format!("{count}"))))
        }
    })
    .await;
    let (sender, body) = channel();
    let sending = async {
        for _ in 0..20 {
            sender.send(data("message")).await.unwrap();
            let message = timeout(PATIENCE, messages.recv()).await;
            assert_eq!(message.expect("it is spooled").unwrap(), "message");
        }
        drop(sender);
    };
    let (answer, ()) = tokio::join!(stack.call(body), sending);
    assert_eq!(read(answer).await, (Bytes::from("20"), "0".to_owned()));
    stack.is_idle().await;
}

#[tokio::test]
async fn both_speak_at_once() {
    let mut stack =
        Stack::new(|request: Request<Incoming>| async { answer(ending(request.into_body())) })
            .await;
    let (sender, body) = channel();
    // The answer begins before the first message.
    let mut body = stack.call(body).await.into_body();
    for _ in 0..20 {
        sender.send(data("ping")).await.unwrap();
        let frame = timeout(PATIENCE, body.frame()).await.expect("a message");
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "ping");
    }
    drop(sender);
    let rest = body.collect().await.unwrap();
    assert_eq!(rest.trailers().unwrap()["grpc-status"], "0");
    stack.is_idle().await;
}

/// An error before the first message has its status among the fields of the head.
#[tokio::test]
async fn an_answer_of_nothing_but_a_status_passes() {
    let mut stack = Stack::new(|_| async {
        let mut refused = answer(Body::empty());
        refused.headers_mut().extend(status("16"));
        refused
    })
    .await;
    let (_open, body) = channel();
    for body in [Body::from("message"), body] {
        let answer = stack.call(body).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["grpc-status"], "16");
        let body = answer.into_body().collect().await.unwrap();
        assert!(body.trailers().is_none() && body.to_bytes().is_empty());
    }
    stack.is_idle().await;
}

#[tokio::test]
async fn a_message_too_large_for_a_window_passes_both_ways() {
    let mut stack =
        Stack::new(|request: Request<Incoming>| async { answer(ending(request.into_body())) })
            .await;
    let message: Vec<u8> = (0..20 << 20).map(|at| (at % 251) as u8).collect();
    let answer = stack.call(Body::from(message.clone())).await;
    let (body, status) = read(answer).await;
    assert!(body == message);
    assert_eq!(status, "0");
    stack.is_idle().await;
}

/// A call that is open, and tells when it is reset.
struct Open(Arc<watch::Sender<usize>>);

impl Open {
    fn new(count: &Arc<watch::Sender<usize>>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// The body of a request as an application sees it that reads until the call is reset.
async fn read_on(request: Request<Incoming>, _open: Open, frames: Frames) {
    let mut body = request.into_body();
    while let Some(Ok(_)) = body.frame().await {}
    frames.closed().await;
}

/// Cancelled before the answer, in the middle of it, and while the client still sends.
#[tokio::test]
async fn a_call_that_is_cancelled_is_reset_at_the_upstream_and_no_other_is() {
    let (count, mut counted) = watch::channel(0);
    let count = Arc::new(count);
    let mut stack = Stack::new(move |request: Request<Incoming>| {
        let open = Open::new(&count);
        async move {
            if request.headers().contains_key("x-silent") {
                std::future::pending::<()>().await;
            }
            let (sender, body) = channel();
            sender.send(data("first")).await.unwrap();
            tokio::spawn(read_on(request, open, sender));
            answer(body)
        }
    })
    .await;
    let mut until = async |like: usize| {
        let reached = timeout(PATIENCE, counted.wait_for(|count| *count == like)).await;
        let is_reached = reached.is_ok();
        drop(reached);
        assert!(is_reached, "{} calls, not {like}", *counted.borrow());
    };
    let (kept_sender, body) = channel();
    let mut kept = stack.call(body).await;
    until(1).await;

    // Before the answer: nobody waits for it any more.
    let mut silent = request(Body::from("message"));
    silent
        .headers_mut()
        .insert("x-silent", HeaderValue::from_static("1"));
    let waiting = tokio::spawn(stack.client.send_request(silent));
    until(2).await;
    waiting.abort();
    until(1).await;

    // In the middle of it, when all was sent.
    let answer = stack.call(Body::from("message")).await;
    until(2).await;
    drop(answer);
    until(1).await;
    // And while there is more to send, which hyper's client would go on with.
    let (sender, body) = channel();
    let answer = stack.call(body).await;
    until(2).await;
    drop(answer);
    sender.send(Err("cancelled".into())).await.unwrap();
    until(1).await;

    let frame = kept.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "first");
    kept_sender.send(data("more")).await.unwrap();
    drop((kept_sender, kept));
    until(0).await;
    stack.is_idle().await;
    assert_eq!(stack.handle.upstreams()[0].connected, 1);
}

#[tokio::test]
async fn a_deadline_is_a_reset_at_the_upstream() {
    let (count, mut counted) = watch::channel(0);
    let count = Arc::new(count);
    let application = move |_| {
        let open = Open::new(&count);
        async move {
            let _open = open;
            std::future::pending().await
        }
    };
    let mut stack = Stack::with(application, |proxy| {
        proxy.total_timeout(Duration::from_millis(100))
    })
    .await;
    let answer = stack.call(Body::from("message")).await;
    assert_eq!(answer.status(), 504);
    let ended = timeout(PATIENCE, counted.wait_for(|count| *count == 0)).await;
    ended.map(drop).expect("the call goes on");
    stack.is_idle().await;
}

#[tokio::test]
async fn a_hundred_calls_at_once_are_on_one_connection() {
    let all_here = Arc::new(Barrier::new(100));
    let stack = Stack::new(move |request: Request<Incoming>| {
        let all_here = Arc::clone(&all_here);
        async move {
            // Nobody is answered before everybody has asked.
            all_here.wait().await;
            answer(ending(request.into_body()))
        }
    })
    .await;
    let calls = (0..100).map(|number: i32| {
        let mut client = stack.client.clone();
        async move {
            let message = format!("message {number}");
            let sent = client.send_request(request(Body::from(message.clone())));
            let answer = timeout(PATIENCE, sent).await.expect("an answer").unwrap();
            assert_eq!(read(answer).await, (Bytes::from(message), "0".to_owned()));
        }
    });
    join_all(calls).await;
    assert_eq!(stack.handle.upstreams()[0].connected, 1);
    stack.is_idle().await;
}

#[tokio::test]
async fn the_most_connections_are_the_most_calls() {
    let now = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (counter, highest) = (Arc::clone(&now), Arc::clone(&most));
    let application = move |request: Request<Incoming>| {
        let (now, most) = (Arc::clone(&counter), Arc::clone(&highest));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let body = request.into_body().collect().await.unwrap().to_bytes();
            now.fetch_sub(1, Ordering::SeqCst);
            answer(ending(Body::from(body)))
        }
    };
    let stack = Stack::with(application, |proxy| proxy.max_connections(3)).await;
    let calls = (0..50).map(|_| {
        let mut client = stack.client.clone();
        async move {
            let sent = client.send_request(request(Body::from("message")));
            let answer = timeout(PATIENCE, sent).await.expect("an answer").unwrap();
            assert_eq!(read(answer).await.0, "message");
        }
    });
    join_all(calls).await;
    let most = most.load(Ordering::SeqCst);
    assert!((1..=3).contains(&most), "{most} at once");
}

/// Clients of HTTP/1.1 know nothing of what is behind.
#[tokio::test]
async fn clients_of_http_1_are_answered_by_it() {
    let stack = Stack::new(|request: Request<Incoming>| async {
        let mut response = Response::new(ending(request.into_body()));
        let announced = HeaderValue::from_static("grpc-status");
        response.headers_mut().insert("trailer", announced);
        response
    })
    .await;
    let mut client = stack.front.connect().await;
    for (framing, body) in [
        ("Content-Length: 5\r\n\r\nhello", "hello"),
        (
            "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
            "hello",
        ),
        ("Content-Length: 0\r\n\r\n", ""),
    ] {
        let request = format!("POST /x HTTP/1.1\r\nHost: a\r\n{framing}");
        client.write_all(request.as_bytes()).await.unwrap();
        let answer = read_answer(&mut client, false).await;
        assert_eq!((answer.status, answer.text()), (200, body.to_owned()));
        assert!(answer.complete);
    }
    stack.is_idle().await;
    assert_eq!(stack.handle.upstreams()[0].connected, 1);
}

/// What is streamed over HTTP/2 is never whole in this process.
#[tokio::test]
async fn an_upload_is_not_spooled() {
    let (seen, mut pieces) = mpsc::unbounded_channel();
    let stack = Stack::new(move |request: Request<Incoming>| {
        let seen = seen.clone();
        async move {
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                seen.send(frame.unwrap().into_data().unwrap()).unwrap();
            }
            Response::new(Body::from("thanks"))
        }
    })
    .await;
    let mut client = stack.front.connect().await;
    let head = "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..10 {
        client.write_all(&[b'x'; 10]).await.unwrap();
        let piece = timeout(PATIENCE, pieces.recv()).await;
        assert_eq!(piece.expect("it is spooled").unwrap().len(), 10);
    }
    assert_eq!(read_answer(&mut client, false).await.text(), "thanks");
}

/// An application that is restarted in the middle of calls: it says GOAWAY, ends what it has, and
/// takes nothing more.
#[tokio::test]
async fn no_call_is_lost_when_the_upstream_says_goaway() {
    use hyper::{server::conn::http2, service::service_fn};
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("h2c://{}", listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&accepted);
    let upstream = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            let count = Arc::new(AtomicUsize::new(0));
            let (full, mut is_full) = watch::channel(false);
            connections.spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    // Every hundredth call is the last of its connection.
                    if count.fetch_add(1, Ordering::SeqCst) == 100 {
                        full.send_replace(true);
                    }
                    async {
                        let body = request.into_body().collect().await?.to_bytes();
                        Ok::<_, hyper::Error>(answer(ending(Body::from(body))))
                    }
                });
                let connection = http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service);
                let mut connection = std::pin::pin!(connection);
                tokio::select! {
                    _ = connection.as_mut() => return,
                    _ = is_full.wait_for(|full| *full) => {}
                }
                connection.as_mut().graceful_shutdown();
                connection.await.ok();
            });
        }
    });
    let proxy = GatewayProxy::to(&url).unwrap();
    let front = Front::start(proxy).await;
    let client = front.http2(1 << 20).await;
    let callers = (0..10).map(|caller| {
        let mut client = client.clone();
        async move {
            for number in 0..100 {
                let message = format!("{caller} {number}");
                let sent = client.send_request(request(Body::from(message.clone())));
                let answer = timeout(PATIENCE, sent).await.expect("an answer").unwrap();
                assert_eq!(answer.status(), 200, "{message}");
                assert_eq!(read(answer).await, (Bytes::from(message), "0".to_owned()));
            }
        }
    });
    join_all(callers).await;
    assert!(accepted.load(Ordering::SeqCst) > 5, "{accepted:?}");
    upstream.abort();
}

/// Nobody is sent there any more, so its connection is closed behind the last call.
#[tokio::test]
async fn an_upstream_that_is_drained_keeps_no_connection() {
    use hyper::{server::conn::http2, service::service_fn};
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("h2c://{}", listener.local_addr().unwrap());
    let upstream = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service_fn(|request: Request<Incoming>| async {
            Ok::<_, Infallible>(answer(ending(request.into_body())))
        });
        let serving = http2::Builder::new(TokioExecutor::new());
        let serving = serving.serve_connection(TokioIo::new(stream), service);
        serving.await.ok();
    });
    let proxy = GatewayProxy::to(&url).unwrap();
    let handle = proxy.handle();
    let front = Front::start(proxy).await;
    let mut client = front.http2(1 << 20).await;
    let (sender, body) = channel();
    let call = client.send_request(request(body)).await.unwrap();
    handle.drain(&url).unwrap();
    sender.send(data("message")).await.unwrap();
    drop(sender);
    assert_eq!(read(call).await, (Bytes::from("message"), "0".to_owned()));
    let ended = timeout(PATIENCE, upstream).await;
    ended.expect("its connection stays open").unwrap();
}
