//! What an answer says about its file: types, validators, conditions, ranges.

use std::time::{Duration, SystemTime};

use super::tree::{Tree, ask, get, get_with, request, touch};

fn seconds(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A file of ten bytes, last changed on Sun, 06 Nov 1994 08:49:37 GMT.
fn digits() -> Tree {
    let tree = Tree::new();
    let path = tree.write("digits.txt", "0123456789");
    touch(&path, seconds(784_111_777));
    tree
}

#[tokio::test]
async fn a_200_says_all_there_is_to_say() {
    let tree = digits();
    let got = get(&tree.files(), "/digits.txt").await;
    assert_eq!((got.status, got.text()), (200, "0123456789"));
    assert_eq!(
        got.names(),
        [
            "accept-ranges",
            "content-length",
            "content-type",
            "etag",
            "last-modified",
            "x-content-type-options"
        ]
    );
    assert_eq!(got.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(got.header("content-length"), Some("10"));
    assert_eq!(got.header("accept-ranges"), Some("bytes"));
    assert_eq!(
        got.header("last-modified"),
        Some("Sun, 06 Nov 1994 08:49:37 GMT")
    );
    let etag = got.header("etag").unwrap();
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
}

#[tokio::test]
async fn head_says_the_same_without_the_body() {
    let tree = digits();
    let full = get(&tree.files(), "/digits.txt").await;
    let head = ask(tree.files(), request("HEAD", "/digits.txt", &[])).await;
    assert_eq!(head.status, 200);
    assert_eq!(head.headers, full.headers);
    assert!(head.body.is_empty());

    // RFC 9110 §14.2: "GET is the only method for which range handling is defined."
    let range = request("HEAD", "/digits.txt", &[("range", "bytes=0-0")]);
    assert_eq!(ask(tree.files(), range).await.headers, full.headers);
}

#[tokio::test]
async fn the_type_goes_by_the_extension() {
    for (name, content_type) in [
        ("a.html", "text/html; charset=utf-8"),
        ("a.HTML", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.md", "text/markdown; charset=utf-8"),
        ("a.csv", "text/csv; charset=utf-8"),
        ("a.vtt", "text/vtt; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.map", "application/json"),
        ("a.webmanifest", "application/manifest+json"),
        ("a.xml", "text/xml"),
        ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"),
        ("a.avif", "image/avif"),
        ("a.webp", "image/webp"),
        ("a.wasm", "application/wasm"),
        ("a.woff2", "font/woff2"),
        ("a.woff", "font/woff"),
        ("a.WOFF", "font/woff"),
        ("a.pdf", "application/pdf"),
        ("a.mp4", "video/mp4"),
        ("a.ts", "video/mp2t"),
        ("a.tar.gz", "application/gzip"),
        ("a.min.js", "text/javascript; charset=utf-8"),
        ("a", "application/octet-stream"),
        ("a.no-such-extension", "application/octet-stream"),
        ("a.", "application/octet-stream"),
    ] {
        let tree = Tree::of(&[(name, "x")]);
        let got = get(&tree.files(), &format!("/{name}")).await;
        assert_eq!(got.header("content-type"), Some(content_type), "{name}");
    }
}

#[tokio::test]
async fn types_and_charset_can_be_set() {
    let tree = Tree::of(&[("a.GLSL", "x"), ("a.txt", "x"), ("a.html", "x")]);
    let files = tree
        .files()
        .content_type("glsl", "text/x-glsl")
        .content_type(".html", "application/xhtml+xml; charset=utf-8")
        .charset("iso-8859-1");
    for (name, content_type) in [
        ("a.GLSL", "text/x-glsl"),
        ("a.html", "application/xhtml+xml; charset=utf-8"),
        ("a.txt", "text/plain; charset=iso-8859-1"),
    ] {
        let got = get(&files, &format!("/{name}")).await;
        assert_eq!(got.header("content-type"), Some(content_type), "{name}");
    }
    let got = get(&files.charset(None), "/a.txt").await;
    assert_eq!(got.header("content-type"), Some("text/plain"));
}

#[tokio::test]
async fn the_tag_changes_with_size_and_with_time_to_the_nanosecond() {
    let tree = Tree::new();
    let path = tree.write("a.txt", "aaaa");
    let base = seconds(1_000_000_000);
    let mut tags = Vec::new();
    for (content, nanos) in [("aaaa", 0), ("aaaa", 1_000), ("bbbbb", 1_000)] {
        std::fs::write(&path, content).unwrap();
        touch(&path, base + Duration::from_nanos(nanos));
        let got = get(&tree.files(), "/a.txt").await;
        tags.push(got.header("etag").unwrap().to_owned());
    }
    let distinct: std::collections::BTreeSet<_> = tags.iter().collect();
    assert_eq!(distinct.len(), 3, "{tags:?}");

    // Another machine with a copy of the file agrees.
    let replica = Tree::new();
    touch(
        &replica.write("a.txt", "bbbbb"),
        base + Duration::from_nanos(1_000),
    );
    assert_eq!(
        get(&replica.files(), "/a.txt")
            .await
            .header("etag")
            .unwrap(),
        tags[2]
    );
}

#[tokio::test]
async fn a_time_that_says_nothing_makes_a_tag_of_the_content() {
    let tree = Tree::new();
    let path = tree.write("a.txt", "aaaa");
    let mut tags = std::collections::BTreeSet::new();
    for modified in [
        SystemTime::UNIX_EPOCH - Duration::from_secs(86_400 * 365),
        SystemTime::UNIX_EPOCH - Duration::from_nanos(1),
        seconds(0),
        seconds(1),
        seconds(2),
        // What zip and npm give to every file, and the last that says nothing.
        seconds(315_532_800),
        seconds(499_162_500),
        seconds(631_152_000) - Duration::from_nanos(1_000),
    ] {
        touch(&path, modified);
        let got = get(&tree.files(), "/a.txt").await;
        assert_eq!(got.status, 200, "{modified:?}");
        assert_eq!(
            got.names(),
            [
                "accept-ranges",
                "content-length",
                "content-type",
                "etag",
                "x-content-type-options"
            ]
        );
        tags.insert(got.header("etag").unwrap().to_owned());

        let always = [("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT")];
        assert_eq!(get_with(&tree.files(), "/a.txt", &always).await.status, 200);
        let range = [
            ("range", "bytes=0-0"),
            ("if-range", "Thu, 01 Jan 1970 00:00:01 GMT"),
        ];
        assert_eq!(get_with(&tree.files(), "/a.txt", &range).await.status, 200);
    }
    assert_eq!(tags.len(), 1, "the content is the same: {tags:?}");
    assert!(!tags.first().unwrap().starts_with("W/"));
    // The same time, another content of the same length.
    tree.write("a.txt", "bbbb");
    touch(&path, seconds(1));
    let got = get(&tree.files(), "/a.txt").await;
    assert!(!tags.contains(got.header("etag").unwrap()));
    // The first that says something.
    touch(&path, seconds(631_152_000));
    let got = get(&tree.files(), "/a.txt").await;
    let date = got.header("last-modified");
    assert_eq!(date, Some("Mon, 01 Jan 1990 00:00:00 GMT"));
    assert!(got.header("etag").is_some());
}

#[tokio::test]
async fn a_time_in_the_future_is_never_sent() {
    let tree = Tree::new();
    let path = tree.write("a.txt", "aaaa");
    for modified in [
        SystemTime::now() + Duration::from_secs(3600),
        // As far as ext4 goes; HTTP goes to 9999.
        seconds(15_000_000_000),
    ] {
        touch(&path, modified);
        let got = get(&tree.files(), "/a.txt").await;
        assert_eq!(got.status, 200);
        assert_eq!(got.header("last-modified"), None);
        assert!(got.header("etag").is_some());
    }
}

#[tokio::test]
async fn a_304_has_exactly_its_headers() {
    let tree = digits();
    let files = tree.files();
    let etag = get(&files, "/digits.txt")
        .await
        .header("etag")
        .unwrap()
        .to_owned();
    for fields in [
        [("if-none-match", etag.as_str())],
        [("if-none-match", "*")],
        [("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT")],
    ] {
        for method in ["GET", "HEAD"] {
            let got = ask(files.clone(), request(method, "/digits.txt", &fields)).await;
            assert_eq!(got.status, 304, "{fields:?}");
            assert_eq!(got.names(), ["etag"]);
            assert_eq!(got.header("etag"), Some(etag.as_str()));
            assert!(got.body.is_empty());
        }
    }
}

#[tokio::test]
async fn lines_of_one_condition_are_read_together() {
    let tree = digits();
    let files = tree.files();
    let etag = get(&files, "/digits.txt")
        .await
        .header("etag")
        .unwrap()
        .to_owned();
    let fields = [
        ("if-none-match", r#""other""#),
        ("if-none-match", etag.as_str()),
    ];
    assert_eq!(get_with(&files, "/digits.txt", &fields).await.status, 304);
}

#[tokio::test]
async fn a_condition_that_fails_is_a_412() {
    let tree = digits();
    let files = tree.files();
    let weak = format!(
        "W/{}",
        get(&files, "/digits.txt").await.header("etag").unwrap()
    );
    for fields in [
        [("if-match", r#""other""#)],
        [("if-match", weak.as_str())],
        [("if-unmodified-since", "Sun, 06 Nov 1994 08:49:36 GMT")],
    ] {
        let got = get_with(&files, "/digits.txt", &fields).await;
        assert_eq!(got.status, 412, "{fields:?}");
        assert_eq!(got.header("etag"), None);
        assert_eq!(got.header("last-modified"), None);
    }
}

#[tokio::test]
async fn a_part_is_a_206() {
    let tree = digits();
    for (range, content_range, body) in [
        ("bytes=0-0", "bytes 0-0/10", "0"),
        ("bytes=2-4", "bytes 2-4/10", "234"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=0-", "bytes 0-9/10", "0123456789"),
        ("bytes=-3", "bytes 7-9/10", "789"),
        ("bytes=-99999", "bytes 0-9/10", "0123456789"),
        ("BYTES=8-99999999999999999999", "bytes 8-9/10", "89"),
        ("bytes=10-, 1-1", "bytes 1-1/10", "1"),
    ] {
        let got = get_with(&tree.files(), "/digits.txt", &[("range", range)]).await;
        assert_eq!((got.status, got.text()), (206, body), "{range}");
        assert_eq!(got.header("content-range"), Some(content_range), "{range}");
        assert_eq!(
            got.header("content-length").unwrap(),
            body.len().to_string()
        );
        assert_eq!(
            got.names(),
            [
                "accept-ranges",
                "content-length",
                "content-range",
                "content-type",
                "etag",
                "last-modified",
                "x-content-type-options"
            ]
        );
    }
}

#[tokio::test]
async fn a_part_behind_the_end_is_a_416_with_the_length() {
    let tree = digits();
    for range in [
        "bytes=10-",
        "bytes=-0",
        "bytes=99999999999999999999-",
        "bytes=10-11,12-",
    ] {
        let got = get_with(&tree.files(), "/digits.txt", &[("range", range)]).await;
        assert_eq!(got.status, 416, "{range}");
        assert_eq!(got.header("content-range"), Some("bytes */10"), "{range}");
        assert_eq!(got.header("etag"), None);
    }
}

#[tokio::test]
async fn a_range_that_is_not_understood_is_ignored() {
    let tree = digits();
    for range in ["lines=0-1", "bytes=x", "bytes=2-1", "bytes="] {
        let got = get_with(&tree.files(), "/digits.txt", &[("range", range)]).await;
        assert_eq!((got.status, got.text()), (200, "0123456789"), "{range}");
        assert_eq!(got.header("content-range"), None);
    }
    let twice = [("range", "bytes=0-1"), ("range", "bytes=0-1")];
    assert_eq!(
        get_with(&tree.files(), "/digits.txt", &twice).await.status,
        200
    );
}

#[tokio::test]
async fn an_empty_file_has_no_part() {
    let tree = Tree::of(&[("empty.txt", "")]);
    let got = get(&tree.files(), "/empty.txt").await;
    assert_eq!((got.status, got.header("content-length")), (200, Some("0")));

    let got = get_with(&tree.files(), "/empty.txt", &[("range", "bytes=0-")]).await;
    assert_eq!(got.status, 416);
    assert_eq!(got.header("content-range"), Some("bytes */0"));

    let got = get_with(&tree.files(), "/empty.txt", &[("range", "bytes=-5")]).await;
    assert_eq!((got.status, got.header("content-range")), (200, None));
}

#[tokio::test]
async fn if_range_guards_the_part() {
    let tree = digits();
    let files = tree.files();
    let etag = get(&files, "/digits.txt")
        .await
        .header("etag")
        .unwrap()
        .to_owned();
    let weak = format!("W/{etag}");
    for (if_range, status) in [
        (etag.as_str(), 206),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 206),
        (r#""other""#, 200),
        (weak.as_str(), 200),
        ("Sun, 06 Nov 1994 08:49:36 GMT", 200),
        ("Sun, 06 Nov 1994 08:49:38 GMT", 200),
        ("nonsense", 200),
    ] {
        let fields = [("range", "bytes=0-0"), ("if-range", if_range)];
        let got = get_with(&files, "/digits.txt", &fields).await;
        assert_eq!(got.status, status, "{if_range}");

        // Without its condition the part is not there, so that it is not satisfiable matters not.
        let fields = [("range", "bytes=99-"), ("if-range", if_range)];
        let got = get_with(&files, "/digits.txt", &fields).await;
        assert_eq!(
            got.status,
            if status == 206 { 416 } else { 200 },
            "{if_range}"
        );
    }
}

#[tokio::test]
async fn conditions_come_before_ranges() {
    let tree = digits();
    let files = tree.files();
    for (condition, status) in [
        (("if-none-match", "*"), 304),
        (("if-match", r#""other""#), 412),
        (("if-none-match", r#""other""#), 206),
    ] {
        let got = get_with(&files, "/digits.txt", &[("range", "bytes=0-0"), condition]).await;
        assert_eq!(got.status, status, "{condition:?}");
    }
}
