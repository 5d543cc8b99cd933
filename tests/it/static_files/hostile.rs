//! Trees in which nothing is what it seems, and requests for anything at all.

use std::{fs, os::unix::fs::symlink, path::Path, time::SystemTime};

use http::{Request, StatusCode};
use proptest::{prelude::*, sample::select, test_runner::TestRunner};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tower::Layer;
use tower_gateway::{
    Body, StaticFiles,
    semantics::negotiate::Coding,
    static_files::{CacheControl, EntityTags, Files, Listing, Symlinks},
};

use super::{
    inside::Inside,
    tree::{SECRET, Tree, ask, get_with, request, touch},
};
use crate::support::{process::say, raw::PATIENCE};

/// A tree in which nothing is what it seems.
fn hostile() -> Tree {
    let tree = Tree::new();
    for name in [
        "a.txt",
        "a.css",
        "b.html",
        "index.html",
        "dir/index.html",
        "dir/x.js",
        "list/one",
        "list/a b<&\">.txt",
        "list/..hidden",
        "list/new\nline",
        ".hidden",
        "dir/.env",
        "404.html",
        "x.8f3b1c2d.js",
    ] {
        tree.write_aged(name, vec![b'z'; 3000], 100);
    }
    tree.write_aged("empty", "", 100);
    tree.write_aged("big.bin", vec![b'b'; 300_000], 100);
    tree.write_aged(
        "staticfiles.json",
        r#"{"paths":{"a.css":"x.8f3b1c2d.js"},"version":"1.0"}"#,
        100,
    );
    let root = tree.root();
    let secret = tree.outside().join("secret.txt");
    touch(&secret, SystemTime::now());
    for fifo in ["fifo", "a.txt.gz", "a.txt.br", "a.css.etag", "list/fifo"] {
        mknodat(CWD, root.join(fifo), FileType::Fifo, Mode::RUSR, 0).unwrap();
    }
    for (target, link) in [
        (secret.as_path(), "a.css.gz"),
        (Path::new("../outside/secret.txt"), "b.html.br"),
        (Path::new("../outside/secret.txt"), "b.html.etag"),
        (Path::new("../outside/secret.txt"), "out404.html"),
        (Path::new("../outside"), "out"),
        (Path::new("loop"), "loop"),
        (Path::new("."), "self"),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
    fs::create_dir(root.join("fifos")).unwrap();
    mknodat(
        CWD,
        root.join("fifos/index.html"),
        FileType::Fifo,
        Mode::RUSR,
        0,
    )
    .unwrap();
    fs::create_dir(root.join("outs")).unwrap();
    symlink(&secret, root.join("outs/index.html")).unwrap();
    tree
}

fn configured(tree: &Tree) -> Vec<StaticFiles> {
    let codings = [Coding::Brotli, Coding::Gzip, Coding::Zstd];
    let missing = StatusCode::NOT_FOUND;
    let all = tree
        .files()
        .at("/s")
        .cache(1 << 20)
        .listing(Listing::new().page_size(2))
        .spa("index.html")
        .error_page(missing, "404.html")
        .error_page(StatusCode::BAD_REQUEST, "404.html")
        .error_page(StatusCode::RANGE_NOT_SATISFIABLE, "404.html")
        .intercept_errors(true)
        .precompressed(codings)
        .accel_redirect("/p", tree.root().join("dir"))
        .immutable_in("staticfiles.json")
        .cache_control(Files::hashed(), CacheControl::immutable())
        .clean_urls();
    #[cfg(feature = "compression")]
    let all = all.compress(1 << 20);
    vec![
        tree.files(),
        all,
        tree.files()
            .listing(Listing::new())
            .error_page(missing, "out404.html")
            .precompressed(codings)
            .entity_tags(EntityTags::Sidecar)
            .accel_redirect("/p", tree.root())
            .untrusted(true)
            .dotfiles(true)
            .immutable_in("fifo"),
        tree.files()
            .symlinks(Symlinks::None)
            .entity_tags(EntityTags::Content)
            .precompressed(codings)
            .try_files(["{path}", "{path}/index.html", "self/{path}"])
            .cache(1 << 16)
            .cache_files_up_to(1000)
            .immutable_in("a.css.gz"),
        tree.files()
            .symlinks(Symlinks::OwnerMatch)
            .listing(Listing::new())
            .fall_through([])
            .error_page(StatusCode::METHOD_NOT_ALLOWED, "fifo")
            .spa("fifo"),
    ]
}

const PIECES: &[&str] = &[
    "s",
    "s/",
    "/",
    "//",
    "a.txt",
    "a.css",
    "b",
    "b.html",
    "b.html.br",
    "a.css.gz",
    "a.txt.gz",
    "dir",
    "dir/",
    "dir/x.js",
    "list",
    "list/",
    "fifo",
    "fifos",
    "fifos/",
    "out",
    "out/",
    "out/secret.txt",
    "outs/",
    "out404.html",
    "loop",
    "self",
    "self/",
    "empty",
    "big.bin",
    "x.8f3b1c2d.js",
    ".hidden",
    "dir/.env",
    ".",
    "..",
    "%2e%2e",
    "%2F",
    "%00",
    "%5c",
    "%",
    "%zz",
    "%ff",
    "%0d%0aset-cookie:x",
    "internal",
    "evil.example",
    "?",
    "?page=18446744073709551615",
    "?page=0&sort=size&order=desc",
    ";",
    ":",
    "@",
    "*",
    "~",
];
const RANGES: &[&str] = &[
    "x=1",
    "bytes=0-1",
    "bytes=-1",
    "bytes=-0",
    "bytes=5-2",
    "bytes=",
    "bytes=0-1,",
    "bytes=18446744073709551615-",
    "bytes=0-18446744073709551615",
    "bytes=-18446744073709551616",
    "bytes=1099511627775-",
    "bytes=0-0,1099511627775-,-1",
    "bytes=0-5,300-305,600-605",
];
const NAMED: &[&str] = &[
    "/p/x.js",
    "/p/../a.txt",
    "/p/%2e%2e/%2e%2e/outside/secret.txt",
    "/p//x.js",
    "/p/",
    "/q",
    "p",
    "/p/x.js%00",
    "/p/out/secret.txt",
    "/p/fifo",
];

async fn sound(files: &StaticFiles, named: &str, request: Request<Body>) {
    let said = format!(
        "{} {} {:?}",
        request.method(),
        request.uri(),
        request.headers()
    );
    let is_head = request.method() == "HEAD";
    let named = named.to_owned();
    let inside = Inside::new(move |request| {
        let mut response = http::Response::new(Body::from("inside"));
        match request.uri().path().ends_with("internal") {
            true => {
                let headers = response.headers_mut();
                headers.insert("x-accel-redirect", named.parse().unwrap());
                headers.insert("content-type", "a b;; \"".parse().unwrap());
            }
            false => *response.status_mut() = StatusCode::NOT_FOUND,
        }
        response
    });
    let got = tokio::time::timeout(PATIENCE, ask(files.layer(inside), request)).await;
    let got = got.unwrap_or_else(|_| panic!("{said} waits"));
    assert!(got.status < 500, "{said}: {got:?}");
    let body = String::from_utf8_lossy(&got.body);
    assert!(!body.contains(SECRET), "{said}: {got:?}");
    if let Some(location) = got.header("location") {
        let is_path = location.starts_with('/') && !location.starts_with("//");
        assert!(is_path && !location.contains('\\'), "{said}: {location}");
    }
    if let (Some(length), false) = (got.header("content-length"), is_head) {
        assert_eq!(length, got.body.len().to_string(), "{said}");
    }
}

#[test]
fn whatever_is_asked_of_a_hostile_tree_is_answered_and_with_nothing_from_outside() {
    let tree = hostile();
    let all = configured(&tree);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let target = (
        any::<bool>(),
        prop::collection::vec(select(PIECES), 1..4),
        any::<bool>(),
    )
        .prop_map(|(below, pieces, slashes)| {
            let mount = if below { "/s/" } else { "/" };
            format!("{mount}{}", pieces.join(if slashes { "/" } else { "" }))
        });
    let fields = (
        prop::option::of(select(RANGES)),
        select(
            &[
                "",
                "br",
                "gzip",
                "zstd, br;q=0.1",
                "identity;q=0",
                "gzip;q=0, *",
            ][..],
        ),
        select(&["", "text/html", "application/json", "a/b;q=x,,"][..]),
        select(&["cors", "navigate"][..]),
    );
    let asked = (
        0..all.len(),
        select(&["GET", "HEAD", "POST", "OPTIONS", "ODD"][..]),
        target,
        fields,
        select(NAMED),
    );
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 3000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let result = runner.run(&asked, |(files, method, target, fields, named)| {
        let (range, codings, types, mode) = fields;
        let request = Request::builder()
            .method(method)
            .uri(&target)
            .header("accept-encoding", codings)
            .header("accept", types)
            .header("sec-fetch-mode", mode);
        let request = match range {
            Some(range) => request.header("range", range),
            None => request,
        };
        // What is no URI comes through no server.
        if let Ok(request) = request.body(Body::empty()) {
            runtime.block_on(sound(&all[files], named, request));
        }
        Ok(())
    });
    result.unwrap();
}

#[tokio::test]
async fn a_tebibyte_has_a_first_and_a_last_byte() {
    const LENGTH: u64 = 1 << 40;

    let tree = Tree::new();
    let sparse = fs::File::create(tree.root().join("sparse")).unwrap();
    if sparse.set_len(LENGTH).is_err() {
        say(format_args!(
            "NOT TESTED: this file system has no files of a tebibyte"
        ));
        return;
    }
    touch(&tree.root().join("sparse"), SystemTime::now() - PATIENCE);
    for tags in [EntityTags::Modified, EntityTags::Content] {
        for files in [tree.files(), tree.files().cache(1 << 20)] {
            let files = files.entity_tags(tags);
            let got = ask(files.clone(), request("HEAD", "/sparse", &[])).await;
            assert_eq!(got.header("content-length"), Some("1099511627776"));
            for (range, content_range) in [
                (
                    "bytes=-1",
                    "bytes 1099511627775-1099511627775/1099511627776",
                ),
                (
                    "bytes=1099511627774-99999999999999999999999",
                    "bytes 1099511627774-1099511627775/1099511627776",
                ),
                ("bytes=0-0", "bytes 0-0/1099511627776"),
            ] {
                let got = get_with(&files, "/sparse", &[("range", range)]).await;
                assert_eq!(got.status, 206);
                assert_eq!(got.header("content-range"), Some(content_range));
                assert!(got.body.iter().all(|byte| *byte == 0));
            }
            let several = [("range", "bytes=0-0, 549755813888-549755813889, -1")];
            let got = get_with(&files, "/sparse", &several).await;
            assert_eq!(
                (got.status, got.text().matches("Content-Range").count()),
                (206, 3)
            );
            let behind = [("range", "bytes=1099511627776-")];
            assert_eq!(get_with(&files, "/sparse", &behind).await.status, 416);
        }
    }
}
