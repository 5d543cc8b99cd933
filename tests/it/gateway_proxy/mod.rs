//! GatewayProxy in front of upstreams that are scripts over bytes.

mod both_ways;
mod cancel;
#[cfg(all(feature = "serve", target_os = "linux"))]
mod endurance;
mod extended_connect;
#[cfg(all(feature = "serve", target_os = "linux"))]
mod fault_table;
mod faults;
mod forwarding;
#[cfg(feature = "http2")]
mod http2;
#[cfg(feature = "http2")]
mod http2_pool;
#[cfg(feature = "tls")]
mod https;
mod identity;
mod kept;
mod layer;
mod models;
mod pooling;
#[cfg(feature = "serve")]
mod scoreboard;
mod spooling;
#[cfg(feature = "serve")]
mod stale;
mod timeouts;
mod upgrade;
mod url;
#[cfg(feature = "serve")]
mod wire;

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
