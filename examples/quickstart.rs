//! The split between static and dynamic pages, with nothing else installed.
//!
//! ```text
//! cargo run --example quickstart
//! ```
//!
//! prints its address and what to try. The first argument is another address; port 0 picks a
//! free one, and so does this when port 8000 is taken.

use std::{
    convert::Infallible,
    env, io,
    sync::{Mutex, PoisonError},
};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use percent_encoding::percent_decode_str;
use tokio::{net::TcpListener, signal};
use tower::{ServiceBuilder, service_fn};
use tower_gateway::{
    Body, ConcurrencyLimit, StaticFiles,
    serve::{RequestBody, serve},
};

const SITE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/site");

static QUESTIONS: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = match env::args().nth(1) {
        Some(address) => TcpListener::bind(address).await?,
        None => match TcpListener::bind("127.0.0.1:8000").await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind("127.0.0.1:0").await?,
        },
    };
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    println!();
    println!("Try, in a browser or another terminal:");
    println!("  http://{address}/                            a dynamic page: the questions");
    println!("  curl -i http://{address}/static/style.css    a static one: a file");
    println!("  curl -i http://{address}/ -d question=Why%3F  post, and the dynamic page changes");
    println!("Below is what the application is asked for. Ctrl-C ends it.");
    println!();
    questions().push("What is the answer?".to_owned());

    let app = ServiceBuilder::new()
        .layer(StaticFiles::new(SITE).at("/static"))
        .layer(ConcurrencyLimit::new(64))
        .service(service_fn(application));

    serve(listener, app)
        .graceful_shutdown(async {
            signal::ctrl_c().await.ok();
        })
        .await
}

/// The application: it has never heard of files.
async fn application(request: Request<RequestBody>) -> Result<Response<Body>, Infallible> {
    println!(
        "the application is asked: {} {}",
        request.method(),
        request.uri()
    );
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => html(StatusCode::OK, &list()),
        (&Method::POST, "/") => ask(request.into_body()).await,
        _ => html(StatusCode::NOT_FOUND, "<h1>There is no such page</h1>"),
    })
}

fn list() -> String {
    let items: String = questions()
        .iter()
        .map(|question| format!("<li>{}</li>\n", escape(question)))
        .collect();
    format!(
        "<h1>Questions</h1>\n<ul>\n{items}</ul>\n\
         <form method=\"post\"><input name=\"question\" aria-label=\"Your question\" required>\
         <button>Ask</button></form>"
    )
}

async fn ask(body: RequestBody) -> Response<Body> {
    let Ok(form) = Limited::new(body, 4096).collect().await else {
        return html(
            StatusCode::PAYLOAD_TOO_LARGE,
            "<h1>That is a long question</h1>",
        );
    };
    let form = String::from_utf8_lossy(&form.to_bytes()).replace('+', " ");
    let question = form.strip_prefix("question=").unwrap_or_default();
    let question = percent_decode_str(question).decode_utf8_lossy();
    let mut questions = questions();
    if question.trim().is_empty() || questions.len() >= 100 {
        return html(StatusCode::BAD_REQUEST, "<h1>No question was taken</h1>");
    }
    questions.push(question.into_owned());
    let mut response = html(StatusCode::SEE_OTHER, "");
    response
        .headers_mut()
        .insert(header::LOCATION, HeaderValue::from_static("/"));
    response
}

fn html(status: StatusCode, content: &str) -> Response<Body> {
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Questions</title>\n\
         <link rel=\"stylesheet\" href=\"/static/style.css\">\n{content}\n</html>\n"
    );
    let mut response = Response::new(Body::from(page));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    response
}

fn questions() -> std::sync::MutexGuard<'static, Vec<String>> {
    QUESTIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
