//! A web server: static pages from files, dynamic ones from the application.
//!
//! Run it:
//!
//! ```text
//! cargo run --features serve --example 03_web_server
//! ```
//!
//! and open <http://127.0.0.1:8000>: a list of questions from an SQLite database, and a form.
//! Post a question, and the page changes; its style sheet does not. What the application is
//! asked for is printed: the style sheet never is.
//!
//! The first argument is another address (port 0 picks a free one), the second a database file
//! (the questions are gone with the process otherwise).

use std::{
    env, io,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Form, Router,
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use rusqlite::Connection;
use tokio::net::TcpListener;
use tower_gateway::{StaticFiles, serve::serve};

const SITE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/site");

/// The database: one connection, used by one request at a time.
type Questions = Arc<Mutex<Connection>>;

fn open(path: &str) -> rusqlite::Result<Questions> {
    let connection = Connection::open(path)?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS question (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
         INSERT OR IGNORE INTO question (text) VALUES ('What is a static page?');
         INSERT OR IGNORE INTO question (text) VALUES ('What is a dynamic page?');",
    )?;
    Ok(Arc::new(Mutex::new(connection)))
}

/// A dynamic page: the list of questions as it is now.
async fn list(State(questions): State<Questions>) -> Result<Html<String>, Failure> {
    let connection = questions.lock().unwrap_or_else(PoisonError::into_inner);
    let mut select = connection.prepare_cached("SELECT text FROM question ORDER BY id")?;
    let items = select
        .query_map([], |row| row.get::<_, String>(0))?
        .map(|text| Ok(format!("      <li>{}</li>\n", escape(&text?))))
        .collect::<rusqlite::Result<String>>()?;
    Ok(Html(format!(
        r#"<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>Questions</title>
    <link rel="stylesheet" href="/static/style.css">
  </head>
  <body>
    <h1>Questions</h1>
    <ul>
{items}    </ul>
    <form method="post" action="/questions">
      <label>Yours: <input name="text" required maxlength="200"></label>
      <button>Ask</button>
    </form>
  </body>
</html>
"#
    )))
}

#[derive(serde::Deserialize)]
struct Question {
    text: String,
}

/// Takes a question, and sends the browser back to the list: to reload is not to ask twice.
async fn ask(
    State(questions): State<Questions>,
    Form(question): Form<Question>,
) -> Result<Response, Failure> {
    let text = question.text.trim();
    if text.is_empty() || text.chars().count() > 200 {
        return Ok((
            StatusCode::BAD_REQUEST,
            "A question has 1 to 200 characters.\n",
        )
            .into_response());
    }
    let connection = questions.lock().unwrap_or_else(PoisonError::into_inner);
    connection.execute("INSERT OR IGNORE INTO question (text) VALUES (?1)", [text])?;
    Ok(Redirect::to("/").into_response())
}

/// A database that fails is told to the log, not to the browser.
struct Failure(rusqlite::Error);

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        eprintln!("the database: {}", self.0);
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Says what the application is asked for.
async fn say(request: Request, next: Next) -> Response {
    println!("{} {}", request.method(), request.uri());
    next.run(request).await
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().unwrap_or("127.0.0.1:8000".to_owned());
    let database = arguments.next().unwrap_or(":memory:".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);

    // The application knows nothing of files...
    let application = Router::new()
        .route("/", get(list))
        .route("/questions", post(ask))
        .layer(axum::middleware::from_fn(say))
        .with_state(open(&database).map_err(io::Error::other)?);

    // ...and a request for a file never wakes the application.
    let app = application.layer(StaticFiles::new(SITE).at("/static"));

    serve(listener, app).await
}
