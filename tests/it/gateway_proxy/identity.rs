//! Who the upstream is told that asked.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderValue, Request, Uri, uri::Scheme};
use proptest::prelude::*;
use tower_gateway::{
    Body, GatewayProxy, PeerAddr,
    gateway_proxy::ForwardedHeaders,
    semantics::forwarded::{Identity, Node},
};

use super::{call, get, lines, text, to};
use crate::support::{raw::exchange, server, upstream::Upstream};

/// What the upstream sees of a request from this peer.
async fn seen(
    proxy: impl FnOnce(GatewayProxy) -> GatewayProxy,
    peer: Option<PeerAddr>,
    headers: &[(&'static str, &str)],
) -> String {
    let upstream = Upstream::echo().await;
    let mut request = get("/");
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).unwrap();
        request.headers_mut().append(*name, value);
    }
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    text(call(&proxy(to(&upstream)), request).await).await
}

fn tcp(address: &str) -> Option<PeerAddr> {
    Some(PeerAddr::Tcp(SocketAddr::new(
        address.parse().unwrap(),
        50_000,
    )))
}

/// What a client makes up to be somebody else.
const FORGED: [(&str, &str); 11] = [
    ("x-forwarded-for", "6.6.6.6"),
    ("x-forwarded-for", "6.6.6.7"),
    ("x-forwarded-proto", "evil"),
    ("x-forwarded-host", "evil.test"),
    ("x-forwarded-port", "666"),
    ("x-forwarded-prefix", "/evil"),
    ("x-forwarded-ssl", "evil"),
    ("x-forwarded-protocol", "evil"),
    ("x-forwarded-server", "evil"),
    ("x-real-ip", "6.6.6.6"),
    ("forwarded", "for=6.6.6.6;host=evil.test;proto=evil"),
];

#[tokio::test]
async fn what_an_untrusted_client_says_is_replaced() {
    let seen = seen(|proxy| proxy, tcp("192.0.2.7"), &FORGED).await;
    assert!(!seen.contains("6.6.6") && !seen.contains("evil"), "{seen}");
    assert_eq!(lines(&seen, "x-forwarded-for"), ["192.0.2.7"]);
    assert_eq!(lines(&seen, "x-forwarded-proto"), ["http"]);
    assert_eq!(lines(&seen, "x-forwarded-host"), ["example.org"]);
    assert_eq!(lines(&seen, "x-forwarded-port"), ["80"]);
    assert_eq!(lines(&seen, "x-forwarded-prefix"), [""; 0]);
    assert_eq!(
        lines(&seen, "forwarded"),
        ["for=192.0.2.7;host=example.org;proto=http"]
    );
}

#[tokio::test]
async fn an_unknown_peer_is_nobody() {
    for peer in [None, Some(PeerAddr::Unix(Default::default()))] {
        let everyone =
            |proxy: GatewayProxy| proxy.trust("0.0.0.0/0").unwrap().trust("::/0").unwrap();
        let seen = seen(everyone, peer, &FORGED).await;
        assert!(!seen.contains("6.6.6") && !seen.contains("evil"), "{seen}");
        assert_eq!(lines(&seen, "x-forwarded-for"), [""; 0]);
        assert_eq!(
            lines(&seen, "forwarded"),
            ["for=unknown;host=example.org;proto=http"]
        );
    }
}

#[tokio::test]
async fn ipv6_is_written_as_each_family_wants_it() {
    let seen = seen(|proxy| proxy, tcp("2001:db8::7"), &[]).await;
    assert_eq!(lines(&seen, "x-forwarded-for"), ["2001:db8::7"]);
    assert_eq!(
        lines(&seen, "forwarded"),
        [r#"for="[2001:db8::7]";host=example.org;proto=http"#]
    );
}

#[tokio::test]
async fn the_chain_of_a_trusted_peer_is_continued() {
    let trusting = |proxy: GatewayProxy| {
        let proxy = proxy.trust("10.0.0.0/8").unwrap();
        proxy.trust("2001:db8::/32").unwrap()
    };
    let headers = [
        // What the client says of itself: nobody who is trusted has seen these.
        ("x-forwarded-for", "6.6.6.6, unknown"),
        ("x-forwarded-for", "198.51.100.1"),
        ("x-forwarded-for", "[2001:db8::1]:4711,"),
        ("x-forwarded-proto", "HTTPS"),
        ("x-forwarded-host", "public.test:8443"),
        ("x-forwarded-prefix", "/outer/"),
        ("x-forwarded-ssl", "on"),
        // Passed through from the client by a proxy that does not know it.
        ("forwarded", "for=6.6.6.6;host=evil.test"),
    ];
    let seen = seen(trusting, tcp("10.1.2.3"), &headers).await;
    assert!(
        !seen.contains("6.6.6.6") && !seen.contains("evil"),
        "{seen}"
    );
    assert_eq!(
        lines(&seen, "x-forwarded-for"),
        ["198.51.100.1, 2001:db8::1, 10.1.2.3"]
    );
    assert_eq!(lines(&seen, "x-forwarded-proto"), ["https"]);
    assert_eq!(lines(&seen, "x-forwarded-host"), ["public.test:8443"]);
    assert_eq!(lines(&seen, "x-forwarded-port"), ["8443"]);
    assert_eq!(lines(&seen, "x-forwarded-prefix"), ["/outer"]);
    assert_eq!(lines(&seen, "x-forwarded-ssl"), ["on"]);
    assert_eq!(
        lines(&seen, "forwarded"),
        [
            r#"for=198.51.100.1;host="public.test:8443";proto=https, for="[2001:db8::1]", for=10.1.2.3"#
        ]
    );
}

#[tokio::test]
async fn forwarded_of_a_trusted_peer_is_read_where_it_is_alone() {
    let trusting = |proxy: GatewayProxy| {
        let proxy = proxy.trust("10.0.0.1").unwrap();
        proxy.trust("192.0.2.0/24").unwrap()
    };
    let headers = [
        (
            "forwarded",
            r#"For="[2001:db8::1]:99"; HOST="a.test:1" ;proto=https, for=_hidden;x="a,b;c\"d""#,
        ),
        ("forwarded", "for=192.0.2.9"),
    ];
    let seen = seen(trusting, tcp("10.0.0.1"), &headers).await;
    assert_eq!(
        lines(&seen, "x-forwarded-for"),
        ["_hidden, 192.0.2.9, 10.0.0.1"]
    );
    // The element of `_hidden` says neither; that of somebody beyond is not believed.
    assert_eq!(lines(&seen, "x-forwarded-host"), ["example.org"]);
    assert_eq!(lines(&seen, "x-forwarded-proto"), ["http"]);
}

#[tokio::test]
async fn what_a_client_says_before_its_trusted_proxy_is_not_believed() {
    let trusting = |proxy: GatewayProxy| proxy.trust("10.0.0.1").unwrap();
    for (name, value) in [
        (
            "forwarded",
            "for=6.6.6.6;host=evil.test;proto=https, for=198.51.100.9;host=a.test;proto=http",
        ),
        (
            "forwarded",
            "for=6.6.6.6;host=evil.test;proto=https;x=\", for=198.51.100.9",
        ),
        ("x-forwarded-host", "evil.test, a.test"),
        ("x-forwarded-proto", "https, http"),
        ("x-forwarded-prefix", "/evil, /a"),
    ] {
        let seen = seen(trusting, tcp("10.0.0.1"), &[(name, value)]).await;
        let is_forged = |text: &str| {
            ["6.6.6.6", "evil", "https"]
                .iter()
                .any(|it| text.contains(it))
        };
        assert!(!is_forged(&seen), "{name}: {value}\n{seen}");
    }
}

#[tokio::test]
async fn what_a_trusted_peer_says_is_still_checked() {
    let trusting = |proxy: GatewayProxy| proxy.trust("10.0.0.1").unwrap();
    let headers = [
        ("x-forwarded-for", "1.2.3.4, \"; host=evil.test"),
        ("x-forwarded-proto", "ht tp\""),
        ("x-forwarded-host", "a\";for=6.6.6.6"),
        ("x-forwarded-prefix", "//evil.test"),
        ("x-forwarded-port", "no"),
    ];
    let seen = seen(trusting, tcp("10.0.0.1"), &headers).await;
    assert!(
        !seen.contains("evil") && !seen.contains("6.6.6.6"),
        "{seen}"
    );
    assert_eq!(lines(&seen, "x-forwarded-for"), ["unknown, 10.0.0.1"]);
    assert_eq!(lines(&seen, "x-forwarded-host"), ["example.org"]);
    assert_eq!(lines(&seen, "x-forwarded-port"), ["80"]);
}

#[tokio::test]
async fn an_ipv4_peer_on_a_dual_stack_socket_is_its_ipv4_self() {
    let trusting = |proxy: GatewayProxy| proxy.trust("10.0.0.0/8").unwrap();
    let headers = [("x-forwarded-for", "192.0.2.1")];
    let seen = seen(trusting, tcp("::ffff:10.0.0.1"), &headers).await;
    assert_eq!(lines(&seen, "x-forwarded-for"), ["192.0.2.1, 10.0.0.1"]);
}

#[tokio::test]
async fn unix_peers_are_trusted_when_told() {
    let peer = || Some(PeerAddr::Unix(Default::default()));
    let headers = [("x-forwarded-for", "192.0.2.1")];
    let trusting = |proxy: GatewayProxy| proxy.trust_unix_peers(true);
    let trusted = seen(trusting, peer(), &headers).await;
    assert_eq!(lines(&trusted, "x-forwarded-for"), ["192.0.2.1"]);
    let untrusted = seen(|proxy| proxy, peer(), &headers).await;
    assert_eq!(lines(&untrusted, "x-forwarded-for"), [""; 0]);
}

#[tokio::test]
async fn each_family_can_be_left_out() {
    for (families, x_forwarded, forwarded) in [
        (ForwardedHeaders::Both, true, true),
        (ForwardedHeaders::XForwarded, true, false),
        (ForwardedHeaders::Forwarded, false, true),
        (ForwardedHeaders::Neither, false, false),
    ] {
        let seen = seen(|proxy| proxy.forwarded(families), tcp("192.0.2.7"), &FORGED).await;
        assert!(!seen.contains("evil"), "{seen}");
        assert_eq!(seen.contains("x-forwarded-"), x_forwarded, "{families:?}");
        assert_eq!(seen.contains("\r\nforwarded: "), forwarded, "{families:?}");
    }
}

#[tokio::test]
async fn the_scheme_is_what_is_known_and_not_what_is_claimed() {
    let upstream = Upstream::echo().await;
    let claim = || {
        let mut request = get("/");
        *request.uri_mut() = Uri::from_static("https://example.org/");
        request
    };
    let seen = text(call(&to(&upstream), claim()).await).await;
    assert_eq!(lines(&seen, "x-forwarded-proto"), ["http"]);

    let behind_tls = to(&upstream).forwarded_scheme(Scheme::HTTPS);
    let seen = text(call(&behind_tls, get("/")).await).await;
    assert_eq!(lines(&seen, "x-forwarded-proto"), ["https"]);
    assert_eq!(lines(&seen, "x-forwarded-port"), ["443"]);

    let mut request = get("/");
    request.extensions_mut().insert(Scheme::HTTPS);
    let seen = text(call(&to(&upstream), request).await).await;
    assert_eq!(lines(&seen, "x-forwarded-proto"), ["https"]);
}

#[tokio::test]
async fn the_peer_of_a_server_is_known() {
    let upstream = Upstream::echo().await;
    let server = server::spawn(to(&upstream)).await;
    let seen = exchange(
        server.addr,
        "GET / HTTP/1.1\r\nHost: [::1]:8000\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n",
    )
    .await
    .text();
    assert_eq!(lines(&seen, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(lines(&seen, "x-forwarded-port"), ["8000"]);
    assert_eq!(
        lines(&seen, "forwarded"),
        [r#"for=127.0.0.1;host="[::1]:8000";proto=http"#]
    );
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn the_mount_is_told_as_the_prefix() {
    use tower::ServiceExt;

    let upstream = Upstream::echo().await;
    let router = axum::Router::new().nest(
        "/outer",
        axum::Router::new().fallback_service(to(&upstream)),
    );
    let request = Request::get("/outer/x")
        .header("host", "a")
        .body(axum::body::Body::empty())
        .unwrap();
    let response = router.oneshot(request).await.unwrap();
    let seen = text(response.map(Body::new)).await;
    assert!(seen.starts_with("GET /x HTTP/1.1\r\n"), "{seen}");
    assert_eq!(lines(&seen, "x-forwarded-prefix"), ["/outer"]);
}

fn node() -> impl Strategy<Value = Node> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|ip| Node::Ip(ip.into())),
        any::<[u8; 16]>().prop_map(|ip| Node::Ip(std::net::IpAddr::from(ip).to_canonical())),
        "_[a-zA-Z0-9._-]{1,9}".prop_map(Node::Obfuscated),
        Just(Node::Unknown),
    ]
}

proptest! {
    /// What is written is what is read, from either family.
    #[test]
    fn identities_survive_both_families(
        chain in prop::collection::vec(node(), 1..5),
        host in "([a-z0-9.!$&'()*+,;=-]{1,20}|\\[[0-9a-f:]{1,20}\\])(:[0-9]{1,5})?",
        proto in "[a-z][a-z0-9+.-]{0,6}",
        prefix in "(/[a-z%0-9]{1,5}){0,3}",
    ) {
        let mut identity = Identity::default();
        identity.chain = chain;
        identity.host = Some(HeaderValue::from_str(&host).unwrap());
        identity.proto = Some(HeaderValue::from_str(&proto).unwrap());

        let mut headers = HeaderMap::new();
        identity.write_forwarded(&mut headers);
        prop_assert_eq!(&Identity::read(&headers, |_| true), &identity);

        // A list in `X-Forwarded-Host` is the last of it, so a comma is not for that family.
        identity.host = Some(HeaderValue::from_str(&host.replace(',', "")).unwrap());
        prop_assume!(!identity.host.as_ref().unwrap().is_empty());
        identity.prefix = prefix;
        let mut headers = HeaderMap::new();
        identity.write_x_forwarded(&mut headers);
        prop_assert_eq!(&Identity::read(&headers, |_| true), &identity);

        identity.write_forwarded(&mut headers);
        let mut both = HeaderMap::new();
        identity.write_both(&mut both);
        prop_assert_eq!(both, headers);
    }

    /// Whatever a trusted peer sends, what goes on has the shape that RFC 7239 §4 gives it.
    #[test]
    fn whatever_is_read_is_written_well(
        x_forwarded_for in prop::collection::vec(any::<u8>(), 0..40),
        forwarded in prop::collection::vec(prop::sample::select(&b"for=;,\"\\ host_[]:1a\xff"[..]), 0..40),
        host in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-forwarded-for", &x_forwarded_for),
            ("forwarded", &forwarded),
            ("x-forwarded-host", &host),
        ] {
            if let Ok(value) = HeaderValue::from_bytes(value) && !value.is_empty() {
                headers.insert(name, value);
            }
        }
        let identity = Identity::read(&headers, |_| true);
        identity.write_forwarded(&mut headers);
        let written = headers["forwarded"].to_str().unwrap().to_owned();
        prop_assert!(is_forwarded(&written), "{}", written);
        // Reading it again changes nothing.
        headers.remove("x-forwarded-for");
        let again = Identity::read(&headers, |_| true);
        prop_assert_eq!(
            again.chain.first().unwrap_or(&Node::Unknown),
            identity.chain.first().unwrap_or(&Node::Unknown)
        );
    }
}

/// Whether the whole of `text` is pairs `name=token` or `name="quoted"` with separators.
fn is_forwarded(text: &str) -> bool {
    let mut rest = text;
    loop {
        let Some((name, value)) = rest.split_once('=') else {
            return false;
        };
        if !["for", "host", "proto"].contains(&name) {
            return false;
        }
        let end = match value.strip_prefix('"') {
            None => value.find([';', ',']).unwrap_or(value.len()),
            Some(quoted) => {
                let mut escaped = false;
                let end = quoted.find(|character| {
                    let ends = character == '"' && !escaped;
                    escaped = character == '\\' && !escaped;
                    ends
                });
                match end {
                    Some(end) => end + 2,
                    None => return false,
                }
            }
        };
        let is_token = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
        };
        if !value.starts_with('"') && !is_token(&value[..end]) {
            return false;
        }
        rest = match &value[end..] {
            "" => return true,
            more => match more.strip_prefix(';').or(more.strip_prefix(", ")) {
                Some(more) => more,
                None => return false,
            },
        };
    }
}
