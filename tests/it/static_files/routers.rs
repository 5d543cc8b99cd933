//! Inside axum: nested, as a fallback, as a layer.

use axum::{Router, routing::get};
use tower_gateway::semantics::path::{PathPolicy, Spelling};

use super::tree::{Got, Tree, ask, request};

fn site() -> Tree {
    Tree::of(&[
        ("index.html", "home"),
        ("docs/index.html", "docs"),
        ("evil.example/index.html", "evil"),
    ])
}

async fn visit(router: &Router, target: &str) -> Got {
    // axum's own body is what its router takes.
    let service = router.clone();
    let service = tower::ServiceExt::map_request(service, |request: http::Request<_>| {
        request.map(axum::body::Body::new)
    });
    ask(service, request("GET", target, &[])).await
}

#[tokio::test]
async fn nested_files_redirect_within_their_mount() {
    let tree = site();
    let nested = Router::new().nest_service("/static", tree.files());
    let deep = Router::new().nest("/a", nested.clone());
    let own = Router::new().nest_service("/a", tree.files().at("/static"));
    for (router, target, location) in [
        (&nested, "/static/docs", "/static/docs/"),
        (&nested, "/static/docs?q=1", "/static/docs/?q=1"),
        (&nested, "/static//docs", "/static/docs/"),
        (&nested, "/static//evil.example", "/static/evil.example/"),
        (&nested, "/static", "/static/"),
        (&nested, "/static?q", "/static/?q"),
        (&deep, "/a/static/docs", "/a/static/docs/"),
        (&deep, "/a/static", "/a/static/"),
        (&own, "/a/static/docs", "/a/static/docs/"),
    ] {
        let got = visit(router, target).await;
        assert_eq!(got.status, 308, "{target}");
        assert_eq!(got.header("location"), Some(location), "{target}");
        let got = visit(router, location).await;
        assert_eq!(got.status, 200, "{location}");
    }
    assert_eq!(visit(&nested, "/static/").await.text(), "home");
    assert_eq!(visit(&nested, "/static/docs/").await.text(), "docs");
    assert_eq!(visit(&nested, "/docs/").await.status, 404);
    // A slash that only the canonical path has.
    assert_eq!(visit(&nested, "/static/docs/.").await.text(), "docs");
}

#[tokio::test]
async fn a_canonical_path_that_is_told_to_the_client_keeps_the_mount() {
    let tree = site();
    let paths = PathPolicy::new().spelling(Spelling::Redirect);
    let router = Router::new().nest_service("/static", tree.files().paths(paths));
    let got = visit(&router, "/static/x//%2E./docs/?q").await;
    assert_eq!(got.header("location"), Some("/static/docs/?q"));
}

#[tokio::test]
async fn as_a_layer_and_as_a_fallback_it_stands_before_and_behind_the_routes() {
    let tree = site();
    let routes = || Router::new().route("/questions", get(async || "questions"));

    let before = routes().layer(tree.files().at("/static"));
    assert_eq!(visit(&before, "/questions").await.text(), "questions");

    let outside = tower::Layer::layer(&tree.files().at("/static"), routes());
    let got = ask(
        tower::ServiceExt::map_request(outside, |request: http::Request<_>| {
            request.map(axum::body::Body::new)
        }),
        request("GET", "/static/docs/", &[]),
    )
    .await;
    assert_eq!(got.text(), "docs");

    let behind = routes().fallback_service(tree.files());
    assert_eq!(visit(&behind, "/questions").await.text(), "questions");
    assert_eq!(visit(&behind, "/docs/").await.text(), "docs");
    assert_eq!(
        visit(&behind, "/docs").await.header("location"),
        Some("/docs/")
    );
    assert_eq!(visit(&behind, "/").await.text(), "home");
    assert_eq!(visit(&behind, "/missing").await.status, 404);
}
