//! Two ways to an application server: HTTP, and the protocol of uWSGI.
//!
//! Start the Django project of this repository twice: in Gunicorn, which speaks HTTP, and in uWSGI,
//! which also speaks a protocol of its own. Both on Unix sockets:
//!
//! ```text
//! cd examples/mysite
//! python3 -m venv .venv && .venv/bin/pip install django gunicorn uwsgi
//! .venv/bin/python manage.py migrate && .venv/bin/python manage.py seed
//! .venv/bin/gunicorn config.wsgi --workers 2 --bind unix:/tmp/gunicorn.sock &
//! .venv/bin/uwsgi --master --processes 2 --buffer-size 16384 --die-on-term \
//!     --module config.wsgi --socket /tmp/uwsgi.sock
//! ```
//!
//! (`pip install uwsgi` needs a C compiler; `pyuwsgi` is the same without.) In another terminal, what
//! stands in front of them:
//!
//! ```text
//! cargo run --features serve --example 06_application_server
//! ```
//!
//! Then open <http://127.0.0.1:8000>, which is Gunicorn's, and <http://127.0.0.1:8000/uwsgi/>, which
//! is uWSGI's. It is one site with one database: what is asked in one is there in the other. Every
//! link of the second begins with `/uwsgi`, and nothing in the project says so.
//!
//! Arguments: the address (port 0 picks a free one), Gunicorn's URL, uWSGI's URL
//! (`http+unix:/path`, `http://host:port`, `uwsgi+unix:/path`, or `uwsgi://host:port`, either way
//! around), and the folder of static files.

use std::{env, time::Duration};

use tokio::{net::TcpListener, signal};
use tower::{Layer, ServiceBuilder};
use tower_gateway::{BoxError, GatewayProxy, PathDispatch, StaticFiles, serve::serve};

const STATIC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/mysite/static");

/// An application server with two workers.
fn server(url: &str) -> Result<GatewayProxy, BoxError> {
    // The URL says how it is spoken to, and nothing else here differs. A Unix socket is as good as
    // a port, and better guarded: who may connect is a matter of file permissions.
    let proxy = GatewayProxy::to(url)?
        // Two workers do two things at once. A third connection would wait in the server's
        // backlog, where nobody can tell it to go away...
        .max_connections(2)
        // ...so requests wait here: in their order, up to so many, and not for ever. Who does not
        // fit is told 503.
        .max_waiting(100)
        .pool_timeout(Duration::from_secs(10))
        // The slowest page of the site. Beyond it the client is told 504. (Gunicorn ends a worker
        // that takes more than 30 seconds, `--timeout`; uWSGI none, but for `--harakiri`.)
        .response_timeout(Duration::from_secs(30));
    Ok(proxy)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut arguments = env::args().skip(1);
    let mut argument = |default: &str| arguments.next().unwrap_or(default.to_owned());
    let address = argument("127.0.0.1:8000");
    let gunicorn = server(&argument("http+unix:/tmp/gunicorn.sock"))?;
    let uwsgi = server(&argument("uwsgi+unix:/tmp/uwsgi.sock"))?;
    let files = argument(STATIC);
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);

    // A site is an application and its files, wherever it is mounted.
    let site = |application: GatewayProxy| {
        ServiceBuilder::new()
            .layer(StaticFiles::new(&files).at("/static"))
            .service(application)
    };

    // `/uwsgi` is stripped on the way to the second site, which is told of it: in SCRIPT_NAME, a
    // variable of the uwsgi protocol. Django puts it before every path that it writes.
    //
    // HTTP has no place for it. A server that is spoken to in HTTP finds `X-Forwarded-Prefix`, and
    // Django has to be told to believe it (FORCE_SCRIPT_NAME, or a middleware). Gunicorn with
    // `--protocol uwsgi` does not take SCRIPT_NAME either.
    let app = PathDispatch::new()
        .mount("/uwsgi", site(uwsgi))?
        .layer(site(gunicorn));

    serve(listener, app)
        .graceful_shutdown(async {
            signal::ctrl_c().await.ok();
        })
        .await?;
    Ok(())
}
