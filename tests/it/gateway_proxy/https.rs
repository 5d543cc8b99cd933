//! Upstreams over TLS, with certificates that are made here.

use std::{convert::Infallible, error::Error as _, time::Duration};

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tower::service_fn;
use tower_gateway::gateway_proxy::Retries;
use tower_gateway::{Body, Error, ErrorKind, GatewayProxy, gateway_proxy::Tls};

use super::{call, get, kind, post, text};
use crate::support::tls::{Issuer, TlsUpstream};

const BOTH: &[&str] = &["h2", "http/1.1"];

/// Tells the version and what it was sent.
async fn echo(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let version = request.version();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    Ok(Response::new(Body::from(format!("{version:?} {body}"))))
}

async fn echoing(issuer: &Issuer, names: &[&str]) -> TlsUpstream {
    TlsUpstream::serve(issuer.acceptor(names, BOTH), service_fn(echo)).await
}

fn to(upstream: &TlsUpstream, tls: Tls) -> GatewayProxy {
    let url = format!("https://localhost:{}", upstream.addr.port());
    GatewayProxy::to(&url).unwrap().tls(tls)
}

fn believing(issuer: &Issuer) -> Tls {
    Tls::new().roots_pem(issuer.pem().as_bytes()).unwrap()
}

/// What the operator is told.
fn cause(response: &Response<Body>) -> String {
    let error = response.extensions().get::<Error>().unwrap();
    let mut texts = Vec::new();
    let mut cause = error.source();
    while let Some(this) = cause {
        texts.push(this.to_string());
        cause = this.source();
    }
    texts.join(": ")
}

#[tokio::test]
async fn https_is_http1_inside_tls() {
    let issuer = Issuer::new();
    let upstream = echoing(&issuer, &["localhost"]).await;
    let proxy = to(&upstream, believing(&issuer));
    let response = call(&proxy, post("/", "hello")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(text(response).await, "HTTP/1.1 hello");
}

#[tokio::test]
async fn a_connection_is_kept_and_used_again() {
    let issuer = Issuer::new();
    let upstream = echoing(&issuer, &["localhost"]).await;
    let proxy = to(&upstream, believing(&issuer)).idle_timeout(Duration::from_secs(60));
    for _ in 0..10 {
        assert_eq!(text(call(&proxy, get("/")).await).await, "HTTP/1.1 ");
    }
    assert_eq!(upstream.accepted(), 1);
}

#[tokio::test]
async fn large_bodies_pass_both_ways() {
    let issuer = Issuer::new();
    let upstream = echoing(&issuer, &["localhost"]).await;
    let proxy = to(&upstream, believing(&issuer));
    let sent = "x".repeat(5 << 20);
    let received = text(call(&proxy, post("/", sent.clone())).await).await;
    assert!(received == format!("HTTP/1.1 {sent}"));
}

#[tokio::test]
async fn an_upstream_that_is_not_who_it_should_be_is_502_and_the_operator_is_told_why() {
    let issuer = Issuer::new();
    let good = echoing(&issuer, &["localhost"]).await;
    let misnamed = echoing(&issuer, &["app.internal"]).await;
    for (proxy, reason) in [
        (to(&good, Tls::new()), "UnknownIssuer"),
        (to(&misnamed, believing(&issuer)), "not valid for name"),
    ] {
        let response = call(&proxy, get("/")).await;
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
        assert_eq!(kind(&response), Some(ErrorKind::UpstreamConnect));
        let cause = cause(&response);
        // A machine without roots of its own says so.
        assert!(
            cause.contains(reason) || cause.contains("the roots of the platform"),
            "{cause}"
        );
    }
    // The name that is in the certificate, at an address that is not.
    let tls = believing(&issuer).server_name("app.internal").unwrap();
    let response = call(&to(&misnamed, tls), get("/")).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let issuer = Issuer::new();
    let acceptor = issuer.acceptor_of_certified(&["localhost"], BOTH);
    let upstream = TlsUpstream::serve(acceptor, service_fn(echo)).await;
    let (chain, key) = issuer.certificate(&["gateway"]);
    let tls = believing(&issuer);
    let tls = tls.client_certificate_pem(chain.as_bytes(), key.as_bytes());
    let response = call(&to(&upstream, tls.unwrap()), get("/")).await;
    assert_eq!(response.status(), StatusCode::OK);

    let response = call(&to(&upstream, believing(&issuer)), get("/")).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert!(cause(&response).contains("CertificateRequired"));
}

#[tokio::test]
async fn who_does_not_speak_tls_is_502_and_who_says_nothing_504() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let proxy = GatewayProxy::to(&url).unwrap().retries(Retries::none());
    let proxy = proxy.connect_timeout(Duration::from_millis(100));
    let response = call(&proxy, get("/")).await;
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(kind(&response), Some(ErrorKind::UpstreamConnectTimeout));
    drop(listener.accept().await.unwrap());

    let proxy = proxy.connect_timeout(Duration::from_secs(20));
    let answering = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad\r\n\r\n").await.unwrap();
        stream.shutdown().await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.ok();
    };
    let (response, ()) = tokio::join!(call(&proxy, get("/")), answering);
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn an_answer_that_ends_without_tls_farewell_never_looks_whole() {
    let issuer = Issuer::new();
    let acceptor = issuer.acceptor(&["localhost"], BOTH);
    let upstream = TlsUpstream::spawn(acceptor, |mut stream| async move {
        stream.read_u8().await.unwrap();
        // Until the end of the connection, and the end is not TLS's.
        stream
            .write_all(b"HTTP/1.1 200 OK\r\n\r\nhalf")
            .await
            .unwrap();
        stream.flush().await.unwrap();
        stream.get_mut().0.shutdown().await.unwrap();
    })
    .await;
    let response = call(&to(&upstream, believing(&issuer)), get("/")).await;
    assert_eq!(response.status(), StatusCode::OK);
    response.into_body().collect().await.unwrap_err();
}
