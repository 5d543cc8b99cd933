//! What an operator sees: a span for each request, and what the metrics facade is told.

use std::{convert::Infallible, panic::AssertUnwindSafe, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use metrics::set_default_local_recorder;
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::Notify};
use tower::ServiceExt;
use tower_gateway::{
    Body, ErrorKind, GatewayProxy,
    gateway_proxy::{Buffering, Ejection, ErrorAnswers, HealthCheck, Retries, UpstreamHealth},
};

use super::{call, get, post, text, to};
use crate::support::{
    counted::Counted,
    log::{self, Log},
    raw::read_answer,
    scripted, server,
    upstream::{Conn, Upstream},
};

const TEN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";

/// The requests that are over, as they were told.
fn over(log: &Log) -> Vec<String> {
    let text = log.text();
    let lines = text
        .lines()
        .filter(|line| line.contains("a request is over"));
    lines.map(str::to_owned).collect()
}

/// The only request that is over.
fn only(log: &Log) -> String {
    let mut over = over(log);
    assert_eq!(over.len(), 1, "{over:#?}");
    over.remove(0)
}

/// A field of the span.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, span) = line.split_once("gateway_proxy{")?;
    let (span, _) = span.split_once('}')?;
    let mut fields = span.split(' ').filter_map(|field| field.split_once('='));
    let values: Vec<_> = fields
        .by_ref()
        .filter(|(field, _)| *field == name)
        .map(|(_, value)| value.trim_matches('"'))
        .collect();
    assert!(values.len() <= 1, "{name} is said twice in {line}");
    values.first().copied()
}

fn number(line: &str, name: &str) -> f64 {
    let value = field(line, name).unwrap_or_else(|| panic!("no {name} in {line}"));
    value.parse().unwrap()
}

fn requests(counted: &Counted, outcome: &str, status: &str) -> f64 {
    counted.of(&format!(
        "tower_gateway_proxy_requests_total {outcome} {status}"
    ))
}

/// Of an upstream.
fn of(counted: &Counted, name: &str, upstream: &Upstream) -> f64 {
    counted.of(&format!("tower_gateway_proxy_{name} {}", upstream.url()))
}

/// Nothing is in use, and nobody waits.
fn assert_at_rest(counted: &Counted) {
    for gauge in ["connections_in_use", "requests_waiting", "tunnels"] {
        assert_eq!(counted.sum(gauge), 0.0, "{gauge}: {:?}", counted.all());
    }
}

#[tokio::test]
async fn a_request_is_a_span_with_what_came_of_it() {
    let (log, _guard) = log::capture();
    let upstream = Upstream::saying("HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello").await;
    let proxy = to(&upstream);
    for _ in 0..2 {
        text(call(&proxy, post("/", "three")).await).await;
    }
    let over = over(&log);
    for line in &over {
        assert_eq!(field(line, "method"), Some("POST"));
        assert_eq!(field(line, "upstream"), Some(upstream.url().as_str()));
        assert_eq!(field(line, "tries"), Some("1"));
        assert_eq!(field(line, "status"), Some("201"));
        assert_eq!(field(line, "outcome"), Some("complete"));
        assert_eq!(field(line, "error"), None);
        assert_eq!(number(line, "request_bytes"), 5.0);
        assert_eq!(number(line, "response_bytes"), 5.0);
        // A POST takes a fresh connection.
        assert!(number(line, "connect_ms") <= number(line, "first_byte_ms"));
        assert_eq!(field(line, "wait_ms"), None);
        assert!(number(line, "first_byte_ms") <= number(line, "total_ms"));
    }
    assert_eq!(over.len(), 2);
}

#[tokio::test]
async fn a_kept_connection_takes_no_time_to_connect() {
    let (log, _guard) = log::capture();
    let upstream = Upstream::echo().await;
    let proxy = to(&upstream);
    for _ in 0..2 {
        text(call(&proxy, get("/")).await).await;
    }
    let over = over(&log);
    assert!(field(&over[0], "connect_ms").is_some());
    assert_eq!(field(&over[1], "connect_ms"), None);
    assert!(field(&over[1], "first_byte_ms").is_some());
}

#[tokio::test(start_paused = true)]
async fn times_are_what_the_clock_says() {
    let (log, _guard) = log::capture();
    let counted = Counted::default();
    let _recorder = set_default_local_recorder(&counted);
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        while conn.request().await.is_some() {
            tokio::time::sleep(Duration::from_secs(2)).await;
            conn.write(TEN).await;
            tokio::time::sleep(Duration::from_secs(3)).await;
            conn.write("0123456789").await;
        }
    })
    .await;
    let proxy = to(&upstream)
        .max_connections(1)
        .pool_timeout(Duration::from_secs(9));
    let one = async { text(call(&proxy, get("/")).await).await };
    let other = async { text(call(&proxy, get("/")).await).await };
    tokio::join!(one, other);
    let over = over(&log);
    let near = |line: &str, name: &str, ms: f64| {
        let at = number(line, name);
        assert!((ms..ms + 100.0).contains(&at), "{name} is {at}, not {ms}");
    };
    near(&over[0], "first_byte_ms", 2000.0);
    near(&over[0], "total_ms", 5000.0);
    assert_eq!(field(&over[0], "wait_ms"), None);
    near(&over[1], "wait_ms", 5000.0);
    near(&over[1], "first_byte_ms", 7000.0);
    near(&over[1], "total_ms", 10_000.0);
    assert_eq!(of(&counted, "wait_seconds", &upstream), 1.0);
    assert_eq!(of(&counted, "first_byte_seconds", &upstream), 2.0);
    assert_eq!(of(&counted, "connect_seconds", &upstream), 1.0);
    assert_eq!(of(&counted, "connections_opened_total", &upstream), 1.0);
    assert_eq!(of(&counted, "connections_idle", &upstream), 1.0);
    assert_at_rest(&counted);
    drop(proxy);
    assert_eq!(of(&counted, "connections_idle", &upstream), 0.0);
}

#[tokio::test(start_paused = true)]
async fn each_outcome_is_told_once() {
    let (log, _guard) = log::capture();
    let counted = Counted::default();
    let _recorder = set_default_local_recorder(&counted);
    let told = |outcome: &str, status: &str, error: Option<&str>| {
        let over = over(&log);
        let line = over.last().expect("nothing is told");
        assert_eq!(field(line, "outcome"), Some(outcome), "{line}");
        assert_eq!(field(line, "error"), error, "{line}");
        let code = field(line, "status").unwrap_or("none");
        let class = match code {
            "none" => "none".to_owned(),
            code => format!("{}xx", &code[..1]),
        };
        assert_eq!(code, status, "{line}");
        let all: f64 = requests(&counted, outcome, &class);
        assert!(all >= 1.0, "{outcome} {class} in {:?}", counted.all());
        assert_eq!(counted.sum("proxy_requests_total"), over.len() as f64);
        assert_at_rest(&counted);
    };
    let scripted = |answer: &'static str| {
        Upstream::spawn(move |mut conn: Conn| async move {
            conn.request().await;
            conn.write(answer).await;
            if !answer.ends_with("0123") {
                conn.closed().await;
            }
        })
    };
    let echo = Upstream::echo().await;
    let quiet = scripted("").await;
    let stuck = scripted("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01").await;
    let broken = scripted("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123").await;
    let ill = scripted("HTTP/1.1 500 No\r\nContent-Length: 10\r\n\r\n01").await;

    text(call(&to(&echo), get("/")).await).await;
    told("complete", "200", None);

    let options = Request::options("/")
        .header("host", "a")
        .header("max-forwards", "0");
    call(&to(&echo), options.body(Body::empty()).unwrap()).await;
    told("local", "200", None);

    call(&to(&echo), Request::get("/").body(Body::empty()).unwrap()).await;
    told("refused", "400", Some("bad_request"));

    let nowhere = GatewayProxy::to("http+unix:/nowhere/at.all").unwrap();
    call(&nowhere, get("/")).await;
    told("unanswered", "502", Some("upstream_connect"));

    call(&to(&quiet).retries(Retries::none()), get("/")).await;
    told("unanswered", "504", Some("upstream_timeout"));

    let body = call(&to(&broken), get("/")).await.into_body();
    body.collect().await.unwrap_err();
    told("broken_off", "200", Some("upstream_reset"));

    for buffering in [Buffering::new(), Buffering::off()] {
        let body = call(&to(&stuck).buffering(buffering), get("/"))
            .await
            .into_body();
        body.collect().await.unwrap_err();
        told("timeout", "200", Some("upstream_timeout"));
    }

    // Before the head of the answer.
    let proxy = to(&quiet);
    let asked = quiet.counts().requests;
    tokio::select! {
        _ = call(&proxy, get("/")) => panic!("it says nothing"),
        () = quiet.until(|counts| counts.requests > asked) => {}
    }
    told("client_left", "none", None);
    assert_eq!(field(over(&log).last().unwrap(), "tries"), Some("1"));

    // Amid the body.
    let mut body = call(&to(&stuck), get("/")).await.into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    told("client_left", "200", None);
    assert_eq!(number(over(&log).last().unwrap(), "response_bytes"), 2.0);

    drop(call(&to(&stuck), get("/")).await);
    told("unread", "200", None);

    let page = ErrorAnswers::new(|_| Some(http::Response::new(Body::from("sorry"))));
    let page = page.intercept([StatusCode::INTERNAL_SERVER_ERROR]);
    text(call(&to(&ill).error_answers(page), get("/")).await).await;
    told("unread", "500", None);

    let frames = futures_util::stream::poll_fn(
        |_| -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            panic!("a body that panics")
        },
    );
    let request = Request::post("/")
        .header("host", "a")
        .body(StreamBody::new(frames))
        .unwrap();
    let panicking = AssertUnwindSafe(to(&echo).stream_requests().oneshot(request));
    assert!(panicking.catch_unwind().await.is_err());
    told("failed", "none", None);
    assert_eq!(
        counted.of("tower_gateway_proxy_errors_total bad_request"),
        1.0
    );
    assert_eq!(
        counted.of("tower_gateway_proxy_errors_total upstream_connect"),
        1.0
    );
    assert_eq!(
        counted.sum("request_duration_seconds"),
        over(&log).len() as f64
    );
}

#[tokio::test]
async fn what_happens_to_a_request_is_seen_with_it() {
    let (log, _guard) = log::capture();
    let broken = Upstream::spawn(|mut conn: Conn| async move {
        conn.request().await;
        conn.write([TEN, "0123"].concat()).await;
    })
    .await;
    for buffering in [Buffering::new(), Buffering::off()] {
        let body = call(&to(&broken).buffering(buffering), get("/"))
            .await
            .into_body();
        body.collect().await.unwrap_err();
    }
    let nowhere = GatewayProxy::to("http+unix:/nowhere/at.all").unwrap();
    call(&nowhere, get("/")).await;
    let text = log.text();
    let warnings: Vec<_> = text.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 3, "{text}");
    for warning in warnings {
        assert_eq!(field(warning, "method"), Some("GET"), "{warning}");
    }
}

#[tokio::test]
async fn bytes_of_bodies_are_counted_whatever_way_they_take() {
    let (log, _guard) = log::capture();
    let counted = Counted::default();
    let _recorder = set_default_local_recorder(&counted);
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        while conn.request().await.is_some() {
            conn.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n").await;
        }
    })
    .await;
    for proxy in [to(&upstream), to(&upstream).stream_requests()] {
        for is_chunked in [false, true] {
            let (feed, body) = scripted::channel();
            let body = match is_chunked {
                true => body,
                false => body.with_length(7),
            };
            feed.data("four");
            feed.data("sex");
            drop(feed);
            let request = Request::post("/").header("host", "a").body(body).unwrap();
            assert_eq!(text(call(&proxy, request).await).await, "abc");
        }
    }
    let over = over(&log);
    assert_eq!(over.len(), 4);
    for line in over {
        assert_eq!(number(&line, "request_bytes"), 7.0);
        assert_eq!(number(&line, "response_bytes"), 3.0);
    }
    assert_eq!(counted.of("tower_gateway_proxy_request_bytes_total"), 28.0);
    assert_eq!(counted.of("tower_gateway_proxy_response_bytes_total"), 12.0);
}

#[tokio::test]
async fn tries_and_why_there_were_more_of_them() {
    let (log, _guard) = log::capture();
    let counted = Counted::default();
    let _recorder = set_default_local_recorder(&counted);
    let resetting = Upstream::spawn(|mut conn: Conn| async move {
        conn.request().await;
        conn.reset();
    })
    .await;
    let echo = Upstream::echo().await;
    let first = tower_gateway::gateway_proxy::Upstream::new(&resetting.url()).unwrap();
    let second = tower_gateway::gateway_proxy::Upstream::new(&echo.url())
        .unwrap()
        .backup();
    let proxy = GatewayProxy::to_upstreams([first, second]);
    let response = call(&proxy, get("/")).await;
    assert_eq!(response.status(), 200);
    text(response).await;
    let line = only(&log);
    assert_eq!(field(&line, "tries"), Some("2"));
    assert_eq!(field(&line, "upstream"), Some(echo.url().as_str()));
    assert_eq!(of(&counted, "tries_total", &resetting), 1.0);
    assert_eq!(of(&counted, "tries_total", &echo), 1.0);
    let url = resetting.url();
    assert_eq!(
        counted.of(&format!("tower_gateway_proxy_retries_total {url} failed")),
        1.0
    );
    assert_eq!(
        counted.of(&format!(
            "tower_gateway_proxy_failures_total {url} upstream_reset"
        )),
        1.0
    );
    let known = proxy.handle().upstreams();
    assert_eq!(known[0].errors.of(ErrorKind::UpstreamReset), 1);
    assert_eq!(known[0].errors.total(), 1);
    assert_eq!(known[0].errors.to_string(), "upstream_reset 1");
    assert_eq!(known[1].errors.to_string(), "none");
    let line = known[0].to_string();
    assert!(
        line.starts_with(&format!("{url}: up; 0 in flight, 0 waiting;")),
        "{line}"
    );
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_no_failure() {
    let (log, _guard) = log::capture();
    let counted = Counted::default();
    let _recorder = set_default_local_recorder(&counted);
    // It closes when it reads the second request.
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        conn.request().await;
        conn.answer("once").await;
        conn.request().await;
    })
    .await;
    let proxy = to(&upstream);
    for _ in 0..2 {
        assert_eq!(text(call(&proxy, get("/")).await).await, "once");
    }
    let over = over(&log);
    assert_eq!(field(&over[1], "tries"), Some("1"));
    let url = upstream.url();
    assert_eq!(
        counted.of(&format!("tower_gateway_proxy_retries_total {url} stale")),
        1.0
    );
    assert_eq!(counted.sum("failures_total"), 0.0);
    assert_eq!(of(&counted, "tries_total", &upstream), 3.0);
    assert_eq!(of(&counted, "connections_opened_total", &upstream), 2.0);
    assert_eq!(proxy.handle().upstreams()[0].errors.total(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_broke_off_counts_for_its_upstream() {
    let counted = Counted::default();
    let _recorder = set_default_local_recorder(&counted);
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        conn.request().await;
        conn.write([TEN, "0123"].concat()).await;
        conn.closed().await;
    })
    .await;
    let proxy = to(&upstream);
    let body = call(&proxy, get("/")).await.into_body();
    body.collect().await.unwrap_err();
    let errors = proxy.handle().upstreams()[0].errors;
    assert_eq!(errors.of(ErrorKind::UpstreamTimeout), 1);
    let name = format!(
        "tower_gateway_proxy_failures_total {} upstream_timeout",
        upstream.url()
    );
    assert_eq!(counted.of(&name), 1.0);
}

#[tokio::test(start_paused = true)]
async fn changes_of_health_are_counted() {
    let counted = Counted::default();
    let _recorder = set_default_local_recorder(&counted);
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        while let Some(request) = conn.request().await {
            match request.contains("/ill") {
                true => {
                    conn.write("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
                        .await
                }
                false => conn.answer("well").await,
            }
        }
    })
    .await;
    let other = Upstream::echo().await;
    let proxy = GatewayProxy::to_all([upstream.url(), other.url()]).unwrap();
    let proxy = proxy
        .ejection(Ejection::new().consecutive(1).on_status([503]))
        .retries(Retries::none());
    assert_eq!(proxy.handle().upstreams()[0].last_change, None);
    while of(&counted, "ejections_total", &upstream) == 0.0 {
        text(call(&proxy, get("/ill")).await).await;
    }
    let known = proxy.handle().upstreams();
    assert!(matches!(known[0].health, UpstreamHealth::Ejected(_)));
    assert_eq!((known[0].ejections, known[1].ejections), (1, 0));
    tokio::time::advance(Duration::from_secs(60)).await;
    let changed = proxy.handle().upstreams()[0].last_change.unwrap();
    assert!(changed >= Duration::from_secs(60), "{changed:?}");
    let up = format!(
        "tower_gateway_proxy_health_changes_total {} up",
        upstream.url()
    );
    while counted.of(&up) == 0.0 {
        text(call(&proxy, get("/")).await).await;
    }

    let checked = to(&upstream).health_check(HealthCheck::get("/ill").falls(1));
    checked.handle().start();
    let down = format!(
        "tower_gateway_proxy_health_changes_total {} down",
        upstream.url()
    );
    while counted.of(&down) == 0.0 {
        tokio::time::advance(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(counted.of(&down), 1.0);
    assert_eq!(checked.handle().upstreams()[0].health.to_string(), "down");
}

#[tokio::test]
async fn a_tunnel_is_over_when_it_is() {
    let (log, _guard) = log::capture();
    let counted = Counted::default();
    let _recorder = set_default_local_recorder(&counted);
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        conn.head().await;
        conn.write(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\nhello",
        )
        .await;
        conn.fill().await;
        conn.write("bye").await;
    })
    .await;
    let server = server::spawn(to(&upstream)).await;
    let mut client = TcpStream::connect(server.addr).await.unwrap();
    let wish = "GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n";
    client.write_all(wish.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut client, false).await.status, 101);
    assert_eq!(counted.of("tower_gateway_proxy_tunnels"), 1.0);
    assert_eq!(over(&log).len(), 0);
    client.write_all(b"ok").await.unwrap();
    client.shutdown().await.unwrap();
    let mut rest = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut client, &mut rest)
        .await
        .unwrap();
    assert_eq!(rest, b"hellobye");
    upstream.deserted().await;
    while counted.of("tower_gateway_proxy_tunnels") > 0.0 {
        tokio::task::yield_now().await;
    }
    let line = only(&log);
    assert_eq!(field(&line, "status"), Some("101"));
    assert_eq!(field(&line, "outcome"), Some("complete"));
    assert_eq!(number(&line, "request_bytes"), 2.0);
    assert_eq!(number(&line, "response_bytes"), 8.0);
    assert_eq!(requests(&counted, "complete", "1xx"), 1.0);
    assert_at_rest(&counted);
    assert!(
        log.text().lines().any(|line| {
            line.contains("a tunnel ended") && field(line, "method") == Some("GET")
        })
    );
}

#[tokio::test]
async fn those_who_wait_are_counted_while_they_do() {
    let counted = Counted::default();
    let _recorder = set_default_local_recorder(&counted);
    let go = std::sync::Arc::new(Notify::new());
    let gate = go.clone();
    let upstream = Upstream::spawn(move |mut conn: Conn| {
        let gate = gate.clone();
        async move {
            while conn.request().await.is_some() {
                gate.notified().await;
                conn.answer("ok").await;
            }
        }
    })
    .await;
    let proxy = to(&upstream).max_connections(1);
    let first = call(&proxy, get("/"));
    tokio::pin!(first);
    assert!((&mut first).now_or_never().is_none());
    let mut second = Box::pin(call(&proxy, get("/")));
    let third = Box::pin(call(&proxy, get("/")));
    assert!((&mut second).now_or_never().is_none());
    assert!(third.now_or_never().is_none());
    assert_eq!(of(&counted, "connections_in_use", &upstream), 1.0);
    assert_eq!(of(&counted, "requests_waiting", &upstream), 1.0);
    // The third was dropped: nobody is told of what it waited.
    assert_eq!(of(&counted, "wait_seconds", &upstream), 0.0);
    go.notify_one();
    text(first.await).await;
    go.notify_one();
    text(second.await).await;
    assert_eq!(of(&counted, "wait_seconds", &upstream), 1.0);
    assert_at_rest(&counted);
    assert_eq!(requests(&counted, "client_left", "none"), 1.0);
    assert_eq!(requests(&counted, "complete", "2xx"), 2.0);
}

#[tokio::test]
async fn nothing_of_a_request_is_told_but_its_method() {
    let (log, _guard) = log::capture();
    let counted = Counted::default();
    let _recorder = set_default_local_recorder(&counted);
    let echo = Upstream::echo().await;
    let broken = Upstream::spawn(|mut conn: Conn| async move {
        conn.request().await;
        conn.write("HTTP/1.1 200 OK\r\nX-Secret: hidden\r\nContent-Length: 10\r\n\r\nhidden")
            .await;
    })
    .await;
    let nonsense =
        Upstream::saying("HTTP/1.1 200 OK\r\nhidden: \r\nContent-Length: hidden\r\n\r\n").await;
    let nowhere = GatewayProxy::to("http+unix:/nowhere/at.all").unwrap();
    for proxy in [to(&echo), to(&broken), to(&nonsense), nowhere] {
        for host in ["example.org", "hid den"] {
            let request = Request::post("/hidden?hidden=hidden")
                .header("host", host)
                .header("cookie", "hidden=hidden")
                .header("authorization", "Bearer hidden")
                .header("x-hidden", "hidden")
                .body(Full::new(Bytes::from("hidden")))
                .unwrap();
            call(&proxy, request).await.into_body().collect().await.ok();
        }
    }
    assert!(!over(&log).is_empty());
    assert!(!log.text().contains("hidden"), "{}", log.text());
    let labels = format!("{:?}", counted.all());
    assert!(!labels.contains("hidden"), "{labels}");
}

#[tokio::test]
async fn every_number_is_described_and_documented() {
    let counted = Counted::default();
    let _recorder = set_default_local_recorder(&counted);
    let upstream = Upstream::echo().await;
    let nowhere = GatewayProxy::to("http+unix:/nowhere/at.all").unwrap();
    for proxy in [to(&upstream), nowhere] {
        let mut request = get("/");
        for name in ["x_forwarded_for", "proxy", "x-fine"] {
            let value = http::HeaderValue::from_static("6.6.6.6");
            request.headers_mut().append(name, value);
        }
        text(call(&proxy, request).await).await;
    }
    let dropped = counted.of("tower_gateway_proxy_dropped_fields_total");
    assert_eq!(dropped, 4.0);
    let described = counted.described();
    let docs = include_str!("../../../src/gateway_proxy/mod.rs");
    for name in counted.all().into_keys() {
        let name = name.split(' ').next().unwrap();
        assert!(described.contains(name), "{name} is not described");
    }
    for name in described {
        assert!(
            docs.contains(&format!("`{name}`")),
            "{name} is not documented"
        );
    }
}
