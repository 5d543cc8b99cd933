//! Several roots: which of them has the file.

use std::io;

use tower_gateway::{
    StaticFiles,
    semantics::negotiate::Coding,
    static_files::{Found, Listing, MemoryFiles, Symlinks},
};

use super::{
    inside::{Does, Slow, write_settled},
    tree::{Tree, get, get_with},
};

#[tokio::test]
async fn the_first_root_that_has_the_file_counts() {
    let [first, second, third] = [
        Tree::of(&[("a", "first"), ("dir/x", "first")]),
        Tree::of(&[("a", "second"), ("b", "second"), ("dir/y", "second")]),
        Tree::of(&[("a", "third"), ("b", "third"), ("c", "third")]),
    ];
    let plain = first.files().root(second.root()).root(third.root());
    for files in [plain.clone(), plain.cache(1 << 20)] {
        for _ in 0..2 {
            for (target, text) in [
                ("/a", "first"),
                ("/b", "second"),
                ("/c", "third"),
                ("/dir/x", "first"),
                ("/dir/y", "second"),
                ("/d", "Not Found"),
                ("/dir/a", "Not Found"),
            ] {
                assert_eq!(get(&files, target).await.text(), text, "{target}");
            }
        }
    }
}

#[tokio::test]
async fn a_file_that_is_taken_away_uncovers_the_one_below() {
    let [first, second] = [Tree::of(&[("a", "first")]), Tree::of(&[("a", "second")])];
    let files = first.files().root(second.root());
    assert_eq!(get(&files, "/a").await.text(), "first");
    std::fs::remove_file(first.root().join("a")).unwrap();
    assert_eq!(get(&files, "/a").await.text(), "second");
    first.write("a", "again");
    assert_eq!(get(&files, "/a").await.text(), "again");
}

#[tokio::test]
async fn a_root_that_is_missing_has_nothing() {
    let tree = Tree::of(&[("a", "here")]);
    for files in [
        StaticFiles::new(tree.root().join("missing")).root(tree.root()),
        tree.files().root(tree.root().join("missing")),
        // No directory, but a file.
        StaticFiles::new(tree.root().join("a")).root(tree.root()),
    ] {
        assert_eq!(get(&files, "/a").await.text(), "here");
        assert_eq!(get(&files, "/b").await.status, 404);
    }
}

#[tokio::test]
async fn the_roots_are_one_tree() {
    // An index file may be in another root than the directory that was found first.
    let [first, second] = [
        Tree::of(&[
            ("docs/a.txt", "a"),
            ("blog/index.htm", "htm"),
            ("both", "file"),
        ]),
        Tree::of(&[
            ("docs/index.html", "index"),
            ("blog/index.html", "html"),
            ("both/index.html", "directory"),
        ]),
    ];
    let files = first
        .files()
        .root(second.root())
        .index(["index.html", "index.htm"]);
    let redirect = get(&files, "/docs").await;
    assert_eq!(
        (redirect.status, redirect.header("location")),
        (308, Some("/docs/"))
    );
    for (target, text) in [
        ("/docs/", "index"),
        // Names of index files go before roots.
        ("/blog/", "html"),
        // Without the slash it is the file, with it the directory.
        ("/both", "file"),
        ("/both/", "directory"),
    ] {
        assert_eq!(get(&files, target).await.text(), text, "{target}");
    }
    // A file in a later root goes before a directory in an earlier one.
    let files = second.files().root(first.root());
    assert_eq!(get(&files, "/both").await.text(), "file");

    let files = files.index(None::<&str>).listing(Listing::new());
    let page = get_with(&files, "/docs/", &[("accept", "text/html")]).await;
    assert!(
        page.text().contains("a.txt") && page.text().contains("index.html"),
        "{page:?}"
    );
}

#[tokio::test]
async fn what_lies_beside_a_file_lies_in_its_own_root() {
    let [first, second] = [Tree::new(), Tree::new()];
    write_settled(&first, "a.js", "first");
    write_settled(&second, "a.js", "second");
    second.write("a.js.gz", "second, gzipped");
    let accepts = &[("accept-encoding", "gzip")];
    for (files, text) in [
        (first.files().root(second.root()), "first"),
        (second.files().root(first.root()), "second, gzipped"),
    ] {
        let files = files.precompressed([Coding::Gzip]);
        assert_eq!(get_with(&files, "/a.js", accepts).await.text(), text);
    }
}

#[tokio::test]
async fn roots_may_be_of_different_kinds() {
    let tree = Tree::of(&[("b", "disk"), ("c", "disk")]);
    let memory = MemoryFiles::new().file("a", "memory").file("b", "memory");
    let slow = MemoryFiles::new().file("c", "slow").file("d", "slow");
    let files = StaticFiles::from_source(memory)
        .root(tree.root())
        .source(Slow(slow));
    for (target, text) in [
        ("/a", "memory"),
        ("/b", "memory"),
        ("/c", "disk"),
        ("/d", "slow"),
        ("/e", "Not Found"),
    ] {
        assert_eq!(get(&files, target).await.text(), text, "{target}");
    }
}

#[tokio::test]
async fn a_root_that_fails_is_not_passed_over() {
    // What lies below might be older, or not meant for everybody.
    let tree = Tree::of(&[("a", "below")]);
    let broken =
        Does(|_: &std::path::Path, _| -> io::Result<Found> { Err(io::Error::other("broken")) });
    let files = StaticFiles::from_source(broken).root(tree.root());
    assert_eq!(get(&files, "/a").await.status, 500);
}

#[tokio::test]
async fn no_root_leads_out_of_itself() {
    let [first, second] = [Tree::of(&[("a", "first")]), Tree::of(&[("b", "second")])];
    std::os::unix::fs::symlink(second.root().join("b"), first.root().join("b")).unwrap();
    let files = first.files().root(second.root());
    // The link is none of the first root's, and the file is there all the same.
    assert_eq!(get(&files, "/b").await.text(), "second");
    let alone = first.files();
    assert_eq!(get(&alone, "/b").await.status, 404);
    assert_eq!(
        get(&alone.symlinks(Symlinks::Anywhere), "/b").await.text(),
        "second"
    );
    // It counts for those named before.
    std::os::unix::fs::symlink(first.outside(), second.root().join("out")).unwrap();
    let files = first
        .files()
        .symlinks(Symlinks::Anywhere)
        .root(second.root());
    assert_eq!(get(&files, "/out/secret.txt").await.status, 404);
}
