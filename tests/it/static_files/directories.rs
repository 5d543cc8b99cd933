//! Index files, redirects, and where the files are mounted.

use http::StatusCode;
use tower_gateway::semantics::path::{PathPolicy, Spelling};

use super::tree::{Tree, get};

fn site() -> Tree {
    Tree::of(&[
        ("index.html", "home"),
        ("docs/index.html", "docs"),
        ("docs/a b/index.html", "spaced"),
        ("empty/file.txt", "file"),
        ("feed/index.xml", "<feed/>"),
    ])
}

#[tokio::test]
async fn a_directory_answers_with_its_index_file() {
    let tree = site();
    let files = tree.files();
    assert_eq!(get(&files, "/").await.text(), "home");
    let docs = get(&files, "/docs/").await;
    assert_eq!((docs.status, docs.text()), (200, "docs"));
    assert_eq!(
        docs.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(get(&files, "/docs/index.html").await.text(), "docs");
}

#[tokio::test]
async fn a_directory_without_a_slash_redirects_and_keeps_mount_and_query() {
    let tree = site();
    for (at, target, location) in [
        ("/", "/docs", "/docs/"),
        ("/", "/docs?a=1&b=//x", "/docs/?a=1&b=//x"),
        ("/", "/docs?", "/docs/?"),
        ("/", "/docs/a%20b", "/docs/a%20b/"),
        ("/", "//docs", "/docs/"),
        ("/", "/x/..//docs", "/docs/"),
        ("/static", "/static", "/static/"),
        ("/static", "/static?q", "/static/?q"),
        ("/static", "/static/docs", "/static/docs/"),
        ("/a/b", "/a/b/docs?q", "/a/b/docs/?q"),
    ] {
        let got = get(&tree.files().at(at), target).await;
        assert_eq!(got.status, 308, "{target}");
        assert_eq!(got.header("location"), Some(location), "{target}");
    }
}

#[tokio::test]
async fn a_redirect_never_leaves_the_host() {
    let tree = Tree::of(&[
        ("evil.example/index.html", "x"),
        ("@evil.example/index.html", "x"),
    ]);
    for target in [
        "//evil.example",
        "///evil.example",
        "/.//evil.example",
        "/x/..//evil.example",
        "/%2e//evil.example",
        "http://other.example//evil.example",
        "/@evil.example",
    ] {
        for paths in [
            PathPolicy::new(),
            PathPolicy::new().spelling(Spelling::Redirect),
        ] {
            let got = get(&tree.files().paths(paths), target).await;
            let location = got.header("location").unwrap();
            assert!(
                location.starts_with('/') && !location.starts_with("//"),
                "{target} led to {location}"
            );
        }
    }
}

#[tokio::test]
async fn a_directory_without_an_index_file_is_a_miss_with_and_without_the_slash() {
    let tree = site();
    let files = tree.files();
    for target in ["/empty", "/empty/", "/feed", "/feed/"] {
        assert_eq!(get(&files, target).await.status, 404, "{target}");
    }
}

#[tokio::test]
async fn index_names_are_tried_in_order() {
    let tree = site();
    let files = tree.files().index(["index.xml", "index.html"]);
    assert_eq!(get(&files, "/feed/").await.text(), "<feed/>");
    assert_eq!(get(&files, "/docs/").await.text(), "docs");
    tree.write("docs/index.xml", "<docs/>");
    assert_eq!(get(&files, "/docs/").await.text(), "<docs/>");
}

#[tokio::test]
async fn an_index_that_is_a_directory_is_none() {
    let tree = Tree::of(&[
        ("docs/index.html/file.txt", "x"),
        ("docs/index.htm", "docs"),
    ]);
    let files = tree.files().index(["index.html", "index.htm"]);
    assert_eq!(get(&files, "/docs/").await.text(), "docs");
}

#[tokio::test]
async fn without_index_names_every_directory_is_a_miss() {
    let tree = site();
    let files = tree.files().index(None::<&str>);
    for target in ["/", "/docs", "/docs/"] {
        assert_eq!(get(&files, target).await.status, 404, "{target}");
    }
    assert_eq!(get(&files, "/docs/index.html").await.status, 200);
}

#[tokio::test]
async fn the_redirect_has_the_status_one_asks_for_or_none() {
    let tree = site();
    let files = tree.files().directory_redirect(StatusCode::FOUND);
    assert_eq!(get(&files, "/docs").await.status, 302);
    let files = tree.files().directory_redirect(None);
    assert_eq!(get(&files, "/docs").await.status, 404);
    assert_eq!(get(&files, "/docs/").await.status, 200);
}

#[tokio::test]
async fn a_mount_matches_whole_segments_only() {
    let tree = Tree::of(&[("a.txt", "a"), ("s/a.txt", "inner")]);
    let files = tree.files().at("/static");
    assert_eq!(get(&files, "/static/a.txt").await.text(), "a");
    for target in [
        "/a.txt",
        "/statics/a.txt",
        "/static.txt",
        "/Static/a.txt",
        "/x/static/a.txt",
    ] {
        assert_eq!(get(&files, target).await.status, 404, "{target}");
    }
    // The same mount, spelled otherwise.
    for target in ["//static//a.txt", "/%73tatic/a.txt", "/x/../static/./a.txt"] {
        assert_eq!(get(&files, target).await.text(), "a", "{target}");
    }
}

#[tokio::test]
async fn a_trailing_slash_on_the_mount_means_nothing() {
    let tree = Tree::of(&[("a.txt", "a")]);
    assert_eq!(
        get(&tree.files().at("/static/"), "/static/a.txt")
            .await
            .text(),
        "a"
    );
    assert_eq!(get(&tree.files().at(""), "/a.txt").await.text(), "a");
}

mod what_cannot_be_meant_is_refused_where_it_is_written {
    use tower_gateway::StaticFiles;

    use super::*;

    #[test]
    #[should_panic(expected = "StaticFiles::at takes the path where the files appear")]
    fn a_prefix_without_a_slash() {
        let _ = StaticFiles::new("static").at("static");
    }

    #[test]
    #[should_panic(expected = "canonical")]
    fn a_prefix_that_no_path_has() {
        let _ = StaticFiles::new("static").at("/a/../b");
    }

    #[test]
    #[should_panic(expected = "StaticFiles::index takes bare file names")]
    fn an_index_that_climbs() {
        let _ = StaticFiles::new("static").index(["../index.html"]);
    }

    #[test]
    #[should_panic(expected = "StaticFiles::index takes bare file names")]
    fn an_index_with_a_backslash() {
        let _ = StaticFiles::new("static").index(["index.html", "a\\b"]);
    }

    #[test]
    #[should_panic(expected = "StaticFiles::index takes bare file names")]
    fn an_index_with_a_nul() {
        let _ = StaticFiles::new("static").index(["index.html\0"]);
    }

    #[test]
    #[should_panic(expected = "redirects nowhere")]
    fn a_status_that_is_no_redirect() {
        let _ = StaticFiles::new("static").directory_redirect(StatusCode::OK);
    }

    #[test]
    #[should_panic(expected = "redirects nowhere")]
    fn a_status_of_its_class_that_is_no_redirect() {
        let _ = StaticFiles::new("static").directory_redirect(StatusCode::NOT_MODIFIED);
    }

    #[test]
    #[should_panic(expected = "is no charset")]
    fn a_charset_that_is_none() {
        let _ = StaticFiles::new("static").charset("utf-8\r\nx: y");
    }

    #[test]
    #[should_panic(expected = "is no charset")]
    fn a_charset_with_a_parameter() {
        let _ = StaticFiles::new("static").charset("utf-8; x=y");
    }

    #[test]
    #[should_panic(expected = "cannot be sent in a header")]
    fn a_media_type_with_a_line_break() {
        let _ = StaticFiles::new("static").content_type("x", "a/b\r\nx: y");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_root_that_is_swapped_by_a_deploy_is_followed() {
    use std::{fs, os::unix::fs::symlink};

    let tree = Tree::of(&[("v1/a.txt", "one"), ("v2/a.txt", "two")]);
    let current = tree.root().join("current");
    symlink("v1", &current).unwrap();
    let files = tower_gateway::StaticFiles::new(&current);
    assert_eq!(get(&files, "/a.txt").await.text(), "one");

    symlink("v2", tree.root().join("next")).unwrap();
    fs::rename(tree.root().join("next"), &current).unwrap();
    let swapped = async {
        while get(&files, "/a.txt").await.text() != "two" {
            tokio::task::yield_now().await;
        }
    };
    let patience = crate::support::raw::PATIENCE;
    tokio::time::timeout(patience, swapped).await.unwrap();
}

#[tokio::test]
async fn a_root_may_come_later() {
    let tree = Tree::new();
    let files = tower_gateway::StaticFiles::new(tree.root().join("later"));
    assert_eq!(get(&files, "/a.txt").await.status, 404);
    tree.write("later/a.txt", "here");
    assert_eq!(get(&files, "/a.txt").await.text(), "here");

    let file = tower_gateway::StaticFiles::new(tree.root().join("later/a.txt"));
    assert_eq!(get(&file, "/a.txt").await.status, 404);
    assert_eq!(get(&file, "/").await.status, 404);
}
