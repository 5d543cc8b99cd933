//! What is left to the service inside.

use http::StatusCode;
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};
use tower_gateway::{Body, StaticFiles};

use super::{
    inside::Inside,
    tree::{Tree, ask, request},
};
use crate::support::scripted;

const MISS: StatusCode = StatusCode::NOT_FOUND;
const METHOD: StatusCode = StatusCode::METHOD_NOT_ALLOWED;

/// What is answered here, and what the service inside is asked.
const TABLE: &[(&[StatusCode], &str, &str, Option<u16>)] = &[
    (&[MISS, METHOD], "GET", "/static/missing", None),
    (&[MISS, METHOD], "POST", "/static/a.txt", None),
    (&[MISS, METHOD], "OPTIONS", "/static/a.txt", None),
    (&[], "GET", "/static/missing", Some(404)),
    (&[], "HEAD", "/static/missing", Some(404)),
    (&[], "GET", "/static/dir/", Some(404)),
    (&[], "POST", "/static/a.txt", Some(405)),
    (&[], "POST", "/static/missing", Some(405)),
    (&[], "get", "/static/a.txt", Some(405)),
    (&[], "OPTIONS", "/static/a.txt", Some(204)),
    (&[], "OPTIONS", "/static/missing", Some(204)),
    (&[MISS], "GET", "/static/missing", None),
    (&[MISS], "HEAD", "/static/missing", None),
    (&[MISS], "POST", "/static/a.txt", Some(405)),
    (&[MISS], "OPTIONS", "/static/missing", Some(204)),
    (&[METHOD], "GET", "/static/missing", Some(404)),
    (&[METHOD], "POST", "/static/missing", None),
    (&[METHOD], "OPTIONS", "/static/a.txt", None),
    // A file is a file, and elsewhere it is never this layer's.
    (&[MISS, METHOD], "GET", "/static/a.txt", Some(200)),
    (&[], "GET", "/static/a.txt", Some(200)),
    (&[], "GET", "/elsewhere", None),
    (&[], "POST", "/elsewhere", None),
    (&[], "OPTIONS", "/elsewhere", None),
];

#[tokio::test]
async fn what_is_left_to_the_service_inside_reaches_it_and_nothing_else_does() {
    let tree = Tree::of(&[("a.txt", "a"), ("dir/b.txt", "b")]);
    for (left, method, target, here) in TABLE {
        let files = tree.files().at("/static").fall_through(left.to_vec());
        // Looked for on the spot, in the pool, and in the cache.
        for files in [files.clone(), files.clone().cache(1 << 20)] {
            for _ in 0..2 {
                let inside = Inside::says(299, &[], "mine");
                let got = inside.behind(&files, method, target, &[]).await;
                let asked = inside.calls();
                assert_eq!(
                    got.status,
                    here.unwrap_or(299),
                    "{left:?} {method} {target}"
                );
                assert_eq!(
                    asked,
                    usize::from(here.is_none()),
                    "{left:?} {method} {target}"
                );
                let allows = matches!(here, Some(204 | 405));
                assert_eq!(got.header("allow").is_some(), allows, "{method} {target}");
            }
        }
    }
}

#[tokio::test]
async fn at_the_end_of_a_stack_there_is_nobody_to_leave_it_to() {
    let tree = Tree::of(&[("a.txt", "a")]);
    for left in [&[][..], &[MISS], &[METHOD], &[MISS, METHOD]] {
        let files = tree.files().fall_through(left.to_vec());
        for (method, target, status) in [
            ("GET", "/a.txt", 200),
            ("GET", "/missing", 404),
            ("POST", "/a.txt", 405),
            ("OPTIONS", "/a.txt", 204),
        ] {
            let got = ask(files.clone(), request(method, target, &[])).await;
            assert_eq!(got.status, status, "{left:?} {method} {target}");
        }
    }
}

#[tokio::test]
async fn the_body_of_what_falls_through_is_not_touched() {
    let tree = Tree::of(&[("404.html", "x")]);
    let files = tree
        .files()
        .spa("404.html")
        .error_page(MISS, "404.html")
        .intercept_errors(true)
        .accel_redirect("/p", tree.root());
    let service = files.layer(service_fn(async |request: http::Request<Body>| {
        let (head, body) = request.into_parts();
        assert_eq!(head.headers.len(), 3);
        let body = body.collect().await.unwrap().to_bytes();
        Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(body)))
    }));
    for method in ["GET", "POST"] {
        let (feed, body) = scripted::channel();
        let fields = [("x", "1"), ("x", "2"), ("range", "bytes=0-1")];
        let request = request(method, "/missing", &fields).map(|_| Body::new(body));
        let call = tokio::spawn(service.clone().oneshot(request));
        feed.data("one, ");
        feed.data("two");
        drop(feed);
        let response = call.await.unwrap().unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "one, two");
    }
}

#[test]
#[should_panic(expected = "StaticFiles::fall_through takes 404 and 405")]
fn another_status_is_refused_where_it_is_written() {
    let _ = StaticFiles::new("static").fall_through([StatusCode::FORBIDDEN]);
}
