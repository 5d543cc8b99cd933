//! What a client sees of a directory. The disk has no part in it.

use std::time::{Duration, SystemTime};

use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_MATCH,
    IF_NONE_MATCH, VARY,
};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use self::document::{check_child, check_document};
use sha2::{Digest as _, Sha256};

use super::{
    order::natural,
    text::{Escaped, Utc, grouped, human},
    *,
};

mod document;

fn at(second: u64) -> Option<SystemTime> {
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(second))
}

fn asked<'a>(path: &'a str, query: Option<&'a str>, format: Format) -> Asked<'a> {
    static NONE: std::sync::LazyLock<HeaderMap> = std::sync::LazyLock::new(HeaderMap::new);

    Asked {
        method: &Method::GET,
        headers: &NONE,
        path,
        root: "/files",
        query,
        format,
    }
}

fn text(response: Response<Body>) -> String {
    let bytes = futures_util::FutureExt::now_or_never(response.into_body().collect());
    let bytes = bytes.expect("no wait").expect("no error").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn html(listed: &Listed, path: &str, query: Option<&str>) -> String {
    text(render(
        &Listing::new(),
        listed,
        &asked(path, query, Format::Html),
    ))
}

fn json(options: &Listing, listed: &Listed, query: Option<&str>) -> Value {
    let asked = asked("/files/a%20b/", query, Format::Json);
    serde_json::from_str(&text(render(options, listed, &asked))).expect("JSON")
}

fn names(value: &Value) -> Vec<&str> {
    let entries = value["entries"].as_array().expect("entries");
    entries
        .iter()
        .map(|entry| entry["name"].as_str().expect("a name"))
        .collect()
}

fn some() -> Listed {
    Listed {
        entries: vec![
            DirEntry::file("b10.txt", 5, at(30)),
            DirEntry::file("B2.txt", 7, at(10)),
            DirEntry::directory("sub", at(20)),
            DirEntry::file("a.txt", 1234, None),
            DirEntry::directory("Old", at(1)),
        ],
        truncated: false,
    }
}

#[test]
fn the_json_has_the_shape_that_is_documented() {
    let listed = Listed {
        entries: vec![
            DirEntry::file("c.txt", 1234, at(1_767_323_045)),
            DirEntry::directory("sub", None),
        ],
        truncated: true,
    };
    assert_eq!(
        json(&Listing::new(), &listed, None),
        json!({
            "path": "/files/a%20b/",
            "entries": [
                { "name": "sub", "href": "./sub/", "kind": "directory", "size": null,
                  "modified": null },
                { "name": "c.txt", "href": "./c.txt", "kind": "file", "size": 1234,
                  "modified": "2026-01-02T03:04:05Z" },
            ],
            "page": 1, "pages": 1, "total": 2, "truncated": true,
        })
    );
}

#[test]
fn the_query_sorts_and_what_it_cannot_mean_is_the_default() {
    let by_name = ["Old", "sub", "a.txt", "B2.txt", "b10.txt"];
    for (query, expected) in [
        (None, by_name),
        (Some("sort=name&order=asc"), by_name),
        (
            Some("sort=name&order=desc"),
            ["sub", "Old", "b10.txt", "B2.txt", "a.txt"],
        ),
        (
            Some("order=desc"),
            ["sub", "Old", "b10.txt", "B2.txt", "a.txt"],
        ),
        (
            Some("sort=size"),
            ["Old", "sub", "b10.txt", "B2.txt", "a.txt"],
        ),
        (
            Some("sort=size&order=desc"),
            ["Old", "sub", "a.txt", "B2.txt", "b10.txt"],
        ),
        // What is unknown counts as older than all.
        (
            Some("sort=modified"),
            ["Old", "sub", "a.txt", "B2.txt", "b10.txt"],
        ),
        (
            Some("sort=modified&order=desc"),
            ["sub", "Old", "b10.txt", "B2.txt", "a.txt"],
        ),
        (Some(""), by_name),
        (Some("sort=Name&order=up&page=-1"), by_name),
        (Some("sort=%6Eame&page=99999999999999999999999"), by_name),
        (Some("&&=&sort&order=&page=0"), by_name),
        (Some("utm=x&sort=color"), by_name),
    ] {
        let got = json(&Listing::new(), &some(), query);
        assert_eq!(names(&got), expected, "{query:?}");
    }
}

#[test]
fn pages_have_their_size_and_there_is_none_behind_the_last() {
    let options = Listing::new().page_size(2);
    for (query, page, expected) in [
        ("page=1", 1, &["Old", "sub"][..]),
        ("page=2", 2, &["a.txt", "B2.txt"]),
        ("page=3", 3, &["b10.txt"]),
        ("page=4", 3, &["b10.txt"]),
        ("page=18446744073709551615", 3, &["b10.txt"]),
        ("page=x", 1, &["Old", "sub"]),
    ] {
        let got = json(&options, &some(), Some(query));
        assert_eq!(names(&got), expected, "{query}");
        assert_eq!((&got["page"], &got["pages"]), (&json!(page), &json!(3)));
        assert_eq!(got["total"], 5);
    }
    let none = json(&options, &Listed::default(), Some("page=2"));
    assert_eq!((&none["page"], &none["pages"]), (&json!(1), &json!(1)));
}

#[test]
fn the_links_of_a_page_keep_the_order() {
    let asked = asked("/files/", Some("sort=size&order=desc&page=2"), Format::Html);
    let page = text(render(&Listing::new().page_size(2), &some(), &asked));
    for link in [
        "<a href=\"?sort=size&amp;order=desc\" rel=\"prev\">Previous</a>",
        "<a href=\"?sort=size&amp;order=desc&amp;page=3\" rel=\"next\">Next</a>",
        "aria-sort=\"descending\"><a href=\"?sort=size&amp;order=asc\">Size</a>",
        "<th scope=\"col\"><a href=\"?sort=name&amp;order=asc\">Name</a>",
        "<th scope=\"col\"><a href=\"?sort=modified&amp;order=desc\">",
        "<caption>5 entries, page 2 of 3</caption>",
    ] {
        assert!(page.contains(link), "{link} is not in {page}");
    }
}

#[test]
fn the_page_says_where_it_is_and_what_is_in_it() {
    let page = html(&some(), "/files/a%20b/%E9%3Cc%3E/", None);
    check_document(&page);
    for part in [
        "<title>Index of /files/a b/\u{fffd}&lt;c&gt;/</title>",
        "<li><a href=\"../../\"><bdi>/files</bdi></a></li>",
        "<li><a href=\"../\"><bdi>a b</bdi></a></li>",
        "<li><a href=\"./\" aria-current=\"page\"><bdi>\u{fffd}&lt;c&gt;</bdi></a></li>",
        "<th scope=\"row\"><a href=\"./sub/\"><bdi>sub</bdi>/</a></th><td>\u{2014}</td>\
         <td><time datetime=\"1970-01-01T00:00:20Z\">1970-01-01 00:00</time></td>",
        "<data value=\"1234\" title=\"1,234 bytes\">1.3 KiB</data></td><td>\u{2014}</td>",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    assert!(!page.contains("role=\"note\""));
    assert!(!page.contains("aria-label=\"Pages\""));

    let whole = Asked {
        root: "/",
        ..asked("/", None, Format::Html)
    };
    let page = text(render(&Listing::new(), &Listed::default(), &whole));
    check_document(&page);
    assert!(page.contains("aria-current=\"page\"><bdi>Root</bdi>"));
    assert!(page.contains("There is nothing in this directory"));
}

#[test]
fn a_directory_with_more_says_so() {
    let listed = Listed {
        truncated: true,
        ..some()
    };
    let page = html(&listed, "/files/", None);
    assert!(
        page.contains("only the first 5 entries are listed"),
        "{page}"
    );
}

#[test]
fn a_name_that_would_lead_elsewhere_leads_to_the_file_of_that_name() {
    let listed = Listed {
        entries: [
            "javascript:alert(1)",
            "data:,x",
            "http:",
            "?sort=size",
            "#top",
            "%2e%2e",
            "&amp;\" onclick=\"x",
            "<img src=x onerror=alert(1)><script>alert(1)",
        ]
        .map(|name| DirEntry::file(name, 1, None))
        .into(),
        truncated: false,
    };
    let page = html(&listed, "/files/", None);
    let links = check_document(&page);
    assert!(!page.contains("<script"));
    for entry in &listed.entries {
        let href = entry.href();
        assert!(links.contains(&href), "{href}");
        check_child(&href, "/files/", entry);
    }
}

#[test]
fn what_no_request_can_name_is_left_out() {
    let listed = Listed {
        entries: ["", ".", "..", "//evil.example", "a/b", "a\\b", "a\0b"]
            .map(|name| DirEntry::directory(name, None))
            .into(),
        truncated: false,
    };
    assert_eq!(json(&Listing::new(), &listed, None)["total"], 0);

    for (name, dotfiles, shown) in [
        ("a", false, true),
        (".a", false, false),
        (".a", true, true),
        (".well-known", false, true),
        ("..", true, false),
        ("a\\b", true, false),
    ] {
        assert_eq!(is_shown(name.as_ref(), dotfiles), shown, "{name}");
    }
}

#[test]
fn the_answer_is_asked_for_each_time_and_sent_when_it_is_new() {
    let first = render(
        &Listing::new(),
        &some(),
        &asked("/files/", None, Format::Html),
    );
    assert_eq!(first.status(), 200);
    assert_eq!(first.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(first.headers()[VARY], "accept");
    assert_eq!(first.headers()[CACHE_CONTROL], "no-cache");
    let etag = first.headers()[ETAG].clone();
    let length = first.headers()[CONTENT_LENGTH].clone();
    assert_eq!(text(first).len().to_string(), length);

    let mut headers = HeaderMap::new();
    headers.insert(IF_NONE_MATCH, etag.clone());
    let again = Asked {
        headers: &headers,
        ..asked("/files/", None, Format::Html)
    };
    let same = render(&Listing::new(), &some(), &again);
    assert_eq!(same.status(), 304);
    let mut sent: Vec<&str> = same.headers().keys().map(|name| name.as_str()).collect();
    sent.sort_unstable();
    assert_eq!(sent, ["cache-control", "etag", "vary"]);
    assert_eq!(text(same), "");

    let mut other = some();
    other.entries.pop();
    assert_eq!(render(&Listing::new(), &other, &again).status(), 200);
    let json = Asked {
        format: Format::Json,
        ..again
    };
    let json = render(&Listing::new(), &some(), &json);
    assert_eq!(json.status(), 200, "another representation");
    assert_eq!(json.headers()[CONTENT_TYPE], "application/json");
    assert!(!json.headers().contains_key(CONTENT_SECURITY_POLICY));

    let mut headers = HeaderMap::new();
    headers.insert(IF_MATCH, HeaderValue::from_static("\"other\""));
    let failed = Asked {
        headers: &headers,
        ..asked("/files/", None, Format::Html)
    };
    assert_eq!(render(&Listing::new(), &some(), &failed).status(), 412);
}

#[test]
fn the_policy_lets_exactly_the_style_in() {
    let response = render(
        &Listing::new(),
        &some(),
        &asked("/files/", None, Format::Html),
    );
    let policy = response.headers()[CONTENT_SECURITY_POLICY].clone();
    let page = text(response);
    let (_, rest) = page.split_once("<style>").expect("a style");
    let (css, rest) = rest.split_once("</style>").expect("an end of it");
    assert!(!rest.contains("<style") && !page.contains("style="));
    let hash = style::base64(&Sha256::digest(css.as_bytes()));
    assert_eq!(
        policy.to_str().expect("text"),
        format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'"
        )
    );
}

#[test]
fn base64_is_that_of_rfc_4648_section_10() {
    for (bytes, expected) in [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ] {
        assert_eq!(style::base64(bytes.as_bytes()), expected);
    }
}

#[test]
fn sizes_are_short_and_never_too_small() {
    for (length, expected) in [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1025, "1.1 KiB"),
        (1536, "1.5 KiB"),
        (102_399, "100 KiB"),
        (102_401, "101 KiB"),
        (1_048_575, "1.0 MiB"),
        (1 << 20, "1.0 MiB"),
        (5 << 30, "5.0 GiB"),
        (u64::MAX, "16.0 EiB"),
    ] {
        assert_eq!(human(length), expected, "{length}");
    }
    for (number, expected) in [
        (0, "0"),
        (999, "999"),
        (1000, "1,000"),
        (1_234_567, "1,234,567"),
    ] {
        assert_eq!(grouped(number), expected);
    }
}

#[test]
fn times_are_those_of_the_calendar() {
    let shown = |time: SystemTime| Utc::of(time).map(Utc::rfc3339);
    for (second, expected) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_399, "2000-02-28T23:59:59Z"),
        (951_868_799, "2000-02-29T23:59:59Z"),
        (951_868_800, "2000-03-01T00:00:00Z"),
        (4_107_542_399, "2100-02-28T23:59:59Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
        (253_402_300_799, "9999-12-31T23:59:59Z"),
    ] {
        let time = at(second).expect("a time");
        assert_eq!(shown(time).as_deref(), Some(expected));
    }
    let before = |duration| SystemTime::UNIX_EPOCH - duration;
    for (duration, expected) in [
        (Duration::from_nanos(1), "1969-12-31T23:59:59Z"),
        (Duration::from_secs(1), "1969-12-31T23:59:59Z"),
        (Duration::from_secs(86_401), "1969-12-30T23:59:59Z"),
        (Duration::from_secs(62_167_219_200), "0000-01-01T00:00:00Z"),
    ] {
        assert_eq!(shown(before(duration)).as_deref(), Some(expected));
    }
    assert_eq!(shown(before(Duration::from_secs(62_167_219_201))), None);
    assert_eq!(at(253_402_300_800).and_then(Utc::of), None);
}

#[test]
fn what_nobody_would_see_is_shown() {
    let shown = Escaped("a\nb\u{7f}\u{85}\u{ffff}\u{1fffe}<").to_string();
    assert_eq!(shown, "a\u{240a}b\u{2421}\u{fffd}\u{fffd}\u{fffd}&lt;");
    // Which would be read as exe.png.
    let shown = Escaped("\u{202e}gnp.exe\u{2066}").to_string();
    assert_eq!(shown, "\u{fffd}gnp.exe\u{fffd}");
    // Names from right to left, and what joins letters, stay what they are.
    for name in [
        "\u{5e9}\u{5dc}.txt",
        "\u{200f}\u{627}",
        "\u{1f468}\u{200d}\u{1f469}",
    ] {
        assert_eq!(Escaped(name).to_string(), name);
    }
}

#[test]
fn digits_count_as_numbers() {
    let sorted = [
        "",
        "A",
        "a",
        "a0",
        "a00",
        "a01",
        "a1",
        "a1b",
        "a2",
        "A10",
        "a10",
        "a99999999999999999999",
        "a100000000000000000000",
        "ab",
        "b",
    ];
    for (at, a) in sorted.iter().enumerate() {
        for (other, b) in sorted.iter().enumerate() {
            let expected = at.cmp(&other);
            assert_eq!(natural(a.as_bytes(), b.as_bytes()), expected, "{a} {b}");
        }
    }
}
