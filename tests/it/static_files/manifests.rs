//! What builds write about names with a hash: those files are immutable.

use std::{
    fs, io,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use tower_gateway::{
    StaticFiles,
    static_files::{CacheControl, Files, Found, MemoryFiles, Source, SourceFile, Wait},
};

use super::tree::{Got, Tree, get, get_with, until};
use crate::support::log::capture;

fn cache_control(got: &Got) -> Option<&str> {
    got.header("cache-control")
}

const IMMUTABLE: Option<&str> = Some("public, max-age=31536000, immutable");

/// With and without a cache: the answers are the same.
fn both(files: StaticFiles) -> [StaticFiles; 2] {
    [files.clone(), files.cache(1 << 20)]
}

const DJANGO: &str = r#"{
    "paths": {"css/base.css": "css/base.27e20196a850.css", "plain.txt": "plain.txt"},
    "version": "1.1", "hash": "f88ee4b9a2b3"
}"#;

const VITE: &str = r#"{
    "src/main.js": {
        "file": "assets/main-BG8BsC3m.js", "name": "main", "src": "src/main.js",
        "isEntry": true, "css": ["assets/main-DpprsC9T.css"], "assets": ["assets/logo-Ck5pTqXB.svg"]
    }
}"#;

#[tokio::test]
async fn names_in_the_manifest_of_a_build_are_immutable() {
    for (manifest, content, hashed, plain) in [
        (
            "staticfiles.json",
            DJANGO,
            &["css/base.27e20196a850.css"][..],
            &["css/base.css", "plain.txt", "css/base.000000000000.css"][..],
        ),
        (
            ".vite/manifest.json",
            VITE,
            &[
                "assets/main-BG8BsC3m.js",
                "assets/main-DpprsC9T.css",
                "assets/logo-Ck5pTqXB.svg",
            ],
            &["index.html", "assets/main.js"],
        ),
    ] {
        let tree = Tree::of(&[(manifest, content)]);
        let mut memory = MemoryFiles::new().file(manifest, content);
        for name in hashed.iter().chain(plain) {
            tree.write_aged(name, "x", 100);
            memory = memory.file(name, "x");
        }
        for files in [tree.files(), StaticFiles::from_source(memory)] {
            let files = files
                .at("/static")
                .cache_control(Files::all(), CacheControl::no_cache())
                .immutable_in(manifest);
            for files in both(files) {
                for name in hashed {
                    let got = get(&files, &format!("/static/{name}")).await;
                    assert_eq!(cache_control(&got), IMMUTABLE, "{name}");
                    let known = [("if-none-match", "*")];
                    let got = get_with(&files, &format!("/static/{name}"), &known).await;
                    assert_eq!((got.status, cache_control(&got)), (304, IMMUTABLE));
                }
                for name in plain {
                    let got = get(&files, &format!("/static/{name}")).await;
                    assert_eq!(cache_control(&got), Some("no-cache"), "{name}");
                }
                let got = get(&files, "/static/css/base.ffffffffffff.css").await;
                assert_eq!((got.status, cache_control(&got)), (404, None));
            }
        }
    }
}

fn manifest(name: &str) -> String {
    format!(r#"{{"paths": {{"a.js": "{name}"}}, "version": "1.1", "hash": ""}}"#)
}

const ONE: &str = "/a.11111111.js";
const TWO: &str = "/a.22222222.js";

fn is_immutable(got: &Got) -> bool {
    cache_control(got) == IMMUTABLE
}

fn is_plain(got: &Got) -> bool {
    got.status == 200 && cache_control(got).is_none()
}

#[tokio::test]
async fn a_manifest_on_disk_may_come_change_break_and_go() {
    let tree = Tree::new();
    for name in [ONE, TWO] {
        tree.write_aged(&name[1..], "x", 100);
    }
    let files = tree.files().immutable_in("staticfiles.json").cache(1 << 20);
    assert!(is_plain(&get(&files, ONE).await));

    tree.write("staticfiles.json", manifest("a.11111111.js"));
    until(|| get(&files, ONE), is_immutable).await;
    assert!(is_plain(&get(&files, TWO).await));

    // Of the same length.
    tree.write("staticfiles.json", manifest("a.22222222.js"));
    until(|| get(&files, TWO), is_immutable).await;
    until(|| get(&files, ONE), is_plain).await;

    tree.write("staticfiles.json", "{\"paths\": {");
    until(|| get(&files, TWO), is_plain).await;

    tree.write("staticfiles.json", manifest("a.22222222.js"));
    until(|| get(&files, TWO), is_immutable).await;
    fs::remove_file(tree.root().join("staticfiles.json")).unwrap();
    until(|| get(&files, TWO), is_plain).await;
}

/// Files in memory that are replaced by others. All is answered on the thread that asks, where the
/// log is captured.
#[derive(Clone, Debug, Default)]
struct Current(Arc<Mutex<MemoryFiles>>);

impl Current {
    fn deploy(&self, manifest: Option<&str>) {
        let files = MemoryFiles::new().file(ONE, "x").file(TWO, "x");
        *self.0.lock().unwrap() = match manifest {
            Some(text) => files.file("staticfiles.json", text.to_owned()),
            None => files,
        };
    }
}

impl Source for Current {
    fn open(&self, name: &Path, wait: Wait) -> io::Result<Found> {
        self.0.lock().unwrap().open(name, wait)
    }
}

#[tokio::test]
async fn each_change_of_a_manifest_for_the_worse_is_said_once() {
    let (log, _guard) = capture();
    let source = Current::default();
    source.deploy(None);
    let files = StaticFiles::from_source(source.clone()).immutable_in("staticfiles.json");
    assert!(is_plain(&get(&files, ONE).await));
    assert_eq!(log.count("there is no such file"), 1, "{}", log.text());

    source.deploy(Some(&manifest("a.11111111.js")));
    until(|| get(&files, ONE), is_immutable).await;
    source.deploy(Some(&manifest("a.22222222.js")));
    until(|| get(&files, TWO), is_immutable).await;
    assert!(is_plain(&get(&files, ONE).await));
    assert_eq!(log.count("WARN"), 1, "{}", log.text());

    source.deploy(Some("{\"paths\": {"));
    until(|| get(&files, TWO), is_plain).await;
    assert_eq!(log.count("not JSON"), 1, "{}", log.text());
    source.deploy(None);
    until(
        || get(&files, TWO),
        |_| log.count("there is no such file") == 2,
    )
    .await;
    assert_eq!(log.count("WARN"), 3, "{}", log.text());
}

#[tokio::test]
async fn what_is_wrong_with_a_manifest_is_said_once_and_no_file_suffers() {
    let tree = Tree::of(&[("a.js", "x")]);
    for broken in [
        "",
        "[]",
        "{\"version\": \"9\", \"paths\": {}}",
        "\u{0}\u{1}",
    ] {
        let (log, _guard) = capture();
        let memory = MemoryFiles::new().file("m.json", broken).file("a.js", "x");
        let files = StaticFiles::from_source(memory).immutable_in("m.json");
        // For longer than it is taken for what it was.
        let began = std::time::Instant::now();
        let is_later = |got: &Got| {
            assert_eq!((got.status, cache_control(got)), (200, None));
            began.elapsed() > Duration::from_millis(1100)
        };
        until(|| get(&files, "/a.js"), is_later).await;
        assert_eq!(log.count("WARN"), 1, "{}", log.text());
    }
    // A directory of that name, and a link to nowhere.
    fs::create_dir(tree.root().join("m.json")).unwrap();
    let files = tree.files().immutable_in("m.json");
    assert_eq!(get(&files, "/a.js").await.status, 200);
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_fails_no_file() {
    /// A disk of which a part is broken.
    #[derive(Debug)]
    struct Broken;

    impl Source for Broken {
        fn open(&self, name: &Path, wait: Wait) -> io::Result<Found> {
            match name.to_str() {
                Some("a.js") => Ok(Found::File(SourceFile::from_bytes("x"))),
                _ if wait == Wait::Never => Err(io::ErrorKind::WouldBlock.into()),
                _ => Err(io::Error::other("unreadable")),
            }
        }
    }

    let files = StaticFiles::from_source(Broken).immutable_in("m.json");
    let got = get(&files, "/a.js").await;
    assert_eq!((got.status, cache_control(&got)), (200, None));
}
