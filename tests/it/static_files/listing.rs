//! Lists of directories, as clients get them.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
};

use serde_json::Value;
use tower::Layer;
use tower_gateway::{
    PathDispatch, StaticFiles,
    static_files::{Listing, MemoryFiles},
};

use super::tree::{SECRET, Tree, ask, get, get_with, request, until};

const JSON: &[(&str, &str)] = &[("accept", "application/json")];

/// What browsers send.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

pub async fn json(files: &StaticFiles, target: &str) -> Value {
    let got = get_with(files, target, JSON).await;
    assert_eq!(got.status, 200, "{target}: {got:?}");
    assert_eq!(got.header("content-type"), Some("application/json"));
    serde_json::from_slice(&got.body).unwrap()
}

pub fn names(list: &Value) -> Vec<&str> {
    let entries = list["entries"].as_array().unwrap();
    let names = entries.iter().map(|entry| entry["name"].as_str().unwrap());
    names.collect()
}

pub fn hrefs(list: &Value) -> Vec<&str> {
    let entries = list["entries"].as_array().unwrap();
    let hrefs = entries.iter().map(|entry| entry["href"].as_str().unwrap());
    hrefs.collect()
}

fn some() -> Tree {
    let tree = Tree::of(&[
        ("docs/sub/x", "x"),
        ("docs/.hidden", SECRET),
        (".well-known/security.txt", "x"),
        (".git/config", SECRET),
        ("site/index.html", "site"),
    ]);
    tree.write_aged("docs/a10.txt", "0123456789", 30);
    tree.write_aged("docs/a2.txt", "0", 20);
    tree.write_aged("docs/b.txt", "01234", 10);
    tree
}

#[tokio::test]
async fn a_directory_without_an_index_file_is_a_list_if_one_says_so() {
    let tree = some();
    for target in ["/docs/", "/docs", "/"] {
        assert_eq!(get(&tree.files(), target).await.status, 404, "{target}");
    }
    for files in [
        tree.files().listing(Listing::new()),
        tree.files().listing(Listing::new()).cache(1 << 20),
    ] {
        // Twice: the second time from the cache, if there is one.
        for _ in 0..2 {
            let list = json(&files, "/docs/").await;
            assert_eq!(names(&list), ["sub", "a2.txt", "a10.txt", "b.txt"]);
            assert_eq!(list["path"], "/docs/");
            let got = get(&files, "/docs?sort=size").await;
            assert_eq!(got.status, 308);
            assert_eq!(got.header("location"), Some("/docs/?sort=size"));
        }
        let root = json(&files, "/").await;
        assert_eq!(names(&root), [".well-known", "docs", "site"]);
        assert_eq!(get(&files, "/site/").await.text(), "site");
        for target in ["/.git/", "/.git", "/none/", "/docs/a2.txt/", "/docs/b"] {
            let got = get(&files, target).await;
            assert_eq!(got.status, 404, "{target}");
        }
    }
    let all = tree.files().listing(Listing::new()).dotfiles(true);
    assert!(names(&json(&all, "/docs/").await).contains(&".hidden"));
    assert_eq!(names(&json(&all, "/").await).len(), 4);
}

#[tokio::test]
async fn who_asks_for_what_gets_it() {
    let tree = some();
    let files = tree.files().listing(Listing::new());
    for (accept, media_type) in [
        (BROWSER, "text/html; charset=utf-8"),
        ("*/*", "text/html; charset=utf-8"),
        ("application/json", "application/json"),
        ("application/json, */*;q=0.1", "application/json"),
        ("text/html;q=0.5, application/json", "application/json"),
        ("image/png", "text/html; charset=utf-8"),
    ] {
        let got = get_with(&files, "/docs/", &[("accept", accept)]).await;
        assert_eq!(got.header("content-type"), Some(media_type), "{accept}");
        assert_eq!(got.header("vary"), Some("accept"));
        assert_eq!(got.header("cache-control"), Some("no-cache"));
        assert_eq!(got.header("x-content-type-options"), Some("nosniff"));
        let length = got.body.len().to_string();
        assert_eq!(got.header("content-length"), Some(length.as_str()));
        let is_html = media_type.starts_with("text/html");
        assert_eq!(got.header("content-security-policy").is_some(), is_html);

        let request = request("HEAD", "/docs/", &[("accept", accept)]);
        let head = ask(files.clone(), request).await;
        assert_eq!(head.headers, got.headers);
        assert!(head.body.is_empty());

        let etag = got.header("etag").unwrap();
        for (condition, status) in [
            (("if-none-match", etag), 304),
            (("if-match", etag), 200),
            (("if-match", "\"other\""), 412),
            (("range", "bytes=0-0"), 200),
        ] {
            let got = get_with(&files, "/docs/", &[("accept", accept), condition]).await;
            assert_eq!(got.status, status, "{condition:?}");
            assert_eq!(got.header("vary"), Some("accept"), "{condition:?}");
        }
        // The list in the other form has another.
        let other = if is_html {
            "application/json"
        } else {
            "text/html"
        };
        let known = [("accept", other), ("if-none-match", etag)];
        assert_eq!(get_with(&files, "/docs/", &known).await.status, 200);
    }
    let got = ask(files, request("POST", "/docs/", &[])).await;
    assert_eq!(got.status, 405);
}

#[tokio::test]
async fn what_is_new_is_in_the_next_list() {
    let tree = some();
    for files in [
        tree.files().listing(Listing::new()),
        tree.files().listing(Listing::new()).cache(1 << 20),
    ] {
        let before = get_with(&files, "/docs/", JSON).await;
        let known = [JSON[0], ("if-none-match", before.header("etag").unwrap())];
        assert_eq!(get_with(&files, "/docs/", &known).await.status, 304);
        let path = tree.write("docs/new.txt", "x");
        let got = get_with(&files, "/docs/", &known).await;
        assert_eq!(got.status, 200);
        assert!(got.text().contains("new.txt"));
        fs::remove_file(path).unwrap();

        // An index file takes the place of the list, and gives it back.
        let index = tree.write("docs/index.html", "index");
        until(|| get(&files, "/docs/"), |got| got.text() == "index").await;
        fs::remove_file(index).unwrap();
        until(|| get(&files, "/docs/"), |got| got.text() != "index").await;
    }
}

#[tokio::test]
async fn a_directory_that_goes_is_a_miss() {
    let tree = Tree::of(&[("docs/a", "x")]);
    for files in [
        tree.files().listing(Listing::new()),
        tree.files().listing(Listing::new()).cache(1 << 20),
    ] {
        fs::create_dir(tree.root().join("gone")).unwrap();
        let list = json(&files, "/gone/").await;
        assert!(names(&list).is_empty());
        let page = get(&files, "/gone/").await;
        assert!(page.text().contains("nothing in this directory"));
        fs::remove_dir(tree.root().join("gone")).unwrap();
        assert_eq!(get(&files, "/gone/").await.status, 404);
    }
}

#[tokio::test]
async fn the_query_sorts_and_turns_pages() {
    let tree = some();
    let files = tree.files().listing(Listing::new().page_size(3));
    for (query, expected) in [
        ("", &["sub", "a2.txt", "a10.txt"][..]),
        ("?page=2", &["b.txt"]),
        ("?page=9", &["b.txt"]),
        ("?sort=size", &["sub", "a2.txt", "b.txt"]),
        ("?sort=size&order=desc", &["sub", "a10.txt", "b.txt"]),
        ("?sort=modified&order=desc", &["sub", "b.txt", "a2.txt"]),
        ("?sort=name&order=desc&page=2", &["a2.txt"]),
        ("?sort=;&order=%00&page=-1", &["sub", "a2.txt", "a10.txt"]),
        ("?page=99999999999999999999", &["sub", "a2.txt", "a10.txt"]),
    ] {
        let list = json(&files, &format!("/docs/{query}")).await;
        assert_eq!(names(&list), expected, "{query}");
        assert_eq!(list["pages"], 2);
        assert_eq!(list["total"], 4);
        assert_eq!(list["truncated"], false);
    }
    let files = tree.files().listing(Listing::new().limit(2));
    let list = json(&files, "/docs/").await;
    assert_eq!(list["truncated"], true);
    assert!(names(&list).len() <= 2);
}

#[tokio::test]
async fn it_knows_where_it_is_mounted() {
    let tree = some();
    let files = tree.files().listing(Listing::new());
    let at = files.clone().at("/files");
    let list = json(&at, "/files/docs/").await;
    assert_eq!(list["path"], "/files/docs/");
    let got = get(&at, "/files").await;
    assert_eq!(got.header("location"), Some("/files/"));
    let page = get(&at, "/files/docs/sub/").await;
    let crumbs = page.text().split("</nav>").next().unwrap();
    assert!(
        crumbs.contains("href=\"../../\"><bdi>/files</bdi>"),
        "{crumbs}"
    );

    let dispatch = PathDispatch::new().mount("/deep", files.clone()).unwrap();
    let dispatch = dispatch.layer(StaticFiles::from_source(MemoryFiles::new()));
    let got = ask(dispatch, request("GET", "/deep/docs/", JSON)).await;
    let list: Value = serde_json::from_slice(&got.body).unwrap();
    assert_eq!(list["path"], "/deep/docs/");
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn it_knows_where_axum_nested_it() {
    let tree = some();
    let files = tree.files().listing(Listing::new());
    let router = axum::Router::new().nest_service("/nested", files);
    let router = tower::ServiceExt::map_request(router, |request: http::Request<_>| {
        request.map(axum::body::Body::new)
    });
    let got = ask(router.clone(), request("GET", "/nested/docs/", JSON)).await;
    let list: Value = serde_json::from_slice(&got.body).unwrap();
    assert_eq!(list["path"], "/nested/docs/");
    let got = ask(router, request("GET", "/nested/docs", &[])).await;
    assert_eq!(got.header("location"), Some("/nested/docs/"));
}

#[tokio::test]
async fn several_roots_are_one_list_and_the_first_has_the_say() {
    let first = Tree::of(&[("docs/both.txt", "1"), ("docs/one.txt", "1")]);
    let second = Tree::of(&[
        ("docs/both.txt", "22"),
        ("docs/two.txt", "22"),
        ("more/x", "x"),
    ]);
    let memory = MemoryFiles::new().file("docs/three.txt", "333");
    let files = first
        .files()
        .root(second.root())
        .source(memory)
        .listing(Listing::new());
    let list = json(&files, "/docs/").await;
    assert_eq!(
        names(&list),
        ["both.txt", "one.txt", "three.txt", "two.txt"]
    );
    assert_eq!(list["entries"][0]["size"], 1);
    assert_eq!(names(&json(&files, "/more/").await), ["x"]);
    assert_eq!(names(&json(&files, "/").await), ["docs", "more"]);
    for name in names(&list) {
        let got = get(&files, &format!("/docs/{name}")).await;
        assert_eq!(got.status, 200, "{name}");
    }
}

/// As a browser resolves a reference of a list.
pub fn resolved(base: &str, href: &str) -> String {
    let name = href.strip_prefix("./").expect("relative to here");
    format!("{base}{name}")
}

#[tokio::test]
async fn what_is_not_served_is_not_listed() {
    let tree = Tree::of(&[("a.txt", "x"), ("dir/x", "x")]);
    let root = tree.root();
    let _socket = UnixListener::bind(root.join("socket")).unwrap();
    symlink("../outside/secret.txt", root.join("out.txt")).unwrap();
    symlink("../outside", root.join("out")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    symlink("a.txt", root.join("link.txt")).unwrap();
    symlink("dir", root.join("linked")).unwrap();
    let files = tree.files().listing(Listing::new());
    let list = json(&files, "/").await;
    assert_eq!(names(&list), ["dir", "linked", "a.txt", "link.txt"]);
    for href in hrefs(&list) {
        assert_eq!(get(&files, &resolved("/", href)).await.status, 200);
    }
    // Nor is there a list of what is outside.
    assert_eq!(get(&files, "/out/").await.status, 404);
    assert_eq!(get(&files, "/out").await.status, 404);
}

#[tokio::test]
async fn a_directory_that_may_not_be_read_is_a_miss() {
    use std::os::unix::fs::PermissionsExt;

    let tree = Tree::of(&[("locked/a.txt", "x")]);
    let locked = tree.root().join("locked");
    let mode = |mode| fs::set_permissions(&locked, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o311);
    let may_read = fs::read_dir(&locked).is_ok();
    let files = tree.files().listing(Listing::new());
    // The superuser may.
    let expected = if may_read { 200 } else { 404 };
    assert_eq!(get(&files, "/locked/").await.status, expected);
    assert_eq!(get(&files, "/locked/a.txt").await.status, 200);
    mode(0o755);
}

#[tokio::test]
async fn a_mount_that_is_listed_leaves_other_paths_to_the_application() {
    let tree = some();
    let files = tree.files().at("/files").listing(Listing::new());
    let app = files.layer(tower::service_fn(async |_: http::Request<_>| {
        Ok::<_, std::convert::Infallible>(http::Response::new(tower_gateway::Body::from("app")))
    }));
    for (target, status, text) in [
        ("/", 200, "app"),
        ("/filesystem/", 200, "app"),
        ("/files/none/", 200, "app"),
        ("/files/docs", 308, "Permanent Redirect"),
    ] {
        let got = ask(app.clone(), request("GET", target, &[])).await;
        assert_eq!((got.status, got.text()), (status, text), "{target}");
    }
}
