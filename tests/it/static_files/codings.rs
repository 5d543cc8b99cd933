//! Files that lie beside a file in a coding, and are sent in its place.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use tower_gateway::{
    StaticFiles,
    semantics::negotiate::Coding,
    static_files::{Found, MemoryFiles, Source, Wait},
};

use super::tree::{SECRET, Tree, ask, get, get_with, request, touch, until};

const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

/// A file in each coding. What is in them is no matter to a server.
fn coded() -> Tree {
    let tree = Tree::new();
    for (name, content) in [
        ("a.css", "plain, and a little longer"),
        ("a.css.br", "brotli"),
        ("a.css.zst", "zstd!"),
        ("a.css.gz", "gzip"),
        ("plain.css", "plain"),
    ] {
        tree.write_aged(name, content, 100);
    }
    touch_like(&tree, "a.css.br", "a.css");
    touch_like(&tree, "a.css.zst", "a.css");
    touch_like(&tree, "a.css.gz", "a.css");
    tree
}

fn touch_like(tree: &Tree, name: &str, like: &str) {
    let time = fs::metadata(tree.root().join(like)).unwrap().modified();
    touch(&tree.root().join(name), time.unwrap());
}

/// With and without a cache: the answers are the same.
fn both(tree: &Tree) -> [StaticFiles; 2] {
    let files = tree.files().precompressed(ALL);
    [files.clone(), files.cache(1 << 20)]
}

fn accepts(codings: &str) -> [(&str, &str); 1] {
    [("accept-encoding", codings)]
}

#[tokio::test]
async fn the_coding_that_the_client_likes_best_is_sent() {
    let tree = coded();
    for files in both(&tree) {
        for (accepted, coding, body) in [
            ("br", Some("br"), "brotli"),
            ("zstd", Some("zstd"), "zstd!"),
            ("gzip", Some("gzip"), "gzip"),
            ("x-gzip", Some("gzip"), "gzip"),
            ("GZIP", Some("gzip"), "gzip"),
            // As much liked: the order of the server.
            ("gzip, deflate, br, zstd", Some("br"), "brotli"),
            ("gzip, zstd", Some("zstd"), "zstd!"),
            ("*", Some("br"), "brotli"),
            ("br;q=0.5, gzip;q=0.8, zstd;q=0.1", Some("gzip"), "gzip"),
            ("br;q=0, *", Some("zstd"), "zstd!"),
            ("gzip;q=0.001", Some("gzip"), "gzip"),
            ("gzip;q=0", None, "plain, and a little longer"),
            ("gzip;q=0.5, identity", None, "plain, and a little longer"),
            ("deflate", None, "plain, and a little longer"),
            ("", None, "plain, and a little longer"),
            ("identity;q=0, *;q=0", None, "plain, and a little longer"),
        ] {
            let got = get_with(&files, "/a.css", &accepts(accepted)).await;
            assert_eq!((got.status, got.text()), (200, body), "{accepted}");
            assert_eq!(got.header("content-encoding"), coding, "{accepted}");
            assert_eq!(got.header("content-type"), Some("text/css; charset=utf-8"));
            assert_eq!(got.header("vary"), Some("accept-encoding"), "{accepted}");
            let length = body.len().to_string();
            assert_eq!(got.header("content-length"), Some(length.as_str()));
        }
        let got = get(&files, "/a.css").await;
        assert_eq!(got.header("content-encoding"), None);
        assert_eq!(got.header("vary"), Some("accept-encoding"));
    }
}

#[tokio::test]
async fn only_what_was_named_counts_and_in_the_order_in_which_it_was() {
    let tree = coded();
    let all = accepts("br, zstd, gzip");
    for (codings, sent) in [
        (vec![], None),
        (vec![Coding::Gzip], Some("gzip")),
        (vec![Coding::Gzip, Coding::Brotli], Some("gzip")),
        (
            vec![Coding::Zstd, Coding::Zstd, Coding::Brotli],
            Some("zstd"),
        ),
    ] {
        let files = tree.files().precompressed(codings);
        let got = get_with(&files, "/a.css", &all).await;
        assert_eq!(got.header("content-encoding"), sent);
        assert_eq!(got.header("vary").is_some(), sent.is_some());
    }
}

#[tokio::test]
async fn vary_is_in_every_answer_about_a_file_with_variants_and_in_no_other() {
    let tree = coded();
    for files in both(&tree) {
        for (target, vary) in [("/a.css", Some("accept-encoding")), ("/plain.css", None)] {
            for accepted in ["br", "identity"] {
                let accepted = ("accept-encoding", accepted);
                let etag = get_with(&files, target, &[accepted]).await;
                let etag = etag.header("etag").unwrap();
                for (method, field, status) in [
                    ("GET", ("x", "x"), 200),
                    ("HEAD", ("x", "x"), 200),
                    ("GET", ("range", "bytes=0-0"), 206),
                    ("GET", ("range", "bytes=0-0,2-2"), 206),
                    ("GET", ("range", "bytes=99-"), 416),
                    ("GET", ("if-none-match", etag), 304),
                    ("HEAD", ("if-none-match", "*"), 304),
                    ("GET", ("if-match", "\"other\""), 412),
                ] {
                    let request = request(method, target, &[accepted, field]);
                    let got = ask(files.clone(), request).await;
                    assert_eq!(got.status, status, "{target} {accepted:?} {field:?}");
                    assert_eq!(got.header("vary"), vary, "{target} {accepted:?} {field:?}");
                }
            }
        }
        for target in ["/none.css", "/a.css/"] {
            let got = get_with(&files, target, &accepts("br")).await;
            assert_eq!((got.status, got.header("vary")), (404, None));
        }
    }
}

#[tokio::test]
async fn each_coding_has_a_tag_of_its_own_that_guards_its_own_bytes() {
    let tree = coded();
    for files in both(&tree) {
        let mut tags = Vec::new();
        for accepted in ["br", "zstd", "gzip", "identity"] {
            let got = get_with(&files, "/a.css", &accepts(accepted)).await;
            tags.push(got.header("etag").unwrap().to_owned());
        }
        for (at, tag) in tags.iter().enumerate() {
            assert!(tag.starts_with('"'), "{tag}");
            for (other, accepted) in ["br", "zstd", "gzip", "identity"].iter().enumerate() {
                let is_own = at == other;
                let accepted = ("accept-encoding", *accepted);
                let known = [accepted, ("if-none-match", tag.as_str())];
                let got = get_with(&files, "/a.css", &known).await;
                assert_eq!(got.status, if is_own { 304 } else { 200 });

                let part = [accepted, ("range", "bytes=1-2"), ("if-range", tag.as_str())];
                let got = get_with(&files, "/a.css", &part).await;
                assert_eq!(got.status, if is_own { 206 } else { 200 });
                if is_own {
                    let parts = ["ro", "st", "zi", "la"];
                    assert_eq!(got.text(), parts[at]);
                    let length = ["6", "5", "4", "26"][at];
                    let content_range = format!("bytes 1-2/{length}");
                    assert_eq!(got.header("content-range"), Some(content_range.as_str()));
                    let coding = (accepted.1 != "identity").then_some(accepted.1);
                    assert_eq!(got.header("content-encoding"), coding);
                }
            }
        }
    }
}

#[tokio::test]
async fn what_lies_beside_a_file_and_is_no_coding_of_it_does_not_count() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    let tree = Tree::new();
    let root = tree.root();
    let names = ["older", "empty", "directory", "fifo", "outside", "loop"];
    for name in names {
        tree.write_aged(format!("{name}.js"), "plain", 100);
    }
    tree.write_aged("older.js.br", SECRET, 101);
    tree.write("empty.js.br", "");
    fs::create_dir(root.join("directory.js.br")).unwrap();
    mknodat(CWD, root.join("fifo.js.br"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    symlink("../outside/secret.txt", root.join("outside.js.br")).unwrap();
    symlink("loop.js.br", root.join("loop.js.br")).unwrap();
    for files in both(&tree) {
        for name in names {
            let got = get_with(&files, &format!("/{name}.js"), &accepts("br")).await;
            assert_eq!((got.status, got.text()), (200, "plain"), "{name}");
            assert_eq!(got.header("content-encoding"), None, "{name}");
            assert_eq!(got.header("vary"), None, "{name}");
        }
    }
    // A link within the root is as good as a file.
    tree.write_aged("there.br", "linked", 10);
    symlink("there.br", root.join("loop2.js.br")).unwrap();
    tree.write_aged("loop2.js", "plain", 100);
    for files in both(&tree) {
        let got = get_with(&files, "/loop2.js", &accepts("br")).await;
        assert_eq!(got.text(), "linked");
    }
    // An older one may be said to count.
    let files = tree.files().precompressed(ALL).precompressed_older(true);
    let got = get_with(&files, "/older.js", &accepts("br")).await;
    assert_eq!(got.text(), SECRET);
}

#[tokio::test]
async fn a_time_that_was_copied_less_exactly_is_not_older() {
    let tree = Tree::new();
    let original = tree.write("a.js", "plain");
    let sibling = tree.write("a.js.gz", "gzip");
    let second = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let nanos = Duration::from_nanos;
    for (of_original, of_sibling, counts) in [
        (nanos(0), nanos(0), true),
        (nanos(999_999_999), nanos(0), true),
        (nanos(1_000_000_000), nanos(0), false),
        // A double.
        (nanos(123_456_789), nanos(123_456_716), true),
        (nanos(123_456_789), nanos(123_450_000), false),
        (nanos(123_456_789), nanos(500_000_000), true),
    ] {
        touch(&original, second + of_original);
        touch(&sibling, second + of_sibling);
        let files = tree.files().precompressed(ALL);
        let got = get_with(&files, "/a.js", &accepts("gzip")).await;
        let is_sent = got.header("content-encoding").is_some();
        assert_eq!(is_sent, counts, "{of_original:?} {of_sibling:?}");
    }
}

#[tokio::test]
async fn without_the_file_itself_what_lies_beside_it_is_a_miss() {
    let tree = Tree::of(&[("gone.css.br", "brotli"), ("dir/index.html.br", "brotli")]);
    for files in both(&tree) {
        for target in ["/gone.css", "/dir/", "/dir", "/dir/index.html"] {
            let got = get_with(&files, target, &accepts("br")).await;
            assert_eq!((got.status, got.header("vary")), (404, None), "{target}");
        }
    }
}

#[tokio::test]
async fn by_its_own_name_it_is_a_file_like_others() {
    let tree = coded();
    for files in both(&tree) {
        let got = get_with(&files, "/a.css.gz", &accepts("gzip, br")).await;
        assert_eq!(got.text(), "gzip");
        assert_eq!(got.header("content-type"), Some("application/gzip"));
        assert_eq!(got.header("content-encoding"), None);
        assert_eq!(got.header("vary"), None);
        let coded = get_with(&files, "/a.css", &accepts("gzip")).await;
        assert_ne!(got.header("etag"), coded.header("etag"));
    }
}

#[tokio::test]
async fn what_appears_and_vanishes_is_seen_within_moments() {
    let tree = Tree::new();
    tree.write_aged("a.js", "plain", 100);
    for files in both(&tree) {
        let plain = get(&files, "/a.js").await;
        assert_eq!(plain.header("vary"), None);
        let plain_tag = plain.header("etag").unwrap();
        let beside = tree.write_aged("a.js.br", "brotli", 50);

        // Also where the client has the file as it is, and goes on getting a 304.
        let known = [("if-none-match", plain_tag)];
        let is_varied = |got: &super::tree::Got| got.header("vary").is_some();
        let got = until(|| get_with(&files, "/a.js", &known), is_varied).await;
        assert_eq!(got.status, 304);
        let got = get_with(&files, "/a.js", &accepts("br")).await;
        assert_eq!(got.text(), "brotli");
        let tag = got.header("etag").unwrap().to_owned();

        fs::remove_file(beside).unwrap();
        let known = [("accept-encoding", "br"), ("if-none-match", tag.as_str())];
        let is_new = |got: &super::tree::Got| got.status == 200 && got.header("vary").is_none();
        let got = until(|| get_with(&files, "/a.js", &known), is_new).await;
        assert_eq!((got.text(), got.header("etag")), ("plain", Some(plain_tag)));
    }
}

#[tokio::test]
async fn when_the_best_vanishes_the_next_best_is_sent_at_once() {
    let tree = coded();
    let files = tree.files().precompressed(ALL);
    let all = accepts("br, gzip");
    assert_eq!(get_with(&files, "/a.css", &all).await.text(), "brotli");
    fs::remove_file(tree.root().join("a.css.br")).unwrap();
    assert_eq!(get_with(&files, "/a.css", &all).await.text(), "gzip");
    fs::remove_file(tree.root().join("a.css.gz")).unwrap();
    let got = get_with(&files, "/a.css", &all).await;
    assert_eq!(got.header("content-encoding"), None);
}

#[tokio::test]
async fn two_names_of_one_file_have_what_lies_beside_each() {
    let tree = coded();
    let root = tree.root();
    fs::hard_link(root.join("a.css"), root.join("hard.css")).unwrap();
    symlink("a.css", root.join("soft.css")).unwrap();
    for names in [["a", "hard", "soft"], ["soft", "hard", "a"]] {
        for files in both(&tree) {
            for name in names {
                let got = get_with(&files, &format!("/{name}.css"), &accepts("br")).await;
                let expected = if name == "a" { Some("br") } else { None };
                assert_eq!(got.header("content-encoding"), expected, "{name}");
                assert_eq!(got.header("vary").is_some(), name == "a", "{name}");
            }
        }
    }
}

#[tokio::test]
async fn what_lies_beside_a_file_in_another_root_is_not_beside_it() {
    let (first, second) = (Tree::new(), coded());
    first.write_aged("a.css", "first", 200);
    for cache in [false, true] {
        let mut files = first.files().root(second.root()).precompressed(ALL);
        if cache {
            files = files.cache(1 << 20);
        }
        let got = get_with(&files, "/a.css", &accepts("br")).await;
        assert_eq!((got.text(), got.header("vary")), ("first", None));
        // The file of the second root is found there, with what lies beside it there.
        fs::remove_file(first.root().join("a.css")).unwrap();
        let is_second = |got: &super::tree::Got| got.text() == "brotli";
        let brotli = accepts("br");
        until(|| get_with(&files, "/a.css", &brotli), is_second).await;
        first.write_aged("a.css", "first", 200);
    }
}

#[tokio::test]
async fn index_files_and_the_longest_names_have_theirs_too() {
    let tree = Tree::new();
    tree.write_aged("dir/index.html", "plain", 100);
    tree.write_aged("dir/index.html.gz", "gzip", 100);
    tree.write_aged("about.html", "plain", 100);
    tree.write_aged("about.html.gz", "gzip", 50);
    // A name to which nothing can be added.
    let longest = "x".repeat(255);
    tree.write_aged(&longest, "plain", 100);
    for files in both(&tree) {
        let files = files.clean_urls();
        for (target, body) in [("/dir/", "gzip"), ("/about", "gzip")] {
            let got = get_with(&files, target, &accepts("gzip")).await;
            assert_eq!((got.status, got.text()), (200, body), "{target}");
            assert_eq!(got.header("content-type"), Some("text/html; charset=utf-8"));
        }
        let got = get_with(&files, &format!("/{longest}"), &accepts("gzip")).await;
        assert_eq!((got.status, got.text()), (200, "plain"));
    }
}

/// Files in memory, and which names were asked for.
#[derive(Clone, Debug)]
struct Counting(MemoryFiles, Arc<Mutex<Vec<PathBuf>>>);

impl Source for Counting {
    fn open(&self, name: &Path, wait: Wait) -> std::io::Result<Found> {
        self.1.lock().unwrap().push(name.to_owned());
        self.0.open(name, wait)
    }
}

#[tokio::test]
async fn what_is_not_beside_a_file_is_not_looked_for_each_time() {
    let memory = MemoryFiles::new()
        .file("a.js", "plain")
        .file("b.js", "plain")
        .file("b.js.gz", "gzip");
    let source = Counting(memory, Arc::default());
    let files = StaticFiles::from_source(source.clone()).precompressed(ALL);
    let began = std::time::Instant::now();
    for _ in 0..100 {
        get_with(&files, "/a.js", &accepts("br, gzip")).await;
        get_with(&files, "/b.js", &accepts("br, gzip")).await;
        get_with(&files, "/b.js", &accepts("br")).await;
    }
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    let opened = source.1.lock().unwrap();
    let count = |name: &str| opened.iter().filter(|one| **one == *name).count();
    assert_eq!(count("a.js"), 100);
    assert_eq!(count("b.js"), 200);
    for absent in ["a.js.br", "a.js.zst", "a.js.gz", "b.js.br", "b.js.zst"] {
        assert!((1..=seconds).contains(&count(absent)), "{absent}");
    }
    // The one that is sent, and no other.
    assert!((101..=100 + seconds).contains(&count("b.js.gz")));
}
