//! `X-Sendfile`: a path of the file system.

use tower_gateway::StaticFiles;

use super::{
    inside::Inside,
    tree::{Got, Tree},
};

async fn names(files: &StaticFiles, path: &str) -> Got {
    let fields = [("x-sendfile", path), ("content-type", "text/x-mine")];
    let inside = Inside::says(200, &fields, "of the application");
    inside.behind(files, "GET", "/x", &[]).await
}

#[tokio::test]
async fn a_path_below_the_root_is_sent() {
    let tree = Tree::of(&[("a/b.txt", "b"), ("ä ?.txt", "odd"), ("100%.txt", "all")]);
    let files = tree.files().at("/static").sendfile(tree.root());
    let root = tree.root().display().to_string();
    for (path, text) in [
        ("/a/b.txt", "b"),
        ("//a//b.txt", "b"),
        ("/./a/b.txt", "b"),
        ("/ä ?.txt", "odd"),
        ("/%C3%A4%20%3F.txt", "odd"),
        ("/100%.txt", "all"),
        ("/100%25.txt", "all"),
    ] {
        let got = names(&files, &format!("{root}{path}")).await;
        assert_eq!((got.status, got.text()), (200, text), "{path}");
        assert_eq!(got.header("content-type"), Some("text/x-mine"));
        assert_eq!(got.header("x-sendfile"), None);
    }
}

#[tokio::test]
async fn any_other_path_is_a_404() {
    let tree = Tree::of(&[("a.txt", "a")]);
    let files = tree.files().at("/static").sendfile(tree.root());
    let root = tree.root().display().to_string();
    let secret = tree.outside().join("secret.txt").display().to_string();
    for path in [
        "",
        "/",
        "a.txt",
        "/a.txt",
        "/etc/passwd",
        &root,
        &format!("{root}/"),
        &format!("{root}/missing"),
        &format!("{root}/a.txt/"),
        &format!("{root}/a.txt%00"),
        &format!("{root}x/a.txt"),
        &format!("{root}/../outside/secret.txt"),
        &format!("{root}/%2e%2e/outside/secret.txt"),
        &format!("{root}/x/../a.txt"),
        &secret,
    ] {
        let got = names(&files, path).await;
        assert_eq!((got.status, got.text()), (404, "Not Found"), "{path}");
        assert_eq!(got.names(), ["content-type"], "{path}");
    }
}

#[tokio::test]
async fn the_longest_root_counts_and_it_goes_before_the_other_field() {
    let tree = Tree::of(&[("f", "outer"), ("in/f", "inner"), ("in/g", "g")]);
    let files = tree
        .files()
        .at("/static")
        .sendfile(tree.root())
        .sendfile(tree.root().join("in/"))
        .accel_redirect("/p", tree.root());
    let inner = tree.root().join("in/f").display().to_string();
    assert_eq!(names(&files, &inner).await.text(), "inner");

    let fields = [("x-accel-redirect", "/p/in/g"), ("x-sendfile", &inner)];
    let both = Inside::says(200, &fields, "")
        .behind(&files, "GET", "/x", &[])
        .await;
    assert_eq!(both.text(), "inner");
    assert_eq!(both.header("x-accel-redirect"), None);
    assert_eq!(both.header("x-sendfile"), None);
}
