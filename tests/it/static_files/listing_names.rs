//! Lists with names that mean something to somebody: links lead to them, and they stay text.

use std::{collections::BTreeSet, ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

use tower_gateway::static_files::Listing;

use super::{
    listing::{hrefs, json, names, resolved},
    tree::{Got, SECRET, Tree, get},
};

/// Names that mean something to a browser, to a shell, or to a path.
const HOSTILE: &[&[u8]] = &[
    b"<script>alert(1)<script>",
    b"<img src=x onerror=alert(1)>",
    b"\"><svg onload=alert(1)>",
    b"' onmouseover='alert(1)",
    b"&lt;b&gt;&amp;",
    b"javascript:alert(1)",
    b"data:text,x",
    b"http:evil.example",
    b"a?b=c",
    b"a#b",
    b"100%",
    b"%2e%2e",
    b"%2F",
    b"a b",
    b" leading",
    b"trailing ",
    b"trailing.",
    b"new\nline",
    b"tab\tcr\r",
    b"\x1b[31mred",
    b"bell\x07del\x7f",
    b"caf\xe9-latin1",
    b"caf\xc3\xa9",
    b"\xff\xfe\xfd",
    b"\xe2\x80\xaegnp.exe",
    b"\xef\xbb\xbfbom",
    b"a&sort=size",
    b"a;b=c",
    b"a+b",
    b"~user",
    b"-rf",
    b"*",
    b"$(id)`id`",
    b"]]>",
    b"<!--",
    b"<title><style><table>",
    b"...",
    b"C:",
    b"con",
    b"\xf0\x9f\x92\xa9",
];

/// With each of them as a file and as a directory.
fn hostile() -> Tree {
    let tree = Tree::new();
    for name in HOSTILE {
        let name = OsStr::from_bytes(name);
        tree.write(Path::new("files").join(name), name.as_bytes());
        tree.write(
            Path::new("directories").join(name).join("x"),
            name.as_bytes(),
        );
    }
    // No request can name it.
    tree.write("files/back\\slash", SECRET);
    tree
}

#[tokio::test]
async fn every_link_leads_to_what_it_names_whatever_the_name_is() {
    let tree = hostile();
    let files = tree.files().dotfiles(true).listing(Listing::new());
    let list = json(&files, "/files/").await;
    assert_eq!(hrefs(&list).len(), HOSTILE.len());
    let mut seen = BTreeSet::new();
    for href in hrefs(&list) {
        let got = get(&files, &resolved("/files/", href)).await;
        assert_eq!(got.status, 200, "{href}");
        seen.insert(got.body.escape_ascii().to_string());
    }
    let all = HOSTILE.iter().map(|name| name.escape_ascii().to_string());
    assert_eq!(seen, all.collect());

    let list = json(&files, "/directories/").await;
    assert_eq!(hrefs(&list).len(), HOSTILE.len());
    for href in hrefs(&list) {
        let directory = resolved("/directories/", href);
        let inside = json(&files, &directory).await;
        assert_eq!(names(&inside), ["x"], "{href}");
        let without = directory.strip_suffix('/').unwrap();
        let got = get(&files, without).await;
        assert_eq!(
            (got.status, got.header("location")),
            (308, Some(&*directory))
        );
    }
}

#[tokio::test]
async fn no_name_becomes_markup() {
    let tree = hostile();
    let files = tree.files().dotfiles(true).listing(Listing::new());
    let mut pages = vec![get(&files, "/files/").await];
    for href in hrefs(&json(&files, "/directories/").await) {
        pages.push(get(&files, &resolved("/directories/", href)).await);
    }
    pages.push(get(&files, "/files/?sort=%22%3E%3Cb%3E&page='&order=;").await);
    for page in &pages {
        assert_eq!(page.status, 200);
        assert_elements_are_known(page);
    }
}

/// Whatever begins an element is one that the page is made of, with the attributes it has there.
fn assert_elements_are_known(page: &Got) {
    const ELEMENTS: &[&str] = &[
        "a", "bdi", "body", "caption", "data", "h1", "head", "header", "html", "li", "main",
        "meta", "nav", "ol", "p", "style", "table", "tbody", "td", "th", "thead", "time", "title",
        "tr", "ul", "!DOCTYPE",
    ];
    let text = page.text();
    for element in text.split('<').skip(1) {
        let inside = element.split('>').next().unwrap();
        let name = inside.trim_start_matches('/');
        let name = name.split([' ', '\n']).next().unwrap();
        assert!(ELEMENTS.contains(&name), "<{inside}>");
        // Quotes come in pairs, and no handler is an attribute.
        assert_eq!(inside.matches('"').count() % 2, 0, "<{inside}>");
        let outside_quotes: String = inside.split('"').step_by(2).collect();
        assert!(!outside_quotes.contains(" on"), "<{inside}>");
    }
    for control in ["\u{1b}", "\u{7}", "\u{7f}", "\u{202e}"] {
        assert!(!text.contains(control), "{control:?} is not shown as it is");
    }
}
