//! What the system has in its caches is answered without a trip to another thread.
//!
//! The kernel decides what it has. Where it cannot be asked (no `RESOLVE_CACHED`, no `RWF_NOWAIT`
//! on the file system of temporary files), these tests say so, and there is nothing to test.

use std::{fs::File, future::Future, time::Duration};

use futures_util::{FutureExt, task::noop_waker_ref};
use http::{Request, Response};
use http_body_util::BodyExt;
use rustix::{
    fs::{Advice, fadvise},
    io::{Errno, ReadWriteFlags, preadv2},
};
use tower::ServiceExt;
use tower_gateway::{Body, StaticFiles};

use super::tree::Tree;
use crate::support::process::say;

/// A tree whose files the kernel can answer from its caches; `None` where it cannot.
fn tree() -> Option<Tree> {
    let tree = Tree::of(&[
        ("a.txt", "hello"),
        ("index.html", "home"),
        ("dir/index.html", "dir"),
    ]);
    let file = File::open(tree.root().join("a.txt")).unwrap();
    let mut byte = [0];
    let mut buffers = [std::io::IoSliceMut::new(&mut byte)];
    match preadv2(file, &mut buffers, 0, ReadWriteFlags::NOWAIT) {
        Ok(1) => Some(tree),
        other => {
            say(format_args!(
                "NOT TESTED: files from the page cache: preadv2 gives {other:?}"
            ));
            None
        }
    }
}

/// The answer, if it is there at the first poll. No runtime is around, so nothing can be handed
/// to its pool.
fn at_once(files: &StaticFiles, target: &str) -> Response<Body> {
    let request = Request::get(target).body(Body::empty()).unwrap();
    let answer = files.clone().oneshot(request);
    answer
        .now_or_never()
        .expect("an answer without a wait")
        .unwrap()
}

/// Asks for everything once, so that the root is held and the kernel knows the names.
async fn warm(files: &StaticFiles, targets: &[&str]) {
    for target in targets {
        let request = Request::get(*target).body(Body::empty()).unwrap();
        let answer = files.clone().oneshot(request).await.unwrap();
        answer.into_body().collect().await.unwrap();
    }
}

#[test]
fn a_file_an_index_a_redirect_a_miss_and_a_304_take_no_hop() {
    let Some(tree) = tree() else { return };
    let files = tree.files();
    let targets = ["/a.txt", "/", "/dir/", "/dir", "/none.txt", "/dir/none/"];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(warm(&files, &targets));
    let etag = at_once(&files, "/a.txt").headers()["etag"].clone();
    for (target, status, text) in [
        ("/a.txt", 200, "hello"),
        ("/", 200, "home"),
        ("/dir/", 200, "dir"),
        ("/dir", 308, "Permanent Redirect"),
        ("/none.txt", 404, "Not Found"),
        ("/dir/none/", 404, "Not Found"),
    ] {
        let answer = at_once(&files, target);
        assert_eq!(answer.status(), status, "{target}");
        let body = answer
            .into_body()
            .collect()
            .now_or_never()
            .expect("no wait")
            .unwrap();
        assert_eq!(body.to_bytes(), text, "{target}");
    }
    let request = Request::get("/a.txt")
        .header("if-none-match", etag)
        .body(Body::empty());
    let answer = files
        .oneshot(request.unwrap())
        .now_or_never()
        .expect("no wait")
        .unwrap();
    assert_eq!(answer.status(), 304);
}

#[test]
fn a_large_file_is_read_without_a_hop_and_in_pieces() {
    let Some(tree) = tree() else { return };
    let content: Vec<u8> = (0..3_000_000).map(|i| (i % 251) as u8).collect();
    tree.write("large.bin", &content);
    let files = tree.files();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(warm(&files, &["/large.bin"]));

    let mut body = at_once(&files, "/large.bin").into_body();
    let mut got = Vec::new();
    while let Some(frame) = body.frame().now_or_never().expect("no wait") {
        let data = frame.unwrap().into_data().unwrap();
        assert!(data.len() <= 128 << 10, "memory is bounded by a piece");
        got.extend_from_slice(&data);
    }
    assert_eq!(got, content);
}

/// Makes a file one that is on the disk only; `false`, and said so, where there is no disk.
fn evict(tree: &Tree, name: &str) -> bool {
    let file = File::open(tree.root().join(name)).unwrap();
    file.sync_all().unwrap();
    fadvise(&file, 0, None, Advice::DontNeed).unwrap();
    let mut byte = [0];
    let mut buffers = [std::io::IoSliceMut::new(&mut byte)];
    let read = preadv2(&file, &mut buffers, 0, ReadWriteFlags::NOWAIT);
    let is_evicted = matches!(read, Err(Errno::AGAIN));
    if !is_evicted {
        say(format_args!(
            "NOT TESTED: a file that is not in the page cache: it cannot be evicted"
        ));
    }
    is_evicted
}

#[tokio::test]
async fn a_file_that_is_not_in_the_cache_is_read_by_the_pool() {
    let Some(tree) = tree() else { return };
    let content: Vec<u8> = (0..3_000_000).map(|i| (i % 253) as u8).collect();
    tree.write("cold.bin", &content);
    let files = tree.files();
    warm(&files, &["/a.txt"]).await;
    // The system may bring it back by itself between two looks: it is tried a few times.
    let mut waited = None;
    for _ in 0..20 {
        if !evict(&tree, "cold.bin") {
            return;
        }
        let request = Request::get("/cold.bin").body(Body::empty()).unwrap();
        let mut answer = Box::pin(files.clone().oneshot(request));
        let mut context = std::task::Context::from_waker(noop_waker_ref());
        if answer.as_mut().poll(&mut context).is_pending() {
            waited = Some(answer);
            break;
        }
    }
    let answer = waited.expect("the runtime does not wait");
    let answer = answer.await.unwrap();
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes(),
        content
    );
}

#[tokio::test]
async fn a_body_whose_file_leaves_the_cache_goes_on() {
    let Some(tree) = tree() else { return };
    let content: Vec<u8> = (0..3_000_000).map(|i| (i % 239) as u8).collect();
    tree.write("leaves.bin", &content);
    let files = tree.files();
    warm(&files, &["/leaves.bin"]).await;
    let mut body = at_once(&files, "/leaves.bin").into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    evict(&tree, "leaves.bin");
    let rest = body.collect().await.unwrap().to_bytes();
    assert_eq!([first, rest].concat(), content);
}

#[tokio::test]
async fn a_root_that_is_replaced_is_followed_within_a_second() {
    let Some(tree) = tree() else { return };
    let files = tree.files();
    warm(&files, &["/a.txt"]).await;
    assert_eq!(at_once(&files, "/a.txt").status(), 200);
    // A deploy: the folder of this name is another one.
    std::fs::rename(tree.root(), tree.outside().join("old")).unwrap();
    tree.write("a.txt", "new");
    let deployed = async {
        loop {
            let request = Request::get("/a.txt").body(Body::empty()).unwrap();
            let answer = files.clone().oneshot(request).await.unwrap();
            let text = answer.into_body().collect().await.unwrap().to_bytes();
            if text == "new" {
                break;
            }
            assert_eq!(text, "hello");
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), deployed)
        .await
        .expect("the new root is seen");
}
