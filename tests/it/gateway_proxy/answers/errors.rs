//! Pages of one's own for what went wrong.

use std::time::Duration;

use http::{HeaderValue, Response, StatusCode, header};
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower_gateway::{
    Body, Error, GatewayProxy, PathPolicy,
    body::spool::Spool,
    gateway_proxy::{ErrorAnswers, Retries},
    semantics::path::Spelling,
};

use super::super::{call, get, post, text, to};
use crate::support::{
    front::Front,
    raw::{exchange, get as fetch},
    upstream::{Conn, Upstream},
};

/// JSON for programs, the line of text for who asks for text, and a page for all others.
fn pages() -> ErrorAnswers {
    ErrorAnswers::new(|refused| {
        if refused.accepts("text/plain") {
            return None;
        }
        let status = refused.status();
        let reason = refused.error().map(|error| format!("{:?}", error.kind()));
        let reason = reason.unwrap_or_default();
        let (kind, text) = match refused.accepts("application/json") {
            true => (
                "application/json",
                format!("{{\"{reason}\":{}}}", status.as_u16()),
            ),
            false => (
                "text/html",
                format!("<h1>{status} {reason} {}</h1>", refused.uri().path()),
            ),
        };
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        let kind = HeaderValue::from_str(kind).unwrap();
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        Some(response)
    })
}

/// The address of a port on which nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn silent() -> impl Future<Output = Upstream> {
    Upstream::spawn(|mut conn: Conn| async move { conn.closed().await })
}

#[tokio::test]
async fn each_refusal_has_its_page() {
    let answering = Upstream::echo().await;
    let silent = silent().await;
    let unreachable = GatewayProxy::to(&nobody().await).unwrap();
    let late = to(&silent)
        .retries(Retries::none())
        .response_timeout(Duration::from_millis(50));
    let nowhere = GatewayProxy::to_upstreams([]);
    let small = to(&answering).spool(Spool::new().limit(3));
    let elsewhere = to(&answering).at("/app");
    for (proxy, path, status, kind) in [
        (unreachable, "/x", 502, "UpstreamConnect"),
        (late, "/x", 504, "UpstreamTimeout"),
        (nowhere, "/x", 503, "UpstreamUnavailable"),
        (small, "/x", 413, "RequestBodyTooLarge"),
        (elsewhere, "/x", 404, ""),
        (to(&answering), "/x%zz", 400, "BadPath"),
    ] {
        let proxy = proxy.error_answers(pages());
        let response = call(&proxy, post(path, "body")).await;
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["content-type"], "text/html", "{status}");
        assert_eq!(response.headers()["cache-control"], "no-store", "{status}");
        // The layers outside still see what it was.
        let error = response.extensions().get::<Error>();
        let seen = error.map(|error| format!("{:?}", error.kind()));
        assert_eq!(seen.unwrap_or_default(), kind);
        let status = StatusCode::from_u16(status).unwrap();
        let page = format!("<h1>{status} {kind} {path}</h1>");
        assert_eq!(text(response).await, page);
    }

    let silent = self::silent().await;
    let busy = to(&silent).max_connections(1).max_waiting(0);
    let proxy = busy.error_answers(pages());
    let waiting = tokio::spawn({
        let proxy = proxy.clone();
        async move { call(&proxy, get("/")).await }
    });
    silent.until(|counts| counts.open == 1).await;
    let response = call(&proxy, get("/x")).await;
    assert_eq!(response.status(), 503);
    assert_eq!(
        text(response).await,
        "<h1>503 Service Unavailable UpstreamBusy /x</h1>"
    );
    waiting.abort();
}

/// RFC 9110 §15.5.6: "The origin server MUST generate an Allow header field in a 405 response".
#[tokio::test]
async fn a_page_for_405_says_what_is_allowed() {
    let upstream = Upstream::echo().await;
    let trace = || {
        let mut request = get("/");
        *request.method_mut() = http::Method::TRACE;
        request
    };
    let plain = call(&to(&upstream), trace()).await;
    let drawn = call(&to(&upstream).error_answers(pages()), trace()).await;
    assert_eq!(drawn.status(), 405);
    assert_eq!(drawn.headers()["content-type"], "text/html");
    assert_eq!(drawn.headers()["allow"], plain.headers()["allow"]);
}

#[tokio::test]
async fn what_is_not_the_proxy_s_goes_to_the_inner_service_and_has_no_page_of_it() {
    let upstream = Upstream::echo().await;
    let outer = to(&upstream).at("/app").error_answers(pages());
    let inner = to(&upstream).at("/nothing");
    let app = ServiceBuilder::new().layer(outer).service(inner);
    let answer = tower::ServiceExt::oneshot(app, get("/x")).await.unwrap();
    assert_eq!(answer.status(), 404);
    assert_eq!(text(answer).await, "Not Found");
}

#[tokio::test]
async fn a_page_keeps_to_the_rules_of_the_wire() {
    let front = Front::start(
        GatewayProxy::to(&nobody().await)
            .unwrap()
            .spool(Spool::new().limit(3))
            .error_answers(pages()),
    )
    .await;
    let page = fetch(front.addr, "/x").await;
    assert_eq!(page.status, 502);
    // To HEAD, the fields of the page and not the page.
    let head = exchange(front.addr, "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((head.status, head.body.len()), (502, 0));
    assert_eq!(head.header("content-length"), page.header("content-length"));
    assert_eq!(head.header("content-type"), Some("text/html"));

    let json = "GET /x HTTP/1.1\r\nHost: a\r\nAccept: application/json, */*;q=0.1\r\n\r\n";
    let json = exchange(front.addr, json).await;
    assert_eq!(json.header("content-type"), Some("application/json"));
    assert_eq!(json.text(), "{\"UpstreamConnect\":502}");
    let plain = "GET /x HTTP/1.1\r\nHost: a\r\nAccept: text/plain\r\n\r\n";
    let plain = exchange(front.addr, plain).await;
    assert_eq!(plain.text(), "Bad Gateway");

    // What is left of a body that is too large is not waited for.
    let large = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n";
    let large = exchange(front.addr, large).await;
    assert_eq!(large.status, 413);
    assert_eq!(large.header("connection"), Some("close"));
    assert!(large.text().starts_with("<h1>413"));
}

#[tokio::test]
async fn a_redirect_to_the_canonical_path_is_no_error() {
    let upstream = Upstream::echo().await;
    let paths = PathPolicy::new().spelling(Spelling::Redirect);
    let proxy = to(&upstream).paths(paths).error_answers(pages());
    let answer = call(&proxy, get("//x")).await;
    assert_eq!(answer.status(), 308);
    assert_eq!(answer.headers()["location"], "/x");
}

#[tokio::test]
async fn answers_of_the_upstream_are_replaced_where_it_was_asked() {
    let upstream = Upstream::spawn(|mut conn: Conn| async move {
        while let Some(request) = conn.request().await {
            let status = request.split(['/', ' ']).nth(2).unwrap().to_owned();
            let body = "a traceback".repeat(1000);
            let length = body.len();
            conn.write(format!(
                "HTTP/1.1 {status} X\r\nContent-Type: text/x-traceback\r\nETag: \"a\"\r\n\
                 Set-Cookie: a=b\r\nSet-Cookie: c=d\r\nRetry-After: 7\r\n\
                 Content-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n"
            ))
            .await;
            if !request.starts_with("HEAD ") {
                conn.write(body).await;
            }
        }
    })
    .await;
    let intercepted = [
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    let proxy = to(&upstream).error_answers(pages().intercept(intercepted));
    let front = Front::start(proxy).await;
    for (status, is_replaced) in [(200, false), (404, false), (500, true), (503, true)] {
        let answer = fetch(front.addr, &format!("/{status}")).await;
        assert_eq!(answer.status, status);
        assert!(answer.complete);
        assert_eq!(answer.header_all("set-cookie"), ["a=b", "c=d"]);
        assert_eq!(answer.header("retry-after"), Some("7"));
        assert_eq!(answer.text().contains("a traceback"), !is_replaced);
        assert_eq!(answer.header("etag").is_none(), is_replaced);
        assert_eq!(answer.header("content-encoding").is_none(), is_replaced);
        let kind = if is_replaced {
            "text/html"
        } else {
            "text/x-traceback"
        };
        assert_eq!(answer.header("content-type"), Some(kind));

        let head = format!("HEAD /{status} HTTP/1.1\r\nHost: a\r\n\r\n");
        let head = exchange(front.addr, head).await;
        assert_eq!((head.status, head.body.len()), (status, 0));
        assert_eq!(head.header("content-type"), Some(kind));
        assert_eq!(
            head.header("content-length"),
            answer.header("content-length")
        );
    }
}
