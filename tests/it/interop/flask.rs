//! A Flask application at a mount. The rest of its story is in `everywhere`.

use http_body_util::BodyExt;
use serde_json::Value;
use tower::{Layer, ServiceExt};
use tower_gateway::{Body, PathDispatch};

use super::applications::{Place, Server, Speech};

#[tokio::test(flavor = "multi_thread")]
async fn a_mounted_application_is_told_its_prefix() {
    let application = Server::Sync.flask(Speech::Http, Place::Unix);
    let inner = tower::service_fn(async |_: http::Request<Body>| {
        Ok::<_, std::convert::Infallible>(http::Response::new(Body::empty()))
    });
    let app = PathDispatch::new()
        .mount("/shop", application.proxy())
        .unwrap()
        .layer(inner);
    let request = http::Request::get("/shop/echo?q")
        .header("host", "localhost")
        .body(Body::empty())
        .unwrap();
    let response = app.oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let told: Value = serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{body:?}"));
    assert_eq!(told["path"], "/echo");
    let prefix = serde_json::json!(["HTTP_X_FORWARDED_PREFIX", "/shop"]);
    assert!(
        told["headers"].as_array().unwrap().contains(&prefix),
        "{told:#}"
    );
}
