#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

type Variables = Vec<(String, Vec<u8>)>;

fn all(meta: &Meta<'_>) -> Variables {
    let mut all = Vec::new();
    variables(meta, &mut |name, value| {
        let name = String::from_utf8(name.to_vec()).unwrap();
        all.push((name, value.to_vec()));
    });
    all
}

fn value<'a>(all: &'a Variables, name: &str) -> Option<&'a [u8]> {
    let found = all.iter().find(|(found, _)| found == name);
    found.map(|(_, value)| value.as_slice())
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    headers
}

/// What a request of these lines says in one variable.
fn field(lines: &[(&str, &str)], name: &str) -> Option<String> {
    let headers = headers(lines);
    let all = all(&Meta::new(&Method::GET, "/", &headers));
    value(&all, name).map(|value| String::from_utf8(value.to_vec()).unwrap())
}

/// The variables that say what was asked, of a path and what stands around it.
fn target(script_name: &str, path: &str, query: &str) -> [Vec<u8>; 4] {
    let headers = HeaderMap::new();
    let mut meta = Meta::new(&Method::GET, path, &headers);
    meta.script_name = script_name;
    meta.query = query;
    let all = all(&meta);
    ["REQUEST_URI", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING"]
        .map(|name| value(&all, name).unwrap().to_vec())
}

#[test]
fn what_was_asked_is_told_in_its_parts() {
    for (given, expected) in [
        (("", "/", ""), ["/", "", "/", ""]),
        (("", "/a", "b=c"), ["/a?b=c", "", "/a", "b=c"]),
        (
            ("/m", "/a%20b", "q=%20"),
            ["/m/a%20b?q=%20", "/m", "/a b", "q=%20"],
        ),
        (
            ("/%C3%A9", "/%C3%A9", ""),
            ["/%C3%A9/%C3%A9", "/é", "/é", ""],
        ),
        // A literal percent sign.
        (("", "/100%25", ""), ["/100%25", "", "/100%", ""]),
        (("", "/%2570", ""), ["/%2570", "", "/%70", ""]),
        (("", "*", ""), ["*", "", "", ""]),
    ] {
        let (script_name, path, query) = given;
        let told = target(script_name, path, query);
        assert_eq!(told, expected.map(|text| text.as_bytes().to_vec()));
    }
    assert_eq!(target("", "/%FF", "")[2], b"/\xFF");
}

#[test]
fn a_path_may_stay_encoded_for_a_server_that_decodes_it() {
    let headers = HeaderMap::new();
    let mut meta = Meta::new(&Method::GET, "/caf%C3%A9%2570", &headers);
    meta.path_info = PathInfo::Encoded;
    meta.script_name = "/%20";
    let all = all(&meta);
    assert_eq!(value(&all, "PATH_INFO"), Some(&b"/caf%C3%A9%2570"[..]));
    assert_eq!(value(&all, "SCRIPT_NAME"), Some(&b"/ "[..]));
}

#[test]
fn a_path_that_can_be_decoded_again_is_found() {
    for path in ["/%2570rivate", "/%252e%252E", "/a%25%2541", "/x/%25aF"] {
        assert!(can_be_decoded_again(path), "{path}");
    }
    for path in ["/", "/%20", "/100%25", "/%25", "/%25g0", "/%25a", "/%C3%A9"] {
        assert!(!can_be_decoded_again(path), "{path}");
    }
}

#[test]
fn the_uri_is_the_given_one_where_one_is_given() {
    let headers = HeaderMap::new();
    let mut meta = Meta::new(&Method::GET, "/b", &headers);
    meta.request_uri = Some("/outer/b?x");
    assert_eq!(value(&all(&meta), "REQUEST_URI"), Some(&b"/outer/b?x"[..]));
}

#[test]
fn the_length_is_the_one_of_the_body_and_comes_first() {
    let headers = headers(&[("content-length", "9"), ("content-type", "text/plain")]);
    let mut meta = Meta::new(&Method::POST, "/", &headers);
    assert_eq!(value(&all(&meta), "CONTENT_LENGTH"), None);

    for length in [0, 7, u64::MAX] {
        meta.content_length = Some(length);
        let all = all(&meta);
        let expected = ("CONTENT_LENGTH".to_owned(), length.to_string().into_bytes());
        assert_eq!(all[0], expected);
        assert_eq!(value(&all, "CONTENT_TYPE"), Some(&b"text/plain"[..]));
        assert!(!all.iter().any(|(name, _)| name.starts_with("HTTP_CONTENT")));
    }
}

#[test]
fn the_scheme_and_the_protocol_are_told() {
    let headers = HeaderMap::new();
    for (scheme, https, port) in [("http", None, "80"), ("https", Some(&b"on"[..]), "443")] {
        let mut meta = Meta::new(&Method::GET, "/", &headers);
        meta.scheme = scheme;
        let all = all(&meta);
        assert_eq!(value(&all, "REQUEST_SCHEME"), Some(scheme.as_bytes()));
        assert_eq!(value(&all, "HTTPS"), https);
        assert_eq!(value(&all, "SERVER_PORT"), Some(port.as_bytes()));
    }
    for (version, text) in [
        (Version::HTTP_10, "HTTP/1.0"),
        (Version::HTTP_11, "HTTP/1.1"),
        (Version::HTTP_2, "HTTP/2.0"),
        (Version::HTTP_3, "HTTP/3.0"),
    ] {
        let mut meta = Meta::new(&Method::GET, "/", &headers);
        meta.protocol = version;
        assert_eq!(value(&all(&meta), "SERVER_PROTOCOL"), Some(text.as_bytes()));
    }
}

#[test]
fn the_client_has_an_address_or_an_empty_one() {
    let headers = HeaderMap::new();
    for (address, port, told) in [
        (None, None, ""),
        (Some("203.0.113.7"), Some(50_000), "203.0.113.7"),
        (Some("::ffff:203.0.113.7"), None, "203.0.113.7"),
        (
            Some("2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff"),
            Some(1),
            "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff",
        ),
    ] {
        let mut meta = Meta::new(&Method::GET, "/", &headers);
        meta.remote_addr = address.map(|address| address.parse().unwrap());
        meta.remote_port = port;
        let all = all(&meta);
        assert_eq!(value(&all, "REMOTE_ADDR"), Some(told.as_bytes()));
        let port = port.map(|port: u16| port.to_string().into_bytes());
        assert_eq!(value(&all, "REMOTE_PORT"), port.as_deref());
    }
}

#[test]
fn the_server_is_the_one_that_host_names() {
    for (host, name, port) in [
        ("example.org", "example.org", "80"),
        ("example.org:8080", "example.org", "8080"),
        ("example.org:", "example.org", "80"),
        ("[::1]:8080", "[::1]", "8080"),
        ("[::1]", "[::1]", "80"),
        ("", "localhost", "80"),
        (":81", "localhost", "81"),
    ] {
        let lines = [("host", host)];
        assert_eq!(
            field(&lines, "SERVER_NAME").as_deref(),
            Some(name),
            "{host}"
        );
        assert_eq!(
            field(&lines, "SERVER_PORT").as_deref(),
            Some(port),
            "{host}"
        );
        assert_eq!(field(&lines, "HTTP_HOST").as_deref(), Some(host));
    }
    assert_eq!(field(&[], "SERVER_NAME").as_deref(), Some("localhost"));
    assert_eq!(field(&[], "HTTP_HOST"), None);

    let headers = headers(&[("host", "example.org:8080")]);
    let mut meta = Meta::new(&Method::GET, "/", &headers);
    meta.server_name = Some("fixed.test");
    meta.server_port = Some(443);
    let all = all(&meta);
    assert_eq!(value(&all, "SERVER_NAME"), Some(&b"fixed.test"[..]));
    assert_eq!(value(&all, "SERVER_PORT"), Some(&b"443"[..]));
}

#[test]
fn repeated_fields_are_one_variable() {
    let lines = [
        ("x-twice", "one"),
        ("cookie", "a=b"),
        ("x-once", "alone"),
        ("x-twice", ""),
        ("cookie", "c=d"),
        ("x-twice", "three"),
    ];
    assert_eq!(
        field(&lines, "HTTP_X_TWICE").as_deref(),
        Some("one, , three")
    );
    assert_eq!(field(&lines, "HTTP_COOKIE").as_deref(), Some("a=b; c=d"));
    assert_eq!(field(&lines, "HTTP_X_ONCE").as_deref(), Some("alone"));
    let types = [("content-type", "a/b"), ("content-type", "c/d")];
    assert_eq!(field(&types, "CONTENT_TYPE").as_deref(), Some("a/b, c/d"));
}

#[test]
fn values_pass_as_bytes() {
    let lines = [("x-name", "caf\u{e9} \u{1F980}"), ("x-tab", "a\tb")];
    let headers = headers(&lines);
    let all = all(&Meta::new(&Method::GET, "/", &headers));
    for (name, expected) in [("HTTP_X_NAME", lines[0].1), ("HTTP_X_TAB", lines[1].1)] {
        assert_eq!(value(&all, name), Some(expected.as_bytes()));
    }
    let mut headers = HeaderMap::new();
    headers.insert("x-raw", HeaderValue::from_bytes(b"\xFF\x80").unwrap());
    let all = self::all(&Meta::new(&Method::GET, "/", &headers));
    assert_eq!(value(&all, "HTTP_X_RAW"), Some(&b"\xFF\x80"[..]));
}

#[test]
fn a_long_name_is_whole() {
    for length in [58, 59, 60, 61, 200, 30_000] {
        let name = "a".repeat(length);
        let told = field(&[(&name, "1")], &format!("HTTP_{}", name.to_uppercase()));
        assert_eq!(told.as_deref(), Some("1"), "{length}");
    }
}

#[test]
fn what_speaks_of_the_connection_or_pretends_to_be_another_stays_behind() {
    let passed = Meta::new(&Method::GET, "/", &HeaderMap::new()).names();
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
        "proxy-authorization",
        "http2-settings",
        "proxy",
        "content-length",
        "script_name",
        "uwsgi_file",
        "x_forwarded_for",
        "x.forwarded.for",
        "x!y",
        "a|b",
    ] {
        let headers = headers(&[(name, "evil")]);
        let names = Meta::new(&Method::GET, "/", &headers).names();
        assert_eq!(names, passed, "{name}");
    }
}

#[test]
fn an_upgrade_is_told_where_it_is_wanted() {
    let headers = headers(&[("upgrade", "evil"), ("connection", "evil")]);
    let mut meta = Meta::new(&Method::GET, "/", &headers);
    let websocket = HeaderValue::from_static("websocket");
    meta.upgrade = Some(&websocket);
    let all = all(&meta);
    assert_eq!(value(&all, "HTTP_UPGRADE"), Some(&b"websocket"[..]));
    assert_eq!(value(&all, "HTTP_CONNECTION"), Some(&b"Upgrade"[..]));
}

impl Meta<'_> {
    fn names(&self) -> BTreeSet<String> {
        all(self).into_iter().map(|(name, _)| name).collect()
    }
}

/// Names that look like variables, and any other token.
fn names() -> impl Strategy<Value = String> {
    const MAGIC: &str = "(http[-_])?(UWSGI|script|path|document|server|remote|content|request|x)\
                         [-_.](FILE|name|root|length|type|info|addr|forwarded-for)";
    prop_oneof![MAGIC, "[Pp]roxy|https?", "[-!#$%&'*+.^_`|~0-9A-Za-z]{1,80}"]
}

proptest! {
    /// Whatever a client sends, it sets no variable but `HTTP_…`, and none twice.
    #[test]
    fn no_field_becomes_another_variable(
        lines in prop::collection::vec((names(), "[ -~]{0,20}"), 0..20),
    ) {
        let none = HeaderMap::new();
        let own = Meta::new(&Method::GET, "/", &none).names();
        let lines: Vec<_> = lines.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let headers = headers(&lines);
        let all = all(&Meta::new(&Method::GET, "/", &headers));

        let mut seen = BTreeSet::new();
        for (name, _) in &all {
            prop_assert!(seen.insert(name.clone()), "{name} is there twice");
            let of_client = name.strip_prefix("HTTP_");
            prop_assert!(
                own.contains(name) || name == "CONTENT_TYPE" || of_client.is_some(),
                "{name}"
            );
            if let Some(rest) = of_client {
                prop_assert!(
                    rest.bytes().all(|b| b == b'_' || b.is_ascii_uppercase() || b.is_ascii_digit()),
                    "{name}"
                );
                let field = rest.replace('_', "-").to_lowercase();
                prop_assert!(headers.contains_key(&field), "{name} is of no field");
                prop_assert!(
                    !["PROXY", "CONTENT_TYPE", "CONTENT_LENGTH"].contains(&rest),
                    "{name}"
                );
            }
        }
    }
}
