//! Which connections are kept, for whom, and when they are closed.

use std::time::Duration;

use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::task::JoinSet;
use tower::ServiceExt;
use tower_gateway::gateway_proxy::{Buffering, Retries};
use tower_gateway::{Body, ErrorKind, GatewayProxy};

use super::{call, get, kind, post, text};
use crate::support::{scripted, steps::Steps, upstream::Upstream};

/// A connection is held by whoever has the answer: none is read ahead.
fn to(upstream: &Upstream) -> GatewayProxy {
    super::to(upstream).buffering(Buffering::off())
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let upstream = Upstream::echo().await;
    let proxy = to(&upstream);
    for _ in 0..10 {
        text(call(&proxy, get("/")).await).await;
    }
    assert_eq!(upstream.counts().accepted, 1);
    assert_eq!(upstream.counts().requests, 10);
    drop(proxy);
    upstream.deserted().await;
}

#[tokio::test]
async fn a_connection_is_held_until_the_body_is_over() {
    let upstream = Upstream::echo().await;
    let proxy = to(&upstream);
    let first = call(&proxy, get("/")).await;
    let second = call(&proxy, get("/")).await;
    assert_eq!(upstream.counts().accepted, 2);
    text(first).await;
    text(second).await;
    text(call(&proxy, get("/")).await).await;
    assert_eq!(upstream.counts().accepted, 2);
}

#[tokio::test]
async fn the_last_frame_of_a_known_length_is_the_end() {
    let upstream = Upstream::echo().await;
    let proxy = to(&upstream);
    let mut body = call(&proxy, get("/")).await.into_body();
    body.frame().await.unwrap().unwrap();
    // Nobody asked for the end, as a server does not; the body is even still here.
    text(call(&proxy, get("/")).await).await;
    assert_eq!(upstream.counts().accepted, 1);
    drop(body);
}

#[tokio::test]
async fn the_last_used_is_used_first() {
    let upstream = Upstream::spawn(|mut conn| async move {
        while conn.request().await.is_some() {
            let number = conn.number.to_string();
            conn.answer(&number).await;
        }
    })
    .await;
    let proxy = to(&upstream);
    let first = call(&proxy, get("/")).await;
    let second = call(&proxy, get("/")).await;
    assert_eq!(text(first).await, "0");
    assert_eq!(text(second).await, "1");
    assert_eq!(text(call(&proxy, get("/")).await).await, "1");
}

#[tokio::test]
async fn clones_and_services_share_the_pool() {
    let upstream = Upstream::echo().await;
    let proxy = to(&upstream);
    text(call(&proxy, get("/")).await).await;
    text(call(&proxy.clone(), get("/")).await).await;
    let layered = tower::Layer::layer(&proxy, proxy.clone());
    text(layered.oneshot(get("/")).await.unwrap()).await;
    assert_eq!(upstream.counts().accepted, 1);
}

#[tokio::test]
async fn a_dropped_body_closes_its_connection_at_once() {
    let upstream = Upstream::spawn(|mut conn| async move {
        conn.request().await;
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            .await;
        conn.closed().await;
    })
    .await;
    let proxy = to(&upstream);
    let response = call(&proxy, get("/")).await;
    assert_eq!(upstream.counts().open, 1);
    drop(response);
    upstream.deserted().await;
}

#[tokio::test]
async fn a_dropped_future_closes_its_connection_at_once() {
    let upstream = Upstream::spawn(|mut conn| async move {
        conn.request().await;
        conn.closed().await;
    })
    .await;
    let proxy = to(&upstream);
    let pending = tokio::spawn(proxy.clone().oneshot(get("/")));
    upstream.until(|counts| counts.requests == 1).await;
    pending.abort();
    upstream.deserted().await;
}

#[tokio::test]
async fn dropped_at_any_step_nothing_is_left() {
    let upstream = Upstream::echo().await;
    let proxy = to(&upstream).max_connections(1);
    for steps in 0..40 {
        let mut future = Steps::new(async {
            let mut request = post("/", "hello");
            *request.method_mut() = http::Method::PUT;
            text(call(&proxy, request).await).await
        });
        for _ in 0..steps {
            if future.step().await.is_some() {
                break;
            }
        }
        drop(future);
        // The one permit is free again, whatever was dropped.
        let response = call(&proxy, get("/")).await;
        assert_eq!(response.status(), 200, "after {steps} steps");
        text(response).await;
    }
    drop(proxy);
    upstream.deserted().await;
}

#[tokio::test]
async fn a_panic_frees_the_connection() {
    let upstream = Upstream::spawn(|mut conn| async move {
        conn.request().await;
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            .await;
        conn.closed().await;
    })
    .await;
    let proxy = to(&upstream).max_connections(1);
    let client = proxy.clone();
    let panicked = tokio::spawn(async move {
        let _response = call(&client, get("/")).await;
        panic!("on purpose");
    });
    assert!(panicked.await.unwrap_err().is_panic());
    upstream.deserted().await;
    assert_eq!(call(&proxy, get("/")).await.status(), 200);
}

#[tokio::test]
async fn one_waits_for_its_turn() {
    let upstream = Upstream::echo().await;
    let proxy = to(&upstream).max_connections(1);
    let first = call(&proxy, get("/first")).await;
    let second = tokio::spawn(proxy.clone().oneshot(get("/second")));
    tokio::task::yield_now().await;
    assert!(!second.is_finished());
    text(first).await;
    let second = second.await.unwrap().unwrap();
    assert!(text(second).await.starts_with("GET /second "));
    assert_eq!(upstream.counts().accepted, 1);
}

#[tokio::test]
async fn turns_are_taken_in_the_order_of_asking() {
    let upstream = Upstream::echo().await;
    let proxy = to(&upstream).max_connections(1);
    let first = call(&proxy, get("/")).await;
    let (sender, mut served) = tokio::sync::mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    for number in 0..20 {
        let (proxy, sender) = (proxy.clone(), sender.clone());
        tasks.spawn(async move {
            text(call(&proxy, get("/")).await).await;
            sender.send(number).unwrap();
        });
        // Each has asked before the next is there.
        tokio::task::yield_now().await;
    }
    text(first).await;
    for number in 0..20 {
        assert_eq!(served.recv().await, Some(number));
    }
}

#[tokio::test(start_paused = true)]
async fn one_waits_no_longer_than_it_may() {
    let upstream = Upstream::echo().await;
    let proxy = to(&upstream).max_connections(1);
    let _first = call(&proxy, get("/")).await;
    let start = tokio::time::Instant::now();
    let response = call(&proxy, get("/")).await;
    assert_eq!(response.status(), 503);
    assert_eq!(kind(&response), Some(ErrorKind::UpstreamBusy));
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn the_queue_has_an_end() {
    let upstream = Upstream::echo().await;
    let proxy = to(&upstream).max_connections(1).max_waiting(1);
    let first = call(&proxy, get("/")).await;
    let second = tokio::spawn(proxy.clone().oneshot(get("/")));
    tokio::task::yield_now().await;
    let third = call(&proxy, get("/")).await;
    assert_eq!(third.status(), 503);
    assert_eq!(kind(&third), Some(ErrorKind::UpstreamBusy));
    text(first).await;
    assert_eq!(second.await.unwrap().unwrap().status(), 200);
    // The place in the queue is free again.
    let again = call(&proxy, get("/")).await;
    assert_eq!(again.status(), 200);
}

#[tokio::test]
async fn many_at_once_never_exceed_the_maximum() {
    let upstream = Upstream::echo().await;
    let proxy = to(&upstream).max_connections(3);
    let mut tasks = JoinSet::new();
    for _ in 0..100 {
        let proxy = proxy.clone();
        tasks.spawn(async move { text(call(&proxy, get("/")).await).await });
    }
    tasks.join_all().await;
    assert!(upstream.counts().accepted <= 3, "{:?}", upstream.counts());
    assert_eq!(upstream.counts().requests, 100);
}

#[tokio::test(start_paused = true)]
async fn what_is_idle_for_too_long_is_closed_though_nobody_asks() {
    let upstream = Upstream::echo().await;
    let proxy = to(&upstream);
    let (first, second) = tokio::join!(call(&proxy, get("/")), call(&proxy, get("/")));
    text(first).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    text(second).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    upstream.until(|counts| counts.open == 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    upstream.deserted().await;
    // And the next round is cleared up as well.
    text(call(&proxy, get("/")).await).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    upstream.deserted().await;
}

#[tokio::test]
async fn no_more_are_kept_than_allowed() {
    let upstream = Upstream::echo().await;
    let proxy = to(&upstream)
        .max_idle(1)
        .idle_timeout(Duration::from_secs(3600));
    let (first, second) = tokio::join!(call(&proxy, get("/")), call(&proxy, get("/")));
    text(first).await;
    text(second).await;
    upstream.until(|counts| counts.open == 1).await;
    let none = to(&upstream).max_idle(0);
    text(call(&none, get("/")).await).await;
    drop(proxy);
    upstream.deserted().await;
    drop(none);
}

#[tokio::test]
async fn an_answer_that_says_close_is_the_last_of_its_connection() {
    let upstream =
        Upstream::saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            .await;
    let proxy = to(&upstream);
    for _ in 0..3 {
        assert_eq!(text(call(&proxy, get("/")).await).await, "ok");
    }
    assert_eq!(upstream.counts().accepted, 3);
    upstream.deserted().await;
}

/// The upstream closes after an answer, without a word, as Gunicorn's keep-alive does.
#[tokio::test]
async fn a_stale_connection_is_never_seen_by_the_client() {
    let upstream = Upstream::spawn(|mut conn| async move {
        // An odd connection serves one more than an even one, so that the end is not regular.
        for _ in 0..1 + conn.number % 2 {
            if conn.request().await.is_none() {
                return;
            }
            conn.answer("ok").await;
        }
    })
    .await;
    let proxy = to(&upstream);
    for _ in 0..1000 {
        let response = call(&proxy, get("/")).await;
        assert_eq!(response.status(), 200);
        assert_eq!(text(response).await, "ok");
    }
    // Spooled, and of an idempotent method: sent again.
    for _ in 0..200 {
        let mut request = post("/", "hello");
        *request.method_mut() = http::Method::PUT;
        assert_eq!(text(call(&proxy, request).await).await, "ok");
    }
}

/// It reads the next request on a kept connection, and only then closes.
async fn upstream_that_takes_and_closes() -> Upstream {
    Upstream::spawn(|mut conn| async move {
        conn.request().await;
        conn.answer("ok").await;
        if conn.number == 0 {
            conn.request().await;
        } else {
            conn.closed().await;
        }
    })
    .await
}

#[tokio::test]
async fn a_request_that_may_be_repeated_is_sent_once_more() {
    for body in ["", "spooled"] {
        let upstream = upstream_that_takes_and_closes().await;
        let proxy = to(&upstream);
        text(call(&proxy, get("/")).await).await;
        let request = Request::put("/")
            .header("host", "a")
            .body(Full::from(body))
            .unwrap();
        let response = call(&proxy, request).await;
        assert_eq!(response.status(), 200);
        assert_eq!(upstream.counts().accepted, 2);
        assert_eq!(upstream.counts().requests, 3);
    }
}

#[tokio::test]
async fn a_request_that_may_not_be_repeated_is_not_sent_where_it_might_have_to_be() {
    for streams in [false, true] {
        let upstream = upstream_that_takes_and_closes().await;
        let proxy = match streams {
            false => to(&upstream),
            true => to(&upstream).stream_requests(),
        };
        text(call(&proxy, get("/")).await).await;
        let mut request = post("/", "order");
        if streams {
            *request.method_mut() = http::Method::PUT;
        }
        let response = call(&proxy, request).await;
        assert_eq!(response.status(), 200);
        // On a connection of its own, once.
        assert_eq!(upstream.counts().accepted, 2);
        assert_eq!(upstream.counts().requests, 2);
    }
}

#[tokio::test]
async fn a_request_that_may_not_be_repeated_is_not() {
    // RFC 9110 §9.2.2: "A proxy MUST NOT automatically retry non-idempotent requests."
    let upstream = upstream_that_takes_and_closes().await;
    let proxy = to(&upstream).reuse_for_every_request();
    text(call(&proxy, get("/")).await).await;
    let response = call(&proxy, post("/", "order")).await;
    assert_eq!(response.status(), 502);
    assert_eq!(kind(&response), Some(ErrorKind::UpstreamReset));
    assert_eq!(upstream.counts().accepted, 1);

    // Nor one whose body is gone.
    let upstream = upstream_that_takes_and_closes().await;
    let proxy = to(&upstream).stream_requests().reuse_for_every_request();
    text(call(&proxy, get("/")).await).await;
    let mut request = post("/", "once");
    *request.method_mut() = http::Method::PUT;
    let response = call(&proxy, request).await;
    assert_eq!(kind(&response), Some(ErrorKind::UpstreamReset));
}

#[tokio::test]
async fn an_upstream_that_fails_on_fresh_connections_is_tried_as_often_as_is_said() {
    let upstream = Upstream::spawn(|mut conn| async move {
        conn.request().await;
    })
    .await;
    // RFC 9110 §9.2.2: of requests only those that may be repeated.
    let response = call(&to(&upstream), post("/", "order")).await;
    assert_eq!(response.status(), 502);
    assert_eq!(upstream.counts().requests, 1);
    let response = call(&to(&upstream), get("/")).await;
    assert_eq!(response.status(), 502);
    assert_eq!(upstream.counts().requests, 1 + 3);
    let proxy = to(&upstream).retries(Retries::none());
    assert_eq!(call(&proxy, get("/")).await.status(), 502);
    assert_eq!(upstream.counts().requests, 1 + 3 + 1);
}

#[tokio::test]
async fn a_post_finds_out_that_its_connection_is_closed_before_it_is_sent() {
    let upstream = Upstream::spawn(|mut conn| async move {
        conn.request().await;
        conn.answer("ok").await;
    })
    .await;
    let proxy = to(&upstream);
    for _ in 0..100 {
        let response = call(&proxy, post("/", "order")).await;
        assert_eq!(response.status(), 200);
        text(response).await;
        // The kernel knows of the end before the runtime has looked.
        upstream.deserted().await;
    }
}

#[tokio::test]
async fn unasked_bytes_make_a_connection_unfit() {
    let upstream = Upstream::spawn(|mut conn| async move {
        conn.request().await;
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            .await;
        conn.closed().await;
    })
    .await;
    let proxy = to(&upstream);
    for number in 1..10 {
        // The answer that nobody asked for is nobody's.
        assert_eq!(text(call(&proxy, get("/")).await).await, "ok");
        assert_eq!(upstream.counts().accepted, number);
    }
}

/// hyper#4176: an upstream answers and keeps the connection, the request is not over.
#[tokio::test]
async fn an_early_answer_to_an_unfinished_upload_leaves_no_connection() {
    let upstream = Upstream::spawn(|mut conn| async move {
        conn.head().await;
        conn.write("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 2\r\n\r\nno")
            .await;
        conn.closed().await;
    })
    .await;
    let proxy = to(&upstream).stream_requests();
    let mut feeds = Vec::new();
    for _ in 0..5 {
        let (feed, body) = scripted::channel();
        let request = Request::post("/")
            .header("host", "a")
            .body(Body::new(body))
            .unwrap();
        feed.data("some");
        let response = call(&proxy, request).await;
        assert_eq!(response.status(), 413);
        assert_eq!(text(response).await, "no");
        // Nobody holds the client's body either.
        feed.unwanted().await;
        feeds.push(feed);
    }
    upstream.deserted().await;
}

#[tokio::test]
async fn a_server_that_drains_finishes_what_is_proxied() {
    let (go, gone) = tokio::sync::watch::channel(false);
    let upstream = Upstream::spawn(move |mut conn| {
        let mut gone = gone.clone();
        async move {
            conn.request().await;
            conn.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
                .await;
            gone.wait_for(|gone| *gone).await.unwrap();
            conn.write("more").await;
            conn.closed().await;
        }
    })
    .await;
    let (near, far) = tokio::io::duplex(1024);
    let service = hyper_util::service::TowerToHyperService::new(to(&upstream));
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(hyper_util::rt::TokioIo::new(far), service);
    let (drain, drained) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(async move {
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            served = connection.as_mut() => served,
            _ = drained => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    });
    let mut client = near;
    tokio::io::AsyncWriteExt::write_all(&mut client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    upstream.until(|counts| counts.requests == 1).await;
    drain.send(()).unwrap();
    go.send(true).unwrap();
    let answer = crate::support::raw::read_answer(&mut client, false).await;
    assert_eq!(answer.text(), "halfmore");
    server.await.unwrap().unwrap();
    upstream.deserted().await;
}
