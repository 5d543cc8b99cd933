//! Who asks, by what scheme and for which host, as options of the builder and the connection say.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Request, Uri, uri::Scheme};
use http_body_util::Empty;

use super::support::*;
use crate::{
    PeerAddr,
    semantics::client::ForwardedHeaders,
    wsgi::{Builder, WsgiContainer},
};

/// What a client, or a proxy, says of itself.
const SAID: [(&str, &str); 4] = [
    ("x-forwarded-for", "203.0.113.9"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "shop.example:8443"),
    (
        "forwarded",
        "for=203.0.113.9;proto=https;host=\"shop.example:8443\"",
    ),
];

fn tcp() -> PeerAddr {
    PeerAddr::Tcp("192.0.2.7:50000".parse().unwrap())
}

fn unix() -> PeerAddr {
    PeerAddr::Unix(Default::default())
}

fn from(peer: PeerAddr) -> Request<Empty<Bytes>> {
    let mut request = get("/");
    for (name, value) in SAID {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request.extensions_mut().insert(peer);
    request
}

/// What an application is told of a request.
async fn told(
    says: impl FnOnce(Builder) -> Builder,
    request: Request<Empty<Bytes>>,
) -> BTreeMap<String, String> {
    let builder = says(WsgiContainer::new("app:application"));
    let bench = Bench::with(|config| *config = builder.requests);
    let mut worker = bench.worker(1);
    let asking = bench.spawn(request);
    let environ = worker.request().await.environ;
    worker.answer(PLAIN, b"").await;
    assert_eq!(soon(asking).await.unwrap().status(), 200);
    environ
}

#[track_caller]
fn is(environ: &BTreeMap<String, String>, expected: &[(&str, Option<&str>)]) {
    for (name, value) in expected {
        assert_eq!(environ.get(*name).map(String::as_str), *value, "{name}");
    }
}

/// What the connection says, and none of what was said over it.
fn is_itself(environ: &BTreeMap<String, String>, addr: &str, port: Option<&str>) {
    let expected = [
        ("REMOTE_ADDR", Some(addr)),
        ("REMOTE_PORT", port),
        ("wsgi.url_scheme", Some("http")),
        ("REQUEST_SCHEME", Some("http")),
        ("HTTPS", None),
        ("HTTP_HOST", Some("example.org")),
        ("SERVER_NAME", Some("example.org")),
        ("SERVER_PORT", Some("80")),
    ];
    is(environ, &expected);
    let mut names = environ.keys();
    assert!(!names.any(|name| name.contains("FORWARDED")), "{environ:?}");
}

/// What a proxy says that is believed.
fn is_as_said(environ: &BTreeMap<String, String>) {
    let expected = [
        ("REMOTE_ADDR", Some("203.0.113.9")),
        ("REMOTE_PORT", None),
        ("wsgi.url_scheme", Some("https")),
        ("REQUEST_SCHEME", Some("https")),
        ("HTTPS", Some("on")),
        ("HTTP_HOST", Some("shop.example:8443")),
        ("SERVER_NAME", Some("shop.example")),
        ("SERVER_PORT", Some("8443")),
    ];
    is(environ, &expected);
}

#[tokio::test]
async fn nobody_is_believed_by_default() {
    let environ = told(|builder| builder, from(tcp())).await;
    is_itself(&environ, "192.0.2.7", Some("50000"));
    let environ = told(|builder| builder, from(unix())).await;
    is_itself(&environ, "", None);
}

#[tokio::test]
async fn a_network_is_believed_when_it_is_said_and_no_other() {
    let trusting = |network| move |builder: Builder| builder.trust(network).unwrap();
    is_as_said(&told(trusting("192.0.2.0/24"), from(tcp())).await);
    let elsewhere = told(trusting("10.0.0.0/8"), from(tcp())).await;
    is_itself(&elsewhere, "192.0.2.7", Some("50000"));
    // It is said of networks, and a Unix socket is in none.
    is_itself(&told(trusting("0.0.0.0/0"), from(unix())).await, "", None);
    assert!(WsgiContainer::new("app").trust("192.0.2").is_err());
}

#[tokio::test]
async fn peers_on_a_unix_socket_are_believed_when_it_is_said() {
    let trusting = |trust| move |builder: Builder| builder.trust_unix_peers(trust);
    is_as_said(&told(trusting(true), from(unix())).await);
    is_itself(&told(trusting(false), from(unix())).await, "", None);
    let tcp = told(trusting(true), from(tcp())).await;
    is_itself(&tcp, "192.0.2.7", Some("50000"));
}

#[tokio::test]
async fn fields_of_proxies_are_written_anew_when_it_is_said() {
    const X: &str = "HTTP_X_FORWARDED_FOR";
    const STANDARD: &str = "HTTP_FORWARDED";
    // Of a stranger: what is known, and not what is said.
    let (x, standard) = (
        Some("192.0.2.7"),
        Some("for=192.0.2.7;host=example.org;proto=http"),
    );
    for (families, x, standard) in [
        (ForwardedHeaders::Neither, None, None),
        (ForwardedHeaders::XForwarded, x, None),
        (ForwardedHeaders::Forwarded, None, standard),
        (ForwardedHeaders::Both, x, standard),
    ] {
        let environ = told(|builder| builder.forwarded(families), from(tcp())).await;
        is(&environ, &[(X, x), (STANDARD, standard)]);
        let host = x.map(|_| "example.org");
        is(&environ, &[("HTTP_X_FORWARDED_HOST", host)]);
        is(&environ, &[("REMOTE_ADDR", Some("192.0.2.7"))]);
    }
    // Of a trusted peer: as it is, by default, or with the peer behind it.
    let trusting = |builder: Builder| builder.trust("192.0.2.7").unwrap();
    let environ = told(trusting, from(tcp())).await;
    is(
        &environ,
        &[(X, Some(SAID[0].1)), (STANDARD, Some(SAID[3].1))],
    );
    let both = ForwardedHeaders::Both;
    let environ = told(|builder| trusting(builder).forwarded(both), from(tcp())).await;
    is(&environ, &[(X, Some("203.0.113.9, 192.0.2.7"))]);
    is(&environ, &[("HTTP_X_FORWARDED_PROTO", Some("https"))]);
    is_as_said(&environ);
}

#[tokio::test]
async fn the_scheme_is_what_was_said_of_the_server_or_of_the_request() {
    let http = [
        ("wsgi.url_scheme", Some("http")),
        ("REQUEST_SCHEME", Some("http")),
        ("HTTPS", None),
        ("SERVER_PORT", Some("80")),
    ];
    let https = [
        ("wsgi.url_scheme", Some("https")),
        ("REQUEST_SCHEME", Some("https")),
        ("HTTPS", Some("on")),
        ("SERVER_PORT", Some("443")),
    ];
    is(&told(|builder| builder, get("/")).await, &http);
    // What the client claims does not count.
    let mut claim = get("/");
    *claim.uri_mut() = Uri::from_static("https://example.org/");
    is(&told(|builder| builder, claim).await, &http);

    let secure = |builder: Builder| builder.scheme(Scheme::HTTPS);
    is(&told(secure, get("/")).await, &https);
    let mut request = get("/");
    request.extensions_mut().insert(Scheme::HTTP);
    is(&told(secure, request).await, &http);
    let mut request = get("/");
    request.extensions_mut().insert(Scheme::HTTPS);
    is(&told(|builder| builder, request).await, &https);

    // A trusted peer knows better what the client did.
    let trusting = |builder: Builder| secure(builder).trust("192.0.2.7").unwrap();
    let mut plain = from(tcp());
    let headers = plain.headers_mut();
    headers.remove("forwarded");
    headers.insert("x-forwarded-proto", "http".parse().unwrap());
    let environ = told(trusting, plain).await;
    is(
        &environ,
        &[("wsgi.url_scheme", Some("http")), ("HTTPS", None)],
    );
    // Any other is none.
    let other = "ftp".parse::<Scheme>().unwrap();
    is(
        &told(|builder| builder.scheme(other), get("/")).await,
        &http,
    );
}

#[tokio::test]
async fn the_server_is_what_was_said_whatever_the_host_is() {
    let named = |builder: Builder| builder.server_name("named.test").server_port(8080);
    let environ = told(named, get("/")).await;
    let expected = [
        ("HTTP_HOST", Some("example.org")),
        ("SERVER_NAME", Some("named.test")),
        ("SERVER_PORT", Some("8080")),
    ];
    is(&environ, &expected);
}
