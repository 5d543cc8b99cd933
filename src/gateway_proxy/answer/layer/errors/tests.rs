#![allow(clippy::unwrap_used)]

use super::*;
use crate::{ErrorKind, body::answer};

fn asked(accept: &'static str) -> (ErrorAnswers, Asked) {
    let answers = ErrorAnswers::new(|refused: &Refused<'_>| {
        if refused.accepts("text/plain") {
            return None;
        }
        let kind = refused.error().map(Error::kind);
        let (method, uri) = (refused.method(), refused.uri());
        let text = format!("{} {kind:?} {method} {uri}", refused.status());
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = refused.status();
        let html = HeaderValue::from_static("text/html");
        response.headers_mut().insert(header::CONTENT_TYPE, html);
        let close = HeaderValue::from_static("keep-alive");
        response.headers_mut().insert(header::CONNECTION, close);
        Some(response)
    });
    let request = Request::get("/x?y").header(header::ACCEPT, accept);
    let asked = answers.note(&request.body(()).unwrap());
    (answers, asked)
}

fn text(response: Response<Body>) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let body = http_body_util::BodyExt::collect(response.into_body());
    let bytes = runtime.unwrap().block_on(body).unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_drawn_answer_tells_the_layers_outside_what_it_stands_for() {
    let (answers, asked) = asked("application/json, text/html;q=0.5");
    let response = answers.refuse(&asked, answer::error(ErrorKind::UpstreamTimeout.into()));
    assert_eq!(response.status(), 504);
    let headers = response.headers();
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(headers[header::CONTENT_TYPE], "text/html");
    assert!(!headers.contains_key(header::CONNECTION));
    let error = response.extensions().get::<Error>().unwrap();
    assert_eq!(error.kind(), ErrorKind::UpstreamTimeout);
    assert_eq!(
        text(response),
        "504 Gateway Timeout Some(UpstreamTimeout) GET /x?y"
    );
}

#[test]
fn a_connection_that_is_to_be_closed_is_closed() {
    let (answers, asked) = asked("*/*");
    let error = ErrorKind::RequestBodyTooLarge.into();
    let plain = answer::refuse_body(error, http::Version::HTTP_11);
    let response = answers.refuse(&asked, plain);
    assert_eq!(response.headers()[header::CONNECTION], "close");
}

#[test]
fn a_redirect_is_no_error() {
    let (answers, asked) = asked("*/*");
    let redirect = answer::redirect(StatusCode::PERMANENT_REDIRECT, "/x");
    let response = answers.refuse(&asked, redirect);
    assert_eq!(response.headers()[header::LOCATION], "/x");
}

#[test]
fn who_draws_nothing_leaves_the_line_of_text() {
    let (answers, asked) = asked("text/plain; q=1");
    let response = answers.refuse(&asked, answer::error(ErrorKind::UpstreamBusy.into()));
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    assert!(response.extensions().get::<Error>().is_some());
    assert_eq!(text(response), "Service Unavailable");
}

#[test]
fn answers_of_the_upstream_are_replaced_only_when_asked() {
    let (answers, asked) = asked("*/*");
    let answers = answers.intercept([StatusCode::BAD_GATEWAY, StatusCode::UNAUTHORIZED]);
    let upstream = |status| {
        let response = Response::builder().status(status);
        let lines = [
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("www-authenticate", "Basic"),
            ("retry-after", "3"),
            ("content-type", "text/plain"),
            ("content-length", "5"),
            ("content-encoding", "gzip"),
            ("etag", "\"x\""),
            ("cache-control", "max-age=60"),
        ];
        let response = lines.iter().fold(response, |response, (name, value)| {
            response.header(*name, *value)
        });
        response.body(Body::from("plain")).unwrap()
    };
    let response = answers.replace(&asked, upstream(401));
    assert_eq!(response.status(), 401);
    let mut lines: Vec<_> = response
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            "cache-control: no-store",
            "content-type: text/html",
            "retry-after: 3",
            "set-cookie: a=1",
            "set-cookie: b=2",
            "www-authenticate: Basic",
        ]
    );
    assert_eq!(text(response), "401 Unauthorized None GET /x?y");

    assert_eq!(text(answers.replace(&asked, upstream(404))), "plain");
}

#[test]
#[should_panic(expected = "is no error")]
fn only_errors_are_replaced() {
    let (answers, _) = asked("");
    let _ = answers.intercept([StatusCode::OK]);
}
