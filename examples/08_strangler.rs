//! A Django site that moves to Rust, one endpoint at a time.
//!
//! Start Gunicorn with the Django project of this repository, as in `04_wsgi_server`:
//!
//! ```text
//! cd examples/mysite
//! python3 -m venv .venv && .venv/bin/pip install django gunicorn
//! .venv/bin/python manage.py migrate && .venv/bin/python manage.py seed
//! .venv/bin/gunicorn config.wsgi --bind 127.0.0.1:8001 --workers 2
//! ```
//!
//! and, in another terminal, the site that it becomes:
//!
//! ```text
//! cargo run --features serve --example 08_strangler
//! ```
//!
//! Then open <http://127.0.0.1:8000>, which looks as before, and ask for what has moved:
//!
//! ```text
//! curl -i --data-binary @Cargo.toml http://127.0.0.1:8000/upload/raw/
//! ```
//!
//! Gunicorn's log shows that it was not asked. Without the move (`… --example 08_strangler --
//! 127.0.0.1:8000 http://127.0.0.1:8001 before`) it is, and the answer is the same.
//!
//! Arguments: the address (port 0 picks a free one), Gunicorn's URL, and `before` or `after`.

use std::env;

use axum::{
    Router,
    body::Body,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use tokio::{net::TcpListener, signal};
use tower::ServiceBuilder;
use tower_gateway::{BoxError, GatewayProxy, StaticFiles, serve::serve};

const STATIC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/mysite/static");

/// The first day: a service in Rust that has no page of its own. Nothing has changed for anybody,
/// and from now on a move is one line.
fn before(django: GatewayProxy) -> Router {
    Router::new().fallback_service(django)
}

/// The second day: one endpoint has moved. What has a route is Rust's, the rest is Django's.
///
/// A good one to begin with has no session, no form and no template, and keeps workers busy. This
/// one hashes what it is sent. In Python it holds a worker for as long as that takes; and since
/// the worker must not wait for a slow client, all of the body has to be collected before.
fn after(django: GatewayProxy) -> Router {
    Router::new()
        // The slash at the end is a part of the path: Django's URLs have it, and a move changes no
        // URL. So do the methods: others than Django's are 405 on both sides.
        .route("/upload/raw/", post(size_and_sha256).put(size_and_sha256))
        .fallback_service(django)
}

/// Django's `upload_raw`, with the same answer. The body is read as it comes; no part of it is
/// kept.
async fn size_and_sha256(mut body: Body) -> Response {
    let (mut size, mut digest) = (0, Sha256::new());
    while let Some(frame) = body.frame().await {
        // The client broke off.
        let Ok(frame) = frame else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        if let Some(data) = frame.data_ref() {
            size += data.len();
            digest.update(data);
        }
    }
    let sha256: String = digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    axum::Json(serde_json::json!({ "size": size, "sha256": sha256 })).into_response()
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut arguments = env::args().skip(1);
    let mut argument = |default: &str| arguments.next().unwrap_or(default.to_owned());
    let address = argument("127.0.0.1:8000");
    let django = GatewayProxy::to(&argument("http://127.0.0.1:8001"))?;
    let router = match &*argument("after") {
        "before" => before(django),
        "after" => after(django),
        other => return Err(format!("{other:?} is neither \"before\" nor \"after\"").into()),
    };
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);

    // Outside of the router, not a layer of it (`Router::layer` comes after the choice of a route):
    // this layer reads the path, once, and the router gets it as it was read. `//upload/./raw/` is
    // the endpoint that has moved. Otherwise it would be no route, and go to Django, which is told
    // the path as it was read and would answer: two implementations at one address, and no way to
    // know which one is asked.
    let app = ServiceBuilder::new()
        .layer(StaticFiles::new(STATIC).at("/static"))
        .service(router);

    serve(listener, app)
        .graceful_shutdown(async {
            signal::ctrl_c().await.ok();
        })
        .await?;
    Ok(())
}
