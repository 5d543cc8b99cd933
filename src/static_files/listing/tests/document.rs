//! Whether a page is a document, and its links lead where they should, whatever the names are.

use std::ffi::OsString;

use proptest::prelude::*;

use super::{super::*, at, html, json};
use crate::semantics::path::{PathPolicy, decode};

const HOST: &str = "http://host.example";

/// Reads a document as strictly as XML, but for the elements that HTML never closes; gives the
/// references of its links.
pub(super) fn check_document(page: &str) -> Vec<String> {
    let mut rest = page.strip_prefix("<!DOCTYPE html>\n").expect("a doctype");
    let mut open: Vec<&str> = Vec::new();
    let mut links = Vec::new();
    while let Some(at) = rest.find('<') {
        check_text(&rest[..at], open.last() == Some(&"style"));
        let end = rest.find('>').expect("an end of the tag");
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closes another");
            continue;
        }
        let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(
            name.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            "{tag}"
        );
        while !attributes.is_empty() {
            let (key, value) = attributes.split_once("=\"").expect("a quoted value");
            assert!(
                key.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
            );
            assert!(!key.starts_with("on"), "{tag}");
            let (value, rest) = value.split_once('"').expect("an end of the value");
            check_text(value, false);
            if key == "href" {
                links.push(unescape(value));
            }
            attributes = rest.trim_start();
            assert!(attributes.is_empty() || rest.starts_with(' '), "{tag}");
        }
        if name != "meta" {
            open.push(name);
        }
    }
    assert_eq!(rest.trim(), "");
    assert!(open.is_empty(), "{open:?} are never closed");
    links
}

fn check_text(text: &str, is_raw: bool) {
    let is_fine = |c: char| c == '\n' || !c.is_control();
    assert!(text.chars().all(is_fine), "{text:?}");
    if is_raw {
        return;
    }
    assert!(!text.contains(['>', '"', '\'']), "{text:?}");
    for (at, _) in text.match_indices('&') {
        let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
        assert!(
            known.iter().any(|known| text[at..].starts_with(known)),
            "{text:?}"
        );
    }
}

fn unescape(text: &str) -> String {
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (entity, c)| text.replace(entity, c))
}

/// RFC 3986 §5.2.2, of a reference without `//` at its beginning.
fn resolve(reference: &str, base: &str) -> String {
    assert!(
        !reference.starts_with('/'),
        "{reference} names a host or a root"
    );
    let first = reference.split(['/', '?', '#']).next().unwrap_or_default();
    assert!(!first.contains(':'), "{reference} has a scheme");
    let path = reference.split(['?', '#']).next().unwrap_or_default();
    let (directory, _) = base.rsplit_once('/').expect("an absolute path");
    let mut resolved: Vec<&str> = directory.split('/').collect();
    let segments: Vec<&str> = path.split('/').collect();
    for (at, segment) in segments.iter().enumerate() {
        let is_last = at + 1 == segments.len();
        match *segment {
            "." if is_last => resolved.push(""),
            "." => {}
            ".." => {
                assert!(resolved.len() > 1, "{reference} climbs too far");
                resolved.pop();
            }
            segment => resolved.push(segment),
        }
    }
    resolved.join("/")
}

pub(super) fn check_child(href: &str, directory: &str, entry: &DirEntry) {
    let path = resolve(href, directory);
    let uri: http::Uri = format!("{HOST}{path}").parse().expect("a URI");
    assert_eq!(uri.host(), Some("host.example"));
    assert_eq!(uri.query(), None);
    let canonical = PathPolicy::new().read(uri.path()).expect("a path");
    let below = canonical.strip_prefix(directory).expect("below it");
    let (below, slash) = match below.strip_suffix('/') {
        Some(below) => (below, true),
        None => (below, false),
    };
    assert_eq!(slash, entry.is_directory());
    assert!(!below.contains('/'));
    assert_eq!(&*decode(below), entry.name.as_encoded_bytes());
}

fn any_name() -> impl Strategy<Value = OsString> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..8),
        prop::sample::select(vec![
            &b"javascript:"[..],
            b"//",
            b"<script>",
            b"</a>",
            b"\"",
            b"'",
            b"&amp;",
            b"&",
            b"%2F",
            b"%",
            b"..",
            b".",
            b"?",
            b"#",
            b"\\",
            b"\r\n",
            b"\xe2\x80\xae",
            b"\xef\xbf\xbe",
            b" ",
            b":",
            b"-->",
            b"<!--",
            b"]]>",
            b"{",
            b"\xff",
        ])
        .prop_map(<[u8]>::to_vec),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| name_of(pieces.concat()))
}

#[cfg(unix)]
fn name_of(bytes: Vec<u8>) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes)
}

#[cfg(not(unix))]
fn name_of(bytes: Vec<u8>) -> OsString {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

fn any_entry() -> impl Strategy<Value = DirEntry> {
    (any_name(), any::<Option<u64>>(), any::<Option<u32>>()).prop_map(|(name, length, second)| {
        let modified = second.and_then(|second| at(u64::from(second)));
        match length {
            Some(length) => DirEntry::file(name, length, modified),
            None => DirEntry::directory(name, modified),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_names_make_a_document_whose_links_lead_to_them(
        entries in prop::collection::vec(any_entry(), 0..5),
        directory in any_name(),
        query in "[ -~]{0,20}|sort=(size|name|modified)&order=desc",
    ) {
        let directory = text::percent_encoded(directory.as_encoded_bytes()).to_string();
        let path = match PathPolicy::new().read(&format!("/{directory}/")) {
            Ok(path) => format!("/files{path}"),
            Err(_) => "/files/".to_owned(),
        };
        let listed = Listed { entries, truncated: false };
        let page = html(&listed, &path, Some(&query));
        let links = check_document(&page);
        for link in &links {
            let resolved = resolve(link, &path);
            prop_assert!(resolved.starts_with("/files/") && !resolved.contains("//"), "{}", link);
        }
        let shown: Vec<_> =
            listed.entries.iter().filter(|entry| is_shown(&entry.name, true)).collect();
        for entry in &shown {
            let href = entry.href();
            prop_assert!(links.contains(&href), "{} is not linked", href);
            check_child(&href, &path, entry);
        }
        let values = json(&Listing::new(), &listed, Some(&query));
        prop_assert_eq!(values["total"].as_u64(), Some(shown.len() as u64));
    }

    #[test]
    fn the_natural_order_is_total(
        a in "[aAbB019]{0,6}", b in "[aAbB019]{0,6}", c in "[aAbB019]{0,6}",
    ) {
        let [a, b, c] = [a.as_bytes(), b.as_bytes(), c.as_bytes()];
        prop_assert_eq!(order::natural(a, b), order::natural(b, a).reverse());
        prop_assert_eq!(order::natural(a, b).is_eq(), a == b);
        if order::natural(a, b).is_le() && order::natural(b, c).is_le() {
            prop_assert!(order::natural(a, c).is_le());
        }
    }
}
