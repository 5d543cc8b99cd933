//! Spellings of paths by the thousand: nothing from outside gets out, and nothing breaks.

use std::{os::unix::fs::symlink, time::Duration};

use http::StatusCode;
use proptest::prelude::*;
use tower_gateway::{
    StaticFiles,
    semantics::{
        negotiate::Coding,
        path::{EncodedSlash, PathPolicy},
    },
    static_files::{CacheControl, EntityTags, Files, Listing},
};

use super::{
    confinement::{fifo, hostile},
    tree::{SECRET, Tree, ask, request},
};

/// With everything on that looks for more than the path itself.
fn all_options(tree: &Tree, keeps: bool) -> StaticFiles {
    let files = tree
        .files()
        .root(tree.root().join("dir"))
        .clean_urls()
        .index(["index.html", "sub", "out.txt"])
        .listing(Listing::new())
        .precompressed([Coding::Brotli, Coding::Zstd, Coding::Gzip])
        .entity_tags(EntityTags::Sidecar)
        .immutable_in("manifest.json")
        .cache_control(Files::hashed(), CacheControl::immutable())
        .spa("dir/index.html")
        .error_page(StatusCode::NOT_FOUND, "a.txt")
        .untrusted(true);
    match keeps {
        true => files.cache(1 << 20).cache_fresh_for(Duration::ZERO),
        false => files,
    }
}

/// Pieces of which attacks are made.
fn spelling() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "/", "//", "/./", "/../", "..", ".", "%2e", "%2E", "%2e%2e", "%2f", "%2F", "%5c", "\\",
            "%00", "%", "%zz", "%25", "%252e", ";", "?", "#", "*", ":", "~", "%c0%ae", "%ff", "%20",
        ]),
        4 => prop::sample::select(vec![
            "a.txt", "dir", "sub", "b.txt", "index.html", "out", "out.txt", "outside", "secret.txt",
            "root", "linked-dir", "passwd", "loop", "fifo", "cwd", "environ", ".env", ".git",
            "config", "..data", "out-absolute", "out-absolute.txt", "out-and-in.txt", "dangling",
        ]),
        1 => Just("%70"),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

#[test]
fn no_spelling_gets_anything_out_nor_breaks_anything() {
    let tree = hostile();
    no_spelling_breaks(spellings(), |_| tree.files());
}

#[test]
fn nor_does_one_with_everything_on() {
    let tree = hostile();
    let root = tree.root();
    // Beside a file, what is no coding of it, no tag, and no manifest.
    for (name, to) in [
        ("a.txt.br", "../outside/secret.txt"),
        ("a.txt.etag", "../outside/secret.txt"),
        ("dir/index.html.gz", "../../outside/secret.txt"),
        ("dir/index.html.etag", "/dev/zero"),
        ("about.html", "../outside/secret.txt"),
        ("manifest.json", "../outside/secret.txt"),
    ] {
        symlink(to, root.join(name)).unwrap();
    }
    fifo(&root.join("a.txt.gz"));
    fifo(&root.join("a.txt.zst"));
    let (kept, not_kept) = (all_options(&tree, true), all_options(&tree, false));
    no_spelling_breaks(spellings(), |keeps| match keeps {
        true => kept.clone(),
        false => not_kept.clone(),
    });
}

/// As many as one has time for: `PROPTEST_CASES=100000` takes a minute or two.
fn spellings() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|cases| cases.parse().ok()).unwrap_or(6000)
}

fn no_spelling_breaks(cases: u32, files: impl Fn(bool) -> StaticFiles) {
    // What is kept is kept from one spelling to the next.
    let files: Vec<_> = [
        EncodedSlash::Keep,
        EncodedSlash::Decode,
        EncodedSlash::Reject,
    ]
    .map(|slash| PathPolicy::new().encoded_slash(slash))
    .into_iter()
    .flat_map(|policy| [true, false].map(|keeps| files(keeps).paths(policy)))
    .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let config = ProptestConfig {
        cases,
        ..ProptestConfig::default()
    };
    let accepted = prop::sample::select(vec![
        ("accept-encoding", "br, zstd, gzip"),
        ("accept", "text/html"),
        ("accept", "application/json"),
        ("range", "bytes=0-1,3-4,-1"),
        ("if-none-match", "*"),
    ]);
    let asked = (spelling(), 0..files.len(), accepted);
    proptest!(config, |((target, at, field) in asked)| {
        let Ok(uri) = target.parse::<http::Uri>() else {
            return Ok(());
        };
        let files = files[at].clone();
        let mut request = request("GET", "/", &[field]);
        *request.uri_mut() = uri;
        let got = runtime.block_on(ask(files, request));
        prop_assert!(got.status < 500, "{}: {:?}", target, got);
        // Hidden names hold it as well as what is outside.
        let body = String::from_utf8_lossy(&got.body);
        prop_assert!(!body.contains(SECRET) && !body.contains("root:"), "{}: {}", target, body);
        let is_list = got.header("vary") == Some("accept");
        if got.status == 200 && !is_list {
            prop_assert_eq!(&*body, "public", "{}", target);
        }
        if is_list {
            for hidden in [".env", ".git", "..data", "secret", "passwd", "fifo", "out.txt"] {
                // The name of the directory itself is in it, as it was asked for.
                let names = body.matches(hidden).count();
                prop_assert!(names == 0 || target.contains("%") || target.contains(hidden), "{}: {}", target, body);
            }
        }
        if let Some(location) = got.header("location") {
            prop_assert!(location.starts_with('/') && !location.starts_with("//"), "{}", location);
        }
    });
}
