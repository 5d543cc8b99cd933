//! Which method a mount is for.

use http::{Method, Request};
use tower::Layer;
use tower_gateway::{Body, Error, ErrorKind, PathDispatch, path_dispatch::Place};

use super::{Told, erased, send, tell};

/// The status, `Allow`, and who answers.
async fn by(app: &Told, method: &str, target: &str) -> (u16, String, String) {
    let request = Request::builder().method(method).uri(target);
    let (status, headers, told) = send(app, request.body(Body::empty()).unwrap()).await;
    let allow = headers
        .get("allow")
        .map_or("", |allow| allow.to_str().unwrap());
    let name = told.split(" - ").next().unwrap();
    (status.as_u16(), allow.to_owned(), name.to_owned())
}

fn dispatch() -> PathDispatch<Body> {
    let exact = |path: &str| Place::exact(path);
    let prefix = |path: &str| Place::prefix(path).unstripped();
    PathDispatch::new()
        .mount_at(exact("/one").method(Method::GET), tell("get"))
        .unwrap()
        .mount_at(
            exact("/one").method(Method::POST).method(Method::PUT),
            tell("post"),
        )
        .unwrap()
        .mount_at(exact("/all"), tell("all"))
        .unwrap()
        .mount_at(exact("/all").method(Method::DELETE), tell("delete"))
        .unwrap()
        .mount_at(exact("/head").method(Method::GET), tell("get"))
        .unwrap()
        .mount_at(exact("/head").method(Method::HEAD), tell("head"))
        .unwrap()
        .mount_at(prefix("/api"), tell("api"))
        .unwrap()
        .mount_at(prefix("/api/deep").method(Method::POST), tell("deep"))
        .unwrap()
        .mount_at(exact("/api/deep/x").method(Method::PATCH), tell("x"))
        .unwrap()
        .mount_at(prefix("/x").method(Method::GET), tell("x"))
        .unwrap()
        .mount_at(prefix("/x/y").method(Method::POST), tell("y"))
        .unwrap()
}

#[tokio::test]
async fn a_method_is_the_last_thing_that_matters() {
    let app = erased(dispatch().layer(tell("inner")));
    for (method, target, name) in [
        ("GET", "/one", "get"),
        ("HEAD", "/one", "get"),
        ("POST", "/one", "post"),
        ("PUT", "/one", "post"),
        ("GET", "/all", "all"),
        ("DELETE", "/all", "delete"),
        ("HEAD", "/head", "head"),
        ("GET", "/head", "get"),
        ("POST", "/api/deep/x", "deep"),
        ("PATCH", "/api/deep/x", "x"),
        // A shorter prefix is for every method.
        ("GET", "/api/deep/x", "api"),
        ("HEAD", "/api/deep", "api"),
        ("GET", "/x/y/z", "x"),
        ("HEAD", "/x/y", "x"),
        ("POST", "/x/y", "y"),
        ("BREW", "/none", "inner"),
    ] {
        let (status, _, told) = by(&app, method, target).await;
        assert_eq!((status, &*told), (200, name), "{method} {target}");
    }
}

/// RFC 9110 §15.5.6: "The origin server MUST generate an Allow header field in a 405 response".
#[tokio::test]
async fn a_path_with_mounts_for_other_methods_only_is_405() {
    let app = erased(dispatch().layer(tell("inner")));
    for (method, target, allow) in [
        ("DELETE", "/one", "GET, HEAD, POST, PUT"),
        ("OPTIONS", "/head", "GET, HEAD"),
        ("DELETE", "/x/y", "GET, HEAD, POST"),
        ("POST", "/x", "GET, HEAD"),
        ("get", "/x", "GET, HEAD"),
    ] {
        let expected = (405, allow.to_owned(), "Method Not Allowed".to_owned());
        assert_eq!(
            by(&app, method, target).await,
            expected,
            "{method} {target}"
        );
    }
    let request = Request::delete("/one").body(Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(app, request).await.unwrap();
    let error = response.extensions().get::<Error>().unwrap();
    assert_eq!(error.kind(), ErrorKind::MethodNotAllowed);
}

#[tokio::test]
async fn other_methods_may_be_the_inner_service_s() {
    let app = erased(dispatch().pass_other_methods(true).layer(tell("inner")));
    assert_eq!(by(&app, "DELETE", "/one").await.2, "inner");
    assert_eq!(by(&app, "POST", "/one").await.2, "post");
}

#[test]
fn two_mounts_for_one_request_are_an_error_that_names_both() {
    let error = |one: Place, other: Place| {
        let dispatch = PathDispatch::<Body>::new()
            .mount_at(one, tell("one"))
            .unwrap();
        dispatch
            .mount_at(other, tell("other"))
            .map_or_else(|error| error.to_string(), |_| String::new())
    };
    let at = || Place::prefix("/a");
    for (one, other, message) in [
        (
            at().method(Method::GET).method(Method::POST),
            at().method(Method::POST),
            r#"cannot mount at "POST /a": "GET,POST /a" is mounted already"#,
        ),
        (
            at().host("*.example.org"),
            at().host("*.EXAMPLE.org").redirect_to_slash(),
            r#"cannot mount at "*.EXAMPLE.org/a": "*.example.org/a" is mounted already"#,
        ),
        (
            at().host("a.test").method(Method::GET),
            at().host("a.test.").method(Method::GET).unstripped(),
            r#"cannot mount at "GET a.test./a": "GET a.test/a" is mounted already"#,
        ),
        (at().method(Method::GET), at(), ""),
        (at().method(Method::GET), at().method(Method::HEAD), ""),
        (at().host("a.test"), at(), ""),
        (at().host("a.test"), at().host("*.test"), ""),
        (at(), Place::exact("/a"), ""),
        (Place::exact("/a"), Place::exact("/a/"), ""),
    ] {
        assert_eq!(error(one, other), message);
    }
    let slash = Place::exact("/a").redirect_to_slash();
    let error = PathDispatch::<Body>::new()
        .mount_at(slash, tell("x"))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"cannot mount at "/a": only a prefix can be redirected to its slash"#
    );
}

#[test]
fn the_order_of_methods_makes_no_other_place() {
    let place = |methods: [Method; 3]| {
        let exact = Place::exact("/x");
        methods.into_iter().fold(exact, Place::method)
    };
    let (get, put) = (Method::GET, Method::PUT);
    let mounts = PathDispatch::<Body>::new()
        .mount_at(place([get.clone(), put.clone(), get.clone()]), tell("x"))
        .unwrap();
    let mounts = mounts.unmount(&place([put.clone(), get, put])).unwrap();
    assert_eq!(mounts.places().count(), 0);
}
