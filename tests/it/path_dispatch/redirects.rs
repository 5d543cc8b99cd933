//! Where a client is sent, and what an upstream is told of the mount.

use std::convert::Infallible;

use http::{HeaderValue, Request, Response, StatusCode};
use tower::{Layer, ServiceExt, service_fn};
use tower_gateway::{Body, GatewayProxy, PathDispatch, PathPolicy, path_dispatch::Place};

use super::{Told, erased, send, tell};
use crate::support::upstream::Upstream;

async fn location(app: &Told, target: &str) -> (u16, String) {
    let request = Request::get(target).body(Body::empty()).unwrap();
    let (status, headers, _) = send(app, request).await;
    let location = headers.get("location");
    let location = location.map_or("-", |location| location.to_str().unwrap());
    (status.as_u16(), location.to_owned())
}

#[tokio::test]
async fn a_prefix_is_redirected_to_its_slash_if_asked() {
    let place = || Place::prefix("/docs").redirect_to_slash();
    let inner = PathDispatch::new()
        .mount_at(place(), tell("docs"))
        .unwrap()
        .mount_at(
            Place::prefix("/admin").unstripped().redirect_to_slash(),
            tell("admin"),
        )
        .unwrap()
        .mount_at(Place::prefix("/").redirect_to_slash(), tell("root"))
        .unwrap();
    let app = PathDispatch::new()
        .mount("/site", inner.clone().into_service())
        .unwrap();
    let app = erased(app.layer(tell("inner")));
    let inner = erased(inner.layer(tell("inner")));
    for (target, to) in [
        ("/docs", "/docs/"),
        ("/docs?a=/b//c", "/docs/?a=/b//c"),
        ("/docs?", "/docs/?"),
        ("//docs", "/docs/"),
        ("/%64ocs/.", "-"),
        ("/docs/", "-"),
        ("/docs/x", "-"),
        ("/admin", "/admin/"),
        ("/", "-"),
        ("//", "-"),
        ("http://a.test", "-"),
    ] {
        let status = if to == "-" { 200 } else { 308 };
        assert_eq!(
            location(&inner, target).await,
            (status, to.to_owned()),
            "{target}"
        );
    }
    // As the client sees it.
    assert_eq!(location(&app, "/site/docs?q").await.1, "/site/docs/?q");
    // A client is not sent to another host.
    assert_eq!(location(&inner, "//evil.test/..//docs").await.1, "/docs/");
}

/// A service that redirects to where the header `to` says.
fn redirecting(request: &Request<Body>) -> Response<Body> {
    let to = request.headers()["to"].clone();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert("location", to);
    response
}

#[tokio::test]
async fn redirects_of_a_service_are_rewritten_if_asked() {
    let service =
        || service_fn(async |request: Request<Body>| Ok::<_, Infallible>(redirecting(&request)));
    let place = |path: &str| Place::prefix(path).rewrite_redirects();
    let inner = PathDispatch::new()
        .mount_at(place("/v1"), service())
        .unwrap()
        .into_service();
    let app = PathDispatch::new()
        .mount_at(place("/app"), service())
        .unwrap()
        .mount("/as-is", service())
        .unwrap()
        .mount_at(place("/api"), inner)
        .unwrap()
        .mount_at(place("/whole").unstripped(), service())
        .unwrap();
    let app = erased(app.layer(tell("inner")));
    let to = async |target: &str, to: &'static [u8]| {
        let mut request = Request::get(target).body(Body::empty()).unwrap();
        request
            .headers_mut()
            .insert("to", HeaderValue::from_bytes(to).unwrap());
        let (_, headers, _) = send(&app, request).await;
        String::from_utf8_lossy(headers["location"].as_bytes()).into_owned()
    };
    for (sent, seen) in [
        ("/login?next=/a#b", "/app/login?next=/a#b"),
        ("/", "/app/"),
        ("/apply", "/app/apply"),
        // It knows where it is.
        ("/app/login", "/app/login"),
        ("/app", "/app"),
        ("login", "login"),
        ("?page=2", "?page=2"),
        ("", ""),
        ("//evil.test/x", "//evil.test/x"),
        ("https://a.test/x", "https://a.test/x"),
    ] {
        assert_eq!(to("/app/x", sent.as_bytes()).await, seen, "{sent}");
    }
    assert_eq!(to("/as-is/x", b"/login").await, "/login");
    assert_eq!(to("/whole/x", b"/login").await, "/login");
    // Once, however many mounts rewrite.
    assert_eq!(to("/api/v1/x", b"/login").await, "/api/v1/login");
    assert_eq!(to("/app/x", b"/\xff").await, "/app/\u{fffd}");
}

/// axum#1731, tower-http#413: behind `nest_service` it is `/docs/`, which is another place.
#[tokio::test]
async fn a_file_server_that_does_not_know_its_mount_redirects_below_it() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("docs")).unwrap();
    let files = || tower_http::services::ServeDir::new(root.path());
    let app = PathDispatch::new()
        .mount_at(Place::prefix("/static").rewrite_redirects(), files())
        .unwrap();
    let app = erased(app.layer(tell("inner")));
    assert_eq!(
        location(&app, "/static/docs").await,
        (307, "/static/docs/".to_owned())
    );

    let nested = axum::Router::new().nest_service("/static", files());
    let request = Request::get("/static/docs").body(axum::body::Body::empty());
    let response = nested.oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.headers()["location"], "/docs/", "axum has changed");
}

#[tokio::test]
async fn an_upstream_is_told_the_mount() {
    let upstream = Upstream::echo().await;
    let proxy = GatewayProxy::to(&upstream.url()).unwrap();
    let inner = PathDispatch::new()
        .mount("/v1", proxy.clone())
        .unwrap()
        .mount_unstripped("/whole", proxy)
        .unwrap()
        .into_service();
    let app = PathDispatch::new().mount("/api", inner).unwrap();
    let app = erased(app.layer(tell("inner")));
    let seen = async |target: &str| {
        let request = Request::get(target).header("host", "a.test");
        send(&app, request.body(Body::empty()).unwrap()).await.2
    };
    let told = seen("/api/v1/x?q").await;
    assert!(told.starts_with("GET /x?q HTTP/1.1\r\n"), "{told}");
    assert!(told.contains("x-forwarded-prefix: /api/v1\r\n"), "{told}");
    let told = seen("//api/./whole/x").await;
    assert!(told.starts_with("GET /whole/x HTTP/1.1\r\n"), "{told}");
    assert!(told.contains("x-forwarded-prefix: /api\r\n"), "{told}");
}

/// Traefik's CVE of 2026: `/api%2e/admin`, stripped of `/api`, was `/./admin`.
#[tokio::test]
async fn what_is_left_after_stripping_is_canonical() {
    let app = PathDispatch::new().mount("/api", tell("api")).unwrap();
    let app = erased(app.layer(tell("inner")));
    for target in [
        "/api/./admin",
        "/api//admin",
        "/api/%2e/admin",
        "/api/x/../admin",
        "/api/%61dmin",
    ] {
        assert_eq!(super::ask(&app, target).await.1, "api /api /admin");
    }
    assert_eq!(
        super::ask(&app, "/api%2e/admin").await.1,
        "inner - /api./admin"
    );
    let canonical = PathPolicy::new().read("/admin").unwrap();
    assert_eq!(canonical, "/admin");
}
