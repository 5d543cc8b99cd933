//! `Expect: 100-continue` of a request that is streamed: the body waits until the upstream asks
//! for it, and not for ever.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
    time::{Instant, timeout},
};
use tower_gateway::GatewayProxy;

use super::{lines, to};
use crate::support::{
    front::{Front, read_head},
    raw::{PATIENCE, read_answer},
    scripted,
    upstream::{Conn, Upstream},
};

const EXPECTS: &str =
    "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";

/// A request whose body is sent by hand, of five bytes.
fn expecting() -> (scripted::Feed, http::Request<scripted::Scripted>) {
    let (feed, body) = scripted::channel();
    let request = http::Request::post("/")
        .header("host", "a")
        .header("expect", "100-continue")
        .body(body.with_length(5))
        .unwrap();
    (feed, request)
}

#[tokio::test]
async fn the_upstream_s_100_is_the_client_s() {
    let (go, may_go) = watch::channel(false);
    let upstream = Upstream::spawn(move |mut conn: Conn| {
        let mut may_go = may_go.clone();
        async move {
            while let Some(head) = conn.head().await {
                assert_eq!(lines(&head, "expect"), ["100-continue"]);
                may_go.wait_for(|go| *go).await.unwrap();
                assert!(conn.try_fill().is_none(), "the body is here unasked");
                conn.write("HTTP/1.1 100 Continue\r\n\r\n").await;
                while conn.buffered().len() < 5 {
                    conn.fill().await.unwrap();
                }
                let body = String::from_utf8(conn.take()).unwrap();
                conn.answer(&body).await;
            }
        }
    })
    .await;
    let front = Front::start(to(&upstream).stream_requests()).await;
    let mut client = front.connect().await;
    for _ in 0..2 {
        go.send_replace(false);
        let before = upstream.counts().requests;
        client.write_all(EXPECTS.as_bytes()).await.unwrap();
        upstream.until(|counts| counts.requests > before).await;
        go.send_replace(true);
        assert!(read_head(&mut client).await.starts_with("http/1.1 100 "));
        client.write_all(b"hello").await.unwrap();
        assert_eq!(read_answer(&mut client, false).await.text(), "hello");
    }
}

#[tokio::test]
async fn who_is_refused_sends_no_body() {
    for status in ["417 Expectation Failed", "401 Unauthorized", "200 OK"] {
        let upstream = Upstream::spawn(move |mut conn: Conn| async move {
            conn.head().await;
            conn.write(format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno"))
                .await;
            conn.closed().await;
            assert!(conn.take().is_empty(), "the body is here unasked");
        })
        .await;
        let front = Front::start(to(&upstream).stream_requests()).await;
        let mut client = front.connect().await;
        client.write_all(EXPECTS.as_bytes()).await.unwrap();
        let head = read_head(&mut client).await;
        assert!(head.starts_with(&format!("http/1.1 {}", &status[..3])));
        let mut body = [0; 2];
        client.read_exact(&mut body).await.unwrap();
        assert_eq!(&body, b"no");
        // Whose body is on its way nobody knows: neither connection goes on.
        upstream.deserted().await;
        let mut rest = Vec::new();
        let ended = timeout(PATIENCE, client.read_to_end(&mut rest)).await;
        ended.expect("the client's connection stays open").ok();
        assert!(rest.is_empty());
    }
}

/// An upstream of HTTP/1.0, or one that reads the body whatever the client expects.
#[tokio::test(start_paused = true)]
async fn who_never_says_100_is_sent_the_body_after_a_second() {
    let upstream = Upstream::echo().await;
    let proxy = to(&upstream).stream_requests();
    let (feed, request) = expecting();
    feed.data("hello");
    let start = Instant::now();
    let answer = super::call(&proxy, request).await;
    assert_eq!(start.elapsed().as_secs(), 1);
    assert!(super::text(answer).await.ends_with("\r\n\r\nhello"));
}

#[tokio::test(start_paused = true)]
async fn a_second_is_not_waited_where_it_is_of_no_use() {
    let upstream = Upstream::echo().await;
    // A client of HTTP/1.0 knows of no 100; what it says of it is ignored.
    let (feed, mut request) = expecting();
    *request.version_mut() = http::Version::HTTP_10;
    feed.data("hello");
    let start = Instant::now();
    let proxy = to(&upstream).stream_requests();
    let seen = super::text(super::call(&proxy, request).await).await;
    assert!(lines(&seen, "expect").is_empty(), "{seen}");
    assert_eq!(start.elapsed(), Duration::ZERO);

    // What is spooled is here already.
    let (feed, request) = expecting();
    feed.data("hello");
    drop(feed);
    let seen = super::text(super::call(&to(&upstream), request).await).await;
    assert!(lines(&seen, "expect").is_empty(), "{seen}");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// The uwsgi protocol has no 100: it is for the gateway to say.
#[tokio::test(start_paused = true)]
async fn an_upstream_of_uwsgi_is_not_waited_for() {
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        while !conn.buffered().ends_with(b"hello") {
            conn.fill().await.unwrap();
        }
        let block = String::from_utf8_lossy(&conn.take()).into_owned();
        assert!(!block.contains("HTTP_EXPECT"), "{block:?}");
        conn.answer("ok").await;
    })
    .await;
    let proxy = GatewayProxy::to(&format!("uwsgi://{}", upstream.addr)).unwrap();
    let (feed, request) = expecting();
    feed.data("hello");
    let start = Instant::now();
    let answer = super::call(&proxy.stream_requests(), request).await;
    assert_eq!(super::text(answer).await, "ok");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// A client that waits for its 100 all the same, and an upstream that never says one.
#[tokio::test]
async fn a_client_that_waits_is_told_to_go_on_by_the_gateway() {
    let upstream = Upstream::echo().await;
    let front = Front::start(to(&upstream).stream_requests()).await;
    let mut client = front.connect().await;
    client.write_all(EXPECTS.as_bytes()).await.unwrap();
    assert!(read_head(&mut client).await.starts_with("http/1.1 100 "));
    client.write_all(b"hello").await.unwrap();
    let answer = read_answer(&mut client, false).await;
    assert!(answer.text().ends_with("hello"));
}
