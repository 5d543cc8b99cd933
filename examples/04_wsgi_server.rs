//! A Django site behind Gunicorn, and this process where nginx would be.
//!
//! Start Gunicorn with the Django project of this repository:
//!
//! ```text
//! cd examples/mysite
//! python3 -m venv .venv && .venv/bin/pip install django gunicorn
//! .venv/bin/python manage.py migrate && .venv/bin/python manage.py seed
//! .venv/bin/gunicorn config.wsgi --bind 127.0.0.1:8001 --workers 2
//! ```
//!
//! and, in another terminal, what stands in front of it:
//!
//! ```text
//! cargo run --features serve --example 04_wsgi_server
//! ```
//!
//! Then open <http://127.0.0.1:8000>: the page is Django's, its style sheet is sent from here, and
//! Gunicorn's log shows that it was never asked for it.
//!
//! Arguments: the address (port 0 picks a free one), Gunicorn's address
//! (`http://127.0.0.1:8001`, or `http+unix:/path/to.sock`), and the folder of static files.

use std::{env, time::Duration};

use tokio::{net::TcpListener, signal};
use tower::ServiceBuilder;
use tower_gateway::{
    BoxError, ConcurrencyLimit, GatewayProxy, SpoolRequests, StaticFiles,
    serve::serve,
    static_files::{CacheControl, Files},
};

const STATIC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/mysite/static");

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().unwrap_or("127.0.0.1:8000".to_owned());
    let gunicorn = arguments
        .next()
        .unwrap_or("http://127.0.0.1:8001".to_owned());
    let files = arguments.next().unwrap_or(STATIC.to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);

    let app = ServiceBuilder::new()
        // A file is answered here. Gunicorn's few workers are for Python.
        .layer(
            StaticFiles::new(files)
                .at("/static")
                // They are kept in memory, with the heads of their answers.
                .cache(64 << 20)
                // A browser asks again after an hour, and is told that nothing changed.
                .cache_control(
                    Files::all(),
                    CacheControl::max_age(Duration::from_secs(3600)),
                ),
        )
        // A slow upload is collected here, in memory or in a temporary file, before it counts.
        .layer(SpoolRequests::default())
        // Two sync workers do two things at once. What comes on top waits here, in order and
        // not for ever, instead of in Gunicorn's backlog.
        .layer(
            ConcurrencyLimit::new(2)
                .queue(100)
                .queue_timeout(Duration::from_secs(10)),
        )
        // The rest is Django's.
        .service(GatewayProxy::to(&gunicorn)?);

    serve(listener, app)
        .graceful_shutdown(async {
            signal::ctrl_c().await.ok();
        })
        .await?;
    Ok(())
}
