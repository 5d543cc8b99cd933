//! The page of an application of one page: where it takes the place of a 404, and where not.

use std::convert::Infallible;

use http::{Response, StatusCode};
use tower::{Layer, ServiceExt};
use tower_gateway::{
    Body, StaticFiles,
    semantics::negotiate::Coding,
    static_files::{CacheControl, Files, MemoryFiles},
};

use super::{
    inside::{Inside, write_settled},
    tree::{Got, Tree, ask, get_with, request},
};

const PAGE: &str = "<!doctype html><div id=app></div>";

/// What a browser sends for an address that was typed in, over HTTPS.
const NAVIGATION: &[(&str, &str)] = &[
    ("accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
];
/// And over plain HTTP to another machine.
const PLAIN_NAVIGATION: &[(&str, &str)] = &[("accept", "text/html,*/*;q=0.8")];
const FETCH: &[(&str, &str)] = &[
    ("accept", "*/*"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-dest", "empty"),
];
const SCRIPT: &[(&str, &str)] = &[
    ("accept", "*/*"),
    ("sec-fetch-mode", "no-cors"),
    ("sec-fetch-dest", "script"),
];
const PROGRAM: &[(&str, &str)] = &[("accept", "*/*")];

const VARY: &str = "Accept, Sec-Fetch-Dest, Sec-Fetch-Mode";

fn site() -> Tree {
    let tree = Tree::of(&[("assets/app-1a2b3c4d.js", "run()")]);
    write_settled(&tree, "index.html", PAGE);
    tree
}

fn files(tree: &Tree) -> StaticFiles {
    tree.files()
        .spa("index.html")
        .cache_control(Files::all(), CacheControl::immutable())
        .cache_control(Files::glob("*.html"), CacheControl::no_cache())
}

#[tokio::test]
async fn a_person_gets_the_page_and_a_program_the_404() {
    let tree = site();
    let files = files(&tree);
    for (target, fields, is_page) in [
        ("/users/7", NAVIGATION, true),
        ("/users/7?tab=1", NAVIGATION, true),
        ("/users/jane.doe", NAVIGATION, true),
        ("/deep/er/", NAVIGATION, true),
        ("/users/7", PLAIN_NAVIGATION, true),
        ("/about.html", PLAIN_NAVIGATION, true),
        ("/users/7", FETCH, false),
        ("/users/7", SCRIPT, false),
        ("/users/7", PROGRAM, false),
        ("/users/7", &[], false),
        ("/users/jane.doe", PLAIN_NAVIGATION, false),
        ("/assets/app-00000000.js", SCRIPT, false),
        ("/assets/app-00000000.js", NAVIGATION, false),
        ("/assets/app-00000000.js", PLAIN_NAVIGATION, false),
        ("/logo.png", NAVIGATION, false),
        ("/.git/config", NAVIGATION, false),
        ("/.well-known/security", NAVIGATION, false),
    ] {
        let got = get_with(&files, target, fields).await;
        // What one gets depends on these, whatever it was.
        assert_eq!(got.header("vary"), Some(VARY), "{target} {fields:?}");
        if is_page {
            assert_eq!((got.status, got.text()), (200, PAGE), "{target} {fields:?}");
            assert_eq!(got.header("content-type"), Some("text/html; charset=utf-8"));
            assert_eq!(got.header("cache-control"), Some("no-cache"));
        } else {
            assert_eq!((got.status, got.text()), (404, "Not Found"), "{target}");
            // No cache may keep a missing script for a year.
            assert_eq!(got.names(), ["content-type", "vary"], "{target}");
        }
    }
}

#[tokio::test]
async fn a_file_that_is_there_has_nothing_to_do_with_it() {
    let tree = site();
    let files = files(&tree);
    for fields in [NAVIGATION, SCRIPT] {
        let got = get_with(&files, "/assets/app-1a2b3c4d.js", fields).await;
        assert_eq!((got.status, got.text()), (200, "run()"));
        assert_eq!(got.header("vary"), None);
        let immutable = "public, max-age=31536000, immutable";
        assert_eq!(got.header("cache-control"), Some(immutable));
    }
    let got = get_with(&files, "/", NAVIGATION).await;
    assert_eq!((got.text(), got.header("vary")), (PAGE, None));
}

#[tokio::test]
async fn the_page_has_conditions_and_a_head() {
    let tree = site();
    let files = files(&tree);
    let page = get_with(&files, "/users/7", NAVIGATION).await;
    let tag = page.header("etag").unwrap();
    let mut fields = NAVIGATION.to_vec();
    fields.push(("if-none-match", tag));
    let got = get_with(&files, "/users/8", &fields).await;
    assert_eq!((got.status, got.text()), (304, ""));
    assert_eq!(got.header("vary"), Some(VARY));
    assert_eq!(got.header("cache-control"), Some("no-cache"));

    let got = ask(files.clone(), request("HEAD", "/users/7", NAVIGATION)).await;
    assert_eq!((got.status, got.text()), (200, ""));
    let length = PAGE.len().to_string();
    assert_eq!(got.header("content-length"), Some(length.as_str()));
    assert_eq!(got.header("etag"), Some(tag));
    let got = ask(files, request("HEAD", "/users/7", FETCH)).await;
    assert_eq!((got.status, got.header("vary")), (404, Some(VARY)));
}

#[tokio::test]
async fn the_page_comes_in_the_coding_that_lies_beside_it() {
    let tree = site();
    tree.write("index.html.br", "compressed");
    let files = files(&tree).precompressed([Coding::Brotli]);
    let mut fields = NAVIGATION.to_vec();
    fields.push(("accept-encoding", "br"));
    let got = get_with(&files, "/users/7", &fields).await;
    assert_eq!(got.text(), "compressed");
    assert_eq!(got.header("content-encoding"), Some("br"));
    let both = format!("accept-encoding, {VARY}");
    assert_eq!(got.header("vary"), Some(both.as_str()));
}

#[tokio::test]
async fn only_a_404_of_the_service_inside_becomes_the_page() {
    let tree = site();
    let files = files(&tree);
    for status in [200, 204, 301, 400, 401, 403, 405, 410, 500, 503] {
        let inside = Inside::says(status, &[("x-mine", "1")], "mine");
        let got = inside.behind(&files, "GET", "/users/7", NAVIGATION).await;
        assert_eq!((got.status, got.text()), (status, "mine"));
        assert_eq!(
            (got.header("x-mine"), got.header("vary")),
            (Some("1"), None)
        );
    }
    let fields = [("set-cookie", "a=1"), ("cache-control", "max-age=9")];
    let inside = Inside::says(404, &fields, "mine");
    let got = inside.behind(&files, "GET", "/users/7", NAVIGATION).await;
    assert_eq!((got.status, got.text()), (200, PAGE));
    assert_eq!(got.header("cache-control"), Some("no-cache"));
    assert_eq!(got.header("set-cookie"), None);
    // Another method wants no page, and no other answer depends on how it was sent.
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let got = inside.behind(&files, method, "/users/7", NAVIGATION).await;
        assert_eq!((got.status, got.text()), (404, "mine"), "{method}");
        assert_eq!(got.header("vary"), None, "{method}");
    }
    assert_eq!(inside.calls(), 5);
}

#[tokio::test]
async fn a_404_that_stays_keeps_everything_and_says_what_it_varies_with() {
    let tree = site();
    let fields = [
        ("vary", "Cookie, accept"),
        ("content-type", "application/json"),
    ];
    let inside = Inside::says(404, &fields, "{}");
    let got = inside.behind(&files(&tree), "GET", "/api/x", FETCH).await;
    assert_eq!((got.status, got.text()), (404, "{}"));
    assert_eq!(got.header("content-type"), Some("application/json"));
    let all = "Cookie, accept, Sec-Fetch-Dest, Sec-Fetch-Mode";
    assert_eq!(got.header("vary"), Some(all));
}

#[tokio::test]
async fn outside_of_the_mount_there_is_no_page() {
    let tree = site();
    let files = files(&tree).at("/app");
    let inside = Inside::says(404, &[], "mine");
    for (target, is_page) in [
        ("/app/users", true),
        ("/app/x.js", false),
        ("/users", false),
        ("/application", false),
    ] {
        let got = inside.behind(&files, "GET", target, NAVIGATION).await;
        assert_eq!(got.text() == PAGE, is_page, "{target}");
        if target.starts_with("/app/") {
            assert_eq!(got.header("vary"), Some(VARY), "{target}");
        }
    }
    let got = get_with(&files, "/users", NAVIGATION).await;
    assert_eq!((got.status, got.header("vary")), (404, None));
    // The mount is no part of the path that is looked at.
    let files = tree.files().spa("index.html").at("/.app/v1.js");
    let got = get_with(&files, "/.app/v1.js/users", NAVIGATION).await;
    assert_eq!(got.text(), PAGE);
}

#[tokio::test]
async fn without_leaving_misses_to_the_service_inside_the_page_is_all_there_is() {
    let tree = site();
    let files = files(&tree).fall_through([]);
    let inside = Inside::says(200, &[], "mine");
    let got = inside.behind(&files, "GET", "/users", NAVIGATION).await;
    assert_eq!(got.text(), PAGE);
    let got = inside.behind(&files, "GET", "/x.js", SCRIPT).await;
    assert_eq!((got.status, got.header("vary")), (404, Some(VARY)));
    assert_eq!(inside.calls(), 0);
}

#[tokio::test]
async fn a_page_that_is_not_there_leaves_the_404_and_a_warning() {
    let source = MemoryFiles::new().file("404.html", "no such thing");
    let files = StaticFiles::from_source(source).spa("index.html");
    let (log, _guard) = crate::support::log::capture();
    let inside = Inside::says(404, &[], "mine");
    let got = inside.behind(&files, "GET", "/users", NAVIGATION).await;
    assert_eq!((got.status, got.text()), (404, "mine"));
    assert_eq!(got.header("vary"), Some(VARY));
    assert_eq!(log.count("the page of the application is not there"), 1);

    let files = files.error_page(StatusCode::NOT_FOUND, "404.html");
    let got = get_with(&files, "/users", NAVIGATION).await;
    assert_eq!((got.status, got.text()), (404, "no such thing"));
    let got = inside.behind(&files, "GET", "/users", NAVIGATION).await;
    assert_eq!(got.text(), "mine");
}

#[tokio::test]
async fn with_error_pages_a_script_gets_that_of_the_404() {
    let tree = site();
    tree.write("404.html", "no such thing");
    let files = files(&tree).error_page(StatusCode::NOT_FOUND, "404.html");
    let got = get_with(&files, "/x.js", SCRIPT).await;
    assert_eq!((got.status, got.text()), (404, "no such thing"));
    assert_eq!(got.header("vary"), Some(VARY));
    assert_eq!(got.header("cache-control"), None);
    let got = get_with(&files, "/users", NAVIGATION).await;
    assert_eq!((got.status, got.text()), (200, PAGE));
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn in_front_of_an_axum_router_the_api_s_answers_stay_its_own() {
    use axum::{Json, Router, routing::get};

    let tree = site();
    let not_found = || async {
        let body = Json(serde_json::json!({"error": "no such endpoint"}));
        (StatusCode::NOT_FOUND, body)
    };
    let questions = get(async || Json(serde_json::json!([])));
    let api = Router::new()
        .route("/questions", questions)
        .fallback(not_found);
    let router = Router::new().nest("/api", api);
    let outside = files(&tree)
        .layer(router)
        .map_request(|request: http::Request<Body>| request.map(axum::body::Body::new));
    let visit = async |method, target, fields| -> Got {
        ask(outside.clone(), request(method, target, fields)).await
    };

    assert_eq!(visit("GET", "/api/questions", FETCH).await.text(), "[]");
    let got = visit("GET", "/api/x", FETCH).await;
    assert_eq!(
        (got.status, got.text()),
        (404, "{\"error\":\"no such endpoint\"}")
    );
    assert_eq!(got.header("content-type"), Some("application/json"));
    assert_eq!(got.header("vary"), Some(VARY));
    assert_eq!(visit("POST", "/api/x", FETCH).await.status, 404);
    assert_eq!(visit("POST", "/api/questions", FETCH).await.status, 405);
    for target in ["/api/x", "/users/7"] {
        assert_eq!(visit("GET", target, NAVIGATION).await.text(), PAGE);
    }
    assert_eq!(visit("GET", "/assets/x.js", SCRIPT).await.status, 404);
}

#[tokio::test]
async fn what_the_service_inside_says_in_extensions_reaches_those_outside() {
    #[derive(Clone, Debug, PartialEq)]
    struct Why(u8);

    let tree = site();
    let service = files(&tree).layer(tower::service_fn(async |_: http::Request<Body>| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_FOUND;
        response.extensions_mut().insert(Why(7));
        Ok::<_, Infallible>(response)
    }));
    let response = service.oneshot(request("GET", "/users", NAVIGATION)).await;
    let response = response.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.extensions().get(), Some(&Why(7)));
}

#[test]
#[should_panic(expected = "StaticFiles::spa takes a name")]
fn a_page_outside_of_the_root_is_refused_where_it_is_written() {
    let _ = StaticFiles::new("static").spa("../index.html");
}
