//! The peers that are this program itself: `peers --serve NAME`.

use std::{
    convert::Infallible,
    future::ready,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::serve::ListenerExt;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{
    body::{Body, Bytes, Incoming},
    server::conn::http1,
    service::HttpService,
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::net::TcpListener;
use tower_http::services::ServeDir;

use crate::BoxError;

/// The environment variable that names the folder of `serve-dir`.
pub(crate) const ROOT: &str = "PEERS_ROOT";

/// The environment variable that names the upstream of `axum-reverse-proxy`.
pub(crate) const UPSTREAM: &str = "PEERS_UPSTREAM";

/// How long `hyper-busy` works on a request.
const WORK: Duration = Duration::from_micros(10);

/// What is in a file of this length.
pub(crate) fn content(length: usize) -> Bytes {
    (b'a'..=b'z').cycle().take(length).collect()
}

/// Serves until it is killed. Its first line says where, as that of the example `gateway`.
pub(crate) async fn run(name: &str) -> Result<(), BoxError> {
    // The one that started this may be killed itself.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    match name {
        "hyper-memory" => {
            let files = files();
            let service = hyper::service::service_fn(move |request| {
                ready(Ok::<_, Infallible>(from_memory(&files, &request)))
            });
            serve(listener, &service).await
        }
        "hyper-busy" => {
            let files = files();
            let service = hyper::service::service_fn(move |request| {
                let began = Instant::now();
                while began.elapsed() < WORK {}
                ready(Ok::<_, Infallible>(from_memory(&files, &request)))
            });
            serve(listener, &service).await
        }
        "axum-reverse-proxy" => {
            let upstream = std::env::var(UPSTREAM)?;
            let app: axum::Router = axum_reverse_proxy::ReverseProxy::new("/", &upstream).into();
            let app = app.into_make_service_with_connect_info::<SocketAddr>();
            let listener = listener.tap_io(|stream| {
                // Without it a side is slow, and that is all it costs.
                stream.set_nodelay(true).ok();
            });
            Ok(axum::serve(listener, app).await?)
        }
        "serve-memory" => {
            let files = files();
            let service = tower::service_fn(move |request| {
                ready(Ok::<_, Infallible>(from_memory(&files, &request)))
            });
            Ok(tower_gateway::serve::serve(listener, service).await?)
        }
        "serve-dir" => {
            let root = PathBuf::from(std::env::var(ROOT)?);
            serve(listener, &TowerToHyperService::new(ServeDir::new(root))).await
        }
        _ => Err(format!("--serve {name}: no such peer").into()),
    }
}

type Files = Arc<[(&'static str, Bytes)]>;

fn files() -> Files {
    let file = |case: &crate::Case| match case.expected {
        crate::Expected::Ok { length } => Some((case.path, content(length))),
        _ => None,
    };
    crate::CASES.iter().filter_map(file).collect()
}

/// The least that a server can do.
fn from_memory<B>(files: &Files, request: &Request<B>) -> Response<Full<Bytes>> {
    let file = files.iter().find(|(path, _)| *path == request.uri().path());
    let Some((_, content)) = file else {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let etag = HeaderValue::from_static("\"one\"");
    if request.headers().get(header::IF_NONE_MATCH) == Some(&etag) {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    let mut response = Response::new(Full::new(content.clone()));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(header::ETAG, etag);
    response
}

async fn serve<S, B>(listener: TcpListener, service: &S) -> Result<(), BoxError>
where
    S: HttpService<Incoming, ResBody = B> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(async move {
            // A client that leaves is not this side's error.
            connection.await.ok();
        });
    }
}
