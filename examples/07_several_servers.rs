//! Several servers behind one address: who gets a request, and what happens when one fails.
//!
//! ```text
//! cargo run --features serve --example 07_several_servers
//! ```
//!
//! starts three small servers of its own, and prints its address. Then
//!
//! ```text
//! curl -i http://127.0.0.1:8000/                 which server it is, and a cookie
//! curl http://127.0.0.1:8000/status              all of them, as the gateway sees them
//! curl -X POST http://127.0.0.1:8000/break       the server that gets it is not well any more
//! curl http://127.0.0.1:8000/                    another one answers
//! curl http://127.0.0.1:8000/status              and this is why
//! ```
//!
//! In a browser, the page counts its visits: the count is in the memory of one server, and the
//! cookie is what leads back to it. Break all three, and see who is asked then.
//!
//! Another address can be given as the first argument; port 0 picks a free one.

use std::{
    env, io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use tokio::{net::TcpListener, signal};
use tower_gateway::{
    BoxError, GatewayProxy,
    gateway_proxy::{
        Balance, Ejection, Handle, HealthCheck, Retries, Sticky, Upstream, UpstreamStatus,
    },
    serve::serve,
};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8000".to_owned());
    let servers = [
        // A machine with twice the processors.
        Upstream::new(&start("one").await?)?.weight(2),
        Upstream::new(&start("two").await?)?,
        // Kept for bad days.
        Upstream::new(&start("three").await?)?.backup(),
    ];
    let proxy = GatewayProxy::to_upstreams(servers)
        // Each in its turn, as nginx does it. Without this line the server that promises to answer
        // sooner is asked, which is better where requests differ, and harder to follow here.
        .balance(Balance::RoundRobin)
        // A session stays where it began: these servers keep it in their memory. Those that keep it
        // in a database do without, and their load is spread more evenly.
        .sticky(Sticky::new())
        // What servers show by themselves. Three failures in a row, and one is left alone for ten
        // seconds, then twenty, and so on. It costs the requests that fail, so...
        .ejection(
            Ejection::new()
                .consecutive(3)
                .base_time(Duration::from_secs(10)),
        )
        // ...each is also asked, twice a second, whether it is well. Two bad answers, and it gets no
        // requests until two are good. (In earnest every 5 seconds is enough, the default.)
        .health_check(
            HealthCheck::get("/healthz")
                .interval(Duration::from_millis(500))
                .falls(2)
                .rises(2),
        )
        // Until that is noticed, what one server cannot do another one can: a GET is sent again.
        // A POST never is, unless it never arrived.
        .retries(Retries::new().on_status([502, 503, 504]));

    // What looks at the servers from beside, and can add, drain and remove them.
    let handle = proxy.handle();
    // The checks begin with the first request, or now.
    handle.start();

    // The status page is for operators. In earnest it has a listener of its own, which the world
    // cannot reach.
    let app = Router::new()
        .route("/status", get(status))
        .with_state(handle)
        .fallback_service(proxy);

    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    serve(listener, app)
        .graceful_shutdown(async {
            signal::ctrl_c().await.ok();
        })
        .await?;
    Ok(())
}

async fn status(State(handle): State<Handle>) -> String {
    let line = |server: &UpstreamStatus| {
        format!(
            "{} is {:?}: {} in use, {} requests, {} failures, {:.1?} to the head of an answer\n",
            server.upstream,
            server.health,
            server.in_use,
            server.requests,
            server.failures,
            server.latency
        )
    };
    handle.upstreams().iter().map(line).collect()
}

/// One of the servers that are started here.
struct Server {
    name: &'static str,
    visits: AtomicU64,
    is_well: AtomicBool,
}

async fn health(State(server): State<Arc<Server>>) -> Result<(), StatusCode> {
    match server.is_well.load(Relaxed) {
        true => Ok(()),
        false => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}

async fn page(State(server): State<Arc<Server>>) -> Result<String, StatusCode> {
    health(State(Arc::clone(&server))).await?;
    let visit = server.visits.fetch_add(1, Relaxed) + 1;
    Ok(format!("{}, visit {visit}\n", server.name))
}

async fn fail(State(server): State<Arc<Server>>) {
    server.is_well.store(false, Relaxed);
}

/// Starts one on a port of its own.
async fn start(name: &'static str) -> io::Result<String> {
    let router = Router::new()
        .route("/", get(page))
        .route("/healthz", get(health))
        .route("/break", post(fail))
        .with_state(Arc::new(Server {
            name,
            visits: AtomicU64::new(0),
            is_well: AtomicBool::new(true),
        }));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(serve(listener, router).into_future());
    Ok(url)
}
