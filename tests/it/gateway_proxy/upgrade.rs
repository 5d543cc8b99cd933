//! WebSocket, and other protocols that take a connection over.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
    time::timeout,
};
use tokio_tungstenite::{
    accept_async, connect_async,
    tungstenite::{Message, protocol::frame::coding::CloseCode},
};
use tower::ServiceBuilder;
use tower_gateway::{
    GatewayProxy,
    body::Hold,
    gateway_proxy::{HeaderEdits, Rewrites, Sticky},
    serve::serve,
};

use super::{lines, to};
use crate::support::{
    raw::{PATIENCE, exchange, get, read_answer},
    server::{self, TestServer},
    upstream::{Conn, Upstream},
};

const WISH: &str = "GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, X-Hop\r\nX-Hop: 1\r\nUpgrade: foo, bar\r\n\r\n";
const AGREED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: Foo\r\nX-End: 1\r\n\r\n";

/// Switches to a protocol in which every byte comes back, until the client's half is closed;
/// then says goodbye.
async fn switching() -> Upstream {
    Upstream::spawn(|mut conn: Conn| async move {
        conn.head().await;
        // The first bytes of the new protocol come with the answer.
        conn.write([AGREED, "hello"].concat()).await;
        loop {
            let more = conn.fill().await;
            let bytes = conn.take();
            conn.write(&bytes).await;
            if more.is_none() {
                break;
            }
        }
        conn.write("bye").await;
    })
    .await
}

async fn upgraded(server: &TestServer) -> TcpStream {
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(WISH.as_bytes()).await.unwrap();
    let answer = read_answer(&mut stream, false).await;
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("upgrade"), Some("Foo"));
    assert_eq!(answer.header("connection"), Some("upgrade"));
    assert_eq!(answer.header("x-end"), Some("1"));
    stream
}

async fn expect(stream: &mut TcpStream, bytes: &str) {
    let mut read = vec![0; bytes.len()];
    let reading = timeout(PATIENCE, stream.read_exact(&mut read)).await;
    reading.expect("nothing comes").unwrap();
    assert_eq!(read, bytes.as_bytes());
}

async fn expect_end(stream: &mut TcpStream) {
    let read = timeout(PATIENCE, stream.read_u8()).await;
    assert!(read.expect("the connection stays open").is_err());
}

#[tokio::test]
async fn bytes_go_both_ways_and_each_half_closes_on_its_own() {
    let upstream = switching().await;
    let server = server::spawn(to(&upstream)).await;
    let mut client = upgraded(&server).await;
    expect(&mut client, "hello").await;
    for word in ["one", "two"] {
        client.write_all(word.as_bytes()).await.unwrap();
        expect(&mut client, word).await;
    }
    client.shutdown().await.unwrap();
    expect(&mut client, "bye").await;
    expect_end(&mut client).await;
    upstream.deserted().await;
}

/// What `docker run -i` does: input that ends, and output that goes on.
#[tokio::test]
async fn through_serve_a_tunnel_goes_on_when_the_client_s_half_is_closed() {
    let go_on = Arc::new(Notify::new());
    let may_go_on = Arc::clone(&go_on);
    let upstream = Upstream::spawn(move |mut conn: Conn| {
        let may_go_on = Arc::clone(&may_go_on);
        async move {
            conn.head().await;
            conn.write(AGREED).await;
            conn.closed().await;
            for word in ["one", "two", "three"] {
                conn.write(word).await;
                may_go_on.notified().await;
            }
        }
    })
    .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let server = tokio::spawn(serve(listener, to(&upstream)).into_future());
    client.write_all(WISH.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut client, false).await.status, 101);
    client.write_all(b"all that there is").await.unwrap();
    client.shutdown().await.unwrap();
    for word in ["one", "two", "three"] {
        expect(&mut client, word).await;
        go_on.notify_one();
    }
    expect_end(&mut client).await;
    upstream.deserted().await;
    server.abort();
}

#[tokio::test]
async fn the_upstream_is_asked_for_what_the_client_asked_for() {
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        let head = conn.head().await.unwrap();
        conn.answer(&head).await;
        conn.closed().await;
    })
    .await;
    let server = server::spawn(to(&upstream)).await;
    let answer = exchange(server.addr, WISH).await;
    // Not switched: an answer like any other, and the connection is not kept.
    assert_eq!(answer.status, 200);
    let seen = answer.text();
    assert_eq!(lines(&seen, "connection"), ["upgrade"]);
    assert_eq!(lines(&seen, "upgrade"), ["foo, bar"]);
    assert_eq!(lines(&seen, "x-hop"), [""; 0]);
    upstream.deserted().await;
}

#[tokio::test]
async fn an_upgrade_takes_a_fresh_connection() {
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        while let Some(head) = conn.head().await {
            if head.contains("upgrade: ") {
                conn.write(AGREED).await;
                conn.closed().await;
                return;
            }
            conn.answer("ok").await;
        }
    })
    .await;
    let server = server::spawn(to(&upstream).max_connections(2)).await;
    assert_eq!(get(server.addr, "/").await.status, 200);
    let first = upgraded(&server).await;
    assert_eq!(upstream.counts().accepted, 2);
    // The kept one makes room: with the tunnel there are never more than two.
    let second = upgraded(&server).await;
    upstream.until(|counts| counts.open == 2).await;
    drop((first, second));
    upstream.deserted().await;
    assert_eq!(get(server.addr, "/").await.status, 200);
}

#[tokio::test]
async fn what_is_no_upgrade_is_not_passed_on() {
    let upstream = Upstream::echo().await;
    let server = server::spawn(to(&upstream)).await;
    for request in [
        // Not nominated: of another hop.
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
        // RFC 9110 §7.8: ignored in HTTP/1.0.
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        // A tunnel past the proxy's own rules.
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket, H2C\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: HTTP/2.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n",
    ] {
        let seen = exchange(server.addr, request).await.text();
        for name in ["connection", "upgrade", "http2-settings"] {
            assert_eq!(lines(&seen, name), [""; 0], "{request}");
        }
    }
}

#[tokio::test]
async fn a_switch_to_what_was_not_asked_for_is_a_bad_answer() {
    for answer in [
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: baz\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo, bar\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\n\r\n",
    ] {
        let upstream = Upstream::saying(answer).await;
        let server = server::spawn(to(&upstream)).await;
        assert_eq!(exchange(server.addr, WISH).await.status, 502, "{answer}");
        upstream.deserted().await;
    }
}

/// RFC 9110 §7.8: "the client can't change the protocol it is sending in the middle of a message".
/// To the upstream, that client is the proxy: what comes next would be read as the rest of the body.
#[tokio::test]
async fn a_switch_before_the_request_is_written_is_a_bad_answer() {
    for expects in ["", "Expect: 100-continue\r\n"] {
        let (seen, mut saw) = mpsc::unbounded_channel();
        let upstream = Upstream::spawn(move |mut conn: Conn| {
            let seen = seen.clone();
            async move {
                let head = conn.head().await.unwrap();
                while !head.contains("expect: ") && conn.buffered().len() < 3 {
                    conn.fill().await.unwrap();
                }
                conn.write(AGREED).await;
                conn.closed().await;
                seen.send(conn.take()).unwrap();
            }
        })
        .await;
        let server = server::spawn(to(&upstream).stream_requests()).await;
        let mut client = TcpStream::connect(server.addr).await.unwrap();
        let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\n";
        let sent = format!("{head}Content-Length: 10\r\n{expects}\r\nbod");
        client.write_all(sent.as_bytes()).await.unwrap();
        let answer = read_answer(&mut client, false).await;
        client.write_all(b"y of another protocol").await.ok();
        assert_eq!(answer.status, 502, "{expects}");
        let body = saw.recv().await.unwrap();
        assert!(b"bod".starts_with(&body[..]), "{expects}{body:?}");
    }
}

/// What is edited in answers is edited in these.
#[tokio::test]
async fn the_fields_of_a_101_are_made_fit_for_the_client() {
    let upstream = Upstream::saying(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\
         Server: app/1\r\nX-Accel-Expires: 60\r\nX-Sendfile: /srv/secret\r\n\
         Set-Cookie: id=1; Path=/\r\n\r\n",
    )
    .await;
    let proxy = to(&upstream)
        .sticky(Sticky::new().name("home"))
        .rewrites(Rewrites::new().cookie_path("/", "/shop/"))
        .response_headers(HeaderEdits::new().remove("server").set("x-own", "1"));
    let server = server::spawn(proxy).await;
    let answer = exchange(server.addr, WISH).await;
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("connection"), Some("upgrade"));
    assert_eq!(answer.header("upgrade"), Some("foo"));
    for name in ["server", "x-accel-expires", "x-sendfile"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_eq!(answer.header("x-own"), Some("1"));
    let cookies = answer.header_all("set-cookie");
    assert_eq!(cookies[0], "id=1; Path=/shop");
    assert!(cookies[1].starts_with("home="), "{cookies:?}");
}

/// CVE-2026-2833: what follows the request is not the new protocol before the upstream says so.
#[tokio::test]
async fn nothing_is_tunnelled_before_the_switch() {
    let upstream = Upstream::echo().await;
    let server = server::spawn(to(&upstream)).await;
    let smuggled = [WISH, "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
    let answer = exchange(server.addr, smuggled).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.text().contains("smuggled"), "{}", answer.text());
}

#[tokio::test]
async fn a_body_with_the_wish_is_passed_on() {
    let upstream = Upstream::echo().await;
    let server = server::spawn(to(&upstream)).await;
    let answer = exchange(
        server.addr,
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\nContent-Length: 4\r\n\r\nbody",
    )
    .await;
    assert!(answer.text().ends_with("\r\n\r\nbody"), "{}", answer.text());
}

#[tokio::test]
async fn what_outer_layers_hold_is_held_until_the_tunnel_ends() {
    let upstream = switching().await;
    let held = Arc::new(());
    let hold = Arc::clone(&held);
    let service = ServiceBuilder::new()
        .map_request(move |mut request: http::Request<hyper::body::Incoming>| {
            let hold = Hold::new(Arc::clone(&hold));
            request.extensions_mut().insert(hold);
            request
        })
        .service(to(&upstream));
    let server = server::spawn(service).await;
    let before = Arc::strong_count(&held);
    let mut client = upgraded(&server).await;
    expect(&mut client, "hello").await;
    assert_eq!(Arc::strong_count(&held), before + 1);
    drop(client);
    upstream.deserted().await;
    while Arc::strong_count(&held) > before {
        tokio::task::yield_now().await;
    }
    // Without an upgrade it is not held beyond the answer.
    get(server.addr, "/").await;
    assert!(Arc::strong_count(&held) <= before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_that_is_quiet_for_too_long_ends() {
    let upstream = switching().await;
    for (proxy, seconds) in [
        (to(&upstream), 3600),
        (
            to(&upstream).upgrade_idle_timeout(Duration::from_secs(9)),
            9,
        ),
    ] {
        let server = server::spawn(proxy).await;
        let mut client = upgraded(&server).await;
        expect(&mut client, "hello").await;
        // A byte now and then keeps it open.
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(seconds - 1)).await;
            client.write_all(b"x").await.unwrap();
            let mut byte = [0];
            client.read_exact(&mut byte).await.unwrap();
        }
        let quiet = tokio::time::Instant::now();
        assert!(client.read_u8().await.is_err());
        assert_eq!(quiet.elapsed().as_secs(), seconds);
        upstream.deserted().await;
    }
}

#[tokio::test]
async fn a_websocket_echo() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let upstream = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            // Pings are answered below this level.
            if message.is_text() || message.is_binary() {
                socket.send(message).await.unwrap();
            }
        }
    });
    let server = server::spawn(GatewayProxy::to(&url).unwrap()).await;
    let target = format!("ws://{}/chat", server.addr);
    let (mut socket, response) = connect_async(target).await.unwrap();
    assert_eq!(response.status(), 101);
    for message in [
        Message::text("hello"),
        Message::binary(vec![7; 1 << 20]),
        Message::Ping("are you there".into()),
    ] {
        let is_ping = message.is_ping();
        socket.send(message.clone()).await.unwrap();
        let echoed = timeout(PATIENCE, socket.next()).await.unwrap();
        let echoed = echoed.unwrap().unwrap();
        if is_ping {
            assert!(echoed.is_pong());
        } else {
            assert_eq!(echoed, message);
        }
    }
    socket.close(None).await.unwrap();
    upstream.await.unwrap();
}

/// Both ends of a WebSocket through the proxy, and the crate's own server, which drains.
#[tokio::test]
async fn a_server_that_stops_says_goodbye_to_both_ends_of_a_websocket() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let upstream = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = accept_async(stream).await.unwrap();
        let message = socket.next().await.unwrap().unwrap();
        socket.send(message).await.unwrap();
        let close = socket.next().await.unwrap().unwrap();
        // Its answer to the Close, and the end.
        assert!(socket.next().await.is_none());
        close
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("ws://{}/chat", listener.local_addr().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = serve(listener, GatewayProxy::to(&url).unwrap())
        .drain_timeout(PATIENCE * 2)
        .graceful_shutdown(async {
            stopped.await.ok();
        });
    let server = tokio::spawn(server.into_future());

    let (mut socket, _) = connect_async(target).await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(
        socket.next().await.unwrap().unwrap(),
        Message::text("hello")
    );
    stop.send(()).unwrap();
    let goodbye = timeout(PATIENCE, socket.next()).await.unwrap();
    for close in [goodbye.unwrap().unwrap(), {
        // The answer is sent, and the connection ends.
        assert!(socket.next().await.is_none());
        timeout(PATIENCE, upstream).await.unwrap().unwrap()
    }] {
        match close {
            Message::Close(Some(frame)) => assert_eq!(frame.code, CloseCode::Away),
            other => panic!("{other:?}"),
        }
    }
    timeout(PATIENCE, server).await.unwrap().unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_of_another_protocol_has_the_time_that_the_server_has() {
    let upstream = switching().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = serve(listener, to(&upstream))
        .drain_timeout(Duration::from_secs(9))
        .graceful_shutdown(async {
            stopped.await.ok();
        });
    let server = tokio::spawn(server.into_future());
    let mut client = TcpStream::connect(addr).await.unwrap();
    client.write_all(WISH.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut client, false).await.status, 101);
    expect(&mut client, "hello").await;
    let start = tokio::time::Instant::now();
    stop.send(()).unwrap();
    tokio::time::sleep(Duration::from_secs(8)).await;
    client.write_all(b"still here").await.unwrap();
    expect(&mut client, "still here").await;
    server.await.unwrap().unwrap();
    assert_eq!(start.elapsed().as_secs(), 9);
    expect_end(&mut client).await;
    upstream.deserted().await;
}
