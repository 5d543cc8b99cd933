//! What goes to the service inside, and what a stack that ends here answers.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_gateway::{
    Body, ErrorKind, StaticFiles,
    semantics::path::{EncodedSlash, PathPolicy, Spelling},
};

use super::tree::{Got, Tree, ask, get, request};

/// Answers with what it saw.
async fn application(request: Request<Body>) -> Result<Response<String>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let seen = head
        .headers
        .get("x-seen")
        .map_or("", |v| v.to_str().unwrap());
    let extension = head.extensions.get::<u32>().copied().unwrap_or_default();
    let body = String::from_utf8_lossy(&body);
    Ok(Response::new(format!(
        "{} {} {seen} {extension} {body}",
        head.method, head.uri
    )))
}

async fn through(files: &StaticFiles, request: Request<Body>) -> Got {
    ask(files.layer(service_fn(application)), request).await
}

#[tokio::test]
async fn a_miss_reaches_the_service_inside_as_it_came() {
    let tree = Tree::of(&[("a.txt", "a")]);
    for at in ["/", "/static"] {
        for method in ["GET", "HEAD"] {
            let mut request = request(method, "/static/missing?q=//%70", &[("x-seen", "yes")]);
            request.extensions_mut().insert(7_u32);
            *request.body_mut() = Body::from("content");
            let got = through(&tree.files().at(at), request).await;
            assert_eq!(
                got.text(),
                format!("{method} /static/missing?q=//%70 yes 7 content")
            );
        }
    }
}

#[tokio::test]
async fn every_other_method_reaches_the_service_inside() {
    let tree = Tree::of(&[("a.txt", "a")]);
    for method in [
        "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "PROPFIND",
    ] {
        let got = through(&tree.files(), request(method, "/a.txt", &[])).await;
        assert_eq!(got.text(), format!("{method} /a.txt  0 "));
    }
    let got = through(&tree.files(), request("OPTIONS", "*", &[])).await;
    assert_eq!(got.text(), "OPTIONS *  0 ");
}

#[tokio::test]
async fn a_file_does_not_reach_it() {
    let tree = Tree::of(&[("a.txt", "a")]);
    assert_eq!(
        through(&tree.files(), request("GET", "/a.txt", &[]))
            .await
            .text(),
        "a"
    );
}

#[tokio::test]
async fn the_service_inside_sees_the_canonical_path() {
    let tree = Tree::new();
    let got = through(&tree.files(), request("GET", "//x/./%61?%61", &[])).await;
    assert_eq!(got.text(), "GET /x/a?%61  0 ");
    // Another method, another path: the same reading.
    let got = through(
        &tree.files().at("/static"),
        request("POST", "//x/./%61", &[]),
    )
    .await;
    assert_eq!(got.text(), "POST /x/a  0 ");
}

#[tokio::test]
async fn a_path_without_one_reading_is_refused_before_it() {
    let tree = Tree::new();
    for target in ["/a%2Fb", "/a%00", "/a%5Cb", "/a%zz", "/%"] {
        for method in ["GET", "POST"] {
            let got = through(&tree.files().at("/static"), request(method, target, &[])).await;
            assert_eq!(got.status, 400, "{target}");
            assert_eq!(got.error.unwrap().kind(), ErrorKind::BadPath, "{target}");
        }
    }
}

#[tokio::test]
async fn the_policy_can_redirect_and_can_keep_encoded_slashes() {
    let tree = Tree::of(&[("a/b", "ab")]);
    let paths = PathPolicy::new().spelling(Spelling::Redirect);
    let got = through(&tree.files().paths(paths), request("GET", "//a/b?q", &[])).await;
    assert_eq!((got.status, got.header("location")), (308, Some("/a/b?q")));

    let paths = PathPolicy::new().encoded_slash(EncodedSlash::Keep);
    for target in ["/a%2Fb", "/a%2fb", "/a/%2E%2E%2Fb"] {
        let got = through(&tree.files().paths(paths), request("GET", target, &[])).await;
        assert!(got.text().starts_with("GET "), "{target}");
    }
}

#[tokio::test]
async fn a_service_that_ends_a_stack_answers_for_itself() {
    let tree = Tree::of(&[("a.txt", "a")]);
    let files = tree.files().at("/static");
    for target in ["/static/missing", "/elsewhere", "/"] {
        assert_eq!(get(&files, target).await.status, 404, "{target}");
        assert_eq!(
            ask(files.clone(), request("HEAD", target, &[]))
                .await
                .status,
            404
        );
    }
    for target in ["/static/a.txt", "/static/missing"] {
        for method in ["POST", "PUT", "DELETE", "TRACE", "get"] {
            let got = ask(files.clone(), request(method, target, &[])).await;
            assert_eq!(got.status, 405, "{method} {target}");
            assert_eq!(got.header("allow"), Some("GET, HEAD, OPTIONS"));
        }
        let got = ask(files.clone(), request("OPTIONS", target, &[])).await;
        assert_eq!(
            (got.status, got.header("allow")),
            (204, Some("GET, HEAD, OPTIONS"))
        );
    }
    assert_eq!(ask(files, request("OPTIONS", "*", &[])).await.status, 204);
}

/// Never ready, and without an answer to wait for.
#[derive(Clone)]
struct Busy;

impl Service<Request<Body>> for Busy {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Pending
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Ok(Response::default()))
    }
}

#[tokio::test]
async fn a_service_inside_that_is_busy_never_delays_a_file() {
    let tree = Tree::of(&[("a.txt", "a")]);
    let mut service = tree.files().layer(Busy);
    service.ready().await.unwrap();
    assert_eq!(
        ask(service.clone(), request("GET", "/a.txt", &[]))
            .await
            .text(),
        "a"
    );

    // And what it cannot answer waits in its own future.
    let mut waiting = by_hand(service.oneshot(request("GET", "/b.txt", &[])));
    assert!(waiting.poll_once().await.is_none());
}

/// A future that a test polls by hand.
struct ByHand<F>(std::pin::Pin<Box<F>>);

fn by_hand<F: Future>(future: F) -> ByHand<F> {
    ByHand(Box::pin(future))
}

impl<F: Future> ByHand<F> {
    async fn poll_once(&mut self) -> Option<F::Output> {
        std::future::poll_fn(|cx| match self.0.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }
}

#[tokio::test]
async fn an_error_of_the_service_inside_stays_its_error() {
    let tree = Tree::of(&[("a.txt", "a")]);
    let service = tree.files().layer(service_fn(async |_: Request<Body>| {
        Err::<Response<Body>, _>("broken")
    }));
    let error = service.clone().oneshot(request("GET", "/b", &[])).await;
    assert_eq!(error.unwrap_err(), "broken");
    let response = service
        .oneshot(request("GET", "/a.txt", &[]))
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_panic_inside_takes_nothing_along() {
    let tree = Tree::of(&[("a.txt", "a")]);
    let service = tree.files().layer(service_fn(
        async |request: Request<Body>| -> Result<Response<Body>, Infallible> {
            panic!("the test panics at {}", request.uri())
        },
    ));
    let call = tokio::spawn(service.clone().oneshot(request("GET", "/b", &[])));
    assert!(call.await.unwrap_err().is_panic());
    assert_eq!(
        ask(service, request("GET", "/a.txt", &[])).await.text(),
        "a"
    );
}

#[test]
fn services_and_futures_go_where_axum_and_hyper_need_them() {
    fn goes_anywhere<T: Send + Sync + Clone + 'static>(_: &T) {}
    fn is_sent<T: Send + 'static>(_: T) {}
    let files = StaticFiles::new("static");
    goes_anywhere(&files);
    let service = files.layer(Busy);
    goes_anywhere(&service);
    is_sent(|| service.oneshot(request("GET", "/", &[])));
}
