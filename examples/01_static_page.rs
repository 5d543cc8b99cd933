//! A static page: files, as they are.
//!
//! Run it:
//!
//! ```text
//! cargo run --features serve --example 01_static_page
//! ```
//!
//! and open <http://127.0.0.1:8000>: a page with a style sheet, a script, and a picture, all from
//! the folder `examples/site`. Or, from a shell:
//!
//! ```text
//! curl -i http://127.0.0.1:8000/style.css          the file, with its type, date and ETag
//! curl -i http://127.0.0.1:8000/nothing            404 Not Found
//! curl -i -X POST http://127.0.0.1:8000/           405 Method Not Allowed
//! curl -i -r 0-9 http://127.0.0.1:8000/style.css   206: its first ten bytes
//! ```
//!
//! Another address can be given as the first argument; port 0 picks a free one.

use std::{env, io};

use tokio::net::TcpListener;
use tower_gateway::{StaticFiles, serve::serve};

/// What a page of this kind is made of.
const SITE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/site");

#[tokio::main]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);

    // A static page never changes between two requests: the file is the answer. `StaticFiles`
    // sends it with all that a browser needs to ask again only for what did change.
    let app = StaticFiles::new(SITE);

    serve(listener, app).await
}
