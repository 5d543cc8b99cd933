//! RFC 9110 §7.2, Host and :authority, with RFC 9112 §3.2 and RFC 9113 §8.3.1.

use http::{HeaderMap, HeaderValue, Uri, Version};
use proptest::prelude::*;
use tower_gateway::semantics::host::{self, HostError};

fn host_of(version: Version, uri: &str, hosts: &[&str]) -> Result<Option<String>, HostError> {
    let uri: Uri = uri.parse().unwrap();
    let mut headers = HeaderMap::new();
    for host in hosts {
        headers.append("host", HeaderValue::from_str(host).unwrap());
    }
    let host = host::of(version, &uri, &headers)?;
    Ok(host.map(|host| host.to_str().unwrap().to_owned()))
}

/// RFC 9112 §3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1
/// request message that lacks a Host header field and to any request message that contains more
/// than one Host header field line or a Host header field with an invalid field value."
#[test]
fn one_valid_host_or_none_in_http_1_0() {
    let of = |version, hosts: &[&str]| host_of(version, "/x", hosts);
    assert_eq!(of(Version::HTTP_11, &[]), Err(HostError::Missing));
    assert_eq!(of(Version::HTTP_10, &[]), Ok(None));
    for version in [Version::HTTP_10, Version::HTTP_11] {
        assert_eq!(of(version, &["a"]), Ok(Some("a".into())));
        assert_eq!(of(version, &["a", "a"]), Err(HostError::Repeated));
        assert_eq!(of(version, &["a", "b"]), Err(HostError::Repeated));
    }
    // An empty one is for a target without an authority.
    assert_eq!(of(Version::HTTP_11, &[""]), Ok(Some(String::new())));
    for valid in [
        "a.b-c_d",
        "a:80",
        "a:",
        "127.0.0.1:8000",
        "[::1]",
        "[2001:db8::1]:443",
        "%C3%A9",
    ] {
        assert_eq!(of(Version::HTTP_11, &[valid]), Ok(Some(valid.into())));
    }
    for invalid in [
        "a b", "a/b", "a@b", "a:b", "a:80:80", "a:123456", "::1", "[::1", "[]", "[g]", "[::1]x",
        "[::1]:x", "a\"b", "a?b", "a#b", "a\\b", "<a>", "a\t",
    ] {
        assert_eq!(
            of(Version::HTTP_11, &[invalid]),
            Err(HostError::Invalid),
            "{invalid}"
        );
    }
}

/// RFC 9112 §3.2.2: "the proxy MUST ignore the received Host header field (if any) and instead
/// replace it with the host information of the request-target."
#[test]
fn an_absolute_target_wins_in_http_1() {
    let of = |hosts: &[&str]| host_of(Version::HTTP_11, "http://good.test:81/x", hosts);
    assert_eq!(of(&["evil.test"]), Ok(Some("good.test:81".into())));
    // §3.2: "to any HTTP/1.1 request message that lacks a Host header field".
    assert_eq!(of(&[]), Err(HostError::Missing));
    assert_eq!(
        host_of(Version::HTTP_10, "http://good.test:81/x", &[]),
        Ok(Some("good.test:81".into()))
    );
    assert_eq!(of(&["a", "b"]), Err(HostError::Repeated));
    let userinfo = host_of(Version::HTTP_11, "http://me@good.test/", &["good.test"]);
    assert_eq!(userinfo, Err(HostError::Invalid));
}

/// RFC 9113 §8.3.1: "A server SHOULD treat a request as malformed if it contains a Host header
/// field that identifies an entity that differs from the entity in the ":authority"
/// pseudo-header field."
#[test]
fn host_and_authority_agree_in_http_2() {
    let of = |hosts: &[&str]| host_of(Version::HTTP_2, "https://good.test/x", hosts);
    assert_eq!(of(&[]), Ok(Some("good.test".into())));
    assert_eq!(of(&["GOOD.test"]), Ok(Some("good.test".into())));
    assert_eq!(of(&["evil.test"]), Err(HostError::Disagreement));
    assert_eq!(
        host_of(Version::HTTP_2, "/x", &["good.test"]),
        Ok(Some("good.test".into()))
    );
    assert_eq!(host_of(Version::HTTP_2, "/x", &[]), Err(HostError::Missing));
}

#[test]
fn the_port_of_a_host() {
    for (host, port) in [
        ("a", None),
        ("a:80", Some("80")),
        ("a:", None),
        ("[::1]", None),
        ("[::1]:80", Some("80")),
        ("[::1]:", None),
    ] {
        assert_eq!(host::port(host), port, "{host}");
    }
}

proptest! {
    /// What passes holds nothing that ends a host in any other place of a message.
    #[test]
    fn what_passes_is_harmless(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
        let Ok(value) = HeaderValue::from_bytes(&bytes) else {
            return Ok(());
        };
        let mut headers = HeaderMap::new();
        headers.insert("host", value);
        if host::of(Version::HTTP_11, &Uri::from_static("/"), &headers).is_ok() {
            let harmful = |byte: &u8| !byte.is_ascii_graphic() || b"\"\\/?#@<>{}|^`".contains(byte);
            prop_assert!(!bytes.iter().any(harmful), "{:?}", bytes);
        }
    }
}

#[test]
fn the_form_of_a_target_goes_with_the_method() {
    use http::Method;
    let fits = |method: Method, target: &str| host::is_target_of(&method, &target.parse().unwrap());
    for (method, target, expected) in [
        (Method::GET, "/", true),
        (Method::GET, "http://a", true),
        (Method::GET, "http://a/b", true),
        // RFC 9112 §3.2.3 and §3.2.4.
        (Method::GET, "a", false),
        (Method::GET, "a:80", false),
        (Method::GET, "*", false),
        (Method::OPTIONS, "*", true),
        (Method::OPTIONS, "/", true),
        (Method::OPTIONS, "a", false),
        (Method::CONNECT, "a:80", true),
        (Method::CONNECT, "*", false),
    ] {
        assert_eq!(fits(method.clone(), target), expected, "{method} {target}");
    }
}
