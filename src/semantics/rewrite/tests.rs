#![allow(clippy::unwrap_used)]

use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn text(value: Option<Vec<u8>>) -> Option<String> {
    value.map(|value| String::from_utf8(value).unwrap())
}

#[test]
fn only_absolute_references_to_the_upstream_become_relative() {
    let cases = [
        // (reference, authority, becomes)
        ("http://up:8000/login", "up:8000", Some("/login")),
        (
            "https://up:8000/login?a=b#c",
            "up:8000",
            Some("/login?a=b#c"),
        ),
        ("HTTP://UP:8000/Login", "up:8000", Some("/Login")),
        ("http://up:8000", "up:8000", Some("/")),
        ("http://up:8000?a", "up:8000", Some("/?a")),
        ("http://up:8000#a", "up:8000", Some("/#a")),
        ("//up:8000/x", "up:8000", Some("/x")),
        // A default port need not be said, on either side.
        ("http://up/x", "up:80", Some("/x")),
        ("http://up:80/x", "up", Some("/x")),
        ("http://up:/x", "up", Some("/x")),
        ("https://up/x", "up:443", Some("/x")),
        ("https://up:443/x", "up", Some("/x")),
        ("https://up/x", "up:80", None),
        ("http://up:443/x", "up", None),
        ("//up/x", "up:80", None),
        // IPv6
        ("http://[::1]:8000/x", "[::1]:8000", Some("/x")),
        ("http://[::1]/x", "[::1]", Some("/x")),
        ("http://[::1]:8000/x", "[::1]", None),
        // Others' hosts, however they are dressed up.
        ("http://up:8001/x", "up:8000", None),
        ("http://up.evil/x", "up", None),
        ("http://evil/up", "up", None),
        ("http://up@evil/", "up", None),
        ("http://evil@up/", "up", None),
        ("http://up:8000@evil/", "up:8000", None),
        ("http://up\\.evil/", "up", None),
        ("http://up\\@evil/", "up", None),
        ("http:///x", "", None),
        // Nothing that a browser reads as another host comes out.
        ("http://up//evil", "up", Some("/.//evil")),
        ("http://up/\\evil", "up", Some("/./\\evil")),
        ("http://up/\t/evil", "up", None),
        ("http://up\t//evil", "up", None),
        // Not absolute, or of another scheme.
        ("/login", "up", None),
        ("login", "up", None),
        ("", "up", None),
        ("?a", "up", None),
        ("http:/up/x", "up", None),
        ("http:up/x", "up", None),
        ("ftp://up/x", "up", None),
        ("javascript://up/x", "up", None),
        (" http://up/x", "up", None),
    ];
    for (reference, authority, expected) in cases {
        let got = text(relative(reference.as_bytes(), authority));
        assert_eq!(got.as_deref(), expected, "{reference} of {authority}");
    }
}

#[test]
fn a_prefix_is_put_before_paths_once() {
    let cases = [
        ("/login", "/app", Some("/app/login")),
        ("/", "/app", Some("/app/")),
        ("/?a=/app", "/app", Some("/app/?a=/app")),
        ("/apple", "/app", Some("/app/apple")),
        ("/App", "/app", Some("/app/App")),
        ("/.//x", "/app", Some("/app/.//x")),
        ("/app", "/app", None),
        ("/app/", "/app", None),
        ("/app/login", "/app", None),
        ("/app?a", "/app", None),
        ("/app#a", "/app", None),
        ("//app/x", "/app", None),
        ("/\\evil", "/app", None),
        ("/\t/evil", "/app", None),
        ("login", "/app", None),
        ("", "/app", None),
        ("http://host/login", "/app", None),
        ("/login", "", None),
        ("/login", "/", None),
    ];
    for (reference, prefix, expected) in cases {
        let got = text(prefixed(reference.as_bytes(), prefix));
        assert_eq!(got.as_deref(), expected, "{reference} below {prefix}");
    }
}

#[test]
fn the_reference_of_a_refresh_is_found_as_browsers_find_it() {
    let cases = [
        ("5; url=/x", Some("5; url=[/x]")),
        ("5;url=/x", Some("5;url=[/x]")),
        ("5 ; URL = /x", Some("5 ; URL = [/x]")),
        ("0,url=/x", Some("0,url=[/x]")),
        ("0 url=/x", Some("0 url=[/x]")),
        ("0.5;url=/x", Some("0.5;url=[/x]")),
        (".5;url=/x", Some(".5;url=[/x]")),
        ("0;url='/x'", Some("0;url='[/x]'")),
        ("0;url=\"/x\"; more", Some("0;url=\"[/x]\"; more")),
        ("0;url=\"/x", Some("0;url=\"[/x]")),
        ("0;'/x'", Some("0;'[/x]'")),
        ("0;/x", Some("0;[/x]")),
        ("0;url/x", Some("0;[url/x]")),
        ("0;urlx", Some("0;[urlx]")),
        ("0;url=/x;y=1", Some("0;url=[/x;y=1]")),
        ("5", None),
        ("5;", None),
        ("5; url=", None),
        ("5; url=''", None),
        ("url=/x", None),
        ("; url=/x", None),
        ("5x; url=/x", None),
        ("", None),
    ];
    for (value, expected) in cases {
        let value = HeaderValue::from_static(value);
        let got = refresh(&value, |reference| Some([b"[", reference, b"]"].concat()));
        assert_eq!(
            got.as_ref().map(|got| got.to_str().unwrap()),
            expected,
            "{value:?}"
        );
    }
    let value = HeaderValue::from_static("5; url=/x");
    assert_eq!(refresh(&value, |_| None), None);
}

#[test]
fn cookies_are_moved_once_and_only_those_with_a_path() {
    let cases = [
        // (cookie, from, to, becomes)
        ("a=1; Path=/", "/", "/app", Some("a=1; Path=/app")),
        (
            "a=1;path=/;Secure",
            "/",
            "/app/",
            Some("a=1;path=/app;Secure"),
        ),
        (
            "a=1; PATH = /x ; Secure",
            "/",
            "/app",
            Some("a=1; PATH = /app/x ; Secure"),
        ),
        ("a=1; Path=/x/", "/", "/app", Some("a=1; Path=/app/x/")),
        (
            "a=1; Path=/apple",
            "/",
            "/app",
            Some("a=1; Path=/app/apple"),
        ),
        ("a=1; Path=/app", "/", "/app", None),
        ("a=1; Path=/app/x", "/", "/app", None),
        ("a=1; Path=/two/x", "/two", "/one", Some("a=1; Path=/one/x")),
        ("a=1; Path=/two", "/two/", "/one/", Some("a=1; Path=/one")),
        ("a=1; Path=/twofold", "/two", "/one", None),
        ("a=1; Path=/two", "/two", "/", Some("a=1; Path=/")),
        ("a=1; Path=/two/x", "/two", "/", Some("a=1; Path=/x")),
        ("a=1; Path=/one", "/one", "/one", None),
        // The last one counts.
        (
            "a=1; Path=/x; Path=/y",
            "/",
            "/app",
            Some("a=1; Path=/x; Path=/app/y"),
        ),
        // Not a path of the cookie.
        ("a=1", "/", "/app", None),
        ("a=1; Path", "/", "/app", None),
        ("a=1; Path=", "/", "/app", None),
        ("a=1; Path=x", "/", "/app", None),
        ("a=1; Path=\"/\"", "/", "/app", None),
        ("Path=/", "/", "/app", None),
        // As browsers do: quotes are letters like others.
        ("a=\"; Path=/\"", "/", "/app", Some("a=\"; Path=/app/\"")),
        ("", "/", "/app", None),
        (";", "/", "/app", None),
        // A browser would refuse it.
        ("__Host-a=1; Secure; Path=/", "/", "/app", None),
        (" __hOsT-a=1; Secure; Path=/", "/", "/app", None),
        (
            "__Secure-a=1; Path=/",
            "/",
            "/app",
            Some("__Secure-a=1; Path=/app"),
        ),
    ];
    for (cookie, from, to, expected) in cases {
        let value = HeaderValue::from_static(cookie);
        let got = cookie_path(&value, from, to);
        assert_eq!(
            got.as_ref().map(|got| got.to_str().unwrap()),
            expected,
            "{cookie}: {from} to {to}"
        );
    }
}

#[test]
fn domains_are_replaced_or_taken_out() {
    let cases = [
        (
            "a=1; Domain=up.internal; Secure",
            Some("ex.org"),
            Some("a=1; Domain=ex.org; Secure"),
        ),
        (
            "a=1; domain=.UP.internal",
            Some("ex.org"),
            Some("a=1; domain=ex.org"),
        ),
        ("a=1; Domain=up.internal; Secure", None, Some("a=1; Secure")),
        ("a=1; Domain=up.internal", None, Some("a=1")),
        (
            "a=1;Domain=up.internal;Domain=.up.internal;Secure",
            None,
            Some("a=1;Secure"),
        ),
        ("a=1; Domain=sub.up.internal", Some("ex.org"), None),
        ("a=1; Domain=internal", Some("ex.org"), None),
        ("a=1; Domain=", Some("ex.org"), None),
        ("a=1", Some("ex.org"), None),
        ("a=1", None, None),
        ("Domain=up.internal", None, None),
    ];
    for (cookie, to, expected) in cases {
        let value = HeaderValue::from_static(cookie);
        let got = cookie_domain(&value, ".up.internal", to);
        assert_eq!(
            got.as_ref().map(|got| got.to_str().unwrap()),
            expected,
            "{cookie}: to {to:?}"
        );
    }
}

#[test]
fn bytes_beyond_ascii_pass() {
    let cookie = HeaderValue::from_bytes(b"a=\xff; Path=/\xe9").unwrap();
    let got = cookie_path(&cookie, "/", "/app").unwrap();
    assert_eq!(got.as_bytes(), b"a=\xff; Path=/app/\xe9");
    assert_eq!(relative(b"http://up/\xe9", "up").unwrap(), b"/\xe9");
}

proptest! {
    #[test]
    fn what_became_relative_never_leads_to_another_host(below in "[/\\\\a.?#@:\t]{0,12}") {
        let reference = format!("http://up{below}");
        if let Some(local) = text(relative(reference.as_bytes(), "up")) {
            prop_assert!(local.starts_with('/'));
            prop_assert!(!local[1..].starts_with(['/', '\\', '\t']));
            // And it is done: nothing more to be changed.
            prop_assert_eq!(relative(local.as_bytes(), "up"), None);
        }
    }

    #[test]
    fn a_prefix_is_never_put_twice(reference in "[/a-c?#.]{0,12}") {
        if let Some(once) = prefixed(reference.as_bytes(), "/a") {
            prop_assert!(once.starts_with(b"/a/"));
            prop_assert_eq!(prefixed(&once, "/a"), None);
        }
    }

    #[test]
    fn a_cookie_is_never_moved_twice_and_nothing_else_of_it_changes(
        cookie in "[a-c]{1,3}=[a-c \"]{0,3}(; ?(Path|path|Domain|Secure|x)( ?= ?[/a-c.]{0,6})?){0,4}",
    ) {
        let value = HeaderValue::try_from(cookie.as_str()).unwrap();
        if let Some(moved) = cookie_path(&value, "/", "/zone") {
            prop_assert_eq!(cookie_path(&moved, "/", "/zone"), None);
            let moved = moved.to_str().unwrap();
            prop_assert_eq!(moved.split(';').count(), cookie.split(';').count());
            let changed = moved
                .split(';')
                .zip(cookie.split(';'))
                .filter(|(new, old)| new != old)
                .count();
            prop_assert_eq!(changed, 1);
        }
    }

    #[test]
    fn no_value_is_too_strange(value in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = relative(&value, "up");
        let _ = prefixed(&value, "/a");
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            let _ = refresh(&value, |reference| Some(reference.to_vec()));
            let _ = cookie_path(&value, "/", "/a");
            let _ = cookie_domain(&value, "a", None);
        }
    }
}
