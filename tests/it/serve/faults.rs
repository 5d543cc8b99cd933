//! Nothing that fails ends the server.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::Instant,
};
use tower::service_fn;
use tower_gateway::{
    Body, BoxError,
    serve::{RequestBody, serve},
};

use super::{GET, ask, bind, closed, run, says, script};
use crate::support::{log, scripted};

/// Whatever Linux's errno(3) has for "too many open files".
const EMFILE: i32 = 24;

#[tokio::test]
async fn an_error_of_the_service_is_500_and_the_connection_goes_on() {
    let (log, _guard) = log::capture();
    let (listener, addr) = bind().await;
    let fails = service_fn(|_| async { Err::<Response<Body>, BoxError>("out of luck".into()) });
    let _server = run(serve(listener, fails));

    let mut client = TcpStream::connect(addr).await.unwrap();
    for _ in 0..2 {
        let answer = ask(&mut client).await;
        assert_eq!(answer.status, 500);
        assert_eq!(answer.text(), "Internal Server Error");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    assert_eq!(log.count("WARN"), 2);
    assert_eq!(log.count("out of luck"), 2);
}

#[tokio::test]
async fn a_panic_closes_its_own_connection_only() {
    let (log, _guard) = log::capture();
    let (listener, addr) = bind().await;
    let service = service_fn(|request: Request<RequestBody>| async move {
        assert_ne!(request.uri().path(), "/panic", "as the client wishes");
        Ok::<_, Infallible>(Response::new(Body::from("hello")))
    });
    let _server = run(serve(listener, service));

    let mut other = TcpStream::connect(addr).await.unwrap();
    ask(&mut other).await;
    let mut client = TcpStream::connect(addr).await.unwrap();
    client
        .write_all(b"GET /panic HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(closed(&mut client).await, b"");
    assert_eq!(ask(&mut other).await.text(), "hello");
    assert_eq!(
        ask(&mut TcpStream::connect(addr).await.unwrap())
            .await
            .text(),
        "hello"
    );
    assert_eq!(log.count("a handler panicked"), 1);
}

#[tokio::test]
async fn a_panic_resets_its_own_http2_stream_only() {
    let (log, _guard) = log::capture();
    let (clients, listener) = script();
    let service = service_fn(|request: Request<RequestBody>| async move {
        assert_ne!(request.uri().path(), "/panic", "as the client wishes");
        let body = match request.uri().path() {
            "/late" => Body::new(PanicsLate),
            _ => Body::from("hello"),
        };
        Ok::<_, Infallible>(Response::new(body))
    });
    let _server = run(serve(listener, service));

    let (mut client, connection) = http2::handshake::<_, _, Empty<Bytes>>(
        TokioExecutor::new(),
        TokioIo::new(clients.connect()),
    )
    .await
    .unwrap();
    tokio::spawn(connection);
    let panics = Request::builder()
        .uri("http://localhost/panic")
        .body(Empty::new())
        .unwrap();
    client.send_request(panics).await.unwrap_err();
    assert_eq!(log.count("a handler panicked"), 1);
    let late = Request::builder()
        .uri("http://localhost/late")
        .body(Empty::new())
        .unwrap();
    let late = client.send_request(late).await.unwrap();
    late.into_body().collect().await.unwrap_err();
    assert_eq!(log.count("a handler panicked"), 2);
    let response = client
        .send_request(Request::new(Empty::new()))
        .await
        .unwrap();
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "hello"
    );
}

struct PanicsLate;

impl http_body::Body for PanicsLate {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        panic!("as the client wishes");
    }
}

#[tokio::test]
async fn a_body_that_fails_is_not_taken_for_complete() {
    let (clients, listener) = script();
    let (feeds, mut fed) = mpsc::unbounded_channel();
    let service = service_fn(move |_| {
        let (feed, body) = scripted::channel();
        feed.data("one");
        feeds.send(feed).unwrap();
        async { Ok::<_, Infallible>(Response::new(Body::new(body))) }
    });
    let _server = run(serve(listener, service));

    let mut client = clients.connect();
    client.write_all(GET).await.unwrap();
    // The head has left when the error comes.
    let mut start = [0; 12];
    client.read_exact(&mut start).await.unwrap();
    fed.recv().await.unwrap().error("out of luck");
    let rest = closed(&mut client).await;
    assert!(rest.ends_with(b"\r\n\r\n3\r\none\r\n"), "{rest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lack_of_descriptors_is_waited_out() {
    let (log, _guard) = log::capture();
    let (clients, listener) = script();
    let _server = run(serve(listener, says("hello")));

    for _ in 0..10 {
        clients.fail(io::Error::from_raw_os_error(EMFILE));
    }
    let start = Instant::now();
    assert_eq!(ask(&mut clients.connect()).await.text(), "hello");
    // 10 + 20 + 40 + … + 640 ms, and then a second each.
    let expected = Duration::from_millis(10 * 127 + 3 * 1000);
    let waited = start.elapsed();
    assert!(
        (expected..expected + Duration::from_millis(50)).contains(&waited),
        "{waited:?}"
    );
    assert_eq!(log.count("could not accept a connection"), 10);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_before_it_is_accepted_delays_nobody() {
    let (clients, listener) = script();
    let _server = run(serve(listener, says("hello")));

    for _ in 0..1000 {
        clients.fail(io::ErrorKind::ConnectionAborted);
    }
    let start = Instant::now();
    assert_eq!(ask(&mut clients.connect()).await.text(), "hello");
    assert!(start.elapsed() < Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_waits_for_descriptors_can_be_stopped() {
    let (clients, listener) = script();
    let mut server = run(serve(listener, says("hello")));

    for _ in 0..1000 {
        clients.fail(io::Error::from_raw_os_error(EMFILE));
    }
    tokio::task::yield_now().await;
    server.stop();
    let start = Instant::now();
    server.ended().await;
    assert!(start.elapsed() < Duration::from_millis(50));
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_request() {
    let (listener, addr) = bind().await;
    let (ended, mut ends) = mpsc::unbounded_channel();
    let service = service_fn(move |_| {
        let ended = OnDrop(ended.clone());
        async move {
            std::future::pending::<()>().await;
            drop(ended);
            Ok::<_, Infallible>(Response::new(Body::empty()))
        }
    });
    let _server = run(serve(listener, service));

    let mut client = TcpStream::connect(addr).await.unwrap();
    client.write_all(GET).await.unwrap();
    drop(client);
    ends.recv().await.unwrap();
}

/// hyper does not look for the end while something is in its buffer.
#[tokio::test]
async fn a_client_that_leaves_ends_its_request_though_there_is_another_in_the_buffer() {
    for sends in [
        GET.repeat(2),
        GET.repeat(100),
        [GET, b"GET / HTT"].concat(),
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nunread".to_vec(),
    ] {
        let (listener, addr) = bind().await;
        let (ended, mut ends) = mpsc::unbounded_channel();
        let (began, mut begins) = mpsc::unbounded_channel();
        let service = service_fn(move |request| {
            let ended = OnDrop(ended.clone());
            began.send(()).unwrap();
            async move {
                std::future::pending::<()>().await;
                drop((request, ended));
                Ok::<_, Infallible>(Response::new(Body::empty()))
            }
        });
        let _server = run(serve(listener, service));

        let mut client = TcpStream::connect(addr).await.unwrap();
        client.write_all(&sends).await.unwrap();
        begins.recv().await.unwrap();
        drop(client);
        ends.recv().await.unwrap();
    }
}

/// Looked for ahead, they are where they belong.
#[tokio::test]
async fn requests_that_come_while_another_runs_are_all_answered() {
    let (listener, addr) = bind().await;
    let (go, may_go) = tokio::sync::watch::channel(0_usize);
    let service = service_fn(move |request: Request<RequestBody>| {
        let mut may_go = may_go.clone();
        async move {
            let number: usize = request.uri().path()[1..].parse().unwrap();
            may_go.wait_for(|go| *go >= number).await.unwrap();
            let body = BodyExt::collect(request.into_body()).await.unwrap();
            let text = format!("{number}: {}", body.to_bytes().len());
            Ok::<_, Infallible>(Response::new(Body::from(text)))
        }
    });
    let _server = run(serve(listener, service));
    let mut client = TcpStream::connect(addr).await.unwrap();
    let mut sent = Vec::new();
    for number in 1..=200 {
        let length = number * 37 % 1000;
        let close = if number == 200 {
            "Connection: close\r\n"
        } else {
            ""
        };
        sent.extend(
            format!(
                "POST /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{close}\r\n"
            )
            .into_bytes(),
        );
        sent.resize(sent.len() + length, b'x');
    }
    // In pieces, so that some come in the middle of another.
    let (mut read, mut write) = client.split();
    let writing = async {
        for (number, piece) in sent.chunks(777).enumerate() {
            write.write_all(piece).await.unwrap();
            go.send_modify(|go| *go = (*go).max(number / 2));
            tokio::task::yield_now().await;
        }
        go.send_replace(usize::MAX);
    };
    let reading = async {
        let mut answers = Vec::new();
        read.read_to_end(&mut answers).await.unwrap();
        let answers = String::from_utf8(answers).unwrap();
        let mut rest = answers.as_str();
        for number in 1..=200 {
            let body = format!("\r\n\r\n{number}: {}", number * 37 % 1000);
            let (before, behind) = rest.split_once(&body).expect("each answer, in order");
            assert_eq!(before.matches("HTTP/1.1 200 OK\r\n").count(), 1, "{before}");
            rest = behind;
        }
        assert_eq!(rest, "");
    };
    tokio::join!(writing, reading);
}

struct OnDrop(mpsc::UnboundedSender<()>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.send(()).ok();
    }
}
