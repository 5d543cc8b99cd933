//! The pages of errors: whose errors have them, and what of a page is sent.

use http::StatusCode;
use tower_gateway::{
    ErrorKind, StaticFiles,
    semantics::negotiate::Coding,
    static_files::{CacheControl, Files, Found, MemoryFiles, SourceFile},
};

use super::{
    inside::{Does, Inside, write_settled},
    tree::{Got, Tree, ask, get, get_with, request},
};

/// A page for each of these.
const PAGES: &[(u16, &str)] = &[
    (400, "400.html"),
    (404, "errors/404.html"),
    (405, "405.html"),
    (412, "412.html"),
    (416, "416.html"),
    (500, "500.html"),
    (503, "503.html"),
];

fn site() -> Tree {
    let tree = Tree::new();
    write_settled(&tree, "a.txt", "public");
    for (status, name) in PAGES {
        write_settled(&tree, name, format!("page of {status}"));
    }
    tree
}

fn with_pages(mut files: StaticFiles) -> StaticFiles {
    for (status, name) in PAGES {
        files = files.error_page(StatusCode::from_u16(*status).unwrap(), name);
    }
    files
}

fn files(tree: &Tree) -> StaticFiles {
    with_pages(tree.files())
}

/// It is the page, and says nothing about it that would be taken for what is missing.
fn is_page(got: &Got, status: u16) {
    assert_eq!(got.status, status, "{got:?}");
    assert_eq!(got.text(), format!("page of {status}"), "{got:?}");
    assert_eq!(got.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(got.header("content-length"), Some("11"));
    for name in ["etag", "last-modified", "accept-ranges"] {
        assert_eq!(got.header(name), None, "{name} {got:?}");
    }
}

#[tokio::test]
async fn every_error_of_ours_has_its_page() {
    let tree = site();
    for files in [files(&tree), files(&tree).cache(1 << 20)] {
        // The second time everything is at hand.
        for _ in 0..2 {
            is_page(&get(&files, "/missing").await, 404);
            is_page(&get(&files, "/a.txt/").await, 404);
            for target in ["/%zz", "/a%2Fb", "/%00"] {
                let got = get(&files, target).await;
                is_page(&got, 400);
                assert_eq!(got.error.unwrap().kind(), ErrorKind::BadPath);
            }
            let got = ask(files.clone(), request("POST", "/a.txt", &[])).await;
            is_page(&got, 405);
            assert_eq!(got.header("allow"), Some("GET, HEAD, OPTIONS"));
            let got = get_with(&files, "/a.txt", &[("range", "bytes=9-")]).await;
            is_page(&got, 416);
            assert_eq!(got.header("content-range"), Some("bytes */6"));
            let got = get_with(&files, "/a.txt", &[("if-match", "\"x\"")]).await;
            is_page(&got, 412);
        }
    }
}

#[tokio::test]
async fn a_disk_that_fails_has_a_page_if_that_can_be_read() {
    let pages = MemoryFiles::new().file("500.html", "page of 500");
    let broken = Does(|name: &std::path::Path, _| match name.to_str() {
        Some("broken.txt") => Err(std::io::Error::other("broken")),
        _ => Ok(Found::Nothing),
    });
    let files = with_pages(StaticFiles::from_source(broken).source(pages));
    let got = get(&files, "/broken.txt").await;
    is_page(&got, 500);
    // For those outside.
    assert_eq!(got.error.as_ref().unwrap().kind(), ErrorKind::Io);
    assert_eq!(got.header("cache-control"), Some("no-store"));
    assert_eq!(get(&files, "/missing").await.text(), "Not Found");
}

#[tokio::test]
async fn what_is_no_error_has_none() {
    let tree = site();
    let files = files(&tree);
    assert_eq!(get(&files, "/a.txt").await.text(), "public");
    let tag = get(&files, "/a.txt").await;
    let tag = tag.header("etag").unwrap();
    let got = get_with(&files, "/a.txt", &[("if-none-match", tag)]).await;
    assert_eq!((got.status, got.text()), (304, ""));
    let got = ask(files.clone(), request("OPTIONS", "/missing", &[])).await;
    assert_eq!((got.status, got.text()), (204, ""));
    // The page itself is a file like others.
    let got = get(&files, "/errors/404.html").await;
    assert_eq!((got.status, got.text()), (200, "page of 404"));
}

#[tokio::test]
async fn the_request_s_ranges_and_conditions_are_not_about_the_page() {
    let tree = site();
    let files = files(&tree);
    let page = get(&files, "/errors/404.html").await;
    let tag = page.header("etag").unwrap();
    for field in [
        ("range", "bytes=0-1"),
        ("range", "bytes=99-"),
        ("if-none-match", tag),
        ("if-none-match", "*"),
        ("if-match", "\"x\""),
        ("if-unmodified-since", "Thu, 01 Jan 1970 00:00:09 GMT"),
    ] {
        is_page(&get_with(&files, "/missing", &[field]).await, 404);
    }
}

#[tokio::test]
async fn a_head_has_the_head_of_the_page() {
    let tree = site();
    let got = ask(files(&tree), request("HEAD", "/missing", &[])).await;
    assert_eq!((got.status, got.text()), (404, ""));
    assert_eq!(
        got.names(),
        ["content-length", "content-type", "x-content-type-options"]
    );
    assert_eq!(got.header("content-length"), Some("11"));
}

#[tokio::test]
async fn of_the_rules_for_the_page_s_file_none_is_for_the_error() {
    let tree = site();
    tree.write("errors/404.html.br", "compressed");
    let files = files(&tree)
        .precompressed([Coding::Brotli])
        .header(Files::all(), "x-rule", "1")
        .cache_control(Files::all(), CacheControl::immutable());
    let got = get(&files, "/missing").await;
    is_page(&got, 404);
    assert_eq!(
        got.names(),
        [
            "content-length",
            "content-type",
            "vary",
            "x-content-type-options"
        ]
    );
    let got = get_with(&files, "/missing", &[("accept-encoding", "br")]).await;
    assert_eq!((got.status, got.text()), (404, "compressed"));
    assert_eq!(got.header("content-encoding"), Some("br"));
    assert_eq!(got.header("vary"), Some("accept-encoding"));
}

#[tokio::test]
async fn a_page_that_is_missing_or_cannot_be_read_leaves_the_line_of_text() {
    for source in [
        |_: &std::path::Path, _| Ok(Found::Nothing),
        |name: &std::path::Path, _| match name.to_str() {
            Some("errors/404.html") => Err(std::io::Error::other("broken")),
            _ => Ok(Found::Nothing),
        },
    ] {
        let files = with_pages(StaticFiles::from_source(Does(source)));
        let (log, _guard) = crate::support::log::capture();
        let got = get(&files, "/missing").await;
        assert_eq!((got.status, got.text()), (404, "Not Found"));
        assert_eq!(log.count("no page for an error"), 1, "{}", log.text());
    }
}

#[tokio::test]
async fn errors_of_the_service_inside_are_left_alone_unless_one_says_otherwise() {
    let tree = site();
    let fields = [
        ("retry-after", "9"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("www-authenticate", "Basic"),
        ("cache-control", "no-store"),
        ("vary", "Cookie"),
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
        ("content-length", "4"),
        ("content-language", "de"),
        ("content-disposition", "attachment"),
        ("content-location", "/other"),
        ("etag", "\"1\""),
        ("last-modified", "Thu, 01 Jan 2015 00:00:00 GMT"),
        ("accept-ranges", "bytes"),
    ];
    for status in [400, 404, 405, 500, 503] {
        let inside = Inside::says(status, &fields, "mine");
        for method in ["GET", "POST"] {
            let files = files(&tree).at("/static");
            let got = inside.behind(&files, method, "/static/x", &[]).await;
            assert_eq!((got.status, got.text()), (status, "mine"));
            assert_eq!(got.headers.len(), fields.len());

            let files = files.intercept_errors(true);
            let got = inside.behind(&files, method, "/static/x", &[]).await;
            is_page(&got, status);
            assert_eq!(
                got.names(),
                [
                    "cache-control",
                    "content-length",
                    "content-type",
                    "retry-after",
                    "set-cookie",
                    "vary",
                    "www-authenticate",
                    "x-content-type-options"
                ]
            );
            assert_eq!(got.headers.get_all("set-cookie").iter().count(), 2);
            assert_eq!(got.header("cache-control"), Some("no-store"));

            // Other paths are not this layer's.
            let got = inside.behind(&files, method, "/elsewhere", &[]).await;
            assert_eq!((got.status, got.text()), (status, "mine"));
            let files = files.accel_redirect("/p", tree.root());
            let got = inside.behind(&files, method, "/elsewhere", &[]).await;
            assert_eq!((got.status, got.text()), (status, "mine"));
        }
    }
    for status in [200, 302, 401, 429] {
        let inside = Inside::says(status, &fields, "mine");
        let files = files(&tree).intercept_errors(true);
        let got = inside.behind(&files, "GET", "/x", &[]).await;
        assert_eq!((got.status, got.text()), (status, "mine"));
        assert_eq!(got.headers.len(), fields.len());
    }
}

#[tokio::test]
async fn a_refused_path_and_what_nobody_stands_behind_are_ours_outside_of_the_mount_too() {
    let tree = site();
    let files = files(&tree).at("/static");
    let inside = Inside::says(404, &[], "mine");
    is_page(&inside.behind(&files, "GET", "/x/%zz", &[]).await, 400);
    assert_eq!(inside.behind(&files, "GET", "/x", &[]).await.text(), "mine");
    is_page(&get(&files, "/x").await, 404);
    is_page(&ask(files, request("PUT", "/x", &[])).await, 405);
}

#[tokio::test]
async fn files_that_end_a_stack_inside_of_others_have_their_own_pages_only() {
    let [outer, inner] = [site(), Tree::of(&[("b.txt", "b")])];
    let stacked = tower::Layer::layer(&files(&outer), inner.files());
    let get = async |target| ask(stacked.clone(), request("GET", target, &[])).await;
    assert_eq!(get("/b.txt").await.text(), "b");
    // To the layer outside it is an error of the service inside, whoever that is.
    assert_eq!(get("/missing").await.text(), "Not Found");
}

#[tokio::test]
async fn the_last_page_for_a_status_counts() {
    let tree = site();
    let files = files(&tree).error_page(StatusCode::NOT_FOUND, "/a.txt");
    let got = get(&files, "/missing").await;
    assert_eq!((got.status, got.text()), (404, "public"));
}

#[test]
#[should_panic(expected = "is no error")]
fn a_status_without_an_error_is_refused_where_it_is_written() {
    let _ = StaticFiles::new("static").error_page(StatusCode::OK, "200.html");
}

#[test]
#[should_panic(expected = "StaticFiles::error_page takes a name")]
fn a_page_outside_of_the_root_is_refused_where_it_is_written() {
    let _ = StaticFiles::new("static").error_page(StatusCode::NOT_FOUND, "a/../../b");
}

#[tokio::test]
async fn the_language_of_a_page_that_rules_name_goes_with_it() {
    let source = Does(|name: &std::path::Path, _| match name.to_str() {
        Some("404.html") => Ok(Found::File(SourceFile::from_bytes("nichts da"))),
        _ => Ok(Found::Nothing),
    });
    let files = StaticFiles::from_source(source)
        .header(Files::extension("html"), "content-language", "de")
        .error_page(StatusCode::NOT_FOUND, "404.html");
    let got = get(&files, "/x").await;
    assert_eq!((got.status, got.text()), (404, "nichts da"));
    assert_eq!(got.header("content-language"), Some("de"));
}
