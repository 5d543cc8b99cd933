//! `PathDispatch` over services that tell what they see.

mod anything;
mod cascade;
mod hosts;
mod live;
mod methods;
mod oracle;
mod panics;
mod redirects;
#[cfg(feature = "metrics")]
mod seen;
mod spellings;

use std::{convert::Infallible, pin::pin};

use futures_util::FutureExt;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use proptest::prelude::*;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_gateway::{
    Body, BoxError, Error, ErrorKind, MountPoint, PathDispatch, PathPolicy,
    semantics::{
        mount::external_prefix,
        path::{EncodedSlash, Spelling},
    },
};

use crate::support::scripted;

/// A service that answers `name prefix uri`.
fn tell(
    name: impl Into<String>,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync {
    let name = name.into();
    service_fn(move |request: Request<Body>| {
        let prefix = MountPoint::of(request.extensions()).map_or("-", MountPoint::prefix);
        let told = format!("{name} {prefix} {}", request.uri());
        std::future::ready(Ok(Response::new(Body::from(told))))
    })
}

/// A whole app, its type erased.
type Told = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

fn erased<S>(app: S) -> Told
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    BoxCloneSyncService::new(app)
}

async fn send(app: &Told, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
    let response = app.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (
        head.status,
        head.headers,
        String::from_utf8(body.to_vec()).unwrap(),
    )
}

async fn ask<S, E>(app: &S, target: &str) -> (StatusCode, String)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = E> + Clone,
    E: std::fmt::Debug,
{
    let request = Request::get(target).body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

// === which one ===

#[tokio::test]
async fn an_exact_mount_goes_before_a_prefix_and_a_long_prefix_before_a_short_one() {
    let app = PathDispatch::new()
        .mount("/", tell("root"))
        .unwrap()
        .mount("/a", tell("a"))
        .unwrap()
        .mount("/a/b", tell("ab"))
        .unwrap()
        .mount_unstripped("/a/b/c", tell("abc"))
        .unwrap()
        .mount_exact("/a", tell("=a"))
        .unwrap()
        .mount_exact("/a/b/", tell("=ab/"))
        .unwrap()
        .mount_exact("/", tell("=/"))
        .unwrap()
        .layer(tell("inner"));
    for (target, told) in [
        ("/", "=/ - /"),
        ("/x", "root  /x"),
        ("/a", "=a - /a"),
        ("/a?q=/a/b", "=a - /a?q=/a/b"),
        ("/a/", "a /a /"),
        ("/a/x", "a /a /x"),
        ("/ab", "root  /ab"),
        ("/A", "root  /A"),
        ("/a/b", "ab /a/b /"),
        ("/a/b?", "ab /a/b /?"),
        ("/a/b/", "=ab/ - /a/b/"),
        ("/a/b/x/y?z", "ab /a/b /x/y?z"),
        ("/a/bc", "a /a /bc"),
        ("/a/b/c", "abc - /a/b/c"),
        ("/a/b/cd", "ab /a/b /cd"),
        ("/a/b/c/d", "abc - /a/b/c/d"),
        ("/a/../b", "root  /b"),
        ("/x/../a/b/./c", "abc - /a/b/c"),
        ("http://example.com/a/x", "a /a http://example.com/x"),
    ] {
        assert_eq!(
            ask(&app, target).await,
            (StatusCode::OK, told.to_owned()),
            "{target}"
        );
    }
}

#[tokio::test]
async fn what_no_mount_matches_goes_to_the_inner_service() {
    let app = PathDispatch::new()
        .mount("/a", tell("a"))
        .unwrap()
        .layer(tell("inner"));
    for (target, told) in [
        ("/", "inner - /"),
        ("/ab/c?d", "inner - /ab/c?d"),
        ("*", "inner - *"),
    ] {
        assert_eq!(ask(&app, target).await.1, told);
    }
    let app = PathDispatch::new()
        .mount("/", tell("root"))
        .unwrap()
        .layer(tell("inner"));
    assert_eq!(ask(&app, "*").await.1, "inner - *");
    assert_eq!(
        ask(&app, "example.com:443").await.1,
        "inner - example.com:443"
    );
    assert_eq!(
        ask(&PathDispatch::new().layer(tell("inner")), "/a").await.1,
        "inner - /a"
    );
}

#[tokio::test]
async fn every_spelling_of_a_path_reaches_one_mount_or_none() {
    // A guard before a service that decodes, as file servers and WSGI applications do.
    let app = PathDispatch::new()
        .mount(
            "/static/private",
            service_fn(async |_: Request<Body>| {
                let forbidden = Response::builder().status(403).body(Body::empty());
                Ok::<_, Infallible>(forbidden.unwrap())
            }),
        )
        .unwrap()
        .mount("/static", tell("files"))
        .unwrap()
        .layer(tell("inner"));
    for (target, status) in [
        ("/static/private/x", 403),
        ("/static//private/x", 403),
        ("/static///private/x", 403),
        ("/static/./private/x", 403),
        ("/static/%70rivate/x", 403),
        ("/%73tatic/%70rivate/x", 403),
        ("/static/public/../private/x", 403),
        ("/static/public/%2e%2E/private/x", 403),
        ("//static/private/x", 403),
        ("/static/private", 403),
        ("/static/private%2Fx", 400),
        ("/static/x/..%2fprivate/x", 400),
        ("/static/x/..%5cprivate/x", 400),
        ("/static/private/x%00", 400),
        ("/static/private/%", 400),
        ("/static/privates", 200),
    ] {
        assert_eq!(ask(&app, target).await.0.as_u16(), status, "{target}");
    }
}

#[tokio::test]
async fn a_reserved_byte_matches_in_both_spellings_and_arrives_as_it_was_written() {
    let app = PathDispatch::new()
        .mount("/a!b", tell("one"))
        .unwrap()
        .mount("/c%3Bd", tell("other"))
        .unwrap()
        .layer(tell("inner"));
    for (target, told) in [
        ("/a!b/x%21", "one /a!b /x%21"),
        ("/a%21b/x!", "one /a%21b /x!"),
        ("/c;d/x", "other /c;d /x"),
        ("/c%3bd", "other /c%3Bd /"),
    ] {
        assert_eq!(ask(&app, target).await.1, told);
    }
}

#[tokio::test]
async fn the_policy_on_spellings_and_encoded_slashes_is_an_option() {
    let keep = PathDispatch::new()
        .paths(PathPolicy::new().encoded_slash(EncodedSlash::Keep))
        .mount("/a", tell("a"))
        .unwrap()
        .mount("/a/b", tell("ab"))
        .unwrap()
        .layer(tell("inner"));
    assert_eq!(ask(&keep, "/a%2fb/c").await.1, "inner - /a%2Fb/c");
    assert_eq!(ask(&keep, "/a/b%2Fc").await.1, "a /a /b%2Fc");

    let redirect = PathDispatch::new()
        .paths(PathPolicy::new().spelling(Spelling::Redirect))
        .mount("/a", tell("a"))
        .unwrap()
        .layer(tell("inner"));
    // Mounted itself, it sends the client to where the client sees it.
    let app = PathDispatch::new()
        .paths(PathPolicy::new().encoded_slash(EncodedSlash::Decode))
        .mount("/outer", redirect.clone())
        .unwrap()
        .layer(tell("inner"));
    let request = Request::get("//evil.example/../a?b")
        .body(Body::empty())
        .unwrap();
    let response = redirect.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 308);
    assert_eq!(response.headers()["location"], "/a?b");
    assert_eq!(ask(&app, "/outer/%2Fa").await.1, "a /outer/a /");
}

#[tokio::test]
async fn a_malformed_path_is_answered_with_its_reason() {
    let app = PathDispatch::new()
        .mount("/a", tell("a"))
        .unwrap()
        .layer(tell("inner"));
    let request = Request::get("/a%2Fb").body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let error = response.extensions().get::<Error>().unwrap();
    assert_eq!(error.kind(), ErrorKind::BadPath);
    let source = std::error::Error::source(error).unwrap().to_string();
    assert_eq!(source, "the path holds an encoded slash");
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "Bad Request"
    );
}

// === mounting ===

#[test]
fn what_cannot_be_mounted_is_an_error_that_names_both() {
    let error = |paths: &[(bool, &str)]| {
        let mut dispatch = PathDispatch::<Body>::new();
        for (exact, path) in paths {
            let mounted = match exact {
                true => dispatch.mount_exact(path, tell("x")),
                false => dispatch.mount(path, tell("x")),
            };
            match mounted {
                Ok(next) => dispatch = next,
                Err(error) => return error.to_string(),
            }
        }
        panic!("{paths:?} was mounted")
    };
    for (paths, message) in [
        (
            &[(false, "/a"), (false, "/a")][..],
            r#"cannot mount at "/a": "/a" is mounted already"#,
        ),
        (
            &[(false, "/a"), (false, "/a/")],
            r#"cannot mount at "/a/": "/a" is mounted already"#,
        ),
        (
            &[(false, "/a!"), (false, "/a%21")],
            r#"cannot mount at "/a%21": "/a!" is mounted already"#,
        ),
        (
            &[(false, ""), (false, "/")],
            r#"cannot mount at "/": "/" is mounted already"#,
        ),
        (
            &[(true, "/a"), (true, "/a")],
            r#"cannot mount at "/a": "/a" is mounted already"#,
        ),
        (
            &[(false, "api")],
            r#""api" cannot be a mount prefix: a prefix begins with a slash"#,
        ),
        (
            &[(true, "/a//b")],
            r#""/a//b" cannot be a mount prefix: write it in its canonical form"#,
        ),
        (
            &[(false, "/{a}")],
            r#""/{a}" cannot be a mount prefix: write it in its canonical form"#,
        ),
    ] {
        assert_eq!(error(paths), message);
    }
}

#[tokio::test]
async fn names_that_mean_something_to_the_routing_engine_mean_nothing_here() {
    let app = PathDispatch::new()
        .mount("/%7Bid%7D", tell("braces"))
        .unwrap()
        .mount("/*", tell("star"))
        .unwrap()
        .mount("/:id", tell("colon"))
        .unwrap()
        .layer(tell("inner"));
    assert_eq!(ask(&app, "/x/y").await.1, "inner - /x/y");
    assert_eq!(ask(&app, "/{id}/y").await.1, "braces /%7Bid%7D /y");
    assert_eq!(ask(&app, "/*/y").await.1, "star /* /y");
    assert_eq!(ask(&app, "/%3Aid/y").await.1, "colon /%3Aid /y");
}

#[tokio::test]
async fn the_root_may_be_written_empty() {
    let app = PathDispatch::new()
        .mount_exact("", tell("=/"))
        .unwrap()
        .mount("", tell("root"))
        .unwrap()
        .layer(tell("inner"));
    assert_eq!(ask(&app, "/").await.1, "=/ - /");
    assert_eq!(ask(&app, "/x").await.1, "root  /x");
}

#[tokio::test]
async fn a_clone_keeps_its_own_mounts() {
    let one = PathDispatch::new().mount("/a", tell("a")).unwrap();
    let two = one.clone().mount("/b", tell("b")).unwrap();
    assert_eq!(ask(&one.layer(tell("inner")), "/b").await.1, "inner - /b");
    assert_eq!(ask(&two.layer(tell("inner")), "/b").await.1, "b /b /");
    assert!(format!("{two:?}").contains("/b"));
}

// === mount points ===

#[tokio::test]
async fn mount_points_add_up_and_remember_the_original() {
    let seen = service_fn(async |request: Request<Body>| {
        let mount = MountPoint::of(request.extensions()).unwrap();
        let told = format!(
            "{} {} {} {}",
            mount.prefix(),
            mount.original_uri(),
            request.uri(),
            external_prefix(request.extensions(), request.uri().path()),
        );
        Ok::<_, Infallible>(Response::new(Body::from(told)))
    });
    let inner = PathDispatch::new()
        .mount("/v1", seen)
        .unwrap()
        .layer(tell("inner"));
    let app = PathDispatch::new()
        .mount("/api", inner)
        .unwrap()
        .layer(tell("outer"));
    assert_eq!(
        ask(&app, "/api/v1/x?q").await.1,
        "/api/v1 /api/v1/x?q /x?q /api/v1"
    );
    assert_eq!(ask(&app, "//api/./v1").await.1, "/api/v1 /api/v1 / /api/v1");
}

#[cfg(feature = "axum")]
mod inside_axum {
    use axum::{Router, routing::get};

    use super::*;

    /// Answers with the prefix that a redirect would need.
    fn prefix() -> impl Service<
        Request<axum::body::Body>,
        Response = Response<Body>,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    + Sync {
        service_fn(async |request: Request<axum::body::Body>| {
            let path = request.uri().path();
            let told = format!("{} {path}", external_prefix(request.extensions(), path));
            Ok(Response::new(Body::from(told)))
        })
    }

    async fn told(app: Router, target: &str) -> String {
        let request = Request::get(target)
            .body(axum::body::Body::empty())
            .unwrap();
        let response = app.oneshot(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_nested_service_knows_what_the_router_stripped() {
        let app = Router::new().nest_service("/o", prefix());
        assert_eq!(told(app.clone(), "/o/x?q").await, "/o /x");
        assert_eq!(told(app.clone(), "/o").await, "/o /");
        assert_eq!(told(app, "/o/").await, "/o /");
        assert_eq!(
            told(Router::new().fallback_service(prefix()), "/x").await,
            " /x"
        );
    }

    #[tokio::test]
    async fn a_redirect_to_the_canonical_path_keeps_what_the_router_stripped() {
        let policy = PathPolicy::new().spelling(Spelling::Redirect);
        let mounts = PathDispatch::new().paths(policy).layer(prefix());
        let app = Router::new().nest_service("/o", mounts);
        let request = Request::get("/o/a/./b?q")
            .body(axum::body::Body::empty())
            .unwrap();
        let response = app.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 308);
        assert_eq!(response.headers()["location"], "/o/a/b?q");

        let policy = policy.encoded_slash(EncodedSlash::Keep);
        let mounts = PathDispatch::new().paths(policy).layer(prefix());
        let app = Router::new().nest_service("/o", mounts);
        let request = Request::get("/o/a%2fb//c")
            .body(axum::body::Body::empty())
            .unwrap();
        let response = app.oneshot(request).await.unwrap();
        assert_eq!(response.headers()["location"], "/o/a%2Fb/c");
    }

    #[tokio::test]
    async fn mounts_inside_and_outside_of_routers_add_up() {
        let mounts = || {
            PathDispatch::new()
                .mount("/m", prefix())
                .unwrap()
                .layer(prefix())
        };
        let app = Router::new().nest_service("/o", mounts());
        assert_eq!(told(app.clone(), "/o/m/x").await, "/o/m /x");
        assert_eq!(told(app, "/o/y").await, "/o /y");

        let router = Router::new()
            .nest_service("/r", prefix())
            .route("/", get(async || "home"));
        let app = Router::new().layer(PathDispatch::new().mount("/m", router.clone()).unwrap());
        assert_eq!(told(app, "/m/r/x").await, "/m/r /x");
        let app = Router::new().fallback_service(
            PathDispatch::new()
                .mount("/m", router)
                .unwrap()
                .layer(prefix()),
        );
        assert_eq!(told(app, "/m/r/x").await, "/m/r /x");

        let inner = Router::new().nest_service("/i", prefix());
        let mounts = PathDispatch::new()
            .mount("/m", inner)
            .unwrap()
            .layer(prefix());
        let app = Router::new().nest_service("/o", mounts);
        assert_eq!(told(app, "/o/m/i/x").await, "/o/m/i /x");
    }

    /// A service in two mounts, with and without routers before, between, and behind them.
    #[tokio::test]
    async fn mounts_with_routers_between_them_add_up() {
        let seen = service_fn(async |request: Request<axum::body::Body>| {
            let path = request.uri().path();
            let mount = MountPoint::of(request.extensions()).unwrap();
            let (prefix, original) = (mount.prefix(), mount.original_uri());
            let external = external_prefix(request.extensions(), path);
            let told = format!("{prefix} {external} {path} {original}");
            Ok::<_, Infallible>(Response::new(Body::from(told)))
        });
        let inner = || {
            PathDispatch::new()
                .mount("/n", seen)
                .unwrap()
                .mount("/k", Router::new().nest_service("/last", seen))
                .unwrap()
                .layer(prefix())
        };
        let router = Router::new().nest_service("/r", inner());
        let outer = PathDispatch::new()
            .mount("/m", router)
            .unwrap()
            .layer(prefix());
        let inside = Router::new().nest_service("/o", outer.clone());
        let beside = Router::new().fallback_service(outer.clone());
        let ask = async |target: &str| {
            let request = Request::get(target)
                .body(axum::body::Body::empty())
                .unwrap();
            let response = outer.clone().oneshot(request).await.unwrap();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            String::from_utf8(body.to_vec()).unwrap()
        };
        for (below, path) in [("/x", "/x"), ("/", "/"), ("", "/")] {
            let target = format!("/m/r/n{below}");
            let expected = format!("/m/r/n /m/r/n {path} {target}");
            assert_eq!(ask(&target).await, expected);
            assert_eq!(told(beside.clone(), &target).await, expected);
            let target = format!("/o{target}");
            let expected = format!("/o/m/r/n /o/m/r/n {path} {target}");
            assert_eq!(told(inside.clone(), &target).await, expected);

            let target = format!("/o/m/r/k/last{below}");
            let expected = format!("/o/m/r/k /o/m/r/k/last {path} {target}");
            assert_eq!(told(inside.clone(), &target).await, expected);
        }
    }
}

// === what services do ===

#[tokio::test]
async fn services_and_bodies_of_several_kinds_stand_side_by_side() {
    let (feed, body) = scripted::channel();
    let body = std::sync::Arc::new(std::sync::Mutex::new(Some(body)));
    let app = PathDispatch::new()
        .mount(
            "/axum",
            axum::Router::new().route("/x", axum::routing::get(async || "axum")),
        )
        .unwrap()
        .mount(
            "/stream",
            service_fn(move |_: Request<Body>| {
                let body = body.lock().unwrap().take().ok_or(BoxError::from("taken"));
                std::future::ready(body.map(Response::new))
            }),
        )
        .unwrap()
        .layer(
            ServiceBuilder::new()
                .map_response(|response: Response<Body>| response)
                .service(tell("inner")),
        );
    assert_eq!(ask(&app, "/axum/x").await.1, "axum");
    feed.data("streamed");
    drop(feed);
    assert_eq!(ask(&app, "/stream").await.1, "streamed");
    assert_eq!(
        ask(&app, "/stream").await.0,
        StatusCode::INTERNAL_SERVER_ERROR
    );
}

#[tokio::test]
async fn an_error_of_a_mounted_service_is_a_500_with_its_cause() {
    let app = PathDispatch::new()
        .mount(
            "/a",
            service_fn(async |_: Request<Body>| Err::<Response<Body>, _>("secret")),
        )
        .unwrap()
        .layer(tell("inner"));
    let request = Request::get("/a").body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    let error = response.extensions().get::<Error>().unwrap();
    assert_eq!(error.kind(), ErrorKind::Service);
    assert_eq!(
        std::error::Error::source(error).unwrap().to_string(),
        "secret"
    );
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(
        body, "Internal Server Error",
        "the cause is not the client's to know"
    );
}

#[tokio::test]
async fn an_error_of_the_inner_service_stays_what_it_is() {
    let app = PathDispatch::<Body>::new().layer(service_fn(async |_: Request<Body>| {
        Err::<Response<Body>, _>("mine")
    }));
    assert_eq!(app.oneshot(Request::default()).await.unwrap_err(), "mine");
}

/// `tower::steer` waits until all of its services are ready.
#[tokio::test]
async fn a_saturated_mount_delays_nobody_else() {
    let slow = tower::limit::ConcurrencyLimit::new(
        service_fn(async |_: Request<Body>| {
            std::future::pending::<Result<Response<Body>, Infallible>>().await
        }),
        1,
    );
    let app = PathDispatch::new()
        .mount("/slow", slow)
        .unwrap()
        .mount("/fast", tell("fast"))
        .unwrap()
        .layer(tell("inner"));
    let slow = || Request::get("/slow").body(Body::empty()).unwrap();
    let mut running = pin!(app.clone().oneshot(slow()));
    let mut waiting = pin!(app.clone().oneshot(slow()));
    assert!(running.as_mut().now_or_never().is_none());
    assert!(waiting.as_mut().now_or_never().is_none());
    assert_eq!(ask(&app, "/fast").await.1, "fast /fast /");
    assert_eq!(ask(&app, "/other").await.1, "inner - /other");
}

#[tokio::test]
async fn a_panic_in_a_mounted_service_is_that_request_s_own() {
    let app = PathDispatch::new()
        .mount(
            "/a",
            service_fn(async |request: Request<Body>| {
                assert_ne!(request.uri(), "/panic", "as told");
                Ok::<_, Infallible>(Response::new(Body::from("fine")))
            }),
        )
        .unwrap()
        .layer(tell("inner"));
    let request = Request::get("/a/panic").body(Body::empty()).unwrap();
    let task = tokio::spawn(app.clone().oneshot(request));
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(ask(&app, "/a/x").await.1, "fine");
}

#[tokio::test]
async fn a_dropped_future_drops_the_mounted_service_s_future() {
    let alive = std::sync::Arc::new(());
    let held = std::sync::Arc::clone(&alive);
    let app = PathDispatch::new()
        .mount(
            "/a",
            service_fn(move |_: Request<Body>| {
                let held = std::sync::Arc::clone(&held);
                async move {
                    std::future::pending::<()>().await;
                    drop(held);
                    Ok::<_, Infallible>(Response::new(Body::empty()))
                }
            }),
        )
        .unwrap()
        .layer(tell("inner"));
    let idle = std::sync::Arc::strong_count(&alive);
    {
        let request = Request::get("/a").body(Body::empty()).unwrap();
        let mut response = pin!(app.clone().oneshot(request));
        assert!(response.as_mut().now_or_never().is_none());
        assert!(std::sync::Arc::strong_count(&alive) > idle);
    }
    assert_eq!(std::sync::Arc::strong_count(&alive), idle);
}

// === properties ===

fn paths() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        Just("a"),
        Just("b"),
        Just("ab"),
        Just("%21"),
        Just("!"),
        Just("")
    ];
    prop::collection::vec(segment, 0..5).prop_map(|segments| format!("/{}", segments.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// For any mounts and any path: what a walk over all of them finds.
    #[test]
    fn dispatch_is_what_a_slow_oracle_says(
        mounts in prop::collection::vec((any::<bool>(), paths()), 0..8),
        target in paths(),
    ) {
        let mut dispatch = PathDispatch::new();
        let mut mounted = Vec::new();
        for (exact, path) in mounts {
            let service = tell(if exact { format!("={path}") } else { path.clone() });
            let next = match exact {
                true => dispatch.clone().mount_exact(&path, service),
                false => dispatch.clone().mount_unstripped(&path, service),
            };
            if let Ok(next) = next {
                dispatch = next;
                mounted.push((exact, path));
            }
        }
        let canonical = PathPolicy::new().read(&target).unwrap().into_owned();
        let decode = |path: &str| path.replace("%21", "!");
        let expected = mounted
            .iter()
            .filter(|(exact, path)| {
                let (path, target) = (decode(path), decode(&canonical));
                let prefix = path.strip_suffix('/').unwrap_or(&path);
                match exact {
                    true => path == target,
                    false => target == prefix || target.starts_with(&format!("{prefix}/")),
                }
            })
            .max_by_key(|(exact, path)| (*exact, decode(path).trim_end_matches('/').len()));
        let expected = match expected {
            Some((true, path)) => format!("={path} - {canonical}"),
            Some((false, path)) => format!("{path} - {canonical}"),
            None => format!("inner - {canonical}"),
        };
        let app = dispatch.layer(tell("inner"));
        let (_, told) = ask(&app, &target).now_or_never().unwrap();
        prop_assert_eq!(told, expected);
    }

    /// A stripped path and its prefix are the path again.
    #[test]
    fn nothing_is_lost_in_stripping(prefix in paths(), target in paths()) {
        let Ok(dispatch) = PathDispatch::new().mount(&prefix, tell("m")) else { return Ok(()) };
        let (_, told) = ask(&dispatch.layer(tell("inner")), &target).now_or_never().unwrap();
        let canonical = PathPolicy::new().read(&target).unwrap().into_owned();
        let mut words = told.split(' ');
        if words.next() == Some("m") {
            let (prefix, below) = (words.next().unwrap(), words.next().unwrap());
            prop_assert!(below.starts_with('/') && !below.starts_with("//"));
            prop_assert!(below.parse::<Uri>().is_ok());
            let whole = [prefix, below].concat();
            prop_assert!(whole == canonical || below == "/" && prefix == canonical);
        }
    }
}
