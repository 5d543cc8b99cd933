//! The redirect to a directory, wherever the files are mounted: it never leads to another host.

use http::{Request, Response, StatusCode};
use tower::{Layer, Service};
use tower_gateway::{Body, PathDispatch, StaticFiles};

use super::{
    inside::Inside,
    tree::{Got, Tree, ask, request},
};

fn site() -> Tree {
    Tree::of(&[
        ("index.html", "home"),
        ("docs/index.html", "docs"),
        ("ä b/index.html", "special"),
        ("evil.example/index.html", "evil"),
        ("evil.example/x/index.html", "evil x"),
        ("@evil.example/index.html", "evil"),
        (":80/index.html", "port"),
        ("http:/index.html", "scheme"),
    ])
}

const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

/// Below a mount at `prefix`, what is asked for and where that leads, both without the mount.
const LEADS: &[(&str, &str)] = &[
    ("/docs", "/docs/"),
    ("/docs?a=1&b=//x", "/docs/?a=1&b=//x"),
    ("/docs?", "/docs/?"),
    ("/docs?/", "/docs/?/"),
    ("//docs?q", "/docs/?q"),
    ("/./docs", "/docs/"),
    ("/x/..//docs", "/docs/"),
    ("/%64ocs", "/docs/"),
    ("/%C3%A4%20b", "/%C3%A4%20b/"),
    ("/%c3%a4%20b?%20", "/%C3%A4%20b/?%20"),
    ("//evil.example", "/evil.example/"),
    ("///evil.example?q", "/evil.example/?q"),
    ("//evil.example/x", "/evil.example/x/"),
    ("/.//evil.example", "/evil.example/"),
    ("/x/..//evil.example", "/evil.example/"),
    ("/%2e//evil.example", "/evil.example/"),
    ("//@evil.example", "/@evil.example/"),
    ("//:80", "/:80/"),
    ("/http:", "/http:/"),
];

async fn leads<S, B>(service: &S, prefix: &str, status: u16)
where
    S: Service<Request<Body>, Response = Response<B>> + Clone,
    S::Error: std::fmt::Debug,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<tower_gateway::BoxError>,
{
    for method in ["GET", "HEAD"] {
        for (target, location) in LEADS {
            let target = format!("{prefix}{target}");
            let got: Got = ask(service.clone(), request(method, &target, &[])).await;
            assert_eq!(got.status, status, "{target}");
            let to = got.header("location").unwrap();
            assert_eq!(to, format!("{prefix}{location}"), "{target}");
            assert!(to.starts_with('/') && !to.starts_with("//"), "{to}");
            // Followed, it is the directory.
            let to = to.split('?').next().unwrap();
            let got = ask(service.clone(), request("GET", to, &[])).await;
            assert_eq!(got.status, 200, "{to}");
        }
    }
}

fn with_status(files: StaticFiles, status: u16) -> StaticFiles {
    files.directory_redirect(StatusCode::from_u16(status).unwrap())
}

#[tokio::test]
async fn at_the_root_and_below_a_prefix_with_and_without_a_cache() {
    let tree = site();
    for status in STATUSES {
        for prefix in ["", "/static", "/a/b"] {
            let files = with_status(tree.files().at(prefix), status);
            leads(&files, prefix, status).await;
            leads(&files.clone().cache(1 << 20), prefix, status).await;
            leads(&files.layer(Inside::says(418, &[], "")), prefix, status).await;
        }
    }
}

#[tokio::test]
async fn below_mounts_of_path_dispatch() {
    let tree = site();
    for status in STATUSES {
        let files = || with_status(tree.files(), status);
        let inner = PathDispatch::new().mount("/static", files()).unwrap();
        let service = inner.clone().layer(Inside::says(418, &[], ""));
        leads(&service, "/static", status).await;
        let outer = PathDispatch::new().mount("/a/b", service).unwrap();
        let service = outer.layer(Inside::says(418, &[], ""));
        leads(&service, "/a/b/static", status).await;
        let own = PathDispatch::new().mount("/a", files().at("/own")).unwrap();
        leads(&own.layer(Inside::says(418, &[], "")), "/a/own", status).await;
    }
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn below_axum_s_nested_services() {
    use axum::Router;
    use tower::ServiceExt;

    let tree = site();
    for status in STATUSES {
        let files = || with_status(tree.files(), status);
        let nested = Router::new().nest_service("/static", files());
        let deep = Router::new().nest("/a/b", nested.clone());
        let own = Router::new().nest_service("/a", files().at("/own"));
        for (router, prefix) in [(nested, "/static"), (deep, "/a/b/static"), (own, "/a/own")] {
            let router = router.into_service::<axum::body::Body>();
            let service =
                router.map_request(|request: Request<Body>| request.map(axum::body::Body::new));
            leads(&service, prefix, status).await;
        }
    }
}

/// Not a directory of the files, and not this layer's to redirect.
#[tokio::test]
async fn what_is_outside_of_the_mount_is_not_redirected() {
    let tree = site();
    let inside = Inside::says(418, &[], "mine");
    let files = tree.files().at("/static");
    for target in [
        "/docs",
        "//evil.example",
        "/staticdocs",
        "//evil.example/static/docs",
    ] {
        let got = inside.behind(&files, "GET", target, &[]).await;
        assert_eq!(
            (got.status, got.header("location")),
            (418, None),
            "{target}"
        );
    }
}
