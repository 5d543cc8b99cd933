//! A dynamic page: computed for each request.
//!
//! Run it:
//!
//! ```text
//! cargo run --features serve --example 02_dynamic_page
//! ```
//!
//! and open <http://127.0.0.1:8000> twice: the page counts its readers. No file could.
//!
//! Another address can be given as the first argument; port 0 picks a free one.

use std::{
    convert::Infallible,
    env, io,
    sync::atomic::{AtomicU64, Ordering},
};

use http::{Request, Response, header};
use tokio::net::TcpListener;
use tower::service_fn;
use tower_gateway::{
    Body,
    serve::{RequestBody, serve},
};

/// The state that the page is computed from. A real site has a database here.
static READERS: AtomicU64 = AtomicU64::new(0);

/// The application: from a request to a response. Everything else is a server's work.
async fn page(request: Request<RequestBody>) -> Result<Response<Body>, Infallible> {
    let reader = READERS.fetch_add(1, Ordering::Relaxed) + 1;
    let html = format!(
        "<!doctype html><html lang=en><title>A dynamic page</title>\n\
         <h1>A dynamic page</h1>\n\
         <p>You are reader number {reader}, and asked for <code>{}</code>.</p>\n",
        // The path is written into a page: what is markup there must not be markup here.
        request
            .uri()
            .path()
            .replace('&', "&amp;")
            .replace('<', "&lt;"),
    );
    let mut response = Response::new(Body::from(html));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("text/html; charset=utf-8"),
    );
    Ok(response)
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);

    serve(listener, service_fn(page)).await
}
