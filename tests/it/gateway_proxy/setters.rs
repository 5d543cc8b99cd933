//! What can be said of a proxy that no other file asks for.

use std::{convert::Infallible, net::SocketAddr};

use http::{Method, Request, Response};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_gateway::{
    Body, ClientAddr, PeerAddr,
    semantics::{peer::UnixPeer, via::Pseudonym},
};

use super::{call, get, kind, lines, text, to};
use crate::support::{scripted, upstream::Upstream};

/// Says whom it takes the client for.
async fn inner(request: Request<Body>) -> Result<Response<Full<bytes::Bytes>>, Infallible> {
    let client = request.extensions().get::<ClientAddr>();
    let client = client.map_or("nobody".to_owned(), |client| client.0.to_string());
    Ok(Response::new(Full::from(client)))
}

#[tokio::test]
async fn the_service_inside_hears_who_the_client_is() {
    let upstream = Upstream::echo().await;
    let tcp = |address: &str| Some(PeerAddr::Tcp(address.parse::<SocketAddr>().unwrap()));
    let unix = Some(PeerAddr::Unix(UnixPeer::default()));
    let untrusting = to(&upstream).at("/api");
    let trusting = untrusting
        .clone()
        .trust("192.0.2.0/24")
        .unwrap()
        .trust("10.0.0.1")
        .unwrap()
        .trust_unix_peers(true);
    for (proxy, peer, said, client) in [
        (&untrusting, None, None, "nobody"),
        (&untrusting, None, Some("198.51.100.1"), "nobody"),
        (&untrusting, tcp("192.0.2.1:99"), None, "192.0.2.1"),
        (
            &untrusting,
            tcp("192.0.2.1:99"),
            Some("198.51.100.1"),
            "192.0.2.1",
        ),
        (&untrusting, unix, Some("198.51.100.1"), "nobody"),
        (&trusting, None, Some("198.51.100.1"), "nobody"),
        (&trusting, tcp("192.0.2.1:99"), None, "192.0.2.1"),
        (
            &trusting,
            tcp("192.0.2.1:99"),
            Some("198.51.100.1"),
            "198.51.100.1",
        ),
        // From the right, up to the first that is not trusted.
        (
            &trusting,
            tcp("192.0.2.1:99"),
            Some("203.0.113.9, 198.51.100.1, 10.0.0.1"),
            "198.51.100.1",
        ),
        (
            &trusting,
            tcp("203.0.113.5:99"),
            Some("198.51.100.1"),
            "203.0.113.5",
        ),
        (&trusting, unix, Some("198.51.100.1"), "198.51.100.1"),
        (&trusting, tcp("[2001:db8::1]:99"), None, "2001:db8::1"),
    ] {
        let mut request = get("/page");
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        if let Some(said) = said {
            let headers = request.headers_mut();
            headers.insert("x-forwarded-for", said.parse().unwrap());
        }
        let service = proxy.layer(service_fn(inner));
        let heard = text(service.oneshot(request).await.unwrap()).await;
        assert_eq!(heard, client, "{peer:?} said {said:?}");
    }
    assert_eq!(upstream.counts().accepted, 0);
}

#[tokio::test]
async fn bodies_are_streamed_below_some_paths_only() {
    let upstream = Upstream::echo().await;
    let proxy = to(&upstream)
        .stream_requests_at("/upload")
        .stream_requests_at("/more");
    for (path, is_streamed) in [
        ("/upload", true),
        ("/upload/1", true),
        ("/more/x", true),
        ("/uploads", false),
        ("/", false),
        ("/x/upload", false),
    ] {
        let (feed, body) = scripted::channel();
        let request = Request::post(path)
            .header("host", "a")
            .body(Body::new(body))
            .unwrap();
        let before = upstream.counts().accepted;
        let answer = tokio::spawn(proxy.clone().oneshot(request));
        feed.data("some");
        if is_streamed {
            // It is sent on before it is whole.
            upstream.until(|counts| counts.requests > before).await;
        } else {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert_eq!(upstream.counts().accepted, before, "{path}");
        }
        drop(feed);
        let answer = text(answer.await.unwrap().unwrap()).await;
        let framing = match is_streamed {
            true => ("transfer-encoding", "chunked"),
            false => ("content-length", "4"),
        };
        assert_eq!(lines(&answer, framing.0), [framing.1], "{answer}");
    }
    // All of them are more than some.
    let proxy = to(&upstream)
        .stream_requests()
        .stream_requests_at("/upload");
    let (feed, body) = scripted::channel();
    feed.data("some");
    drop(feed);
    let request = Request::post("/").header("host", "a");
    let answer = call(&proxy, request.body(Body::new(body)).unwrap()).await;
    assert_eq!(lines(&text(answer).await, "transfer-encoding"), ["chunked"]);
}

#[tokio::test]
async fn the_proxy_signs_in_via_by_the_name_that_was_said() {
    let upstream = Upstream::echo().await;
    let named = to(&upstream).via(Pseudonym::new("shop-gateway").unwrap());
    let response = call(&named, get("/")).await;
    assert_eq!(response.headers()["via"], "1.1 shop-gateway");
    assert_eq!(lines(&text(response).await, "via"), ["1.1 shop-gateway"]);

    // A number by default, its own for each proxy, the same for its clones.
    let mut names = Vec::new();
    for proxy in [to(&upstream), to(&upstream)] {
        let response = call(&proxy, get("/")).await;
        let name = response.headers()["via"].to_str().unwrap().to_owned();
        assert!(name.starts_with("1.1 gateway-"), "{name}");
        let again = call(&proxy.clone(), get("/")).await;
        assert_eq!(again.headers()["via"], name.as_str());
        names.push(name);
    }
    assert_ne!(names[0], names[1]);

    // What has come by is known by it.
    for (proxy, via, status) in [
        (&named, "1.1 shop-gateway", 508),
        (&named, "1.0 other, 1.1 shop-gateway (and a comment)", 508),
        (&named, "1.1 other", 200),
        (&named.clone().without_via(), "1.1 shop-gateway", 200),
    ] {
        let mut request = get("/");
        request.headers_mut().insert("via", via.parse().unwrap());
        assert_eq!(call(proxy, request).await.status(), status, "{via}");
    }
}

#[tokio::test]
async fn without_via_there_is_none_but_what_others_have_said() {
    let upstream = Upstream::echo().await;
    let proxy = to(&upstream).without_via();
    let response = call(&proxy, get("/")).await;
    assert_eq!(response.headers().get("via"), None);
    assert!(lines(&text(response).await, "via").is_empty());
    let mut request = get("/");
    request
        .headers_mut()
        .insert("via", "1.1 other".parse().unwrap());
    let answer = text(call(&proxy, request).await).await;
    assert_eq!(lines(&answer, "via"), ["1.1 other"]);
}

#[tokio::test]
async fn trace_is_passed_on_where_that_was_said_and_without_credentials() {
    let upstream = Upstream::echo().await;
    let request = || {
        let mut request = get("/");
        *request.method_mut() = Method::TRACE;
        let headers = request.headers_mut();
        headers.insert("authorization", "Basic c2VjcmV0".parse().unwrap());
        headers.insert("cookie", "session=secret".parse().unwrap());
        headers.insert("x-kept", "yes".parse().unwrap());
        request
    };
    let refused = call(&to(&upstream), request()).await;
    assert_eq!(refused.status(), 405);
    assert_eq!(
        kind(&refused),
        Some(tower_gateway::ErrorKind::MethodNotAllowed)
    );
    assert!(
        !refused.headers()["allow"]
            .to_str()
            .unwrap()
            .contains("TRACE")
    );
    assert_eq!(upstream.counts().accepted, 0);

    let passed = call(&to(&upstream).forward_trace(), request()).await;
    assert_eq!(passed.status(), 200);
    let echo = text(passed).await;
    assert!(echo.starts_with("TRACE / HTTP/1.1\r\n"), "{echo}");
    assert_eq!(lines(&echo, "x-kept"), ["yes"]);
    assert!(
        !echo.contains("secret") && !echo.contains("c2VjcmV0"),
        "{echo}"
    );
}
