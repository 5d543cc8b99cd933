//! Files that the layer itself compresses.

use std::{
    io::{self, Read},
    path::Path,
    time::{Duration, SystemTime},
};

use tower_gateway::{
    StaticFiles,
    semantics::negotiate::Coding,
    static_files::{EntityTags, Found, MemoryFiles, Source, SourceFile, Wait},
};

use super::tree::{Got, Tree, ask, get, get_with, request, touch, until};

/// Some text that shrinks well.
fn script(name: &str) -> String {
    let lines = (0..1000).map(|line| format!("const {name}_{line} = compute({});\n", line * line));
    lines.collect()
}

/// A file that is old enough to stay what it is.
fn write_settled(tree: &Tree, name: &str, content: &str, hours_ago: u64) {
    tree.write_aged(name, content, hours_ago * 3600);
}

const BROTLI: &[(&str, &str)] = &[("accept-encoding", "gzip;q=0.5, br")];
const GZIP: &[(&str, &str)] = &[("accept-encoding", "gzip")];

/// Asks until the answer is in this coding.
async fn coded(files: &StaticFiles, target: &str, fields: &[(&str, &str)], coding: &str) -> Got {
    let until = async {
        loop {
            let got = get_with(files, target, fields).await;
            assert_eq!(got.status, 200, "{got:?}");
            assert_eq!(got.header("vary"), Some("accept-encoding"), "{got:?}");
            if got.header("content-encoding") == Some(coding) {
                return got;
            }
            assert_eq!(got.header("content-encoding"), None, "{got:?}");
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), until).await;
    waited.expect("it is compressed some time")
}

fn decoded(got: &Got) -> String {
    let mut text = String::new();
    match got.header("content-encoding") {
        Some("br") => brotli::Decompressor::new(&got.body[..], 4096).read_to_string(&mut text),
        Some("gzip") => flate2::read::GzDecoder::new(&got.body[..]).read_to_string(&mut text),
        other => panic!("{other:?}"),
    }
    .unwrap();
    text
}

#[tokio::test]
async fn a_file_is_sent_as_it_is_until_it_is_compressed() {
    let tree = Tree::new();
    let content = script("a");
    write_settled(&tree, "a.js", &content, 1);
    let files = tree.files().compress(1 << 20);

    let first = get_with(&files, "/a.js", BROTLI).await;
    assert_eq!(first.text(), content);
    assert_eq!(first.header("vary"), Some("accept-encoding"));

    let br = coded(&files, "/a.js", BROTLI, "br").await;
    let gzip = coded(&files, "/a.js", GZIP, "gzip").await;
    let plain = get(&files, "/a.js").await;
    assert_eq!(decoded(&br), content);
    assert_eq!(decoded(&gzip), content);
    assert_eq!(plain.text(), content);
    for coded in [&br, &gzip] {
        let length = coded.body.len();
        assert!(length < content.len() / 4, "{length}");
        assert_eq!(
            coded.header("content-length"),
            Some(length.to_string().as_str())
        );
        assert_eq!(coded.header("accept-ranges"), Some("bytes"));
        assert_eq!(coded.header("content-type"), plain.header("content-type"));
        assert_eq!(coded.header("last-modified"), plain.header("last-modified"));
    }

    let tags = [&br, &gzip, &plain].map(|got| got.header("etag").unwrap());
    assert!(tags.iter().all(|tag| tag.starts_with('"')), "{tags:?}");
    assert!(
        tags[0] != tags[1] && tags[1] != tags[2] && tags[0] != tags[2],
        "{tags:?}"
    );
}

#[tokio::test]
async fn conditions_and_ranges_count_for_what_is_compressed() {
    let tree = Tree::new();
    write_settled(&tree, "a.js", &script("a"), 1);
    let files = tree.files().compress(1 << 20);
    let br = coded(&files, "/a.js", BROTLI, "br").await;
    let etag = br.header("etag").unwrap();

    let fields = [BROTLI[0], ("if-none-match", etag)];
    let got = get_with(&files, "/a.js", &fields).await;
    assert_eq!(got.status, 304);
    assert_eq!(got.header("etag"), Some(etag));
    assert_eq!(got.header("vary"), Some("accept-encoding"));

    let fields = [BROTLI[0], ("range", "bytes=100-199"), ("if-range", etag)];
    let got = get_with(&files, "/a.js", &fields).await;
    assert_eq!(got.status, 206);
    assert_eq!(got.body, br.body[100..200]);
    assert_eq!(got.header("content-encoding"), Some("br"));
    let whole = br.body.len();
    assert_eq!(
        got.header("content-range"),
        Some(format!("bytes 100-199/{whole}").as_str())
    );

    // A part of the one does not go on with a part of the other.
    let fields = [GZIP[0], ("range", "bytes=100-199"), ("if-range", etag)];
    let got = get_with(&files, "/a.js", &fields).await;
    assert_eq!(got.status, 200);
    // What a client has in one coding is no answer in another.
    let fields = [GZIP[0], ("if-none-match", etag)];
    assert_eq!(get_with(&files, "/a.js", &fields).await.status, 200);

    let got = ask(files, request("HEAD", "/a.js", BROTLI)).await;
    assert_eq!(got.header("etag"), Some(etag));
    assert_eq!(
        got.header("content-length"),
        Some(whole.to_string().as_str())
    );
    assert!(got.body.is_empty());
}

#[tokio::test]
async fn a_file_that_changed_is_compressed_anew() {
    let tree = Tree::new();
    write_settled(&tree, "a.js", &script("old"), 2);
    let files = tree.files().compress(1 << 20);
    let old = coded(&files, "/a.js", BROTLI, "br").await;
    write_settled(&tree, "a.js", &script("new"), 1);
    // What was compressed of the old one is never sent for the new one.
    let new = coded(&files, "/a.js", BROTLI, "br").await;
    assert_eq!(decoded(&new), script("new"));
    assert_ne!(new.header("etag"), old.header("etag"));
}

#[tokio::test]
async fn what_is_kept_in_memory_is_compressed_too() {
    let tree = Tree::new();
    write_settled(&tree, "a.js", &script("a"), 1);
    let files = tree
        .files()
        .cache(1 << 20)
        .cache_fresh_for(Duration::ZERO)
        .compress(1 << 20);
    let br = coded(&files, "/a.js", BROTLI, "br").await;
    assert_eq!(decoded(&br), script("a"));
    let again = get_with(&files, "/a.js", BROTLI).await;
    assert_eq!(again.body, br.body);
}

#[tokio::test]
async fn files_of_any_source_are_compressed_if_something_tells_them_apart() {
    let memory = MemoryFiles::new()
        .file("a.js", script("a"))
        .file("b.js", script("b"));
    let files = StaticFiles::from_source(memory).compress(1 << 20);
    for name in ["a", "b"] {
        let br = coded(&files, &format!("/{name}.js"), BROTLI, "br").await;
        assert_eq!(decoded(&br), script(name));
    }

    /// Its file is a new one each time.
    #[derive(Debug)]
    struct Counter(std::sync::atomic::AtomicU64);

    impl Source for Counter {
        fn open(&self, _: &Path, _: Wait) -> io::Result<Found> {
            let count = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let content = script(&format!("v{count}"));
            Ok(Found::File(SourceFile::from_bytes(content)))
        }
    }

    let files = StaticFiles::from_source(Counter(0.into())).compress(1 << 20);
    for count in 0..20 {
        let got = get_with(&files, "/a.js", BROTLI).await;
        let text = match got.header("content-encoding") {
            None => got.text().to_owned(),
            Some(_) => decoded(&got),
        };
        assert!(text == script(&format!("v{count}")), "{count}");
    }
}

#[tokio::test]
async fn a_file_beside_the_file_is_preferred() {
    let tree = Tree::new();
    write_settled(&tree, "a.js", &script("a"), 2);
    write_settled(&tree, "a.js.br", "not even brotli", 1);
    let files = tree
        .files()
        .precompressed([Coding::Brotli])
        .compress(1 << 20);
    let br = coded(&files, "/a.js", BROTLI, "br").await;
    assert_eq!(br.text(), "not even brotli");
    let gzip = coded(&files, "/a.js", GZIP, "gzip").await;
    assert_eq!(decoded(&gzip), script("a"));
    let br = get_with(&files, "/a.js", BROTLI).await;
    assert_eq!(br.text(), "not even brotli");
}

#[tokio::test]
async fn what_is_not_worth_it_is_never_compressed_nor_negotiated() {
    let tree = Tree::new();
    write_settled(&tree, "small.js", "let x = 1;\n", 1);
    write_settled(&tree, "picture.png", &script("png"), 1);
    write_settled(&tree, "unknown", &script("unknown"), 1);
    let files = tree.files().compress(1 << 20);
    for target in ["/small.js", "/picture.png", "/unknown"] {
        let got = get_with(&files, target, BROTLI).await;
        assert_eq!(got.header("content-encoding"), None, "{target}");
        assert_eq!(got.header("vary"), None, "{target}");
    }
}

#[tokio::test]
async fn a_tag_of_content_and_none_go_with_compression() {
    let tree = Tree::new();
    write_settled(&tree, "a.js", &script("a"), 1);
    let files = tree
        .files()
        .entity_tags(EntityTags::Content)
        .compress(1 << 20);
    let br = coded(&files, "/a.js", BROTLI, "br").await;
    let plain = get(&files, "/a.js").await;
    assert_ne!(br.header("etag"), plain.header("etag"));

    let files = tree.files().entity_tags(EntityTags::Off).compress(1 << 20);
    let br = coded(&files, "/a.js", BROTLI, "br").await;
    assert_eq!(decoded(&br), script("a"));
    assert_eq!(br.header("etag"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_at_once_get_it_whole_in_some_coding() {
    let tree = Tree::new();
    write_settled(&tree, "a.js", &script("a"), 1);
    let files = tree.files().compress(1 << 20);
    let asking = (0..100).map(|at| {
        let files = files.clone();
        tokio::spawn(async move {
            let fields = if at % 2 == 0 { BROTLI } else { GZIP };
            let got = get_with(&files, "/a.js", fields).await;
            match got.header("content-encoding") {
                None => got.text().to_owned(),
                Some(_) => decoded(&got),
            }
        })
    });
    for text in futures_util::future::join_all(asking).await {
        assert_eq!(text.unwrap(), script("a"));
    }
}

#[tokio::test]
async fn a_cache_that_looks_once_an_hour_sees_what_was_compressed_within_moments() {
    let tree = Tree::new();
    write_settled(&tree, "a.js", &script("a"), 1);
    let files = tree
        .files()
        .cache(1 << 20)
        .cache_fresh_for(Duration::from_secs(3600))
        .compress(1 << 20);
    coded(&files, "/a.js", BROTLI, "br").await;
    coded(&files, "/a.js", GZIP, "gzip").await;
}

#[tokio::test]
async fn a_file_that_was_just_changed_is_left_alone() {
    let tree = Tree::new();
    let path = tree.write("log.txt", script("log"));
    for files in [tree.files(), tree.files().cache(1 << 20)] {
        let files = files.compress(1 << 20);
        touch(&path, SystemTime::now());
        for _ in 0..200 {
            let got = get_with(&files, "/log.txt", BROTLI).await;
            assert_eq!(got.header("content-encoding"), None);
            // It may be another time.
            assert_eq!(got.header("vary"), Some("accept-encoding"));
        }
        touch(&path, SystemTime::now() - Duration::from_secs(11));
        coded(&files, "/log.txt", BROTLI, "br").await;
    }
}

#[tokio::test]
async fn more_files_than_the_budget_holds_are_sent_right() {
    let tree = Tree::new();
    let names: Vec<_> = (0..10).map(|at| format!("f{at}")).collect();
    for name in &names {
        write_settled(&tree, &format!("{name}.js"), &script(name), 1);
    }
    // For one or two of them.
    let files = tree.files().compress(16 << 10);
    let mut in_a_coding = 0;
    for round in 0..200 {
        let name = &names[round % names.len()];
        let got = get_with(&files, &format!("/{name}.js"), BROTLI).await;
        let text = match got.header("content-encoding") {
            None => got.text().to_owned(),
            Some(_) => {
                in_a_coding += 1;
                decoded(&got)
            }
        };
        assert!(text == script(name), "{name}");
        tokio::task::yield_now().await;
    }
    if in_a_coding == 0 {
        coded(&files, "/f0.js", BROTLI, "br").await;
    }
}

#[test]
fn a_runtime_shuts_down_while_a_file_is_compressed() {
    let tree = Tree::new();
    write_settled(&tree, "a.js", &script("a").repeat(300), 1);
    let files = tree.files().compress(64 << 20);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let got = runtime.block_on(get_with(&files, "/a.js", BROTLI));
    assert_eq!(got.header("content-encoding"), None);
    // The whole of it takes tens of seconds in a test; what is under way is broken off.
    let began = std::time::Instant::now();
    drop(runtime);
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );

    // Another runtime may begin anew.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let got = runtime.block_on(get_with(&files, "/a.js", BROTLI));
    assert_eq!(got.status, 200);
}

#[tokio::test]
async fn what_is_asked_for_by_its_head_or_named_by_the_application_is_compressed_too() {
    let tree = Tree::new();
    write_settled(&tree, "a.js", &script("a"), 1);
    let files = tree.files().compress(1 << 20);
    let coding = |got: &Got| got.header("content-encoding") == Some("br");
    let head = || ask(files.clone(), request("HEAD", "/a.js", BROTLI));
    let head = until(head, coding).await;
    assert_eq!(head.body.len(), 0);

    let hidden = Tree::new();
    write_settled(&hidden, "b.js", &script("b"), 1);
    let app = tower::service_fn(async |_: http::Request<tower_gateway::Body>| {
        let named = http::Response::builder().header("x-accel-redirect", "/in/b.js");
        Ok::<_, std::convert::Infallible>(named.body(tower_gateway::Body::empty()).unwrap())
    });
    let app = tower::Layer::layer(&files.accel_redirect("/in", hidden.root()), app);
    let named = || ask(app.clone(), request("GET", "/whatever", BROTLI));
    let got = until(named, coding).await;
    assert_eq!(decoded(&got), script("b"));
}
