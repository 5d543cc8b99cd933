//! The split that this crate is about: a file is answered by the web server, and never wakes the
//! application, which is Python. Nothing else has to be installed or started but Python 3.
//!
//! ```text
//! cargo run --example quickstart
//! ```
//!
//! Open the address that it prints, or ask from a shell, and watch what it says below: the
//! application is asked for its page, and never for the style sheet.
//!
//! The application is [`examples/board/board.py`](board/board.py), which knows the standard library
//! alone. This process starts two workers that run it, and restarts one that dies: find the pid
//! of one that it prints, and kill it.
//!
//! Another address can be given as the first argument; port 0 picks a free one. Without, it is
//! port 8000, or a free one if that is taken.

use std::{
    env,
    io::{self, IsTerminal},
};

use tokio::{net::TcpListener, signal};
use tower::ServiceBuilder;
use tower_gateway::{
    BoxError, ConcurrencyLimit, SpoolRequests, StaticFiles, WsgiContainer, serve::serve,
};

const SITE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/site");
const BOARD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/board");

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // What the workers print and log comes as `tracing` events, with the number of the worker.
    tracing_subscriber::fmt()
        .without_time()
        .with_target(false)
        .with_ansi(io::stdout().is_terminal())
        .init();
    let listener = match env::args().nth(1) {
        Some(address) => TcpListener::bind(address).await?,
        None => match TcpListener::bind("127.0.0.1:8000").await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind("127.0.0.1:0").await?,
        },
    };
    let folder = tempfile::tempdir()?;

    // The workers have imported the application when this returns, or it says why not.
    let board = WsgiContainer::new("board:application")
        .directory(BOARD)
        .env("BOARD_DATABASE", folder.path().join("questions.sqlite3"))
        .workers(2)
        .spawn()
        .await?;
    let handle = board.handle();

    let app = ServiceBuilder::new()
        .layer(StaticFiles::new(SITE).at("/static"))
        .layer(SpoolRequests::default())
        .layer(ConcurrencyLimit::new(64))
        .service(board);

    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    println!();
    println!("Try, in a browser or another terminal:");
    println!("  http://{address}/                            a dynamic page: the questions");
    println!("  curl -i http://{address}/static/style.css    a static one: a file");
    println!("  curl -i http://{address}/ -d question=Why%3F  post, and the dynamic page changes");
    println!("Below is what the application is asked for. Ctrl-C ends it.");
    println!();

    serve(listener, app)
        .graceful_shutdown(async {
            signal::ctrl_c().await.ok();
        })
        .await?;
    handle.shutdown().await;
    Ok(())
}
