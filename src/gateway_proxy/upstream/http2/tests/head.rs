//! Heads, there and back.

use ::http::Version;

use super::*;

fn prepared(target: &str, fields: &[(&str, &str)]) -> Result<Request<()>, Error> {
    let mut request = Request::builder().uri(target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let mut request = request.body(()).unwrap();
    prepare(&mut request, &Scheme::HTTPS)?;
    Ok(request)
}

#[test]
fn the_target_is_absolute_and_host_is_in_it() {
    for (target, host, uri) in [
        ("/a?b", "example.org", "https://example.org/a?b"),
        ("/", "example.org:8443", "https://example.org:8443/"),
        ("/", "[::1]:80", "https://[::1]:80/"),
        ("//a", "h", "https://h//a"),
        ("http://other/x", "example.org", "https://example.org/x"),
    ] {
        let request = prepared(target, &[("host", host)]).unwrap();
        assert_eq!(request.uri(), uri);
        assert_eq!(request.version(), Version::HTTP_2);
        assert!(request.headers().is_empty());
    }
    let request = prepared("*", &[("host", "example.org")]).unwrap();
    assert_eq!(request.uri().path(), "*");
}

#[test]
fn a_request_without_one_host_is_refused() {
    for host in ["", "a b", "user@example.org", "example.org/path", "a:b:c"] {
        let error = prepared("/", &[("host", host)]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadRequest, "{host}");
    }
    assert!(prepared("/", &[]).is_err());
}

#[test]
fn what_is_of_the_connection_stays_there() {
    let request = prepared(
        "/",
        &[
            ("host", "h"),
            ("connection", "keep-alive, te, upgrade, x-hop"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("http2-settings", "AAAA"),
            ("x-hop", "1"),
            ("te", "gzip, trailers"),
            ("content-length", "5"),
            ("trailer", "x-sum"),
            ("cookie", "a=b; c=d"),
        ],
    );
    let mut left: Vec<_> = request
        .unwrap()
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    left.sort();
    let expected = [
        "content-length: 5",
        "cookie: a=b; c=d",
        "te: trailers",
        "trailer: x-sum",
    ];
    assert_eq!(left, expected);

    let request = prepared("/", &[("host", "h"), ("te", "gzip")]).unwrap();
    assert!(request.headers().is_empty());
}
