//! What an operator sees.

use futures_util::FutureExt;
use http::{Method, Request, Response};
use metrics::with_local_recorder;
use tower::{Layer, service_fn};
use tower_gateway::{Body, PathDispatch, path_dispatch::Place};

use super::{erased, send, tell};
use crate::support::counted::Counted;

#[test]
fn each_request_is_counted_once() {
    let failing = service_fn(async |request: Request<Body>| {
        assert_ne!(request.uri().query(), Some("panic"), "as told");
        Err::<Response<Body>, _>("failed")
    });
    let dispatch = PathDispatch::new()
        .catch_panics(true)
        .mount("/a", tell("a"))
        .unwrap()
        .mount("/fails", failing)
        .unwrap()
        .mount_at(Place::prefix("/docs").redirect_to_slash(), tell("docs"))
        .unwrap()
        .mount_at(
            Place::exact("/post").method(Method::POST).host("b.test"),
            tell("post"),
        )
        .unwrap();
    let counted = Counted::default();
    with_local_recorder(&counted, || {
        let app = erased(dispatch.layer(tell("inner")));
        for (method, target, counter) in [
            ("GET", "/a", "requests_total mounted /a"),
            ("GET", "/a/x", "requests_total mounted /a"),
            ("POST", "/post", "requests_total mounted POST b.test/post"),
            ("GET", "/post", "requests_total method_not_allowed"),
            ("GET", "/docs", "requests_total redirected"),
            ("GET", "/docs/", "requests_total mounted /docs"),
            ("GET", "/none", "requests_total inside"),
            ("GET", "/%zz", "requests_total refused"),
            ("GET", "/fails", "failures_total error"),
            ("GET", "/fails?panic", "failures_total panic"),
        ] {
            let counter = format!("tower_gateway_dispatch_{counter}");
            let before = (counted.of(&counter), counted.sum("requests_total"));
            let request = Request::builder()
                .method(method)
                .uri(target)
                .header("host", "b.test");
            let request = request.body(Body::empty()).unwrap();
            send(&app, request).now_or_never().unwrap();
            let after = (counted.of(&counter), counted.sum("requests_total"));
            assert_eq!(after, (before.0 + 1.0, before.1 + 1.0), "{method} {target}");
        }
    });
}
