//! What an upstream can do wrong, and what the layers outside are told of it. What the client gets,
//! and that nothing is left, is in `fault_table`.

use std::io::{Read, Write};

use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower_gateway::{Error, ErrorKind, Fault, GatewayProxy};

use super::{call, get, kind, post, to};
use crate::support::{
    raw::exchange,
    scripted, server,
    steps::Steps,
    upstream::{Conn, Upstream},
};

/// One fault: what the upstream writes to a request, and how it ends the connection.
struct Script {
    name: &'static str,
    says: &'static str,
    ends: End,
}

#[derive(Clone, Copy)]
enum End {
    Close,
    Reset,
    Stay,
}

async fn upstream(says: &'static str, ends: End) -> Upstream {
    Upstream::spawn(move |mut conn: Conn| async move {
        conn.request().await;
        conn.write(says).await;
        match ends {
            End::Close => {}
            End::Reset => conn.reset(),
            End::Stay => conn.closed().await,
        }
    })
    .await
}

const fn fault(name: &'static str, says: &'static str, ends: End) -> Script {
    Script { name, says, ends }
}

#[tokio::test]
async fn faults_before_the_head_is_whole_have_a_status() {
    use End::*;
    use ErrorKind::*;
    let table = [
        (fault("closed before the head", "", Close), UpstreamReset),
        (fault("reset before the head", "", Reset), UpstreamReset),
        (
            fault("closed in the head", "HTTP/1.1 200 OK\r\nA: b\r\n", Close),
            UpstreamReset,
        ),
        (
            fault("reset in the head", "HTTP/1.1 200 OK\r\nA: b\r\n", Reset),
            UpstreamReset,
        ),
        (
            fault("garbage", "\u{16}\u{3}\u{1} garbage\r\n\r\n", Stay),
            UpstreamProtocol,
        ),
        (
            fault("another protocol", "SSH-2.0-OpenSSH_9.2\r\n", Stay),
            UpstreamProtocol,
        ),
        (
            fault("a bad header", "HTTP/1.1 200 OK\r\nA b\r\n\r\n", Stay),
            UpstreamProtocol,
        ),
        (
            fault("a bad status", "HTTP/1.1 20 OK\r\n\r\n", Stay),
            UpstreamProtocol,
        ),
        (
            fault("HTTP/2 unasked", "HTTP/2.0 200 OK\r\n\r\n", Stay),
            UpstreamProtocol,
        ),
        (
            fault(
                "two lengths",
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
                Stay,
            ),
            UpstreamProtocol,
        ),
        (
            fault(
                "a length that is none",
                "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
                Stay,
            ),
            UpstreamProtocol,
        ),
        (
            fault(
                "an unknown coding",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
                Stay,
            ),
            UpstreamProtocol,
        ),
        (
            fault(
                "chunks in HTTP/1.0",
                "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                Stay,
            ),
            UpstreamProtocol,
        ),
        (
            fault(
                "an upgrade that nobody asked for",
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
                Stay,
            ),
            UpstreamProtocol,
        ),
    ];
    for (fault, expected) in table {
        let upstream = upstream(fault.says, fault.ends).await;
        let proxy = to(&upstream);
        let response = call(&proxy, get("/")).await;
        assert_eq!(response.status(), 502, "{}", fault.name);
        assert_eq!(kind(&response), Some(expected), "{}", fault.name);
        let error = response.extensions().get::<Error>().unwrap();
        assert_eq!(error.fault(), Fault::Upstream, "{}", fault.name);
        upstream.deserted().await;
    }
}

#[tokio::test]
async fn faults_in_the_body_end_it_with_an_error() {
    use End::*;
    let long = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    let bad_size = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nx\r\n";
    let bad_end = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalfX\r\n0\r\n\r\n";
    let cut_chunk = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nhalf";
    let no_last = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n";
    let until_close = "HTTP/1.1 200 OK\r\n\r\nhalf";
    let table = [
        fault("closed within a length", long, Close),
        fault("reset within a length", long, Reset),
        fault("closed between chunks", chunks, Close),
        fault("reset between chunks", chunks, Reset),
        fault("a bad chunk size", bad_size, Stay),
        fault("a chunk longer than its size", bad_end, Stay),
        fault("closed within a chunk", cut_chunk, Close),
        fault("closed before the trailers end", no_last, Close),
        fault("reset where the end is the close", until_close, Reset),
    ];
    for fault in table {
        let upstream = upstream(fault.says, fault.ends).await;
        let proxy = to(&upstream);
        let response = call(&proxy, get("/")).await;
        // A reset may overtake what was written before it.
        if response.status() != 502 {
            assert_eq!(response.status(), 200, "{}", fault.name);
            let body = response.into_body().collect().await;
            let error = body.expect_err(fault.name);
            assert!(error.is::<Error>(), "{}", fault.name);
        }
        upstream.deserted().await;
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        conn.request().await;
        conn.write("HTTP/1.1 200 OK\r\n").await;
        // Without an end, until nobody reads on.
        loop {
            let line = format!("A: {}\r\n", "a".repeat(1000));
            conn.write(line).await;
            if conn.is_closed() {
                break;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let response = call(&to(&upstream), get("/")).await;
    assert_eq!(response.status(), 502);
    assert_eq!(kind(&response), Some(ErrorKind::UpstreamProtocol));
    upstream.deserted().await;

    let small =
        Upstream::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: 0123456789\r\n\r\n").await;
    assert_eq!(call(&to(&small), get("/")).await.status(), 200);
    let response = call(&to(&small).max_response_head(50), get("/")).await;
    assert_eq!(kind(&response), Some(ErrorKind::UpstreamProtocol));

    // It came as one piece, so that its end was there before anybody had counted.
    let uwsgi = Upstream::spawn(|mut conn: Conn| async move {
        conn.fill().await;
        let a = "0".repeat(50);
        conn.write(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: {a}\r\n\r\n"
        ))
        .await;
        conn.closed().await;
    })
    .await;
    let proxy = GatewayProxy::to(&format!("uwsgi://{}", uwsgi.addr)).unwrap();
    assert_eq!(call(&proxy, get("/")).await.status(), 200);
    let response = call(&proxy.max_response_head(50), get("/")).await;
    assert_eq!(kind(&response), Some(ErrorKind::UpstreamProtocol));
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let response = call(&GatewayProxy::to(&url).unwrap(), get("/")).await;
    assert_eq!(response.status(), 502);
    assert_eq!(kind(&response), Some(ErrorKind::UpstreamConnect));
    let error = response.extensions().get::<Error>().unwrap();
    assert!(error.is_retryable());
    assert!(std::error::Error::source(error).is_some());
    assert_eq!(response.headers()["cache-control"], "no-store");
}

/// A write fails before the runtime has seen that there is an answer to read.
#[tokio::test]
async fn an_answer_is_read_although_the_upstream_stopped_reading() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let proxy = GatewayProxy::to(&url).unwrap().stream_requests();
    let (feed, body) = scripted::channel();
    let request = post("/", "").map(|_| body);
    let mut response = Steps::new(call(&proxy, request));
    feed.data("some");
    assert!(response.step().await.is_none());
    let (mut upstream, _) = listener.accept().unwrap();
    upstream.set_nonblocking(true).unwrap();
    while upstream.read(&mut [0; 10]).is_err() {
        assert!(response.step().await.is_none());
    }
    // From here to the next step the runtime has no turn: it cannot know of any of this.
    let answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno";
    upstream.write_all(answer).unwrap();
    // What is unread makes this a reset.
    drop(upstream);
    feed.data("more");
    let response = match response.step().await {
        Some(response) => response,
        None => response.finish().await,
    };
    assert_eq!(response.status(), 401);
    let body = response.into_body().collect().await;
    assert_eq!(body.unwrap().to_bytes(), "no");
    feed.unwanted().await;
}

/// The same from another thread, at any moment.
///
/// Each request has a connection of its own. On a kept one the reset for the request before may
/// come after this one was sent: the upstream took the whole of it into its buffers, answered,
/// did not say `close`, and closed. Nobody can tell that connection from a good one.
#[tokio::test]
async fn an_early_answer_and_a_reset_while_uploading() {
    const ROUNDS: usize = 200;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let upstream = std::thread::spawn(move || {
        for _ in 0..2 * ROUNDS {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; 1000]).unwrap();
            let answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno";
            stream.write_all(answer).unwrap();
        }
    });
    let proxy = GatewayProxy::to(&url).unwrap().max_idle(0);
    for proxy in [proxy.clone(), proxy.stream_requests()] {
        for _ in 0..ROUNDS {
            let response = call(&proxy, post("/", vec![b'x'; 1 << 20])).await;
            assert_eq!(response.status(), 401, "{:?}", kind(&response));
            let body = response.into_body().collect().await;
            assert_eq!(body.unwrap().to_bytes(), "no");
        }
    }
    upstream.join().unwrap();
}

/// It is about to be closed, or else it cannot be told.
#[tokio::test]
async fn a_connection_that_was_answered_early_is_not_used_again() {
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        while conn.head().await.is_some() {
            let head = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n";
            conn.write(head).await;
            while !conn.buffered().ends_with(b"\r\n0\r\n\r\n") {
                if conn.fill().await.is_none() {
                    return;
                }
            }
            conn.take();
            conn.write("no").await;
        }
    })
    .await;
    let proxy = to(&upstream).stream_requests();
    for round in 1..=2 {
        let (feed, body) = scripted::channel();
        let response = call(&proxy, post("/", "").map(|_| body)).await;
        assert_eq!(response.status(), 401);
        feed.data("the rest");
        drop(feed);
        let body = response.into_body().collect().await;
        assert_eq!(body.unwrap().to_bytes(), "no");
        assert_eq!(upstream.counts().accepted, round);
    }
    upstream.deserted().await;
}

/// Without a reset the answer always comes through.
#[tokio::test]
async fn an_early_answer_while_uploading_always_comes_through() {
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        conn.head().await;
        conn.write("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
            .await;
        conn.closed().await;
    })
    .await;
    for proxy in [to(&upstream), to(&upstream).stream_requests()] {
        for _ in 0..10 {
            let response = call(&proxy, post("/", vec![b'x'; 4 << 20])).await;
            assert_eq!(response.status(), 401);
            let body = response.into_body().collect().await;
            assert_eq!(body.unwrap().to_bytes(), "no");
        }
    }
    upstream.deserted().await;
}

#[tokio::test]
async fn a_client_that_goes_away_frees_everything() {
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        conn.request().await;
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            .await;
        while !conn.is_closed() {
            conn.write(vec![0; 10_000]).await;
            tokio::task::yield_now().await;
        }
    })
    .await;
    let proxy = to(&upstream).max_connections(3);
    let server = server::spawn(proxy).await;
    for _ in 0..10 {
        let mut clients = Vec::new();
        for _ in 0..3 {
            let mut stream = TcpStream::connect(server.addr).await.unwrap();
            let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
            stream.write_all(request).await.unwrap();
            let mut some = [0; 100];
            stream.read_exact(&mut some).await.unwrap();
            clients.push(stream);
        }
        drop(clients);
        upstream.deserted().await;
    }
}

#[tokio::test]
async fn the_next_request_of_the_client_is_unharmed() {
    // A refused request whose body was not read must not be read as a request.
    let upstream = Upstream::echo().await;
    let server = server::spawn(to(&upstream)).await;
    let answer = exchange(
        server.addr,
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: Host\r\nContent-Length: 37\r\n\r\n\
         GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n",
    )
    .await;
    assert_eq!(answer.status, 400);
    assert_eq!(upstream.counts().requests, 0);
}

/// What an operator reads: the upstream and the reason, and nothing of the request.
#[tokio::test]
async fn a_fault_is_an_event_without_the_request() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let upstream = upstream("", End::Close).await;
    let mut request = get("/secret-path?secret-query");
    let headers = request.headers_mut();
    headers.insert("cookie", "secret-cookie".parse().unwrap());
    call(&to(&upstream), request).await;
    let text = log.take();
    assert!(
        text.contains(" WARN ") && text.contains(&upstream.url()),
        "{text}"
    );
    assert!(text.contains("broke the connection off"), "{text}");
    assert!(!text.contains("secret"), "{text}");

    // The client's own fault is none of the upstream's.
    let mut request = get("/");
    let headers = request.headers_mut();
    headers.insert("connection", "cookie".parse().unwrap());
    call(&to(&upstream), request).await;
    let text = log.take();
    assert!(text.contains("DEBUG") && !text.contains("WARN"), "{text}");
}

#[derive(Clone, Default)]
struct Log(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl Log {
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut self.0.lock().unwrap())).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
