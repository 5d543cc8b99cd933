use http::Request;

use super::*;
use crate::PeerAddr;

fn from(peer: &str) -> Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts
        .extensions
        .insert(PeerAddr::Tcp(peer.parse().unwrap()));
    parts
}

fn text(text: &str) -> Option<Key> {
    Some(Key::Text(text.as_bytes().into()))
}

#[test]
fn a_client_is_its_address_or_its_network() {
    let key = LimitKey::client();
    let of = |key: &LimitKey, peer| match key.of(&from(peer)) {
        Some(Key::Addr(ip)) => ip.to_string(),
        other => format!("{other:?}"),
    };
    assert_eq!(of(&key, "192.0.2.7:1"), "192.0.2.7");
    assert_eq!(of(&key, "[::ffff:192.0.2.7]:1"), "192.0.2.7");
    assert_eq!(of(&key, "[2001:db8:1:2:3:4:5:6]:1"), "2001:db8:1:2::");
    let at = |bits| of(&key.clone().v6_prefix(bits), "[2001:db8:1:2:3:4:5:6]:1");
    assert_eq!(at(128), "2001:db8:1:2:3:4:5:6");
    assert_eq!(at(200), "2001:db8:1:2:3:4:5:6");
    assert_eq!(at(48), "2001:db8:1::");
    assert_eq!(at(0), "::");
}

#[test]
fn who_is_not_trusted_speaks_for_himself() {
    let mut parts = from("10.0.0.1:1");
    let says = http::HeaderValue::from_static("192.0.2.7");
    parts.headers.insert("x-forwarded-for", says);
    let (near, far) = ("10.0.0.1".parse().unwrap(), "192.0.2.7".parse().unwrap());
    assert_eq!(LimitKey::client().of(&parts), Some(Key::Addr(near)));
    let trusting = LimitKey::client().trust("10.0.0.0/8").unwrap();
    assert_eq!(trusting.of(&parts), Some(Key::Addr(far)));
    assert!(LimitKey::client().trust("10.0.0.0/64").is_err());
}

#[test]
fn a_request_may_be_nobodys() {
    let (mut parts, ()) = Request::new(()).into_parts();
    let tenant = HeaderName::from_static("tenant");
    let header = LimitKey::header(tenant.clone());
    for key in [&LimitKey::client(), &LimitKey::mount(), &header] {
        assert_eq!(key.of(&parts), None);
    }
    assert_eq!(LimitKey::by(|_| None).of(&parts), None);
    assert_eq!(LimitKey::by(|_| Some(String::new())).of(&parts), None);
    parts
        .headers
        .insert(tenant, http::HeaderValue::from_static("a"));
    assert_eq!(header.of(&parts), text("a"));
    let path = LimitKey::by(|parts| Some(parts.uri.path().to_owned()));
    assert_eq!(path.of(&parts), text("/"));
}

#[test]
fn a_client_that_hides_behind_a_proxy_is_that_proxy() {
    let trusting = LimitKey::client().trust("10.0.0.0/8").unwrap();
    for says in [r#"for=", for=192.0.2.7"#, "for=unknown", "for=_hidden"] {
        let mut parts = from("10.0.0.1:1");
        let says = http::HeaderValue::from_static(says);
        parts.headers.insert("forwarded", says);
        let proxy = "10.0.0.1".parse().unwrap();
        assert_eq!(trusting.of(&parts), Some(Key::Addr(proxy)));
    }
}
