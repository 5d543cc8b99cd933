//! The names that are tried for a path.

use std::path::{Component, Path};

use http::StatusCode;
use tower_gateway::{
    StaticFiles,
    static_files::{Found, SourceFile},
};

use super::{
    inside::{Does, Inside},
    tree::{Tree, get, get_with},
};

#[tokio::test]
async fn clean_urls_leave_the_extension_away() {
    let tree = Tree::of(&[
        ("index.html", "home"),
        ("about.html", "about"),
        ("plain", "plain"),
        ("plain.html", "not this"),
        ("docs/index.html", "docs"),
        ("docs.html", "not this"),
        ("pictures/a.png", "png"),
        ("pictures.html", "pictures"),
        ("v1.2.html", "version"),
        ("ä b&c?.html", "special"),
        (".html", "nothing"),
    ]);
    let plain = tree.files().clean_urls();
    for files in [plain.clone(), plain.cache(1 << 20)] {
        for _ in 0..2 {
            for (target, status, text) in [
                ("/", 200, "home"),
                ("/about", 200, "about"),
                ("/about?q", 200, "about"),
                ("/about.html", 200, "about"),
                ("/about/", 404, "Not Found"),
                ("/plain", 200, "plain"),
                ("/docs/", 200, "docs"),
                // A directory without an index file is none of these.
                ("/pictures", 200, "pictures"),
                ("/pictures/", 404, "Not Found"),
                ("/v1.2", 200, "version"),
                ("/%C3%A4%20b&c%3F", 200, "special"),
                ("/%C3%A4%20b%26c%3f", 200, "special"),
                ("/about.htm", 404, "Not Found"),
                ("/missing", 404, "Not Found"),
                ("/.html", 404, "Not Found"),
            ] {
                let got = get(&files, target).await;
                assert_eq!((got.status, got.text()), (status, text), "{target}");
            }
            let got = get(&files, "/docs").await;
            assert_eq!((got.status, got.header("location")), (308, Some("/docs/")));
            let got = get(&files, "/about").await;
            assert_eq!(got.header("content-type"), Some("text/html; charset=utf-8"));
        }
    }
    let below = tree.files().clean_urls().at("/site");
    assert_eq!(get(&below, "/site/about").await.text(), "about");
    assert_eq!(get(&below, "/site/").await.text(), "home");
}

#[tokio::test]
async fn names_are_tried_in_order_and_each_in_all_roots() {
    let [first, second] = [
        Tree::of(&[("a.html", "first, html"), ("b.html", "first, html")]),
        Tree::of(&[("a", "second"), ("a.html", "second, html")]),
    ];
    let files = first.files().root(second.root());
    let path_first = files.clone().try_files(["{path}", "{path}.html"]);
    let html_first = files.try_files(["{path}.html", "{path}"]);
    assert_eq!(get(&path_first, "/a").await.text(), "second");
    assert_eq!(get(&html_first, "/a").await.text(), "first, html");
    assert_eq!(get(&path_first, "/b").await.text(), "first, html");
}

#[tokio::test]
async fn a_pattern_may_have_anything_around_the_path() {
    let tree = Tree::of(&[
        ("pages/index.html", "home"),
        ("pages/about.html", "about"),
        ("pages/deep/er.html", "deeper"),
        ("docs/index.html", "docs"),
        ("en-about", "english"),
        ("index.html", "root"),
    ]);
    for (pattern, target, text) in [
        ("pages/{path}.html", "/about", "about"),
        ("/pages/{path}.html", "/about", "about"),
        ("pages/{path}.html", "/deep/er", "deeper"),
        ("pages/{path}.html", "/", "Not Found"),
        ("pages/{path}.html", "/about/", "Not Found"),
        ("pages/{path}", "/about.html", "about"),
        ("pages/{path}", "/about.html/", "Not Found"),
        ("pages/{path}", "/", "Not Found"),
        ("pages/{path}/index.html", "/", "home"),
        ("{path}/index.html", "/", "root"),
        ("{path}/index.html", "/docs", "docs"),
        ("{path}/index.html", "/docs/", "docs"),
        ("{path}/index.html", "/pages/about.html", "Not Found"),
        ("en-{path}", "/about", "english"),
        ("en-{path}", "/", "Not Found"),
        // Directories count for the path itself alone.
        ("{path}.html", "/docs/", "Not Found"),
        ("{path}.html", "/docs", "Not Found"),
    ] {
        let files = tree.files().try_files([pattern]);
        assert_eq!(get(&files, target).await.text(), text, "{pattern} {target}");
    }
}

#[tokio::test]
async fn a_fixed_name_answers_what_nothing_else_does() {
    let tree = Tree::of(&[
        ("a.txt", "a"),
        ("app/index.html", "page"),
        ("a b%.txt", "odd"),
    ]);
    let files = tree.files().try_files(["{path}", "app/index.html"]);
    let inside = Inside::says(200, &[], "mine");
    for (target, text) in [
        ("/a.txt", "a"),
        ("/missing", "page"),
        ("/missing.js", "page"),
        ("/", "page"),
        ("/deep/er/", "page"),
        // What is hidden stays the application's.
        ("/.env", "mine"),
        ("/deep/.git/config", "mine"),
    ] {
        let got = inside.behind(&files, "GET", target, &[]).await;
        assert_eq!(got.text(), text, "{target}");
    }
    assert_eq!(
        inside.behind(&files, "POST", "/x", &[]).await.text(),
        "mine"
    );
    let got = get_with(&files, "/missing", &[("range", "bytes=0-1")]).await;
    assert_eq!((got.status, got.text()), (206, "pa"));

    // It is a name of the file system, not a path of a URL.
    let files = tree.files().try_files(["a b%.txt"]);
    assert_eq!(get(&files, "/x").await.text(), "odd");
}

/// Whatever the pattern and the path, a source is asked for nothing but names.
#[tokio::test]
async fn every_name_that_is_tried_is_one() {
    const PATTERNS: &[&str] = &[
        "{path}",
        "{path}.html",
        "{path}/index.html",
        "{path}/a/b",
        "x{path}",
        "x{path}/y",
        "x/{path}",
        "x/{path}.y",
        "x/{path}/y",
        "x/-{path}-/y",
        "fixed",
    ];
    for pattern in PATTERNS {
        let source = Does(|name: &Path, _| {
            let text = name.to_str().unwrap();
            let parts: Vec<_> = name.components().collect();
            let is_plain = parts
                .iter()
                .all(|part| matches!(part, Component::Normal(_)));
            // `components` leaves out what a source would have to: the text tells.
            let joined: Vec<_> = parts
                .iter()
                .map(|part| part.as_os_str().to_str().unwrap())
                .collect();
            assert!(is_plain && joined.join("/") == text, "{text:?}");
            Ok(match text {
                "there" => Found::File(SourceFile::from_bytes("there")),
                _ => Found::Nothing,
            })
        });
        let files = StaticFiles::from_source(source)
            .try_files([*pattern])
            .dotfiles(true);
        for at in ["/", "/mount"] {
            let files = files.clone().at(at);
            for below in [
                "", "/", "/a", "/a/", "/a/b", "/a/b/", "//a", "/a//", "/a/.", "/..", "/%2e",
            ] {
                let target = format!("{}{below}", at.trim_end_matches('/'));
                let target = if target.is_empty() {
                    "/".into()
                } else {
                    target
                };
                let got = get(&files, &target).await;
                assert_eq!(got.status, 404, "{pattern} {target}");
            }
        }
    }
}

#[tokio::test]
async fn a_name_that_becomes_too_long_is_a_miss() {
    let tree = Tree::new();
    let files = tree.files().clean_urls();
    for length in [250, 251, 252, 255, 256, 4096] {
        let target = format!("/{}", "a".repeat(length));
        assert_eq!(get(&files, &target).await.status, 404, "{length}");
    }
}

#[tokio::test]
async fn a_directory_redirects_before_the_next_name_is_tried() {
    let tree = Tree::of(&[("docs/index.html", "docs"), ("docs.html", "page")]);
    let files = tree.files().clean_urls();
    assert_eq!(get(&files, "/docs").await.status, 308);
    let files = files.directory_redirect(None);
    assert_eq!(get(&files, "/docs").await.text(), "page");
    let files = tree
        .files()
        .directory_redirect(StatusCode::FOUND)
        .try_files(["{path}.html", "{path}"]);
    assert_eq!(get(&files, "/docs").await.text(), "page");
    assert_eq!(get(&files, "/docs/").await.text(), "docs");
}

#[test]
fn what_makes_no_name_is_refused_where_it_is_written() {
    for (names, why) in [
        (&[""][..], "empty segment"),
        (&["/"], "empty segment"),
        (&["{path}/"], "empty segment"),
        (&["a//b"], "empty segment"),
        (&["//a"], "empty segment"),
        (&["{path}", "../{path}"], "one of dots"),
        (&["./{path}"], "one of dots"),
        (&["a/../b"], "one of dots"),
        (&["{path}{path}"], "twice"),
        (&["a\\b"], "backslash"),
        (&["a\0"], "NUL"),
        (&["{uri}.html"], "brace"),
        (&["{path}.{extension}"], "brace"),
        (&["{path"], "brace"),
    ] {
        let said = std::panic::catch_unwind(|| {
            let _ = StaticFiles::new("static").try_files(names.iter().copied());
        });
        let message = *said.unwrap_err().downcast::<String>().unwrap_or_default();
        assert!(
            message.contains("StaticFiles::try_files takes"),
            "{names:?}: {message}"
        );
        assert!(message.contains(why), "{names:?}: {message}");
    }
}

#[test]
#[should_panic(expected = "StaticFiles::try_files takes at least one name")]
fn no_name_at_all_is_refused_too() {
    let _ = StaticFiles::new("static").try_files([]);
}
