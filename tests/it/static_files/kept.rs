//! What the memory cache keeps: how long, how much, and who looks again.

use std::{
    fs,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{FutureExt, future::join_all};
use http::Response;
use http_body_util::BodyExt;
use tokio::{task::yield_now, time::advance};
use tower::{Layer, ServiceExt, service_fn};
use tower_gateway::{Body, ErrorKind, StaticFiles, semantics::negotiate::Coding};

use super::{
    source::Scripted,
    tree::{Got, Tree, ask, get, get_with, request},
};
use crate::support::log;

const HOUR: Duration = Duration::from_secs(3600);
const MIB: u64 = 1 << 20;

/// The answer, if it is there at once: the blocking pool has no part in it.
fn at_once(files: &StaticFiles, target: &str) -> Option<Got> {
    get(files, target).now_or_never()
}

/// What the cache says that it keeps: entries, and bytes.
fn kept(files: &StaticFiles) -> (usize, u64) {
    let debug = format!("{files:?}");
    let numbers = |name: &str| {
        let (_, rest) = debug.split_once(name).unwrap();
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u64>().unwrap()
    };
    let entries = numbers("Cache { entries: ");
    (entries as usize, numbers(", weight: "))
}

/// Gives the file a time that its tag can tell.
fn age(tree: &Tree, name: &str) {
    let file = fs::File::open(tree.root().join(name)).unwrap();
    let minute_ago = SystemTime::now() - Duration::from_secs(60);
    file.set_modified(minute_ago).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hit_asks_the_source_nothing() {
    let source = Scripted::of(&[("a.txt", "hello"), ("dir/index.html", "dir")]);
    let files = source.files().cache(MIB).cache_fresh_for(HOUR);
    let targets = [
        ("/a.txt", 200),
        ("/dir", 308),
        ("/dir/", 200),
        ("/none", 404),
        ("/.hidden", 404),
    ];
    for (target, status) in targets {
        assert_eq!(get(&files, target).await.status, status, "{target}");
    }
    let asked = source.asked();
    for _ in 0..10 {
        for (target, status) in targets {
            assert_eq!(get(&files, target).await.status, status, "{target}");
        }
    }
    assert_eq!(source.asked(), asked);
    assert_eq!(kept(&files).0, targets.len());
}

#[tokio::test(start_paused = true)]
async fn a_change_is_seen_when_what_is_kept_is_too_old_and_not_before() {
    let source = Scripted::of(&[("a.txt", "one"), ("gone.txt", "here")]);
    let files = source.files().cache(MIB);
    assert_eq!(get(&files, "/a.txt").await.text(), "one");
    assert_eq!(get(&files, "/gone.txt").await.status, 200);
    assert_eq!(get(&files, "/new.txt").await.status, 404);
    assert_eq!(get(&files, "/dir").await.status, 404);

    source.put("a.txt", "two!");
    source.remove("gone.txt");
    source.put("new.txt", "new");
    source.put("dir/index.html", "index");
    advance(Duration::from_millis(999)).await;
    assert_eq!(get(&files, "/a.txt").await.text(), "one");
    assert_eq!(get(&files, "/gone.txt").await.status, 200);
    assert_eq!(get(&files, "/new.txt").await.status, 404);
    assert_eq!(get(&files, "/dir").await.status, 404);

    advance(Duration::from_millis(1)).await;
    assert_eq!(get(&files, "/a.txt").await.text(), "two!");
    assert_eq!(get(&files, "/gone.txt").await.status, 404);
    assert_eq!(get(&files, "/new.txt").await.text(), "new");
    assert_eq!(get(&files, "/dir").await.status, 308);
}

#[tokio::test]
async fn without_a_time_to_be_fresh_the_disk_is_asked_at_each_request() {
    let tree = Tree::of(&[("a.txt", "one"), ("dir/index.html", "index")]);
    let files = tree.files().cache(MIB).cache_fresh_for(Duration::ZERO);
    assert_eq!(get(&files, "/a.txt").await.text(), "one");
    assert_eq!(get(&files, "/new.txt").await.status, 404);
    assert_eq!(get(&files, "/dir").await.status, 308);
    assert_eq!(get(&files, "/dir/").await.text(), "index");

    tree.write("a.txt", "two!");
    tree.write("new.txt", "new");
    tree.write("dir/index.html", "changed");
    assert_eq!(get(&files, "/a.txt").await.text(), "two!");
    assert_eq!(get(&files, "/new.txt").await.text(), "new");
    assert_eq!(get(&files, "/dir/").await.text(), "changed");

    fs::remove_file(tree.root().join("a.txt")).unwrap();
    fs::remove_dir_all(tree.root().join("dir")).unwrap();
    assert_eq!(get(&files, "/a.txt").await.status, 404);
    assert_eq!(get(&files, "/dir").await.status, 404);
    assert_eq!(get(&files, "/dir/").await.status, 404);
}

#[tokio::test]
async fn a_file_that_did_not_change_is_not_read_again() {
    let tree = Tree::of(&[("a.txt", "hello"), ("young.txt", "hello")]);
    age(&tree, "a.txt");
    let files = tree.files().cache(MIB).cache_fresh_for(Duration::ZERO);
    // Not before the tick of the clock is over in which it was last touched.
    let kept = async {
        loop {
            let first = get(&files, "/a.txt").await.body;
            let second = get(&files, "/a.txt").await.body;
            if first.as_ptr() == second.as_ptr() {
                return first;
            }
            yield_now().await;
        }
    };
    let patience = Duration::from_secs(20);
    let first = tokio::time::timeout(patience, kept).await.expect("kept");
    age(&tree, "a.txt");
    let third = get(&files, "/a.txt").await.body;
    assert_ne!(first.as_ptr(), third.as_ptr(), "it may have changed");
}

/// A file that is rewritten where it stands, as editors and `cp` do: what is sent is at most a
/// moment old, and its tag is that of its bytes.
#[tokio::test]
async fn a_file_written_in_place_is_never_kept_under_the_tag_of_another_state() {
    let tree = Tree::of(&[("a.txt", "0000")]);
    let files = tree.files().cache(MIB).cache_fresh_for(Duration::ZERO);
    let mut tags = std::collections::HashMap::new();
    for i in 0..300 {
        fs::write(tree.root().join("a.txt"), format!("{i:04}")).unwrap();
        let got = get(&files, "/a.txt").await;
        assert_eq!(got.text(), format!("{i:04}"));
        let tag = got.header("etag").unwrap().to_owned();
        // A weak one may name several states of a tick.
        if !tag.starts_with("W/") {
            assert_eq!(tags.insert(tag, i), None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_budget_is_kept() {
    let source = Scripted::default();
    let content = "x".repeat(10_000);
    for i in 0..1000 {
        source.put(&format!("{i}.txt"), &content);
    }
    let files = source.files().cache(MIB).cache_fresh_for(HOUR);
    for i in 0..1000 {
        let got = get(&files, &format!("/{i}.txt")).await;
        assert_eq!(got.body.len(), content.len());
        assert!(kept(&files).1 <= MIB);
    }
    let (entries, bytes) = kept(&files);
    assert!(bytes > MIB * 8 / 10, "it is used: {bytes}");
    assert!((60..105).contains(&entries), "{entries}");
}

#[tokio::test(start_paused = true)]
async fn random_paths_leave_memory_bounded_and_what_is_asked_for_kept() {
    let source = Scripted::of(&[("popular.txt", "hello")]);
    let files = source.files().cache(MIB).cache_fresh_for(HOUR);
    get(&files, "/popular.txt").await;
    for i in 0..100_000 {
        let target = format!("/{:x}/{i}.php", i * 0x9e37_79b9_u64);
        assert_eq!(at_once(&files, &target).unwrap().status, 404);
        if i % 1000 == 0 {
            let asked = source.asked();
            assert_eq!(at_once(&files, "/popular.txt").unwrap().text(), "hello");
            assert_eq!(source.asked(), asked, "it was forgotten after {i}");
        }
    }
    let (entries, bytes) = kept(&files);
    assert!(bytes <= MIB && entries < 4096, "{entries} of {bytes} bytes");
}

#[tokio::test]
async fn a_file_that_fits_in_nowhere_is_served_all_the_same() {
    let tree = Tree::of(&[("a.txt", &"x".repeat(100_000))]);
    let files = tree.files().cache(1000);
    for _ in 0..3 {
        assert_eq!(get(&files, "/a.txt").await.body.len(), 100_000);
    }
    assert_eq!(kept(&files), (0, 0));
    // A part of the budget is the most that a file may take.
    let files = tree.files().cache(400_000);
    assert_eq!(get(&files, "/a.txt").await.body.len(), 100_000);
    let (entries, bytes) = kept(&files);
    assert!(entries == 1 && bytes < 100_000, "it is kept open: {bytes}");
}

#[cfg(target_os = "linux")]
fn open_below(tree: &Tree) -> usize {
    let leads_below = |link: std::io::Result<fs::DirEntry>| {
        let target = fs::read_link(link.unwrap().path());
        // The root itself is held.
        target.is_ok_and(|target| target.starts_with(tree.root()) && target != tree.root())
    };
    let descriptors = fs::read_dir("/proc/self/fd").unwrap();
    descriptors
        .filter_map(|link| leads_below(link).then_some(()))
        .count()
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_large_file_is_kept_open_for_as_long_as_it_is_asked_for() {
    let content: String = ('a'..='z').cycle().take(300_000).collect();
    let tree = Tree::of(&[("large.txt", &content), ("small.txt", "small")]);
    age(&tree, "large.txt");
    let files = tree.files().cache(8 * MIB).cache_files_up_to(1000);
    assert_eq!(get(&files, "/small.txt").await.text(), "small");
    assert_eq!(open_below(&tree), 0);
    for _ in 0..20 {
        advance(Duration::from_secs(2)).await;
        assert_eq!(get(&files, "/large.txt").await.text(), content);
        let got = get_with(&files, "/large.txt", &[("range", "bytes=260000-260003")]).await;
        assert_eq!((got.status, got.text()), (206, &content[260_000..260_004]));
        assert_eq!(open_below(&tree), 1);
    }
    advance(Duration::from_secs(9)).await;
    get(&files, "/small.txt").await;
    assert_eq!(open_below(&tree), 1);
    advance(Duration::from_secs(10)).await;
    get(&files, "/small.txt").await;
    assert_eq!(open_below(&tree), 0);
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn no_more_files_are_kept_open_than_a_process_can_spare() {
    let tree = Tree::new();
    for i in 0..400 {
        tree.write(format!("{i}.bin"), "more than nothing");
    }
    let files = tree.files().cache(1 << 30).cache_files_up_to(1);
    for _ in 0..2 {
        for i in 0..400 {
            let got = get(&files, &format!("/{i}.bin")).await;
            assert_eq!(got.text(), "more than nothing");
        }
        assert_eq!(open_below(&tree), 256);
        advance(Duration::from_millis(1)).await;
    }
    // Those that nobody asks for make room.
    advance(Duration::from_secs(10)).await;
    get(&files, "/399.bin").await;
    assert_eq!(open_below(&tree), 1);
}

#[tokio::test(start_paused = true)]
async fn of_a_hundred_who_ask_first_one_looks() {
    let source = Scripted::of(&[("a.txt", "hello")]);
    source.slow(true);
    let files = source.files().cache(MIB);
    source.hang("a.txt");
    let all = join_all((0..100).map(|_| get(&files, "/a.txt")));
    let slow = async {
        source.until_asked(1).await;
        advance(Duration::from_secs(5)).await;
        source.release();
    };
    let (all, ()) = tokio::join!(all, slow);
    assert!(all.iter().all(|got| got.text() == "hello"));
    assert_eq!(source.asked().1, 1);
}

#[tokio::test(start_paused = true)]
async fn one_looks_again_and_the_others_have_what_is_known() {
    let source = Scripted::of(&[("a.txt", "one")]);
    let files = source.files().cache(MIB);
    get(&files, "/a.txt").await;
    source.put("a.txt", "two!");
    source.slow(true);
    source.hang("a.txt");
    advance(Duration::from_secs(1)).await;
    let mut first = std::pin::pin!(get(&files, "/a.txt"));
    assert!(first.as_mut().now_or_never().is_none());
    source.until_asked(1).await;
    // However long it takes.
    for _ in 0..100 {
        advance(Duration::from_secs(1)).await;
        assert_eq!(at_once(&files, "/a.txt").unwrap().text(), "one");
    }
    assert_eq!(source.asked(), (2, 1));
    source.release();
    assert_eq!(first.await.text(), "two!");
    source.slow(false);
    assert_eq!(at_once(&files, "/a.txt").unwrap().text(), "two!");
}

/// A mount that is gone: 600 requests for a file there take one thread, and end.
#[test]
fn a_file_that_the_disk_never_gives_takes_one_thread_and_the_others_wait_for_a_time() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .max_blocking_threads(2)
        .build()
        .unwrap();
    let source = Scripted::of(&[("a.txt", "hello"), ("b.txt", "other")]);
    runtime.block_on(async {
        source.slow(true);
        source.hang("a.txt");
        let files = source.files().cache(MIB);
        let mut all = Vec::from_iter((0..600).map(|_| Box::pin(get(&files, "/a.txt"))));
        for one in &mut all {
            assert!(one.as_mut().now_or_never().is_none());
        }
        source.until_asked(1).await;
        assert_eq!(get(&files, "/b.txt").await.text(), "other");
        advance(Duration::from_secs(10)).await;
        let hanging = all.remove(0);
        for got in join_all(all).await {
            assert_eq!(got.status, 500);
            assert_eq!(got.error.unwrap().kind(), ErrorKind::Io);
        }
        source.release();
        assert_eq!(hanging.await.text(), "hello");
        assert_eq!(at_once(&files, "/a.txt").unwrap().text(), "hello");
    });
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_while_looking_leaves_the_path_to_the_others() {
    let source = Scripted::of(&[("a.txt", "hello")]);
    source.slow(true);
    source.hang("a.txt");
    let files = source.files().cache(MIB);
    let mut looking = Box::pin(get(&files, "/a.txt"));
    assert!(looking.as_mut().now_or_never().is_none());
    let mut waiting = Box::pin(get(&files, "/a.txt"));
    assert!(waiting.as_mut().now_or_never().is_none());
    let mut leaving = Box::pin(get(&files, "/a.txt"));
    assert!(leaving.as_mut().now_or_never().is_none());
    source.until_asked(1).await;
    drop((looking, leaving));
    source.release();
    assert_eq!(waiting.await.text(), "hello");
    assert_eq!(source.asked().1, 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_is_not_noticed_while_something_is_known_and_heals() {
    let (log, _guard) = log::capture();
    let source = Scripted::of(&[("a.txt", "one")]);
    let files = source.files().cache(MIB);
    get(&files, "/a.txt").await;
    source.put("a.txt", "two!");
    source.fail(true);
    advance(Duration::from_secs(1)).await;
    for _ in 0..10 {
        assert_eq!(get(&files, "/a.txt").await.text(), "one");
    }
    assert_eq!(log.count("could not look at a file again"), 1);
    assert_eq!(get(&files, "/b.txt").await.status, 500);
    source.fail(false);
    assert_eq!(get(&files, "/b.txt").await.status, 404);
    advance(Duration::from_secs(1)).await;
    assert_eq!(get(&files, "/a.txt").await.text(), "two!");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_leaves_the_path_usable() {
    let source = Scripted::of(&[("a.txt", "hello"), ("b.txt", "known")]);
    let files = source.files().cache(MIB);
    get(&files, "/b.txt").await;
    advance(Duration::from_secs(1)).await;
    source.panic(true);
    for target in ["/a.txt", "/b.txt"] {
        let inline = AssertUnwindSafe(get(&files, target)).catch_unwind();
        assert!(inline.await.is_err());
    }
    source.slow(true);
    for target in ["/a.txt", "/b.txt"] {
        let asked = join_all((0..5).map(|_| get(&files, target))).await;
        assert!(asked.iter().any(|got| got.status == 500), "{target}");
    }
    source.panic(false);
    assert_eq!(get(&files, "/a.txt").await.text(), "hello");
    assert_eq!(get(&files, "/b.txt").await.text(), "known");
}

#[tokio::test(start_paused = true)]
async fn clones_share_what_is_kept_until_something_else_is_said_of_one() {
    let source = Scripted::of(&[("a.txt", "hello")]);
    let files = source.files().cache(MIB).cache_fresh_for(HOUR);
    let clone = files.clone();
    get(&files, "/a.txt").await;
    let asked = source.asked();
    get(&clone, "/a.txt").await;
    assert_eq!(source.asked(), asked);

    let changed = clone.content_type("txt", "text/markdown");
    let got = get(&changed, "/a.txt").await;
    assert_eq!(got.header("content-type"), Some("text/markdown"));
    assert_ne!(source.asked(), asked);
    let got = get(&files, "/a.txt").await;
    assert_eq!(
        got.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
}

#[tokio::test(start_paused = true)]
async fn all_codings_are_kept() {
    let source = Scripted::of(&[
        ("a.css", "plain"),
        ("a.css.br", "brotli"),
        ("a.css.gz", "gzip"),
    ]);
    let files =
        source
            .files()
            .cache(MIB)
            .precompressed([Coding::Brotli, Coding::Gzip, Coding::Zstd]);
    get(&files, "/a.css").await;
    let asked = source.asked();
    for (accepted, coding, text) in [
        ("br, gzip", Some("br"), "brotli"),
        ("gzip", Some("gzip"), "gzip"),
        ("zstd", None, "plain"),
        ("identity", None, "plain"),
    ] {
        let got = get_with(&files, "/a.css", &[("accept-encoding", accepted)]).await;
        assert_eq!(got.header("content-encoding"), coding);
        assert_eq!(got.text(), text);
        assert_eq!(got.header("vary"), Some("accept-encoding"));
    }
    assert_eq!(source.asked(), asked);
    // One of them changes, and another goes.
    source.put("a.css.br", "brotli, new");
    source.remove("a.css.gz");
    advance(Duration::from_secs(1)).await;
    let got = get_with(&files, "/a.css", &[("accept-encoding", "br")]).await;
    assert_eq!(got.text(), "brotli, new");
    let got = get_with(&files, "/a.css", &[("accept-encoding", "gzip")]).await;
    assert_eq!(got.text(), "plain");
}

/// Kept in memory, kept open, and not kept: nobody can tell.
#[tokio::test]
async fn an_answer_from_the_cache_is_the_same_as_one_without() {
    let text: String = ('a'..='z').cycle().take(5000).collect();
    let tree = Tree::of(&[
        ("a.txt", &text),
        ("a.txt.gz", "pretends to be gzip"),
        ("empty.txt", ""),
        ("dir/index.html", "index"),
        ("bare/file", "x"),
    ]);
    for name in [
        "a.txt",
        "a.txt.gz",
        "empty.txt",
        "dir/index.html",
        "bare/file",
    ] {
        age(&tree, name);
    }
    let files = || tree.files().precompressed([Coding::Gzip]);
    let without = files();
    let cached = files().cache(MIB).cache_fresh_for(HOUR);
    let open = files().cache(MIB).cache_files_up_to(0);
    let etag = get(&without, "/a.txt")
        .await
        .header("etag")
        .unwrap()
        .to_owned();
    let date = get(&without, "/a.txt").await;
    let date = date.header("last-modified").unwrap().to_owned();
    let other = "\"other\"";
    let fields: Vec<Vec<(&str, &str)>> = vec![
        vec![],
        vec![("range", "bytes=0-9")],
        vec![("range", "bytes=-7")],
        vec![("range", "bytes=4990-")],
        vec![("range", "bytes=5000-")],
        vec![("range", "bytes=0-1,4-5,100-200")],
        vec![("range", "lines=1-2")],
        vec![("range", "bytes=0-9"), ("if-range", &etag)],
        vec![("range", "bytes=0-9"), ("if-range", other)],
        vec![("range", "bytes=0-9"), ("if-range", &date)],
        vec![("if-none-match", &etag)],
        vec![("if-none-match", "*")],
        vec![("if-none-match", other)],
        vec![("if-match", &etag)],
        vec![("if-match", other)],
        vec![("if-modified-since", &date)],
        vec![("if-unmodified-since", "Thu, 01 Jan 1970 00:00:00 GMT")],
        vec![("accept-encoding", "gzip")],
        vec![("accept-encoding", "gzip"), ("range", "bytes=2-4")],
        vec![("accept-encoding", "gzip"), ("if-none-match", &etag)],
        vec![("accept-encoding", "identity;q=0")],
    ];
    let targets = [
        "/a.txt",
        "/empty.txt",
        "/dir/",
        "/dir",
        "/bare",
        "/bare/",
        "/none",
        "/.env",
    ];
    for target in targets {
        for method in ["GET", "HEAD", "POST", "OPTIONS"] {
            for fields in &fields {
                let asked =
                    |files: &StaticFiles| ask(files.clone(), request(method, target, fields));
                let expected = plain(&asked(&without).await);
                for files in [&cached, &open, &cached] {
                    let got = plain(&asked(files).await);
                    assert_eq!(got, expected, "{method} {target} {fields:?}");
                }
            }
        }
    }
}

/// All that a client sees, but for the boundary, which is random.
fn plain(got: &Got) -> (u16, Vec<(String, String)>, String) {
    let media_type = got.header("content-type").unwrap_or_default();
    let boundary = media_type
        .split_once("boundary=")
        .map(|(_, text)| text.to_owned());
    let clean = |text: &str| match &boundary {
        Some(boundary) => text.replace(boundary.trim_matches('"'), "BOUNDARY"),
        None => text.to_owned(),
    };
    let mut headers: Vec<_> = got
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), clean(value.to_str().unwrap())))
        .collect();
    headers.sort();
    (got.status, headers, clean(got.text()))
}

#[tokio::test(start_paused = true)]
async fn a_file_from_memory_needs_no_clone_of_the_service_inside() {
    let clones = Arc::new(());
    let source = Scripted::of(&[("a.txt", "hello")]);
    let held = Arc::clone(&clones);
    let inner = service_fn(move |_| {
        let _held = &held;
        std::future::ready(Ok::<_, std::convert::Infallible>(Response::new(
            Body::empty(),
        )))
    });
    let service = source.files().cache(MIB).layer(inner);
    let mut response = std::pin::pin!(service.clone().oneshot(request("GET", "/a.txt", &[])));
    // The service, its clone, and the one here.
    assert_eq!(Arc::strong_count(&clones), 3);
    let response = response.as_mut().await.unwrap();
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "hello"
    );
    yield_now().await;
}
