//! Which requests are tried again, where, how often, and what they leave behind.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use tokio::{task::JoinSet, time::Instant};
use tower_gateway::{
    Body, Error, ErrorKind, GatewayProxy,
    gateway_proxy::{Balance, Ejection, Retries},
};

use super::{ask, call, get, kind, post, text, to, to_these};
use crate::support::{
    scripted,
    upstream::{Conn, Refusing, Upstream},
};

const SECOND: Duration = Duration::from_secs(1);

fn in_turn(urls: impl IntoIterator<Item = String>) -> GatewayProxy {
    let proxy = GatewayProxy::to_all(urls).unwrap();
    proxy.balance(Balance::RoundRobin).ejection(Ejection::off())
}

fn with_body(method: Method) -> Request<Full<Bytes>> {
    let mut request = post("/", "the whole body");
    *request.method_mut() = method;
    request
}

fn requests(proxy: &GatewayProxy) -> Vec<u64> {
    let upstreams = proxy.handle().upstreams();
    upstreams.iter().map(|it| it.requests).collect()
}

/// Reads one request, and closes without an answer.
async fn closing() -> Upstream {
    Upstream::spawn(|mut conn: Conn| async move {
        conn.request().await;
    })
    .await
}

/// Reads one request, and never answers.
async fn hanging() -> Upstream {
    Upstream::spawn(|mut conn: Conn| async move {
        conn.request().await;
        conn.closed().await;
    })
    .await
}

/// Nothing of it has left: RFC 9110 §9.2.2 has nothing against any method.
#[tokio::test]
async fn what_is_refused_goes_to_another_server() {
    let refuses = Refusing::new();
    let echo = Upstream::echo().await;
    let proxy = in_turn([refuses.url(), echo.url()]);
    for method in [Method::GET, Method::PUT, Method::POST, Method::PATCH] {
        for _ in 0..4 {
            let response = call(&proxy, with_body(method.clone())).await;
            assert_eq!(response.status(), 200, "{method}");
            assert!(text(response).await.ends_with("\r\n\r\nthe whole body"));
        }
    }
    assert_eq!(requests(&proxy), [8, 16]);
    assert_eq!(proxy.handle().upstreams()[0].failures, 8);
}

#[tokio::test]
async fn refused_everywhere_it_is_502_after_so_many_tries() {
    let refusing = [(); 5].map(|()| Refusing::new());
    let urls = || refusing.iter().map(Refusing::url);
    for (retries, tries) in [
        (Retries::new(), 3),
        (Retries::new().tries(4), 4),
        (Retries::new().tries(7), 7),
        (Retries::none(), 1),
        // They cost nothing.
        (Retries::new().budget(0.0, 0), 3),
    ] {
        let proxy = in_turn(urls()).retries(retries.clone());
        let response = call(&proxy, post("/", "order")).await;
        assert_eq!(response.status(), 502);
        assert_eq!(kind(&response), Some(ErrorKind::UpstreamConnect));
        let tried = requests(&proxy);
        assert_eq!(tried.iter().sum::<u64>(), tries);
        // None of them twice while there is another.
        let most = tried.iter().max().copied();
        assert!(most == Some(1) || tries > 5, "{tried:?}");

        let alone = GatewayProxy::to(&refusing[0].url())
            .unwrap()
            .retries(retries);
        assert_eq!(call(&alone, get("/")).await.status(), 502);
        assert_eq!(requests(&alone), [tries]);
    }
}

#[tokio::test]
async fn what_was_sent_is_sent_again_only_if_its_method_allows_it() {
    for (method, is_repeated) in [
        (Method::GET, true),
        (Method::HEAD, true),
        (Method::PUT, true),
        (Method::DELETE, true),
        (Method::OPTIONS, true),
        (Method::POST, false),
        (Method::PATCH, false),
    ] {
        let closes = closing().await;
        let good = Upstream::named("good").await;
        let proxy = in_turn([closes.url(), good.url()]);
        let response = call(&proxy, with_body(method.clone())).await;
        assert_eq!(closes.counts().requests, 1);
        assert_eq!(good.counts().requests, usize::from(is_repeated), "{method}");
        let status = if is_repeated { 200 } else { 502 };
        assert_eq!(response.status(), status, "{method}");

        let proxy = in_turn([closes.url(), good.url()]);
        let proxy = proxy.retries(Retries::new().non_idempotent());
        assert_eq!(call(&proxy, with_body(method)).await.status(), 200);
    }
}

#[tokio::test]
async fn a_status_is_worth_another_try_where_that_was_said() {
    let [bad, worse, good] = [
        Upstream::moody("bad", 503).await.0,
        Upstream::moody("worse", 500).await.0,
        Upstream::named("good").await,
    ];
    let urls = || [bad.url(), worse.url(), good.url()];
    // Not by default.
    let response = call(&in_turn(urls()), get("/")).await;
    assert_eq!(response.status(), 503);
    assert_eq!(text(response).await, "bad");

    let retries = || Retries::new().on_status([500, 503]);
    let proxy = in_turn(urls()).retries(retries());
    assert_eq!(ask(&proxy).await, "good");
    assert_eq!(requests(&proxy), [1, 1, 1]);
    let response = call(&proxy, with_body(Method::PUT)).await;
    assert_eq!(response.status(), 200);
    // What was done may not be done twice.
    let proxy = in_turn(urls()).retries(retries());
    let response = call(&proxy, post("/", "order")).await;
    assert_eq!(response.status(), 503);
    assert_eq!(text(response).await, "bad");
    assert_eq!(requests(&proxy), [1, 0, 0]);
    // The last answer is the client's.
    let proxy = in_turn(urls()).retries(retries().tries(2));
    let response = call(&proxy, get("/")).await;
    assert_eq!(response.status(), 500);
    assert_eq!(text(response).await, "worse");
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_waited_for_within_reason() {
    for (after, waits) in [("0", Some(0)), ("1", Some(1)), ("2", None), ("3600", None)] {
        let after_first = move |mut conn: Conn| async move {
            while conn.request().await.is_some() {
                let field = format!("Retry-After: {after}\r\n");
                conn.answer_with(503, &field, "later").await;
            }
        };
        let busy = Upstream::spawn(after_first).await;
        let good = Upstream::named("good").await;
        let proxy = in_turn([busy.url(), good.url()]).retries(Retries::new().on_status([503]));
        let start = Instant::now();
        let response = call(&proxy, get("/")).await;
        let elapsed = start.elapsed();
        match waits {
            Some(seconds) => {
                assert_eq!(response.status(), 200);
                assert_eq!(elapsed.as_secs(), seconds);
            }
            None => {
                assert_eq!(response.status(), 503);
                assert_eq!(response.headers()["retry-after"], after);
                assert_eq!(elapsed, Duration::ZERO);
                assert_eq!(text(response).await, "later");
                assert_eq!(good.counts().requests, 0);
            }
        }
        // Whoever wants to wait may.
        let patient = Retries::new().on_status([503]).max_retry_after(2 * SECOND);
        let proxy = in_turn([busy.url(), good.url()]).retries(patient);
        let status = call(&proxy, get("/")).await.status();
        assert_eq!(status, if after == "3600" { 503 } else { 200 });
    }
}

#[tokio::test(start_paused = true)]
async fn retries_are_a_share_of_requests() {
    let [bad, good] = [
        Upstream::moody("bad", 503).await.0,
        Upstream::named("good").await,
    ];
    let answered = async |budget: Retries, rounds: usize| {
        let retries = budget.on_status([503]);
        let proxy = in_turn([bad.url(), good.url()]).retries(retries);
        let mut refused = 0;
        for _ in 0..rounds {
            // In turn: every other one is for the bad one at first.
            let response = call(&proxy, get("/")).await;
            refused += usize::from(response.status() == 503);
            text(response).await;
        }
        (refused, requests(&proxy)[0] as usize)
    };
    // None is left for what reached a server.
    let (refused, at_bad) = answered(Retries::new().budget(0.0, 0), 20).await;
    assert_eq!((refused, at_bad), (10, 10));
    // Three a second, of ten seconds.
    let (refused, at_bad) = answered(Retries::new().budget(0.0, 3), 100).await;
    assert_eq!(at_bad - refused, 30);
    // A tenth of all; the hundredth need not be one that is refused.
    let (refused, at_bad) = answered(Retries::new().budget(0.1, 0), 100).await;
    assert!((9..=10).contains(&(at_bad - refused)), "{at_bad} {refused}");
}

#[tokio::test(start_paused = true)]
async fn the_budget_comes_back() {
    let bad = Upstream::moody("bad", 503).await.0;
    let retries = Retries::new()
        .on_status([503])
        .budget(0.0, 1)
        .tries(2)
        .backoff(Duration::ZERO, Duration::ZERO);
    let proxy = to(&bad).retries(retries);
    for round in 1..=3 {
        for _ in 0..20 {
            text(call(&proxy, get("/")).await).await;
        }
        assert_eq!(bad.counts().requests, round * (20 + 10));
        tokio::time::sleep(11 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_try_has_a_time_of_its_own() {
    let good = Upstream::named("good").await;
    let hangs = hanging().await;
    let limited = || Retries::new().per_try_timeout(2 * SECOND);
    for (retries, method, status) in [
        (limited(), Method::GET, 504),
        (limited().on_timeout(), Method::GET, 200),
        (limited().on_timeout(), Method::PUT, 200),
        (limited().on_timeout(), Method::POST, 504),
        (limited().on_timeout().non_idempotent(), Method::POST, 200),
        (limited().on_timeout().budget(0.0, 0), Method::GET, 504),
    ] {
        let proxy = in_turn([hangs.url(), good.url()]).retries(retries);
        let start = Instant::now();
        let response = call(&proxy, with_body(method)).await;
        assert_eq!(response.status(), status);
        assert_eq!(start.elapsed().as_secs(), 2);
        let expected = (status == 504).then_some(ErrorKind::UpstreamTimeout);
        assert_eq!(kind(&response), expected);
        hangs.deserted().await;
    }
    // It is no limit of the body.
    let slow = Upstream::spawn(|mut conn| async move {
        conn.request().await;
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
            .await;
        tokio::time::sleep(10 * SECOND).await;
        conn.write("slow").await;
        conn.closed().await;
    })
    .await;
    assert_eq!(ask(&to(&slow).retries(limited())).await, "slow");
}

#[tokio::test(start_paused = true)]
async fn all_tries_together_have_a_time() {
    let hanging = [hanging().await, hanging().await, hanging().await];
    for (retries, tries) in [
        (Retries::new(), 1),
        (Retries::new().per_try_timeout(2 * SECOND).on_timeout(), 3),
    ] {
        let proxy = to_these(&hanging)
            .retries(retries)
            .total_timeout(5 * SECOND);
        let start = Instant::now();
        let response = call(&proxy, get("/")).await;
        assert_eq!(response.status(), 504);
        assert_eq!(kind(&response), Some(ErrorKind::UpstreamTimeout));
        assert_eq!(start.elapsed().as_secs(), 5);
        assert_eq!(requests(&proxy).iter().sum::<u64>(), tries);
        assert!(
            proxy
                .handle()
                .upstreams()
                .iter()
                .all(|it| it.in_flight == 0)
        );
    }
    for upstream in &hanging {
        upstream.deserted().await;
    }
}

#[tokio::test(start_paused = true)]
async fn beyond_the_total_time_a_body_is_broken_off() {
    let endless = Upstream::spawn(|mut conn| async move {
        conn.request().await;
        conn.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        loop {
            conn.write("1\r\nx\r\n").await;
            tokio::time::sleep(SECOND).await;
            if conn.is_closed() {
                return;
            }
        }
    })
    .await;
    let proxy = to(&endless).total_timeout(Duration::from_millis(4500));
    let start = Instant::now();
    let mut body = call(&proxy, get("/")).await.into_body();
    let mut pieces = 0;
    let error = loop {
        match body.frame().await.expect("no end") {
            Ok(_) => pieces += 1,
            Err(error) => break error,
        }
    };
    let error = error.downcast::<Error>().unwrap();
    assert_eq!(error.kind(), ErrorKind::UpstreamTimeout);
    assert_eq!(start.elapsed().as_millis(), 4500);
    assert_eq!(pieces, 5);
    endless.deserted().await;
    assert_eq!(proxy.handle().upstreams()[0].in_use, 0);
}

/// No connection came free: that is what the answer says, whichever time was up.
#[tokio::test(start_paused = true)]
async fn the_total_time_runs_while_a_request_waits_for_a_connection() {
    let upstream = Upstream::named("a").await;
    let proxy = to(&upstream).max_connections(1).total_timeout(2 * SECOND);
    let _held = call(&proxy, get("/")).await;
    let start = Instant::now();
    let response = call(&proxy, get("/")).await;
    assert_eq!(response.status(), 503);
    assert_eq!(kind(&response), Some(ErrorKind::UpstreamBusy));
    assert_eq!(start.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_leaves_no_time_is_not_made() {
    let bad = Upstream::spawn(|mut conn: Conn| async move {
        while conn.request().await.is_some() {
            conn.answer_with(503, "Retry-After: 1\r\n", "later").await;
        }
    })
    .await;
    let proxy = to(&bad)
        .retries(Retries::new().on_status([503]))
        .total_timeout(SECOND / 2);
    let start = Instant::now();
    let response = call(&proxy, get("/")).await;
    assert_eq!(response.status(), 503);
    assert_eq!(text(response).await, "later");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_streamed_body_goes_elsewhere_as_long_as_nobody_has_taken_of_it() {
    let refuses = Refusing::new();
    let echo = Upstream::echo().await;
    let proxy = in_turn([refuses.url(), echo.url()]).stream_requests();
    for _ in 0..4 {
        let (feed, body) = scripted::channel();
        for piece in ["the ", "whole ", "body"] {
            feed.data(piece);
        }
        drop(feed);
        let request = Request::post("/")
            .header("host", "a")
            .body(Body::new(body))
            .unwrap();
        let response = call(&proxy, request).await;
        assert_eq!(response.status(), 200);
        let echoed = text(response).await;
        assert!(
            echoed.ends_with("\r\n\r\n4\r\nthe \r\n6\r\nwhole \r\n4\r\nbody\r\n0\r\n\r\n"),
            "{echoed}"
        );
    }
    assert_eq!(requests(&proxy), [2, 4]);
}

#[tokio::test]
async fn a_streamed_body_that_was_taken_is_never_sent_again() {
    let good = Upstream::named("good").await;
    let all = || {
        Retries::new()
            .non_idempotent()
            .on_status([503])
            .on_timeout()
    };
    let closes = closing().await;
    let proxy = in_turn([closes.url(), good.url()]).stream_requests();
    let response = call(&proxy.retries(all()), with_body(Method::PUT)).await;
    assert_eq!(response.status(), 502);
    assert_eq!(kind(&response), Some(ErrorKind::UpstreamReset));
    assert_eq!(closes.counts().requests, 1);

    let bad = Upstream::moody("bad", 503).await.0;
    let proxy = in_turn([bad.url(), good.url()]).stream_requests();
    let response = call(&proxy.retries(all()), with_body(Method::PUT)).await;
    assert_eq!(response.status(), 503);
    assert_eq!(text(response).await, "bad");
    assert_eq!(good.counts().requests, 0);

    // Spooled, it is there as often as it is needed.
    let proxy = in_turn([closes.url(), bad.url(), good.url()]).retries(all());
    assert_eq!(call(&proxy, with_body(Method::PUT)).await.status(), 200);
    assert_eq!(good.counts().requests, 1);
}

#[tokio::test]
async fn an_answer_that_is_thrown_away_leaves_nothing_behind() {
    // More than is read ahead: nobody could have taken it by accident.
    let large = Upstream::spawn(|mut conn| async move {
        while conn.request().await.is_some() {
            conn.answer_with(503, "", &"x".repeat(4 << 20)).await;
        }
    })
    .await;
    let good = Upstream::named("good").await;
    let proxy = in_turn([large.url(), good.url()])
        .retries(Retries::new().on_status([503]).budget(1.0, 100))
        .max_connections(2)
        .max_waiting(100);
    let mut clients = JoinSet::new();
    for _ in 0..20 {
        let proxy = proxy.clone();
        clients.spawn(async move {
            for _ in 0..3 {
                assert_eq!(ask(&proxy).await, "good");
            }
        });
    }
    clients.join_all().await;
    large.deserted().await;
    assert!(large.counts().requests > 0);
    let upstreams = proxy.handle().upstreams();
    assert!(
        upstreams
            .iter()
            .all(|it| it.in_use == 0 && it.in_flight == 0 && it.waiting == 0)
    );
    assert_eq!(upstreams[0].idle, 0);
    assert_eq!(upstreams[1].idle, good.counts().open);
}

/// There is nothing to read of it, so its connection is as good as it was.
#[tokio::test]
async fn an_answer_without_a_body_that_is_thrown_away_leaves_its_connection() {
    let upstream = Upstream::spawn(|mut conn| async move {
        while conn.request().await.is_some() {
            conn.answer_with(503, "", "").await;
        }
    })
    .await;
    let proxy = to(&upstream).retries(Retries::new().on_status([503]));
    for _ in 0..3 {
        let response = call(&proxy, get("/")).await;
        assert_eq!(response.status(), 503);
    }
    assert_eq!(upstream.counts().requests, 9);
    assert_eq!(upstream.counts().accepted, 1);
}

/// To the same server only after a pause, which grows.
#[tokio::test(start_paused = true)]
async fn the_same_server_is_left_a_moment() {
    let bad = Upstream::moody("bad", 503).await.0;
    let statuses = || Retries::new().on_status([503]).tries(4).budget(1.0, 100);
    let proxy = to(&bad).retries(statuses().backoff(SECOND, 2 * SECOND));
    let mut longest = Duration::ZERO;
    for _ in 0..50 {
        let start = Instant::now();
        call(&proxy, get("/")).await;
        longest = longest.max(start.elapsed());
    }
    // One, two, and again two at most: by chance, and never all of it.
    assert!(longest < 5 * SECOND, "{longest:?}");
    assert!(longest > SECOND, "{longest:?}");
    // To another one at once.
    let good = Upstream::named("good").await;
    let proxy = in_turn([bad.url(), good.url()]).retries(statuses().backoff(SECOND, SECOND));
    let start = Instant::now();
    assert_eq!(ask(&proxy).await, "good");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[cfg(feature = "http2")]
mod http2 {
    use std::convert::Infallible;

    use http::Response;
    use hyper::body::Incoming;
    use tower::service_fn;

    use super::*;
    use crate::support::server;

    #[tokio::test]
    async fn what_is_refused_goes_to_another_server() {
        let echo = server::spawn(service_fn(|request: Request<Incoming>| async {
            Ok::<_, Infallible>(Response::new(Body::new(request.into_body())))
        }))
        .await;
        let refuses = Refusing::new();
        let urls = [refuses.addr, echo.addr].map(|addr| format!("h2c://{addr}"));
        let proxy = in_turn(urls);
        for _ in 0..4 {
            let response = call(&proxy, with_body(Method::POST)).await;
            assert_eq!(text(response).await, "the whole body");
        }
        assert_eq!(requests(&proxy), [2, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn all_tries_together_have_a_time() {
        let hangs = server::spawn(service_fn(|_: Request<Incoming>| async {
            std::future::pending::<Result<Response<Body>, Infallible>>().await
        }))
        .await;
        let proxy = GatewayProxy::to(&format!("h2c://{}", hangs.addr)).unwrap();
        for (proxy, seconds) in [
            (proxy.clone().total_timeout(5 * SECOND), 5),
            (proxy.retries(Retries::new().per_try_timeout(2 * SECOND)), 2),
        ] {
            let start = Instant::now();
            let response = call(&proxy, get("/")).await;
            assert_eq!(response.status(), 504);
            assert_eq!(kind(&response), Some(ErrorKind::UpstreamTimeout));
            assert_eq!(start.elapsed().as_secs(), seconds);
            assert_eq!(proxy.handle().upstreams()[0].in_flight, 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_the_total_time_a_body_is_broken_off() {
        let endless = server::spawn(service_fn(|_: Request<Incoming>| async {
            let (feed, body) = scripted::channel();
            feed.data("some");
            tokio::spawn(async move { feed.unwanted().await });
            Ok::<_, Infallible>(Response::new(Body::new(body)))
        }))
        .await;
        let proxy = GatewayProxy::to(&format!("h2c://{}", endless.addr)).unwrap();
        let proxy = proxy.total_timeout(5 * SECOND);
        let start = Instant::now();
        let mut body = call(&proxy, get("/")).await.into_body();
        let piece = body.frame().await.unwrap().unwrap();
        assert_eq!(piece.into_data().unwrap(), "some");
        let error = body.frame().await.unwrap().unwrap_err();
        let error = error.downcast::<Error>().unwrap();
        assert_eq!(error.kind(), ErrorKind::UpstreamTimeout);
        assert_eq!(start.elapsed().as_secs(), 5);
    }
}
