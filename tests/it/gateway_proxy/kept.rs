//! Which connections may be kept, and what is done before there is a request.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http_body::{Frame, SizeHint};
use tokio::time::timeout;
use tower_gateway::{
    BoxError, ErrorKind, GatewayProxy,
    gateway_proxy::{self, HealthCheck},
};

use super::{call, get, kind, post, text, to};
use crate::support::{
    raw::PATIENCE,
    upstream::{Conn, Upstream},
};

/// RFC 9110 §15.3.5: "A 204 response is terminated by the end of the header section; it cannot
/// contain content or trailers." A server that announces some may send it.
#[tokio::test]
async fn a_connection_that_may_have_more_to_say_is_not_kept() {
    for (fields, is_kept) in [
        ("", true),
        ("Content-Length: 0\r\n", true),
        ("Content-Length: 5\r\n", false),
        ("Content-Length: five\r\n", false),
        ("Transfer-Encoding: chunked\r\n", false),
    ] {
        let upstream = Upstream::spawn(move |mut conn| async move {
            while conn.request().await.is_some() {
                conn.write(format!("HTTP/1.1 204 No Content\r\n{fields}\r\n"))
                    .await;
            }
        })
        .await;
        let proxy = to(&upstream);
        for _ in 0..2 {
            let response = call(&proxy, get("/")).await;
            assert_eq!(response.status(), 204, "{fields:?}");
            assert_eq!(text(response).await, "");
        }
        let expected = if is_kept { 1 } else { 2 };
        assert_eq!(upstream.counts().accepted, expected, "{fields:?}");
    }
}

/// Reads a block of uwsgi variables: its length stands in its second and third byte.
async fn block(conn: &mut Conn) -> Option<Vec<u8>> {
    loop {
        if let [_, low, high, _, rest @ ..] = conn.buffered()
            && rest.len() >= usize::from(u16::from_le_bytes([*low, *high]))
        {
            return Some(conn.take());
        }
        conn.fill().await?;
    }
}

/// The same over the uwsgi protocol, whose servers answer in HTTP.
#[tokio::test]
async fn nor_is_one_of_a_uwsgi_server() {
    for (fields, is_kept) in [("", true), ("Content-Length: 5\r\n", false)] {
        let upstream = Upstream::spawn(move |mut conn| async move {
            while block(&mut conn).await.is_some() {
                let head =
                    format!("HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n{fields}\r\n");
                conn.write(head).await;
            }
        })
        .await;
        let proxy = GatewayProxy::to(&format!("uwsgi://{}", upstream.addr)).unwrap();
        for _ in 0..2 {
            assert_eq!(call(&proxy, get("/")).await.status(), 204, "{fields:?}");
        }
        let expected = if is_kept { 1 } else { 2 };
        assert_eq!(upstream.counts().accepted, expected, "{fields:?}");
    }
}

#[tokio::test]
async fn warmed_up_from_two_sides_there_are_no_more_than_may_be() {
    let upstream = Upstream::echo().await;
    let proxy = to(&upstream).max_connections(4);
    let handle = proxy.handle();
    tokio::join!(handle.warm_up(4), handle.warm_up(4), handle.warm_up(4));
    assert_eq!(handle.upstreams()[0].connected, 4);
    assert_eq!(handle.upstreams()[0].in_use, 0);
}

#[tokio::test]
async fn what_is_too_old_at_once_cannot_be_warmed_up() {
    let upstream = Upstream::echo().await;
    let proxy = to(&upstream).max_connection_age(Duration::ZERO);
    let handle = proxy.handle();
    timeout(PATIENCE, handle.warm_up(4)).await.unwrap();
    assert!(handle.upstreams()[0].connected <= 4);
}

#[tokio::test]
async fn a_server_that_is_removed_and_added_again_is_looked_after() {
    let upstream = Upstream::echo().await;
    let check = HealthCheck::get("/").interval(Duration::from_secs(3600));
    let proxy = to(&upstream).health_check(check.wait_for_first_success());
    let handle = proxy.handle();
    handle.start();
    upstream.until(|counts| counts.requests == 1).await;
    // Before anybody has looked.
    handle.set([]);
    handle.set([gateway_proxy::Upstream::new(&upstream.url()).unwrap()]);
    upstream.until(|counts| counts.requests == 2).await;
}

#[tokio::test]
async fn a_server_that_is_removed_is_looked_after_no_more() {
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let upstream = Upstream::echo().await;
    let check = HealthCheck::get("/").interval(Duration::from_secs(3600));
    let proxy = to(&upstream).health_check(check);
    let handle = proxy.handle();
    handle.start();
    let other = gateway_proxy::Upstream::new("http://127.0.0.1:9").unwrap();
    upstream.until(|counts| counts.requests == 1).await;
    upstream.deserted().await;
    let before = tasks();
    for _ in 0..5 {
        handle.add(other.clone());
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        handle.remove("http://127.0.0.1:9").unwrap();
        tokio::task::yield_now().await;
    }
    let fewer = async {
        while tasks() > before {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, fewer).await.unwrap();
}

/// The body of a request that is empty, and whose end its client has yet to say.
struct EmptyForNow;

impl http_body::Body for EmptyForNow {
    type Data = bytes::Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, BoxError>>> {
        Poll::Pending
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(0)
    }
}

#[tokio::test]
async fn a_body_of_no_bytes_is_over_before_its_end_is_said() {
    let upstream = Upstream::echo().await;
    let proxy = to(&upstream).stream_requests();
    let response = call(&proxy, post("/", "").map(|_| EmptyForNow)).await;
    assert_eq!(response.status(), 200);
    text(response).await;
    text(call(&proxy, get("/")).await).await;
    assert_eq!(upstream.counts().accepted, 1);
}

#[tokio::test]
async fn what_cannot_be_said_in_uwsgi_takes_no_connection_and_waits_for_none() {
    let upstream =
        Upstream::spawn(|mut conn| async move { while conn.fill().await.is_some() {} }).await;
    let proxy = GatewayProxy::to(&format!("uwsgi://{}", upstream.addr)).unwrap();
    let proxy = proxy.max_connections(1);
    let handle = proxy.handle();
    let mut large = get("/");
    let value = "x".repeat(64 << 10).parse().unwrap();
    large.headers_mut().insert("x-large", value);
    let asked = call(&proxy, large).await;
    assert_eq!(kind(&asked), Some(ErrorKind::RequestHeadTooLarge));
    assert_eq!(call(&proxy, get("/%2570rivate")).await.status(), 400);
    assert_eq!(handle.upstreams()[0].connected, 0);

    let holder = tokio::spawn({
        let proxy = proxy.clone();
        async move { call(&proxy, get("/")).await }
    });
    upstream.until(|counts| counts.accepted == 1).await;
    let refused = timeout(PATIENCE, call(&proxy, get("/%2570rivate"))).await;
    assert_eq!(refused.unwrap().status(), 400);
    holder.abort();
}
