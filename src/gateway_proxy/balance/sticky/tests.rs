#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, time::Duration};

use http::{
    HeaderMap, HeaderValue,
    header::{COOKIE, SET_COOKIE},
};
use proptest::prelude::*;

use super::super::{
    cookies,
    layer::{SameSite, Sticky},
    tests::{Server, servers},
};

fn cookie_lines(lines: &[&[u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(COOKIE, HeaderValue::from_bytes(line).unwrap());
    }
    headers
}

fn set_cookie(sticky: &Sticky, server: &Server, https: bool) -> String {
    let value = sticky.set_cookie(server.id, https);
    value.to_str().unwrap().to_owned()
}

/// What a browser sends back for a `Set-Cookie`.
fn returned(set_cookie: &str) -> HeaderMap {
    cookie_lines(&[set_cookie.split(';').next().unwrap().as_bytes()])
}

#[test]
fn cookies_are_read_as_user_agents_write_them() {
    let cases: &[(&[&[u8]], &[&[u8]])] = &[
        (&[b"a=1"], &[b"1"]),
        (&[b"b=0; a=1; c=2"], &[b"1"]),
        (&[b"a=1;b=2"], &[b"1"]),
        (&[b"b=2;a=1"], &[b"1"]),
        (&[b"  a = 1 ;b=2"], &[b"1"]),
        (&[b"\ta\t=\t1\t"], &[b"1"]),
        // The longest path first, and the others after it.
        (&[b"a=1; a=2"], &[b"1", b"2"]),
        // Several fields, as HTTP/2 has them.
        (&[b"a=1", b"b=2", b"a=3"], &[b"1", b"3"]),
        (&[b"a=x=y=="], &[b"x=y=="]),
        (&[b"a=\"1\""], &[b"1"]),
        (&[b"a=\"\""], &[b""]),
        (&[b"a=\""], &[b"\""]),
        (&[b"a="], &[b""]),
        (&[b"a=\xff\x80"], &[b"\xff\x80"]),
        // No cookie of this name.
        (&[], &[]),
        (&[b""], &[]),
        (&[b";;; ;"], &[]),
        (&[b"a"], &[]),
        (&[b"=a"], &[]),
        (&[b"="], &[]),
        (&[b"A=1"], &[]),
        (&[b"aa=1; ba=1; a.=1"], &[]),
        (&[b"b=a=1"], &[]),
        (&[b"\"a\"=1"], &[]),
        // Quotes do not hide a semicolon: RFC 6265 has none inside a value.
        (&[b"b=\"; a=1\""], &[b"1\""]),
        // RFC 2965 is dead: these are cookies like any other.
        (&[b"$Version=1; a=1; $Path=/"], &[b"1"]),
        // A comma is no separator.
        (&[b"b=1, a=2"], &[]),
    ];
    for (lines, expected) in cases {
        let headers = cookie_lines(lines);
        let found: Vec<_> = cookies::values(&headers, "a").collect();
        let text: Vec<_> = lines.iter().map(|line| line.escape_ascii()).collect();
        assert_eq!(found, *expected, "{text:?}");
    }
}

#[test]
fn a_session_stays_on_its_server() {
    let servers = servers(5);
    for sticky in [Sticky::new(), Sticky::new().secret("a"), Sticky::default()] {
        for (place, server) in servers.iter().enumerate() {
            let headers = returned(&set_cookie(&sticky, server, false));
            assert_eq!(sticky.server(&headers, &servers, |_| true), Some(place));
        }
    }
}

/// Browsers drop any other: each answer would set it anew, and no session would stay.
#[test]
fn a_cookie_of_the_whole_host_is_for_every_path() {
    let servers = servers(1);
    for (name, path) in [
        ("__Host-x", "/"),
        ("__host-x", "/"),
        ("__Secure-x", "/shop"),
        ("x__Host-", "/shop"),
    ] {
        let sticky = Sticky::new().name(name).path("/shop");
        let text = set_cookie(&sticky, &servers[0], true);
        assert_eq!(
            text.split("; ").nth(1),
            Some(&*format!("Path={path}")),
            "{name}"
        );
    }
}

#[test]
fn a_session_whose_server_cannot_be_asked_is_free() {
    let servers = servers(3);
    let sticky = Sticky::new();
    let headers = returned(&set_cookie(&sticky, &servers[1], false));
    assert_eq!(sticky.server(&headers, &servers, |place| place != 1), None);
    // It has left the table.
    assert_eq!(sticky.server(&headers, &servers[..1], |_| true), None);
    assert_eq!(sticky.server::<Server>(&headers, &[], |_| true), None);
}

#[test]
fn a_drained_server_and_a_backup_keep_their_sessions() {
    let mut servers = servers(2);
    servers[0].weight = 0;
    servers[1].backup = true;
    let sticky = Sticky::new();
    for place in [0, 1] {
        let headers = returned(&set_cookie(&sticky, &servers[place], false));
        assert_eq!(sticky.server(&headers, &servers, |_| true), Some(place));
    }
}

#[test]
fn a_session_does_not_move_when_the_table_is_ordered_anew() {
    let mut servers = servers(4);
    let sticky = Sticky::new();
    let headers = returned(&set_cookie(&sticky, &servers[0], false));
    servers.reverse();
    assert_eq!(sticky.server(&headers, &servers, |_| true), Some(3));
}

#[test]
fn of_several_cookies_the_first_that_can_be_followed_counts() {
    let servers = servers(3);
    let sticky = Sticky::new().name("s");
    let pair = |place: usize| {
        let text = set_cookie(&sticky, &servers[place], false);
        text.split(';').next().unwrap().to_owned()
    };
    let headers = cookie_lines(&[
        b"s=unknown; s=0123456789abcdef",
        format!("{}; {}", pair(2), pair(1)).as_bytes(),
    ]);
    assert_eq!(sticky.server(&headers, &servers, |_| true), Some(2));
    assert_eq!(sticky.server(&headers, &servers, |at| at != 2), Some(1));
}

#[test]
fn what_is_not_of_this_gateway_names_no_server() {
    let servers = servers(2);
    let sticky = Sticky::new().name("s");
    let text = set_cookie(&sticky, &servers[0], false);
    let token = &text[2..18];
    for value in [
        "",
        "0",
        "+000000000000000",
        "-000000000000000",
        "0x00000000000000",
        "zzzzzzzzzzzzzzzz",
        "00000000000000000",
        "10.0.0.1:8000",
        &token.to_uppercase().replace(char::is_numeric, "A"),
        &token[1..],
        &format!("{token}0"),
        &format!("0{token}"),
    ] {
        let headers = cookie_lines(&[format!("s={value}").as_bytes()]);
        assert_eq!(
            sticky.server(&headers, &servers, |_| true),
            None,
            "{value:?}"
        );
    }
    let headers = cookie_lines(&[format!("s={token}").as_bytes()]);
    assert_eq!(sticky.server(&headers, &servers, |_| true), Some(0));
}

#[test]
fn the_cookie_says_nothing_of_the_address_and_keeps_to_its_secret() {
    let server = &servers(1)[0];
    let token = |sticky: &Sticky| {
        let text = set_cookie(&sticky.clone().name("s"), server, false);
        text[2..18].to_owned()
    };
    let mut seen = BTreeSet::new();
    for secret in [
        "",
        "a",
        "b",
        "a much longer secret than sixteen bytes",
        "\0",
    ] {
        let sticky = Sticky::new().secret(secret);
        assert!(seen.insert(token(&sticky)), "{secret:?}");
    }
    assert!(seen.contains(&token(&Sticky::new())), "no secret is empty");
    assert!(!seen.contains(&format!("{:016x}", server.id)));
    let debug = format!("{:?}", Sticky::new().secret("hush"));
    assert!(debug.contains("secret: .."), "{debug}");
}

/// A change of this moves every session of every user of the crate.
#[test]
fn what_a_cookie_means_does_not_change() {
    let server = Server::new("http://10.0.0.1:8000");
    assert_eq!(
        set_cookie(&Sticky::new(), &server, false),
        "tower_gateway_server=e18820e3cf2d502d; Path=/; HttpOnly; SameSite=Lax"
    );
    assert_eq!(
        set_cookie(&Sticky::new().secret("secret"), &server, true),
        "tower_gateway_server=fcaf35c7bd163957; Path=/; Secure; HttpOnly; SameSite=Lax"
    );
}

#[test]
fn a_cookie_is_set_as_it_was_said() {
    let server = &servers(1)[0];
    let bare = Sticky::new().name("s").http_only(false);
    let attributes = |sticky: &Sticky, https| {
        let text = set_cookie(sticky, server, https);
        text.split_once("; ").unwrap().1.to_owned()
    };
    let cases = [
        (bare.clone(), false, "Path=/; SameSite=Lax"),
        (bare.clone(), true, "Path=/; Secure; SameSite=Lax"),
        (bare.clone().secure(false), true, "Path=/; SameSite=Lax"),
        (
            bare.clone().secure(true),
            false,
            "Path=/; Secure; SameSite=Lax",
        ),
        (
            bare.clone()
                .path("/a/b%20c")
                .max_age(Duration::from_millis(1500)),
            false,
            "Path=/a/b%20c; Max-Age=1; SameSite=Lax",
        ),
        (
            bare.clone().same_site(SameSite::Strict).http_only(true),
            false,
            "Path=/; HttpOnly; SameSite=Strict",
        ),
        // Browsers take these with `Secure` only.
        (
            bare.clone().same_site(SameSite::None).secure(false),
            false,
            "Path=/; Secure; SameSite=None",
        ),
        (
            bare.clone().name("__Host-s").secure(false),
            false,
            "Path=/; Secure; SameSite=Lax",
        ),
        (
            bare.clone().name("__secure-s"),
            false,
            "Path=/; Secure; SameSite=Lax",
        ),
        (bare.name("__Secure"), false, "Path=/; SameSite=Lax"),
    ];
    for (sticky, https, expected) in cases {
        assert_eq!(attributes(&sticky, https), expected, "{sticky:?}");
    }
}

#[test]
fn a_set_cookie_is_one_pair_and_known_attributes() {
    let server = &servers(1)[0];
    let sticky = Sticky::new().max_age(Duration::from_secs(u64::MAX));
    let mut headers = HeaderMap::new();
    headers.append(SET_COOKIE, sticky.set_cookie(server.id, true));
    // RFC 6265 §5.2, as a user agent reads it.
    let text = headers[SET_COOKIE].to_str().unwrap();
    let mut parts = text.split(';').map(str::trim);
    let (name, value) = parts.next().unwrap().split_once('=').unwrap();
    assert_eq!((name, value.len()), ("tower_gateway_server", 16));
    let attributes: Vec<_> = parts.map(|part| part.split('=').next().unwrap()).collect();
    assert_eq!(
        attributes,
        ["Path", "Max-Age", "Secure", "HttpOnly", "SameSite"]
    );
}

#[test]
fn nonsense_is_refused_where_it_is_said() {
    let refused = |say: fn() -> Sticky| std::panic::catch_unwind(say).is_err();
    assert!(refused(|| Sticky::new().name("")));
    assert!(refused(|| Sticky::new().name("a b")));
    assert!(refused(|| Sticky::new().name("a=b")));
    assert!(refused(|| Sticky::new().name("a;b")));
    assert!(refused(|| Sticky::new().name("a\r\nb")));
    assert!(refused(|| Sticky::new().name("ä")));
    assert!(refused(|| Sticky::new().path("")));
    assert!(refused(|| Sticky::new().path("a")));
    assert!(refused(|| Sticky::new().path("/a; Domain=evil.test")));
    assert!(refused(|| Sticky::new().path("/a b")));
    assert!(refused(|| Sticky::new().path("/ä")));
    assert!(refused(|| Sticky::new().path("/\r\nx: y")));
    assert!(refused(|| Sticky::new().max_age(Duration::ZERO)));
    assert!(refused(|| Sticky::new().max_age(Duration::from_millis(999))));
    assert!(!refused(|| Sticky::new().name("a.b-c_d!").path("/")));
}

proptest! {
    #[test]
    fn no_cookie_line_does_harm(lines in prop::collection::vec("[ -~\t]{0,40}", 0..4)) {
        let lines: Vec<_> = lines.iter().map(String::as_bytes).collect();
        let headers = cookie_lines(&lines);
        let servers = servers(3);
        prop_assert_eq!(Sticky::new().name("s").server(&headers, &servers, |_| true), None);
        for value in cookies::values(&headers, "s") {
            prop_assert!(!value.contains(&b';'));
        }
    }

    #[test]
    fn the_cookie_is_found_among_any_others(
        before in prop::collection::vec("[a-z=\", ]{0,12}", 0..4),
        after in prop::collection::vec("[a-z=\", ]{0,12}", 0..4),
        place in 0_usize..7,
        split: bool,
    ) {
        let servers = servers(7);
        let sticky = Sticky::new();
        let text = set_cookie(&sticky, &servers[place], false);
        let pair = text.split(';').next().unwrap().to_owned();
        let pairs: Vec<_> = before.into_iter().chain([pair]).chain(after).collect();
        let lines = if split { pairs } else { vec![pairs.join(";")] };
        let lines: Vec<_> = lines.iter().map(String::as_bytes).collect();
        let found = sticky.server(&cookie_lines(&lines), &servers, |_| true);
        prop_assert_eq!(found, Some(place));
    }
}
