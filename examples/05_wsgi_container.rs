//! A Django site, its files, and its workers, all from one process: nothing stands behind it.
//!
//! In `04_wsgi_server` somebody has to start Gunicorn, and to look after it. Here this process
//! does: it starts Python workers, feeds them, and replaces those that die, grow, or hang. Set up
//! the Django project of this repository:
//!
//! ```text
//! cd examples/mysite
//! python3 -m venv .venv && .venv/bin/pip install django
//! .venv/bin/python manage.py migrate && .venv/bin/python manage.py seed
//! ```
//!
//! and, in the root of the repository, run it:
//!
//! ```text
//! cargo run --features serve,wsgi --example 05_wsgi_container
//! ```
//!
//! Then open <http://127.0.0.1:8000>, and <http://127.0.0.1:8000/workers>, which shows the workers.
//! What they print is in the log. `kill -HUP` this process after a change in `mysite`: new workers
//! start, and take over when they have imported it, while the old ones finish what they have; if the change
//! is broken, the log says why, and the old ones go on. With the second argument `develop` that
//! happens by itself with every change of a file, and an exception is shown in the browser:
//! `manage.py runserver`, but with the server that production has.
//!
//! Arguments: the address (port 0 picks a free one), `develop` or `production`, and the folder of
//! static files.

use std::{convert::Infallible, env, fmt::Write, time::Duration};

use http::{Request, Response};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tower::{ServiceBuilder, service_fn};
use tower_gateway::{
    Body, BoxError, PathDispatch, StaticFiles, WsgiContainer,
    serve::{RequestBody, serve},
    wsgi::Handle,
};

const MYSITE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/mysite");

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    tracing_subscriber::fmt().init();
    let mut arguments = env::args().skip(1);
    let address = arguments.next().unwrap_or("127.0.0.1:8000".to_owned());
    let mode = arguments.next().unwrap_or("production".to_owned());
    let files = arguments.next().unwrap_or(format!("{MYSITE}/static"));
    let listener = TcpListener::bind(address).await?;

    // What Gunicorn has on its command line. The Python of `mysite/.venv` is found by itself.
    let django = WsgiContainer::new("config.wsgi:application").directory(MYSITE);
    let django = match &*mode {
        // One worker, new with every change, and tracebacks in the browser.
        "develop" => django.development(),
        "production" => django
            .workers(2)
            // A worker that leaks is replaced before it hurts, and not at the same time as the other.
            .max_requests(10_000)
            .max_requests_jitter(1_000)
            // One that hangs is told from one that is slow.
            .timeout(Duration::from_secs(30))
            // As Gunicorn and nginx do.
            .reload_on_signal(SignalKind::hangup()),
        _ => return Err(format!("{mode:?} is neither `develop` nor `production`").into()),
    };
    let django = django.spawn().await?;
    let handle = django.handle();

    let workers = handle.clone();
    let workers = service_fn(move |_: Request<RequestBody>| {
        let page = table(&workers);
        async { Ok::<_, Infallible>(Response::new(Body::from(page))) }
    });

    let app = ServiceBuilder::new()
        .layer(StaticFiles::new(files).at("/static"))
        .layer(PathDispatch::new().mount_exact("/workers", workers)?)
        .service(django);

    println!("listening on http://{}", listener.local_addr()?);
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    serve(listener, app)
        .graceful_shutdown(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
        .await?;
    // The workers end by themselves, in order: what Python does at its exit is done.
    handle.shutdown().await;
    Ok(())
}

/// A line for each worker.
fn table(handle: &Handle) -> String {
    let mut page = String::new();
    for worker in handle.status().workers {
        // Writing into a string does not fail.
        let _ = writeln!(
            page,
            "worker {} (pid {}) is {:?}: {} requests in {} s, {} of {} threads busy, {} MiB",
            worker.id,
            worker.pid,
            worker.state,
            worker.requests,
            worker.age.as_secs(),
            worker.busy,
            worker.threads,
            worker.memory.unwrap_or(0) >> 20,
        );
    }
    page
}
