//! GatewayProxy in front of upstreams that are scripts over bytes.

#[cfg(feature = "serve")]
mod answers;
#[cfg(unix)]
mod backlog;
mod balancing;
mod blame;
mod both_ways;
mod cancel;
#[cfg(all(feature = "serve", target_os = "linux"))]
mod endurance;
#[cfg(feature = "serve")]
mod expect;
mod extended_connect;
#[cfg(all(feature = "serve", target_os = "linux"))]
mod fault_table;
mod faults;
mod forwarding;
#[cfg(all(feature = "http2", feature = "serve"))]
mod grpc;
mod handle;
mod health;
#[cfg(feature = "http2")]
mod http2;
#[cfg(feature = "http2")]
mod http2_pool;
#[cfg(feature = "tls")]
mod https;
mod identity;
mod kept;
mod layer;
mod limits;
mod models;
mod pooling;
mod retrying;
#[cfg(feature = "serve")]
mod scoreboard;
mod seen;
mod setters;
mod spooling;
#[cfg(feature = "serve")]
mod stale;
mod timeouts;
mod upgrade;
mod url;

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use http_body_util::{BodyExt, Full};
use tower::ServiceExt;
use tower_gateway::{Body, BoxError, Error, ErrorKind, GatewayProxy};

use crate::support::upstream::Upstream;

/// A proxy to this upstream, with its defaults.
fn to(upstream: &Upstream) -> GatewayProxy {
    GatewayProxy::to(&upstream.url()).unwrap()
}

/// A GET without a body.
fn get(path: &str) -> Request<Body> {
    Request::get(path)
        .header("host", "example.org")
        .body(Body::empty())
        .unwrap()
}

fn post(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(path)
        .header("host", "example.org")
        .body(Full::new(body.into()))
        .unwrap()
}

/// Calls the proxy as the end of a stack.
async fn call<B>(proxy: &GatewayProxy, request: Request<B>) -> Response<Body>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    proxy.clone().oneshot(request).await.unwrap()
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What the answer to a GET says, whose status is 200.
async fn ask(proxy: &GatewayProxy) -> String {
    let response = call(proxy, get("/")).await;
    assert_eq!(response.status(), 200);
    text(response).await
}

/// What so many GETs, one after the other, were answered, and how often.
async fn spread(proxy: &GatewayProxy, requests: usize) -> BTreeMap<String, usize> {
    let mut answers = BTreeMap::new();
    for _ in 0..requests {
        *answers.entry(ask(proxy).await).or_default() += 1;
    }
    answers
}

/// A proxy to these, with its defaults.
fn to_these<'a>(upstreams: impl IntoIterator<Item = &'a Upstream>) -> GatewayProxy {
    GatewayProxy::to_all(upstreams.into_iter().map(Upstream::url)).unwrap()
}

/// What a refusal says to the layers outside.
fn kind(response: &Response<Body>) -> Option<ErrorKind> {
    response.extensions().get::<Error>().map(Error::kind)
}

/// The lines of a request that were sent upstream, names in lower case.
fn lines(request: &str, name: &str) -> Vec<String> {
    let (head, _) = request.split_once("\r\n\r\n").unwrap();
    head.split("\r\n")
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .filter(|(n, _)| *n == name)
        .map(|(_, value)| value.to_owned())
        .collect()
}
