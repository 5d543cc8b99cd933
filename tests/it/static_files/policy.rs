//! What is said with a file besides what it is: caching, sniffing, and fields by rules.

use std::{convert::Infallible, fs, time::Duration};

use http::{Request, Response};
use tower::{Layer, service_fn};
use tower_gateway::{
    Body, StaticFiles,
    semantics::negotiate::Coding,
    static_files::{CacheControl, Files, Listing},
};

use super::tree::{Got, Tree, ask, get, get_with, request, until};

fn cache_control(got: &Got) -> Option<&str> {
    got.header("cache-control")
}

/// With and without a cache: the answers are the same.
fn both(files: StaticFiles) -> [StaticFiles; 2] {
    [files.clone(), files.cache(1 << 20)]
}

#[tokio::test]
async fn rules_go_by_the_file_and_the_last_counts() {
    let tree = Tree::new();
    for name in [
        "index.html",
        "about.html",
        "dir/index.html",
        "robots.txt",
        "dir/robots.txt",
        "assets/deep/a.js",
        "assets/a.PNG",
        "a.js.br",
        "a.js",
    ] {
        tree.write_aged(name, "x", 100);
    }
    let minute = CacheControl::max_age(Duration::from_secs(60));
    let hour = CacheControl::max_age(Duration::from_secs(3600));
    let files = tree
        .files()
        .clean_urls()
        .precompressed([Coding::Brotli])
        .cache_control(Files::all(), minute)
        .cache_control(Files::media_type("text/html"), CacheControl::no_cache())
        .cache_control(Files::glob("/robots.txt"), hour.clone())
        .cache_control(Files::glob("assets/**"), hour)
        .cache_control(Files::extension("png"), CacheControl::no_store());
    for files in both(files) {
        for (target, expected) in [
            ("/", "no-cache"),
            ("/index.html", "no-cache"),
            ("/dir/", "no-cache"),
            ("/about", "no-cache"),
            ("/robots.txt", "max-age=3600"),
            ("/dir/robots.txt", "max-age=60"),
            ("/assets/deep/a.js", "max-age=3600"),
            ("/assets/a.PNG", "no-store"),
            ("/a.js", "max-age=60"),
            ("/a.js.br", "max-age=60"),
        ] {
            let got = get_with(&files, target, &[("accept-encoding", "br")]).await;
            assert_eq!(got.status, 200, "{target}");
            assert_eq!(cache_control(&got), Some(expected), "{target}");
        }
    }
}

#[tokio::test]
async fn a_rule_for_a_type_or_an_extension_means_the_file_and_not_its_coding() {
    let tree = Tree::new();
    tree.write_aged("a.js", "x", 100);
    tree.write_aged("a.js.br", "x", 100);
    let files = tree
        .files()
        .precompressed([Coding::Brotli])
        .header(Files::extension("br"), "x-rule", "coding")
        .header(Files::extension("js"), "x-rule", "file");
    for files in both(files) {
        let got = get_with(&files, "/a.js", &[("accept-encoding", "br")]).await;
        assert_eq!(got.header("content-encoding"), Some("br"));
        assert_eq!(got.header("x-rule"), Some("file"));
        let got = get(&files, "/a.js.br").await;
        assert_eq!(got.header("x-rule"), Some("coding"));
    }
}

#[tokio::test]
async fn each_answer_has_what_it_is_to_have() {
    let tree = Tree::of(&[("dir/index.html", "x"), ("list/a", "x")]);
    tree.write_aged("a.txt", "content", 100);
    let files = tree
        .files()
        .listing(Listing::new())
        .cache_control(Files::all(), CacheControl::max_age(Duration::from_secs(60)))
        .header(Files::all(), "x-own", "said")
        .header(Files::all(), "vary", "origin")
        .header(Files::all(), "vary", "Origin, cookie");
    for files in both(files) {
        let (cached, own) = (Some("max-age=60"), Some("said"));
        let nosniff = Some("nosniff");
        let vary = Some("origin, cookie");
        for (method, target, field, status, expected) in [
            (
                "GET",
                "/a.txt",
                ("x", "x"),
                200,
                [cached, own, nosniff, vary],
            ),
            (
                "HEAD",
                "/a.txt",
                ("x", "x"),
                200,
                [cached, own, nosniff, vary],
            ),
            (
                "GET",
                "/a.txt",
                ("range", "bytes=1-2"),
                206,
                [cached, own, nosniff, vary],
            ),
            (
                "GET",
                "/a.txt",
                ("range", "bytes=0-0,3-3"),
                206,
                [cached, own, nosniff, vary],
            ),
            (
                "GET",
                "/a.txt",
                ("if-none-match", "*"),
                304,
                [cached, None, None, vary],
            ),
            (
                "GET",
                "/a.txt",
                ("if-match", "\"x\""),
                412,
                [None, None, None, vary],
            ),
            (
                "GET",
                "/a.txt",
                ("range", "bytes=9-"),
                416,
                [None, None, None, vary],
            ),
            ("GET", "/none", ("x", "x"), 404, [None; 4]),
            ("GET", "/dir", ("x", "x"), 308, [None; 4]),
            ("POST", "/a.txt", ("x", "x"), 405, [None; 4]),
            (
                "GET",
                "/list/",
                ("x", "x"),
                200,
                [Some("no-cache"), None, nosniff, Some("accept")],
            ),
        ] {
            let got = ask(files.clone(), request(method, target, &[field])).await;
            assert_eq!(got.status, status, "{target} {field:?}");
            let said = ["cache-control", "x-own", "x-content-type-options", "vary"];
            let said = said.map(|name| got.header(name));
            assert_eq!(said, expected, "{method} {target} {field:?}");
        }
    }
}

#[tokio::test]
async fn a_rule_about_vary_does_not_read_a_file_again_that_is_kept() {
    let tree = Tree::new();
    let path = tree.write_aged("a.txt", "first", 100);
    let files = tree
        .files()
        .header(Files::all(), "vary", "origin")
        .cache(1 << 20)
        .cache_fresh_for(Duration::ZERO);
    let first = get(&files, "/a.txt").await;
    // Not settled until the tick of its change is over.
    let same = || async {
        let (one, other) = (get(&files, "/a.txt").await, get(&files, "/a.txt").await);
        assert_eq!(one.body, other.body);
        match one.body.as_ptr() == other.body.as_ptr() {
            true => one,
            false => first.clone(),
        }
    };
    let kept = until(same, |got| got.body.as_ptr() != first.body.as_ptr()).await;
    assert_eq!(kept.header("vary"), Some("origin"));
    fs::remove_file(path).unwrap();
    assert_eq!(get(&files, "/a.txt").await.status, 404);
}

#[tokio::test]
async fn what_anybody_may_have_put_there_is_stored_and_runs_nothing() {
    let tree = Tree::of(&[("evil.html", "<script>"), ("cat.png", "x")]);
    let files = tree.files().nosniff(false).untrusted(true).header(
        Files::extension("png"),
        "content-disposition",
        "inline",
    );
    for files in both(files) {
        for (target, disposition) in [("/evil.html", "attachment"), ("/cat.png", "inline")] {
            for field in [("x", "x"), ("range", "bytes=0-0")] {
                let got = get_with(&files, target, &[field]).await;
                assert_eq!(got.header("content-disposition"), Some(disposition));
                assert_eq!(
                    got.header("content-security-policy"),
                    Some("default-src 'none'; sandbox")
                );
                assert_eq!(got.header("x-content-type-options"), Some("nosniff"));
            }
        }
    }
    let trusted = get(&tree.files().nosniff(false), "/evil.html").await;
    assert_eq!(trusted.header("content-disposition"), None);
    assert_eq!(trusted.header("content-security-policy"), None);
    assert_eq!(trusted.header("x-content-type-options"), None);
}

#[tokio::test]
async fn what_the_service_inside_hands_out_has_no_rules() {
    let tree = Tree::of(&[("a.txt", "public")]);
    fs::write(tree.outside().join("b.txt"), "private").unwrap();
    let files = tree
        .files()
        .untrusted(true)
        .cache_control(Files::all(), CacheControl::immutable())
        .header(Files::all(), "x-own", "said")
        .accel_redirect("/protected", tree.outside());
    for files in both(files) {
        let app = files.layer(service_fn(async |_: Request<Body>| {
            Ok::<_, Infallible>(
                Response::builder()
                    .header("x-accel-redirect", "/protected/b.txt")
                    .body(Body::empty())
                    .unwrap(),
            )
        }));
        let got = ask(app, request("GET", "/private", &[])).await;
        assert_eq!(got.text(), "private");
        assert_eq!(cache_control(&got), None);
        assert_eq!(got.header("x-own"), None);
        assert_eq!(got.header("content-disposition"), None);
        assert_eq!(got.header("x-content-type-options"), Some("nosniff"));
    }
}
