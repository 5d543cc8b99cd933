#![allow(clippy::unwrap_used)]

use super::*;

fn changed(rewrites: &Rewrites, host: Option<&str>, prefix: &str, line: (&str, &str)) -> String {
    let name: HeaderName = line.0.parse().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(&name, line.1.parse().unwrap());
    let host = host.map(|host| HeaderValue::from_str(host).unwrap());
    rewrites.apply(&mut headers, host.as_ref(), prefix);
    assert_eq!(headers.len(), 1);
    headers[name].to_str().unwrap().to_owned()
}

#[test]
fn by_default_only_the_upstream_s_own_address_is_hidden() {
    let rewrites = Rewrites::new();
    let own = Some("127.0.0.1:8000");
    let cases = [
        (own, ("location", "http://127.0.0.1:8000/x"), "/x"),
        (own, ("location", "https://127.0.0.1:8000/x"), "/x"),
        (own, ("content-location", "http://127.0.0.1:8000/x"), "/x"),
        (
            own,
            ("refresh", "3; url=http://127.0.0.1:8000/x"),
            "3; url=/x",
        ),
        (own, ("location", "/x"), "/x"),
        (
            own,
            ("location", "http://example.org/x"),
            "http://example.org/x",
        ),
        (
            own,
            ("link", "<http://127.0.0.1:8000/x>"),
            "<http://127.0.0.1:8000/x>",
        ),
        (own, ("set-cookie", "a=1; Path=/"), "a=1; Path=/"),
        (
            None,
            ("location", "http://127.0.0.1:8000/x"),
            "http://127.0.0.1:8000/x",
        ),
    ];
    for (host, line, expected) in cases {
        assert_eq!(
            changed(&rewrites, host, "/site", line),
            expected,
            "{line:?}"
        );
    }
    let off = Rewrites::new().redirects(false);
    let line = ("location", "http://127.0.0.1:8000/x");
    assert_eq!(changed(&off, own, "", line), line.1);
}

#[test]
fn a_name_that_was_not_sent_can_be_told() {
    let rewrites = Rewrites::new()
        .upstream_name("app.internal:8000")
        .upstream_name("localhost");
    for location in ["http://app.internal:8000/x", "http://LOCALHOST/x"] {
        assert_eq!(changed(&rewrites, None, "", ("location", location)), "/x");
    }
    let other = ("location", "http://example.org/x");
    assert_eq!(changed(&rewrites, None, "", other), other.1);
}

#[test]
fn a_prefix_is_put_before_what_is_not_below_it_when_asked() {
    let rewrites = Rewrites::new().prefix_redirects(true).prefix_cookies(true);
    let own = Some("up");
    let cases = [
        (("location", "/x"), "/site/x"),
        (("location", "/site/x"), "/site/x"),
        (("location", "http://up/x"), "/site/x"),
        (("location", "http://up/site/x"), "/site/x"),
        (("location", "http://up//evil"), "/site/.//evil"),
        (("location", "//evil/x"), "//evil/x"),
        (("location", "x"), "x"),
        (("refresh", "0;url='/x'"), "0;url='/site/x'"),
        (("set-cookie", "a=1; Path=/"), "a=1; Path=/site"),
        (("set-cookie", "a=1; Path=/site"), "a=1; Path=/site"),
    ];
    for (line, expected) in cases {
        assert_eq!(changed(&rewrites, own, "/site", line), expected, "{line:?}");
        // Where nothing was stripped, there is nothing to put.
        let unmounted = changed(&rewrites, None, "", line);
        assert_eq!(unmounted, line.1);
    }
    // Only the one, and only the other.
    let cookies = Rewrites::new().prefix_cookies(true);
    assert_eq!(changed(&cookies, None, "/site", ("location", "/x")), "/x");
    let redirects = Rewrites::new().prefix_redirects(true);
    let cookie = ("set-cookie", "a=1; Path=/");
    assert_eq!(changed(&redirects, None, "/site", cookie), cookie.1);
}

#[test]
fn each_cookie_keeps_its_line() {
    let rewrites = Rewrites::new()
        .cookie_path("/two", "/one")
        .cookie_path("/", "/zero")
        .cookie_domain("up.internal", "example.org")
        .remove_cookie_domain("localhost");
    let mut headers = HeaderMap::new();
    for cookie in [
        "a=1; Path=/two/x; Domain=up.internal",
        "b=2; Path=/; Domain=localhost",
        "c=3; Domain=other.org; Expires=Thu, 01 Jan 2032 00:00:00 GMT",
        "__Host-d=4; Secure; Path=/",
    ] {
        headers.append(header::SET_COOKIE, HeaderValue::from_static(cookie));
    }
    rewrites.apply(&mut headers, None, "");
    let got: Vec<_> = headers.get_all(header::SET_COOKIE).iter().collect();
    assert_eq!(
        got,
        [
            "a=1; Path=/one/x; Domain=example.org",
            "b=2; Path=/zero",
            "c=3; Domain=other.org; Expires=Thu, 01 Jan 2032 00:00:00 GMT",
            "__Host-d=4; Secure; Path=/",
        ]
    );
}

#[test]
#[should_panic(expected = "is no name of a server")]
fn a_url_is_no_name() {
    let _ = Rewrites::new().upstream_name("http://app.internal");
}

#[test]
#[should_panic(expected = "a prefix begins with a slash")]
fn a_cookie_path_is_a_path() {
    let _ = Rewrites::new().cookie_path("/", "app");
}

#[test]
#[should_panic(expected = "is no domain")]
fn a_cookie_domain_is_a_domain() {
    let _ = Rewrites::new().cookie_domain("a", "b; Secure");
}
