//! Fields put into messages, and taken out.

use http::Request;
use tower_gateway::{
    Body,
    gateway_proxy::{AccelFields, HeaderEdits, Retries},
};

use super::super::{call, get, lines, text, to};
use crate::support::{front::Front, raw::exchange, upstream::Upstream};

#[tokio::test]
async fn requests_are_edited_after_all_else_was_decided() {
    let upstream = Upstream::echo().await;
    let edits = HeaderEdits::new()
        .remove("cookie")
        .set("x-forwarded-proto", "https")
        .set("authorization", "Bearer ours")
        .set_if_absent("accept", "text/html")
        .add("x-gateway", "one")
        .add("x-gateway", "two");
    let proxy = to(&upstream).request_headers(edits);
    let request = Request::get("/")
        .header("host", "a")
        .header("cookie", "a=b")
        .header("accept", "text/plain")
        .header("authorization", "Bearer theirs")
        .header("x-forwarded-proto", "gopher")
        .body(Body::empty())
        .unwrap();
    let seen = text(call(&proxy, request).await).await;
    for (name, values) in [
        ("cookie", &[][..]),
        ("x-forwarded-proto", &["https"]),
        ("authorization", &["Bearer ours"]),
        ("accept", &["text/plain"]),
        ("x-gateway", &["one", "two"]),
    ] {
        assert_eq!(lines(&seen, name), values, "{seen}");
    }
}

/// A request that is sent again is not edited again.
#[tokio::test]
async fn a_second_try_is_the_same_request() {
    let upstream = Upstream::spawn(|mut conn| async move {
        while let Some(request) = conn.request().await {
            if conn.number == 0 {
                return;
            }
            conn.answer(&request).await;
        }
    })
    .await;
    let proxy = to(&upstream)
        .retries(Retries::new())
        .request_headers(HeaderEdits::new().add("x-gateway", "one"));
    let seen = text(call(&proxy, get("/")).await).await;
    assert_eq!(lines(&seen, "x-gateway"), ["one"]);
    assert_eq!(upstream.counts().accepted, 2);
}

#[tokio::test]
async fn answers_are_edited_and_refusals_are_not() {
    let upstream = Upstream::saying(
        "HTTP/1.1 200 OK\r\nServer: app/1\r\nVary: accept\r\nX-A: 1\r\nX-A: 2\r\n\
         Content-Length: 2\r\n\r\nok",
    )
    .await;
    let edits = HeaderEdits::new()
        .remove("server")
        .set("x-a", "3")
        .add("vary", "cookie")
        .set_if_absent("x-frame-options", "DENY");
    let proxy = to(&upstream).response_headers(edits);
    let answer = call(&proxy, get("/")).await;
    let headers = answer.headers();
    assert!(!headers.contains_key("server"));
    assert_eq!(headers.get_all("x-a").iter().count(), 1);
    assert_eq!(headers["x-a"], "3");
    assert_eq!(headers.get_all("vary").iter().count(), 2);
    assert_eq!(headers["x-frame-options"], "DENY");
    assert_eq!(text(answer).await, "ok");

    let refused = call(&proxy, get("/x%zz")).await;
    assert_eq!(refused.status(), 400);
    assert!(!refused.headers().contains_key("x-frame-options"));
}

#[tokio::test]
async fn what_speaks_to_nginx_is_taken_out_or_passed_on() {
    let upstream = Upstream::saying(
        "HTTP/1.1 200 OK\r\nX-Accel-Buffering: no\r\nX-Accel-Expires: 60\r\n\
         X-Accel-Limit-Rate: 1000\r\nX-Accel-Charset: koi8-r\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    for (fields, count) in [(AccelFields::Take, 0), (AccelFields::Pass, 4)] {
        let front = Front::start(to(&upstream).accel_fields(fields)).await;
        let answer = exchange(front.addr, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let names = answer.headers.iter();
        let found = names.filter(|(name, _)| name.starts_with("x-accel-"));
        assert_eq!(found.count(), count, "{answer:?}");
        assert_eq!(answer.text(), "ok");
    }
}
