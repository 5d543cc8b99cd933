use http::{Extensions, HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use hyper::ext::Protocol;

use super::{Extended, handshake, is_extended};

fn extensions(protocol: Option<&'static str>) -> Extensions {
    let mut extensions = Extensions::new();
    if let Some(protocol) = protocol {
        extensions.insert(Protocol::from_static(protocol));
    }
    extensions
}

fn turned() -> (Extended, HeaderMap) {
    let mut method = Method::CONNECT;
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "chat"),
        ("sec-websocket-key", "the client's own"),
        ("origin", "https://example.org"),
        ("content-length", "0"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let (extended, protocol) = Extended::turn(&mut method, &mut headers).unwrap();
    assert_eq!(protocol, "websocket");
    assert_eq!(method, Method::GET);
    (extended, headers)
}

#[test]
fn only_a_connect_for_websocket_is_turned() {
    for (method, protocol, is_turned) in [
        (Method::CONNECT, Some("websocket"), true),
        (Method::CONNECT, Some("WebSocket"), true),
        (Method::CONNECT, Some("connect-udp"), false),
        (Method::CONNECT, None, false),
        (Method::GET, Some("websocket"), false),
    ] {
        let extensions = extensions(protocol);
        assert_eq!(
            is_extended(&method, &extensions),
            is_turned,
            "{method} {protocol:?}"
        );
    }
}

#[test]
fn the_upstream_is_sent_a_handshake_of_http1() {
    let (extended, headers) = turned();
    assert_eq!(headers[header::CONNECTION], "upgrade");
    assert_eq!(headers[header::UPGRADE], "websocket");
    assert_eq!(headers[header::SEC_WEBSOCKET_VERSION], "13");
    assert_eq!(headers[header::SEC_WEBSOCKET_PROTOCOL], "chat");
    assert_eq!(headers[header::ORIGIN], "https://example.org");
    assert!(!headers.contains_key(header::CONTENT_LENGTH));
    let key = headers[header::SEC_WEBSOCKET_KEY].to_str().unwrap();
    assert_eq!(extended.accept, handshake::accept(key));
}

#[test]
fn a_switch_becomes_a_success() {
    let (extended, _) = turned();
    let response = Response::builder()
        .status(101)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-accept", &extended.accept)
        .header("sec-websocket-protocol", "chat");
    let (mut parts, ()) = response.body(()).unwrap().into_parts();
    extended.accept(&mut parts).unwrap();
    assert_eq!(parts.status, StatusCode::OK);
    let names: Vec<_> = parts.headers.keys().collect();
    assert_eq!(names, [header::SEC_WEBSOCKET_PROTOCOL]);
}

#[test]
fn a_wrong_accept_is_no_handshake() {
    for accepts in [&[][..], &["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="], &["", ""]] {
        let (extended, _) = turned();
        let mut response = Response::builder().status(101);
        for accept in accepts {
            response = response.header("sec-websocket-accept", *accept);
        }
        let (mut parts, ()) = response.body(()).unwrap().into_parts();
        assert!(extended.accept(&mut parts).is_err(), "{accepts:?}");
    }
}

#[test]
fn a_refusal_passes_and_a_success_without_a_switch_does_not() {
    let (extended, _) = turned();
    for (status, passes) in [
        (200, false),
        (204, false),
        (302, true),
        (403, true),
        (503, true),
    ] {
        let response = Response::builder().status(status);
        let (parts, ()) = response.body(()).unwrap().into_parts();
        assert_eq!(extended.declined(&parts).is_ok(), passes, "{status}");
    }
}
